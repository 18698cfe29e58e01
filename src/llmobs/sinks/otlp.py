"""A sink that exports to any OpenTelemetry backend: OTLP, protobuf over HTTP."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

from llmobs.errors import ConfigurationError, MissingExtraError, SinkRejectedError
from llmobs.events import Event
from llmobs.pipeline.mend import write_all
from llmobs.pipeline.sink import Batch
from llmobs.recorded.printable import brief
from llmobs.runtime.log import own_logger
from llmobs.runtime.time_slices import in_slices
from llmobs.sinks import parse_options, split_url
from llmobs.sinks._answer import MAX_WORDS, HTTPAnswer, error_for, refuse_some
from llmobs.sinks._compress import Compression, compressor_for
from llmobs.sinks._httpclient import HTTPClient, basic_auth
from llmobs.sinks._otlp_records import is_log

__all__ = ["OTLPSink"]

TRACES: Final = "/v1/traces"
LOGS: Final = "/v1/logs"
PROTOBUF: Final = "application/x-protobuf"
PIECE: Final = 32 * 1024
"""Bytes compressed at a time."""
_NO_LOGS = frozenset({404, 405, 501})

logger = own_logger("llmobs")


class OTLPSink:
    """
    Exports calls, tools, steps and runs as GenAI spans, and errors, failed checks, hallucinations
    and alerts as log events of the span they happened in. Span ids are derived from event ids, so
    what is sent twice stays one span.

    A backend that takes no logs (it answers 404, as tracing-only ones do) gets those events as
    spans without duration instead, from then on.

    Args:
        endpoint: For instance ``http://localhost:4318``; ``/v1/traces`` and ``/v1/logs`` are added.
        headers: Sent with every request, for instance the backend's key.
        compression: ``gzip`` or ``none``; OTLP knows no other. Default: none to this machine,
            else gzip.
        logs: False sends log events as spans without duration from the start.
        ca_file: PEM file of the authorities to trust instead of the system's.
        timeout: Seconds one request may take in all.
        client: An ``httpx2.AsyncClient`` or ``httpx.AsyncClient`` of yours to send with.

    Raises:
        MissingExtraError: The extra ``otlp`` is not installed.
        ConfigurationError: One of these is unusable; says which.
    """

    max_batch_events: int | None = None
    max_batch_bytes: int | None = None

    def __init__(
        self,
        endpoint: str,
        *,
        headers: Mapping[str, str] | None = None,
        compression: Compression | None = None,
        logs: bool = True,
        ca_file: str | os.PathLike[str] | None = None,
        timeout: float = 30.0,
        client: Any = None,
    ) -> None:
        try:
            from llmobs.sinks import _otlp_protobuf
        except ImportError:
            raise MissingExtraError("opentelemetry-proto", "otlp") from None
        self._protobuf = _otlp_protobuf
        if compression is None:
            compression = "none" if _is_local(endpoint) else "gzip"
        if compression not in ("gzip", "none"):
            raise ConfigurationError(f"compression must be gzip or none, not {compression!r}")
        self._compression = compression
        self._new_compressor = compressor_for(compression)
        self._http = HTTPClient(
            endpoint, headers=headers or {}, timeout=timeout, ca_file=ca_file, client=client
        )
        self.name = f"otlp:{self._http.host}"
        self.address = self._http.address
        self._takes_logs = logs
        self._warned = False
        # Of a batch whose logs failed: what became of its spans, so that they are not sent again.
        self._settled: dict[str, str | None] = {}

    @classmethod
    def from_url(cls, url: str, settings: Any) -> Self:
        """
        Build one for ``otlp+http://host:4318`` or ``otlp+https://…``.

        ``key@`` becomes a bearer token, ``user:password@`` basic authentication. The client's
        ``api_key`` is not used: it belongs to another kind of server.
        """
        kinds = {
            "headers": str, "compression": str, "logs": bool, "ca_file": str, "timeout": float,
        }  # fmt: skip
        options = parse_options(url, kinds)
        endpoint, user, password = split_url(url[len("otlp+") :])
        headers = _read_headers(options.pop("headers", ""))
        if user is not None:
            headers["authorization"] = (
                f"Bearer {user}" if password is None else basic_auth(user, password)
            )
        return cls(endpoint, headers=headers, **{"timeout": settings.timeout, **options})

    async def open(self) -> None:
        """Get ready; the connection is made with the first batch."""
        await self._http.open()

    async def send(self, batch: Batch) -> None:
        """
        Export the batch.

        Raises:
            SinkUnavailableError: No answer, or one that asks for patience.
            SinkUnauthorizedError: The key is missing or wrong.
            SinkTooLargeError: The request is longer than the backend takes.
            SinkRejectedError: Events refused for good. OTLP tells how many, not which: the count
                is right, the choice is not.
        """
        ids = {event.event_id for event in batch.events}
        self._settled = {id_: words for id_, words in self._settled.items() if id_ in ids}
        waiting = [event for event in batch.events if event.event_id not in self._settled]
        if self._takes_logs:
            await self._export(TRACES, [event for event in waiting if not is_log(event)])
            waiting = [event for event in waiting if is_log(event)]
            try:
                await self._export(LOGS, waiting)
            except _NoLogsError:
                self._takes_logs = False
                logger.info("llmobs: %s takes no logs; errors and alerts become spans", self.name)
        if not self._takes_logs:
            await self._export(TRACES, waiting)
        refused = {id_: words for id_, words in self._settled.items() if words is not None}
        self._settled = {}
        if refused:
            raise SinkRejectedError(
                next(iter(refused.values())), events=refused, delivered=len(refused) < len(ids)
            )

    async def _export(self, path: str, events: Sequence[Event]) -> None:
        """Send *events* and note what became of them."""
        if not events:
            return
        headers = {"content-type": PROTOBUF, "accept": PROTOBUF}
        if self._compression != "none":
            headers["content-encoding"] = self._compression
        body, unwritten = await self._body(path, events)
        self._settled |= unwritten
        events = [event for event in events if event.event_id not in unwritten]
        if not events:
            return
        answer = await self._http.post(path, body, headers)
        if path == LOGS and answer.status in _NO_LOGS:
            raise _NoLogsError
        error = error_for(answer, self._words(answer))
        if isinstance(error, SinkRejectedError):
            refused: Mapping[str, str] = {event.event_id: str(error) for event in events}
        elif error is not None:
            raise error
        else:
            refused = self._refused(answer, events)
        self._settled |= {event.event_id: refused.get(event.event_id) for event in events}

    async def _body(self, path: str, events: Sequence[Event]) -> tuple[bytes, dict[str, str]]:
        request = self._protobuf.TraceRequest() if path == TRACES else self._protobuf.LogRequest()
        _, unwritten = await write_all(request.add, events)
        body = request.to_bytes()
        compressor = self._new_compressor()
        pieces = range(0, len(body), PIECE)
        done = await in_slices(lambda at: compressor.compress(body[at : at + PIECE]), pieces)
        return b"".join([*done, compressor.flush()]), unwritten

    def _words(self, answer: HTTPAnswer) -> str:
        words = answer.words()
        if answer.headers.get("content-type", "").startswith(PROTOBUF):
            words = self._protobuf.read_status(answer.body)
        return brief(self._http.without_secrets(words), MAX_WORDS)

    def _refused(self, answer: HTTPAnswer, events: Sequence[Event]) -> Mapping[str, str]:
        if not answer.body or not answer.headers.get("content-type", "").startswith(PROTOBUF):
            return {}  # accepted; some backends answer with an empty body or with JSON
        count, words = self._protobuf.read_refusal(answer.body)
        words = brief(self._http.without_secrets(words), MAX_WORDS)
        if count <= 0:
            if words and not self._warned:
                self._warned = True
                logger.warning("llmobs: %s accepts events, but says: %s", self.name, words)
            return {}
        return refuse_some(events, count, words or "refused without a reason").events

    async def aclose(self) -> None:
        """Close the connection."""
        await self._http.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class _NoLogsError(Exception):
    """The backend has no such endpoint."""


def _is_local(endpoint: str) -> bool:
    return urlsplit(endpoint).hostname in ("localhost", "127.0.0.1", "::1")


def _read_headers(text: str) -> dict[str, str]:
    """Read ``name=value,name=value``, values percent-encoded, as in OTEL_EXPORTER_OTLP_HEADERS."""
    headers = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        name, separator, value = pair.partition("=")
        if not separator:
            raise ConfigurationError("option 'headers' must look like name=value,name=value")
        headers[name.strip().lower()] = unquote(value.strip())
    return headers
