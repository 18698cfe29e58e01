"""
How a request becomes a :class:`Call`: whose it is, which attempt, what may be kept of it, and whether it is one at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, Final

from msgspec import Struct

from llmobs.capture.tracker import Tracker
from llmobs.capture.where import place_of, watchers
from llmobs.client.async_client import Recording
from llmobs.client.sync_client import default_client
from llmobs.contrib._wire.call import MODES, Call, CaptureContent
from llmobs.contrib._wire.fetched import Asking, Batch, Fetch
from llmobs.contrib._wire.latest import Latest
from llmobs.contrib._wire.recognise import Target
from llmobs.recorded.ids import derived_id
from llmobs.runtime.context import current_frame

__all__ = ["CAPTURE_HEADER", "Headers", "Options", "begin", "headers_of", "under_way"]

CAPTURE_HEADER: Final = "x-llmobs-capture-content"
"""Request header that sets ``capture_content`` for one call; taken out before the request leaves."""

_RETRY_HEADER: Final = "x-stainless-retry-count"
_NONE_YET: Final = frozenset({"0", b"0"})
_AWS_HEADER: Final = "amz-sdk-request"
"""Of AWS's SDKs: ``attempt=2; max=3``."""
_AZURE_HEADER: Final = "x-ms-client-request-id"
"""Of azure-core's clients: each attempt of a request bears the same, and no number."""
_USER_AGENT: Final = "user-agent"
_HEADERS: Final = {
    given: name
    for name in (_RETRY_HEADER, _AWS_HEADER, _AZURE_HEADER, _USER_AGENT, CAPTURE_HEADER)
    for given in (name, name.encode())
}
_SDKS: Final = ("ollama-python/", "cohere/", "speakeasy-sdk/python")
"""How the user agents of SDKs begin that know a model server from others; the last is Mistral's."""
_OURS: Final = frozenset({"llmobs/", b"llmobs/"})
"""How our own begin."""
_AWS_ATTEMPT: Final = re.compile(r"attempt=(\d{1,6})")
_attempts: Final = Latest[str, int]()
"""How often something was asked under one id."""


class Options(Struct, frozen=True):
    """How calls of one client are recorded."""

    client: Recording | None = None
    """Records what happens outside any run; the default client if None."""
    capture_content: CaptureContent = "full"
    include_usage: bool = False


Headers = Iterable[tuple[Any, Any, Any]]
"""
Of each header its name as given, its name in lower case, and its value; all text or all bytes. So httpx2
and httpx keep them.
"""


def headers_of(pairs: Iterable[tuple[Any, Any]]) -> Headers:
    """Return headers that come as *pairs* of name and value."""
    return [(name, name.lower(), value) for name, value in pairs]


def _text(value: Any) -> Any:
    return value if type(value) is str else str(value, "latin-1")


under_way: Final[ContextVar[Target | None]] = ContextVar("llmobs_call_under_way", default=None)
"""Set by a door to what is called while what it wraps sends the request: a door further in steps aside."""


def begin(
    target: Target,
    headers: Headers,
    body: bytes | None,
    options: Options,
    remove: Callable[[Any], object],
    started: float | None = None,
) -> Call | None:
    """
    Return the call that a request starts, or None if it is none of ours to record.

    Args:
        target: What `recognise` says of its method, host and path.
        headers: As they are sent; see `headers_of`.
        body: As sent; None if it is not in memory (uploads).
        options: How the door was told to record.
        remove: Takes a header, by its name as given, out of the request: `CAPTURE_HEADER` is ours. Not
            called where a signature speaks of that header (AWS's): the request would be refused.
        started: When the request came to the door (``time.perf_counter``); by default now.
    """
    if under_way.get() == target:
        return None  # another one is the call of who answers in this process, a gateway perhaps
    attempt = 1
    mode: str = options.capture_content
    is_sdk = False
    agent: Any = ""
    asked: Any = None
    for name, lower, value in headers:
        if lower not in _HEADERS:
            continue
        kind = _HEADERS[lower]
        if kind is _USER_AGENT:
            if value[:7] in _OURS:
                return None
            agent = value
            continue
        if kind is _RETRY_HEADER:
            is_sdk = True
            if value not in _NONE_YET:
                text = _text(value)
                attempt = int(text) + 1 if text.isdecimal() else 1
            continue
        text = _text(value)
        if kind is _AWS_HEADER:
            found = _AWS_ATTEMPT.search(text)
            attempt = int(found[1]) if found else 1
        elif kind is _AZURE_HEADER:
            attempt = _attempts.get(text, 0) + 1
            _attempts.put(text, attempt)
        else:
            # A typing error must not reveal what was to be hidden.
            mode, asked = text if text in MODES else "metadata", name
    if asked is not None and not _is_signed(headers):
        remove(asked)
    shape = target.shape
    if shape is not None and (is_sdk or _text(agent).startswith(_SDKS)):
        shape = None
    mark = target.wire.mark
    if mark and (body is None or body.find(mark) < 0):  # "in" takes twice the time for short bodies
        return None
    if shape is not None and (body is None or not all(name in body for name in shape.asks)):
        return None
    frame = current_frame()
    if watchers:
        frame = place_of(frame)
    run = None if frame is None else frame.run
    if not isinstance(run, Tracker):
        # Results of one batch are one run, whoever reads them.
        run_id = derived_id("batch", target.host, target.batch) if target.batch else None
        frame, run = None, Tracker(options.client or default_client(), run_id)
        run.standalone = True
    if not run.client.enabled:
        return None
    made: type[Call] = Fetch if target.answer_id else Batch if target.batch else Call
    if target.makes_batch:
        made = Asking
    call = made(target, run, frame, mode, body, attempt, started)
    if shape is not None:
        call.shape = shape
        if shape.port:
            call.port = _port_of(headers)
    return call


def _port_of(headers: Headers) -> str:
    """Return the port that the request names as its host's; empty if it is the scheme's own."""
    hosts = [value for _, name, value in headers if name in ("host", b"host")]
    _, _, port = _text(hosts[0] if hosts else "").rpartition(":")
    return port if port.isdecimal() else ""


def _is_signed(headers: Headers) -> bool:
    """Whether the request's signature covers `CAPTURE_HEADER` (AWS, "Signature Version 4", SignedHeaders)."""
    return any(
        CAPTURE_HEADER in _text(value)
        for _, name, value in headers
        if name in ("authorization", b"authorization")
    )
