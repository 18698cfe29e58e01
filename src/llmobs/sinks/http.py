"""A sink that posts batches to an HTTP collector: WatchLLM's server, or one of yours."""

import os
from collections.abc import Sequence
from typing import Any, Final, Literal, Self

from llmobs.codec import NATIVE_TYPE, encode
from llmobs.errors import ConfigurationError, SinkTooLargeError
from llmobs.events import Event
from llmobs.pipeline.mend import refuse_unwritten, write_all
from llmobs.pipeline.sink import Batch
from llmobs.sinks import parse_options, split_url
from llmobs.sinks._compress import Compression, compressor_for
from llmobs.sinks._httpclient import HTTPClient
from llmobs.sinks._refusals import read_refusals
from llmobs.sinks._watchllm import MAX_BODY_BYTES, MAX_EVENTS, to_watchllm, wire_id

__all__ = ["HTTPSink", "Wire"]

Wire = Literal["watchllm", "native"]

PATH: Final = "/events/batch"


class HTTPSink:
    """
    Posts batches as JSON to ``{base_url}/events/batch``, with the key as a bearer token.

    Two wires: ``watchllm`` is what WatchLLM's server takes (100 events and 1 MiB a request, no
    compression; fields it does not know travel as metadata); ``native`` is every field of every
    event, compressed, in batches of the client's size, for ``llmobs serve`` or a collector of yours.

    Args:
        base_url: For instance ``https://collector.example/v1``.
        api_key: The key; None sends none.
        wire: How events are written.
        compression: ``zstd``, ``gzip`` or ``none``; native wire only. Default: zstd.
        ca_file: PEM file of the authorities to trust instead of the system's.
        timeout: Seconds one request may take in all.
        client: An ``httpx2.AsyncClient`` or ``httpx.AsyncClient`` of yours to send with: its
            proxies, certificates and limits apply, and it stays open. It must belong to the event
            loop the pipeline runs in.

    Raises:
        ConfigurationError: One of these is unusable; says which.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        wire: Wire = "watchllm",
        compression: Compression | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        timeout: float = 30.0,
        client: Any = None,
    ) -> None:
        if wire not in ("watchllm", "native"):
            raise ConfigurationError(f"wire must be watchllm or native, not {wire!r}")
        if wire == "watchllm" and compression not in (None, "none"):
            raise ConfigurationError(
                f"compression={compression} needs wire=native: WatchLLM's server reads plain JSON"
            )
        self._wire = wire
        self._compression: Compression = compression or ("zstd" if wire == "native" else "none")
        self._new_compressor = compressor_for(self._compression)
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = HTTPClient(
            base_url, headers=headers, timeout=timeout, ca_file=ca_file, client=client
        )
        self.name = f"{self._http.scheme}:{self._http.host}"
        self.address = self._http.address
        is_watchllm = wire == "watchllm"
        self.max_batch_events: int | None = MAX_EVENTS if is_watchllm else None
        self.max_batch_bytes: int | None = MAX_BODY_BYTES if is_watchllm else None

    @classmethod
    def from_url(cls, url: str, settings: Any) -> Self:
        """Build one for ``https://key@host/v1`` or ``http://…``; the key may be in the settings."""
        options = parse_options(
            url, {"wire": str, "compression": str, "ca_file": str, "timeout": float}
        )
        base_url, key, password = split_url(url)
        if password is not None:
            raise ConfigurationError("write the key alone before the @, without a colon")
        if key is None and settings.api_key is not None:
            key = settings.api_key.get_secret_value()
        return cls(base_url, key, **{"timeout": settings.timeout, **options})

    async def open(self) -> None:
        """Get ready; the connection is made with the first batch."""
        await self._http.open()

    async def send(self, batch: Batch) -> None:
        """
        Post the batch, and read which events the server kept.

        Raises:
            SinkUnavailableError: No answer, or one that asks for patience.
            SinkUnauthorizedError: The key is missing, wrong, or not for this project.
            SinkTooLargeError: More events or bytes than the server takes at once.
            SinkRejectedError: Events refused for good, each with the server's words.
        """
        if self.max_batch_events is not None and len(batch) > self.max_batch_events:
            raise SinkTooLargeError(f"{len(batch)} events; {self.max_batch_events} fit")
        headers = {"content-type": NATIVE_TYPE if self._wire == "native" else "application/json"}
        if self._compression != "none":
            headers["content-encoding"] = self._compression
        body, unwritten = await self._body(batch.events)
        sent = [event for event in batch.events if event.event_id not in unwritten]
        if sent:
            answer = await self._http.post(PATH, body, headers)
            id_of = wire_id if self._wire == "watchllm" else _own_id
            error = read_refusals(answer, self._http.without_secrets, sent, id_of)
            if error is not None:
                raise error
        refuse_unwritten(unwritten)

    async def _body(self, events: Sequence[Event]) -> tuple[bytes, dict[str, str]]:
        compressor = self._new_compressor()
        lead = iter((b'{"events":[',))
        encode_one = encode if self._wire == "native" else _encode_watchllm

        def write(event: Event) -> bytes:
            encoded = encode_one(event)
            return compressor.compress(next(lead, b",") + encoded)

        pieces, unwritten = await write_all(write, events)
        body = b"".join([*pieces, compressor.compress(b"]}"), compressor.flush()])
        if self._wire == "watchllm" and len(body) > MAX_BODY_BYTES:
            raise SinkTooLargeError(
                f"{len(body)} bytes of JSON; {MAX_BODY_BYTES} fit", limit=MAX_BODY_BYTES
            )
        return body, unwritten

    async def aclose(self) -> None:
        """Close the connection."""
        await self._http.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} wire={self._wire}>"


def _own_id(event: Event) -> str:
    return event.event_id


def _encode_watchllm(event: Event) -> bytes:
    return encode(to_watchllm(event))
