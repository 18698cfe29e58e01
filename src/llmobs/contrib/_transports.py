"""The transports of httpx2 and httpx that record: `llmobs.contrib.httpx` puts them into clients."""

from __future__ import annotations

import sys
from time import perf_counter
from types import TracebackType
from typing import Any, Final, Self

from llmobs.client.async_client import Recording
from llmobs.contrib._wire.beginning import Options, begin, headers_of, under_way
from llmobs.contrib._wire.body import decoder
from llmobs.contrib._wire.call import Call, CaptureContent, checked_mode, report
from llmobs.contrib._wire.ending import Ending
from llmobs.contrib._wire.latest import Latest
from llmobs.contrib._wire.recognise import Target, recognise
from llmobs.contrib._wire.streams import (
    REFUSED,
    Decoded,
    stream_class,
    with_usage_asked,
)

__all__ = ["AsyncRecordingTransport", "Recorder", "RecordingTransport", "has_own_options"]


class Recorder:
    """What transports of both colours share."""

    _is_async: bool

    def __init__(
        self,
        transport: Any,
        *,
        llmobs_client: Recording | None = None,
        capture_content: CaptureContent = "full",
        include_usage: bool = False,
    ) -> None:
        checked_mode(capture_content)
        self.inner = transport
        """The wrapped transport."""
        self.options = Options(llmobs_client, capture_content, include_usage)
        self.is_general = False
        """Whether it was put in with all others, and not into the one client that was given."""

    def _begin(self, target: Target, request: Any) -> tuple[Call | None, Any]:
        """Return the call, if *request* is one, and the request to send."""
        started = perf_counter()
        call = None
        try:
            body = getattr(request, "_content", None)
            headers = request.headers
            call = begin(
                target,
                # Where both libraries keep them: they have no public list of names in lower case.
                getattr(headers, "_list", None) or headers_of(headers.raw),
                body,
                self.options,
                lambda name: headers.pop(name.decode("ascii")),
                started,
            )
            if call is not None:
                if body is None:
                    call.take_form(getattr(request.stream, "fields", ()))
                if self.options.include_usage and not _refuses(request):
                    return call, _asking_for_usage(request)
        except Exception as error:  # noqa: BLE001 - reported; the host must not notice
            report(error)
        return call, request

    def _respond(self, call: Call, request: Any, sent: Any, response: Any) -> None:
        """Put our stream around the body of *response*."""
        try:
            copy = call.respond(response.status_code, response.headers)
            if response.is_closed:  # read already: transports made for tests
                call.decoded = True
                copy.add_untimed(response.content)
                call.end(Ending.WHOLE)
                return
            stream = given = response.stream
            hides_usage = False
            if sent is not request and _is_stream(response):
                decoded = _without_encoding(response)
                if decoded is not None:
                    hides_usage, stream = True, decoded
                    call.decoded = decoded is not given
            kind: Any = type(given)
            response.stream = stream_class(kind, self._is_async, hides_usage)(stream, call, copy)
        except Exception as error:  # noqa: BLE001 - reported; the host must not notice
            report(error)


class RecordingTransport(Recorder):
    """
    A transport for sync clients of httpx2 or httpx that records model calls.

    Args:
        transport: The transport to wrap.
        llmobs_client: Records calls made outside any run; by default the default client.
        capture_content: ``full``; ``redacted``, even if the llmobs client does not redact; or
            ``metadata``, no text at all. A stricter setting of the llmobs client wins.
        include_usage: Ask OpenAI's chat completions for the usage of streams that did not ask
            for it, and keep the extra chunk from the caller.

    Raises:
        ValueError: *capture_content* is none of the three.
    """

    _is_async = False

    def handle_request(self, request: Any) -> Any:
        """Send *request* with the wrapped transport, and record it if it calls a model."""
        target = _target(request)
        if target is None:
            return self.inner.handle_request(request)
        call, sent = self._begin(target, request)
        if call is None:
            return self.inner.handle_request(sent)
        outer = under_way.set(target)
        try:
            response = self.inner.handle_request(sent)
            if sent is not request and response.status_code in REFUSED:
                response.close()
                sent, response = request, self.inner.handle_request(request)
                _asked_again(request, response)
        except BaseException as error:
            call.end(Ending.FAILED, error)
            raise
        finally:
            under_way.reset(outer)
        self._respond(call, request, sent, response)
        return response

    def close(self) -> None:
        """Close the wrapped transport."""
        self.inner.close()

    def __enter__(self) -> Self:
        self.inner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self.inner.__exit__(kind, error, trace)


class AsyncRecordingTransport(Recorder):
    """
    A transport for async clients of httpx2 or httpx that records model calls.

    Args:
        transport: The transport to wrap.
        llmobs_client: Records calls made outside any run; by default the default client.
        capture_content: ``full``; ``redacted``, even if the llmobs client does not redact; or
            ``metadata``, no text at all. A stricter setting of the llmobs client wins.
        include_usage: Ask OpenAI's chat completions for the usage of streams that did not ask
            for it, and keep the extra chunk from the caller.

    Raises:
        ValueError: *capture_content* is none of the three.
    """

    _is_async = True

    def handle_async_request(self, request: Any) -> Any:
        """Send *request* with the wrapped transport, and record it if it calls a model."""
        # No coroutine of ours around what is none of ours.
        target = _target(request)
        if target is None:
            return self.inner.handle_async_request(request)
        return self._recorded(target, request)

    async def _recorded(self, target: Target, request: Any) -> Any:
        call, sent = self._begin(target, request)
        if call is None:
            return await self.inner.handle_async_request(sent)
        outer = under_way.set(target)
        try:
            response = await self.inner.handle_async_request(sent)
            if sent is not request and response.status_code in REFUSED:
                await response.aclose()
                sent, response = request, await self.inner.handle_async_request(request)
                _asked_again(request, response)
        except BaseException as error:
            call.end(Ending.FAILED, error)
            raise
        finally:
            under_way.reset(outer)
        self._respond(call, request, sent, response)
        return response

    async def aclose(self) -> None:
        """Close the wrapped transport."""
        await self.inner.aclose()

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.inner.__aexit__(kind, error, trace)


def _target(request: Any) -> Target | None:
    try:
        url = request.url
        return recognise(request.method, url.host, url.raw_path)
    except Exception as error:  # noqa: BLE001 - reported; the host must not notice
        report(error)
        return None


def has_own_options(client: Any) -> bool:
    """Return whether an HTTP client was instrumented itself, and not with all others."""
    transport = getattr(client, "_transport", None)
    return isinstance(transport, Recorder) and not transport.is_general


def _asking_for_usage(request: Any) -> Any:
    """Return a copy of *request* that asks for usage, or *request* itself."""
    if not request.url.path.rstrip("/").endswith("/chat/completions"):
        return request
    body = with_usage_asked(request.content)
    if body is None:
        return request
    headers = request.headers.copy()
    headers["content-length"] = str(len(body))
    headers["accept-encoding"] = "identity"  # the extra chunk must be found without decoding
    return type(request)(
        request.method, request.url, headers=headers, content=body, extensions=request.extensions
    )


_refusing: Final = Latest[str, None]()
"""Servers that refuse to be asked for usage."""


def _server(request: Any) -> str:
    return f"{request.url.host}:{request.url.port}"


def _refuses(request: Any) -> bool:
    return bool(_refusing) and _server(request) in _refusing


def _asked_again(request: Any, response: Any) -> None:
    """Remember the server if the caller's own request is none it refuses."""
    if response.status_code < 400:
        _refusing.put(_server(request), None)


def _is_stream(response: Any) -> bool:
    kind: str = response.headers.get("content-type", "")
    return kind.startswith("text/event-stream")


def _without_encoding(response: Any) -> Any:
    """Return the body of *response* decoded, as it was asked for; None if that is not possible here."""
    headers = response.headers
    encoding: str = headers.get("content-encoding", "identity")
    if encoding == "identity":
        return response.stream
    decode = decoder(encoding)
    if decode is None:
        return None
    # The response may be of a subclass of the application's own.
    names = [base.__module__.partition(".")[0] for base in type(response).__mro__]
    library = next((sys.modules.get(name) for name in names if name in ("httpx2", "httpx")), None)
    body = Decoded(response.stream, decode, getattr(library, "DecodingError", ValueError))
    del headers["content-encoding"]
    headers.pop("content-length", None)
    return body
