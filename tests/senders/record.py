"""
Record what everybody's SDK sends: ``python -m tests.senders.record [NAME ...]``.

Each sender's program runs against the model server and a server that keeps what it is sent. What tells of
the machine (hosts, processes, paths) is taken out of the bodies, all else stays as the SDK wrote it.
"""

import gzip
import json
import re
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tests.senders.environments import SENDERS, run
from tests.support.llm_server import running_llm_server

SAMPLES = Path(__file__).parent / "samples"
WIRE: dict[str, type[Message]] = {
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}
MACHINE = re.compile(r"(host|os|process|service\.instance)\.|LANGSMITH_|revision_id")
PATHS = re.compile(r"(?:/[\w.@+-]+)+/(?=[\w.@+-]+\.(?:py|m?js)\b)")
ADDRESSES = re.compile(r"127\.0\.0\.1:\d+|\bport[\"']?: ?\d+")
ANSWERS: dict[str, tuple[int, Any]] = {
    "/api/public/projects": (
        200,
        {"data": [{"id": "p", "name": "p", "organization": {"id": "o", "name": "o"}, "metadata": {}}]},
    ),
    "/api/public/scores": (202, {"message": "Accepted"}),
}  # fmt: skip


def clean(message: Any) -> None:
    """Take out of a message of protobuf what tells of this machine, at any depth."""
    if isinstance(message, AnyValue) and message.WhichOneof("value") == "string_value":
        text = PATHS.sub("app/", message.string_value)
        message.string_value = ADDRESSES.sub("127.0.0.1", text)
    for field, value in message.ListFields():
        if field.name == "attributes":
            kept = [each for each in value if not MACHINE.search(each.key)]
            del value[:]
            value.extend(kept)
        if field.message_type is not None:
            for each in (value,) if isinstance(value, Message) else value:
                clean(each)


@contextmanager
def keeping() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Run a server that keeps what it is sent; its address and that list."""
    kept: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.headers.get("transfer-encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            kind = self.headers.get("content-type") or ""
            kept.append(
                {
                    "method": self.command,
                    "path": self.path,
                    "content-type": kind,
                    "content-encoding": self.headers.get("content-encoding") or "",
                    "body": body,
                }
            )
            status, answer = ANSWERS.get(self.path, (200, {}))
            said = b"" if "protobuf" in kind else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", kind if "protobuf" in kind else "application/json")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_PUT = do_PATCH = answer

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", kept
        server.shutdown()


def unpacked(request: dict[str, Any]) -> bytes:
    """Return the body of a request without its compression."""
    match request["content-encoding"]:
        case "gzip":
            return gzip.decompress(request["body"])
        case "deflate":
            return zlib.decompress(request["body"])
    return request["body"]


def record(name: str, model: str) -> None:
    """Write what the sender *name* sends to its folder of samples."""
    folder = SAMPLES / name.replace(" ", "-")
    with keeping() as (address, kept):
        ended = run(SENDERS[name], model=model, collector=address)
    print(name, ended.returncode, [each["path"] for each in kept], ended.stderr[-800:], flush=True)
    assert ended.returncode == 0
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    index = []
    for number, request in enumerate(kept):
        body = unpacked(request)
        signal = request["path"].rpartition("/")[2]
        if signal == "metrics":  # acknowledged and not kept
            body = b""
        elif signal in WIRE and "protobuf" in request["content-type"]:
            message = WIRE[signal].FromString(body)
            clean(message)
            body = message.SerializeToString()
        file = f"{number}.gz"
        (folder / file).write_bytes(gzip.compress(body, mtime=0))
        index.append({**{k: v for k, v in request.items() if k != "body"}, "file": file})
    (folder / "requests.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    with running_llm_server("--ttft-ms", "20", "--chunk-ms", "0") as url:
        for each in sys.argv[1:] or SENDERS:
            record(each, url)
