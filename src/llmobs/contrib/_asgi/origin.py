"""Where a connection comes from: the run and the trace its caller names, and whether to believe it."""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from llmobs.context import Run
from llmobs.contrib._asgi.options import Trust
from llmobs.contrib._asgi.protocol import Scope
from llmobs.events import Event
from llmobs.guard import Troubles, internal_errors
from llmobs.ids import MAX_RUN_ID_LENGTH, is_valid_run_id, parse_traceparent
from llmobs.tracker import Tracker

__all__ = [
    "REQUEST_ID",
    "LateTracker",
    "adopt_active_span",
    "adopt_traceparent",
    "claimed_run_id",
    "headers_of",
    "is_trusted",
]

REQUEST_ID: Final = b"x-request-id"
"""What proxies and other frameworks call it."""

_troubles = Troubles()


def headers_of(scope: Scope) -> dict[Any, Any]:
    """Return the headers by name; what cannot be read as headers is left to the application."""
    headers = scope.get("headers")
    if headers is None:
        return {}
    try:
        if type(headers) is not list and iter(headers) is headers:
            # It can be read once: keep what we read for the application, as Starlette does.
            headers = scope["headers"] = list(headers)
        return dict(headers)
    except (TypeError, ValueError):
        return {}


def claimed_run_id(headers: Mapping[Any, Any], names: tuple[bytes, ...]) -> str | None:
    """Return the first well-formed run id that the caller sent under one of *names*."""
    for name in names:
        value = headers.get(name)
        if type(value) is bytes and len(value) <= MAX_RUN_ID_LENGTH:
            text = value.decode("latin-1")
            if is_valid_run_id(text):
                return text
    return None


def is_trusted(trust: Trust, scope: Scope) -> bool:
    """Tell whether this caller may name the run it belongs to."""
    if isinstance(trust, bool):
        return trust
    try:
        verdict = trust(scope)
    except Exception as error:  # noqa: BLE001 - the application's function: it fails closed
        _troubles.log(
            "trust-raised",
            "llmobs: trust_run_id raised %r; the caller's run id is not used",
            error,
            level=logging.ERROR,
        )
        return False
    if verdict not in (True, False, None):
        _troubles.log(
            "trust-answer",
            "llmobs: trust_run_id returned %.80r instead of True or False; "
            "the caller's run id is not used",
            verdict,
            level=logging.ERROR,
        )
    return verdict is True


def adopt_traceparent(tracker: Run, headers: Mapping[Any, Any]) -> None:
    """Put the run into the trace of a W3C ``traceparent`` header; it stays a run of its own."""
    value = headers.get(b"traceparent")
    if type(value) is bytes and (parent := parse_traceparent(value.decode("latin-1"))):
        tracker.trace_id, tracker.span_id = parent.trace_id, parent.span_id


def adopt_active_span(tracker: Run, opentelemetry: Any) -> bool:
    """Put the run into the trace of the active OpenTelemetry span; tell whether there is one."""
    context = opentelemetry.get_current_span().get_span_context()
    if not context.is_valid:
        return False
    tracker.trace_id, tracker.span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    return True


class LateTracker(Tracker):
    """
    The tracker of a request whose OpenTelemetry span may begin inside the middleware.

    Middlewares added before ours run inside it. The span is adopted with the first event, or with
    the start of the answer.
    """

    adopted = False
    """Whether there is nothing more to look for."""

    def adopt(self) -> None:
        """Look for a span that was not there when the request came in."""
        opentelemetry = sys.modules.get("opentelemetry.trace")
        with internal_errors("read the active OpenTelemetry span"):
            span = opentelemetry.get_current_span()  # type: ignore[union-attr]
            context = span.get_span_context()
            if not context.is_valid:
                return
            self.adopted = True
            # The run stands for the request: rather the server's span than one inside it.
            parent = getattr(span, "parent", None)
            kind = getattr(getattr(span, "kind", None), "name", None)
            if kind != "SERVER" and parent is not None and not parent.is_remote:
                context = parent
            self.trace_id, self.span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"

    def _record(
        self,
        event: Event,
        size: int,
        failed: bool,
        complete: Callable[[Event], Iterable[None] | None] | None = None,
    ) -> str:
        if not self.adopted:
            self.adopt()
            self.adopted = True  # looked for once: where there is none now, there will be none
        return super()._record(event, size, failed, complete)
