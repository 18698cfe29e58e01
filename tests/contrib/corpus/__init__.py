"""
What providers sent, and what must be recorded of it. Add a case for every oddity that turns up.

Shapes are those of the providers' API references; texts are made up.
"""

import json
import zlib
from dataclasses import dataclass, field
from typing import Any

USER = [{"role": "user", "content": "Hi"}]
HI = [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]


@dataclass
class Case:
    """One exchange and the fields it must give; a field expected to be None must be unset."""

    name: str
    path: str
    request: Any
    expect: dict[str, Any]
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    host: str = "api.example.test"
    limit: int = 1_000_000
    closed: bool = False


def js(value: Any) -> bytes:
    return json.dumps(value).encode()


def sse(*events: Any, end: str = "\n") -> bytes:
    """Server-sent events as OpenAI writes them; a pair is a named event, a text goes as it is."""
    lines = []
    for event in events:
        name, data = event if isinstance(event, tuple) else ("", event)
        lines += [f"event: {name}"] if name else []
        lines += [f"data: {data if isinstance(data, str) else json.dumps(data)}", ""]
    return end.join([*lines, ""]).encode()


def aws_frame(name: str, data: Any, message_type: str = "event") -> bytes:
    """One frame of Amazon's event stream, as botocore's decoder reads it."""
    texts = {
        f":{message_type}-type": name,
        ":content-type": "application/json",
        ":message-type": message_type,
    }
    headers = b"".join(
        bytes([len(key)]) + key.encode() + b"\x07" + len(value).to_bytes(2) + value.encode()
        for key, value in texts.items()
    )
    payload = js(data)
    prelude = (16 + len(headers) + len(payload)).to_bytes(4) + len(headers).to_bytes(4)
    body = prelude + zlib.crc32(prelude).to_bytes(4) + headers + payload
    return body + zlib.crc32(body).to_bytes(4)


def answer(*parts: Any, finish: str, role: str = "assistant") -> dict[str, Any]:
    return {"role": role, "parts": list(parts), "finish_reason": finish}


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "content": content}


def reasoning(content: str) -> dict[str, Any]:
    return {"type": "reasoning", "content": content}


def call(id: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_call", "id": id, "name": name, "arguments": arguments}


STREAM = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}
