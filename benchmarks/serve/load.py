"""The load of every collector: GenAI spans of 3.9 KB over OTLP/HTTP, 100 a request, and our own wire."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.workload import calls

SPANS = 100
"""In a request, of ten traces."""
SPAN_BYTES = 3_900
CONNECTIONS = 4
"""That send at once."""
NATIVE_EVENTS = 500
"""In a request on our own wire."""


def otlp_bodies(count: int) -> list[bytes]:
    """Return so many requests; no span occurs twice."""
    texts = [arguments[1] for arguments, _ in calls(SPANS)]
    return [_otlp_body(texts, random.Random(os.urandom(8))) for _ in range(count)]


def _otlp_body(texts: Sequence[str], rng: random.Random) -> bytes:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    _set(resource.resource, "service.name", "shop")
    scope = resource.scope_spans.add()
    began = time.time_ns() - 10**9
    for number in range(SPANS):
        if number % 10 == 0:
            trace_id, parent_id = rng.randbytes(16), rng.randbytes(8)
        span = scope.spans.add(
            name="chat gpt-4o", kind=3, trace_id=trace_id, span_id=rng.randbytes(8),
            parent_span_id=parent_id, start_time_unix_nano=began + number * 10**6,
            end_time_unix_nano=began + number * 10**6 + 412 * 10**6,
        )  # fmt: skip
        for name, value in (
            ("gen_ai.operation.name", "chat"), ("gen_ai.provider.name", "openai"),
            ("gen_ai.request.model", "gpt-4o"), ("gen_ai.response.model", "gpt-4o-2024-08-06"),
            ("gen_ai.response.id", f"chatcmpl-{rng.randbytes(12).hex()}"),
            ("gen_ai.conversation.id", "c-1"), ("server.address", "api.openai.com"),
        ):  # fmt: skip
            _set(span, name, value)
        for name, tokens in (("input", 512), ("output", 256)):
            attribute = span.attributes.add(key=f"gen_ai.usage.{name}_tokens")
            attribute.value.int_value = tokens
        room = SPAN_BYTES - span.ByteSize() - 220
        text = (texts[number] + " " + texts[(number * 7 + 1) % SPANS])[:room].replace('"', "'")
        asked, said = text[: room * 2 // 3], text[room * 2 // 3 :]
        for name, role, words in (("input", "user", asked), ("output", "assistant", said)):
            part = f'[{{"type":"text","content":"{words}"}}]'
            _set(span, f"gen_ai.{name}.messages", f'[{{"role":"{role}","parts":{part}}}]')
    return bytes(request.SerializeToString())


def _set(target: object, name: str, value: str) -> None:
    target.attributes.add(key=name).value.string_value = value  # type: ignore[attr-defined]


def native_bodies(count: int) -> list[bytes]:
    """Return so many requests on our own wire, of the event that every row logs."""
    from llmobs.codec import encode
    from llmobs.recorded.ids import new_id

    bodies = []
    for number in range(count):
        events = []
        for arguments, named in calls(NATIVE_EVENTS, number * NATIVE_EVENTS):
            run_id, prompt, model, response, tokens_input, tokens_output, latency_ms = arguments
            events.append(
                {
                    "event_type": "prompt_call", "event_id": new_id(), "run_id": f"{number}-{run_id}",
                    "timestamp": "2026-01-01T00:00:00Z", "prompt": prompt, "model": model,
                    "response": response, "tokens_input": tokens_input,
                    "tokens_output": tokens_output, "latency_ms": latency_ms, **named,
                }
            )  # fmt: skip
        bodies.append(encode({"events": events}))
    return bodies


@dataclass
class Sent:
    """What became of requests."""

    acknowledged: int = 0
    """Answered with 200."""
    others: int = 0
    seconds: float = 0.0
    """Until the last answer."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, is_acknowledged: bool) -> None:
        """Count one answer."""
        with self._lock:
            self.acknowledged += is_acknowledged
            self.others += not is_acknowledged


def send(
    port: int, path: str, headers: dict[str, str], bodies: Sequence[bytes], sent: Sent
) -> None:
    """Send *bodies* over four connections; end when all are answered, or nobody answers any more."""
    began = time.monotonic()
    threads = [
        threading.Thread(target=_send, args=(port, path, headers, bodies[n::CONNECTIONS], sent))
        for n in range(CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent.seconds = time.monotonic() - began


def _send(
    port: int, path: str, headers: dict[str, str], bodies: Sequence[bytes], sent: Sent
) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        for body in bodies:
            status = 0
            while status in (0, 429, 503):
                connection.request("POST", path, body, headers)
                answer = connection.getresponse()
                answer.read()
                status = answer.status
                if status in (429, 503):
                    time.sleep(0.05)
            sent.note(status == 200)
    except (OSError, HTTPException):
        sent.others += 1  # it has gone
    finally:
        connection.close()
