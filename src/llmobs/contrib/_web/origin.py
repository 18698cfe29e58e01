"""Where a request comes from: the run and the trace its caller names, and whether to believe it."""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from llmobs.capture.tracker import Tracker
from llmobs.client.async_client import Recording
from llmobs.contrib._web.options import Trust
from llmobs.events import Event
from llmobs.recorded.ids import MAX_RUN_ID_LENGTH, is_valid_run_id, parse_traceparent
from llmobs.recorded.printable import quoted
from llmobs.runtime.context import Run
from llmobs.runtime.troubles import Troubles, internal_errors

__all__ = ["LateTracker", "Origin"]

REQUEST_ID: Final = "x-request-id"
"""What proxies and other frameworks call the run's id."""

_troubles = Troubles()


class Origin:
    """
    Opens runs for requests.

    Args:
        header: Name of the header that has a run's id, lower case; None to read none.
        trust: Whether callers may name the run they belong to.
        key: Spells a header's name as the headers that `open` is given do.
    """

    def __init__(self, header: str | None, trust: Trust, key: Callable[[str], Any]) -> None:
        self._id_headers = () if header is None else (key(header), key(REQUEST_ID))
        self._traceparent = key("traceparent")
        self._trust = trust

    def open(
        self, client: Recording, headers: Mapping[Any, Any], kind: str, caller: Any
    ) -> Tracker:
        """
        Return the run of a request.

        Args:
            client: Where its events go.
            headers: By name; values are texts, or bytes.
            kind: ``http`` or ``websocket``.
            caller: What a function that tells whom to trust is given.
        """
        claimed = None
        for name in self._id_headers:
            if name in headers and (claimed := _run_id(headers[name])) is not None:
                break
        trusted = claimed is not None and _is_trusted(self._trust, caller)
        opentelemetry = sys.modules.get("opentelemetry.trace")
        tracker_class = Tracker if opentelemetry is None else LateTracker
        tracker = tracker_class(client, claimed if trusted else None)
        if claimed is not None and not trusted:
            tracker.client_run_id = claimed
        tracker.kind = kind
        if self._traceparent in headers:
            _adopt_traceparent(tracker, headers[self._traceparent])
        if isinstance(tracker, LateTracker):
            with internal_errors("read the active OpenTelemetry span"):
                tracker.adopted = _adopt_active_span(tracker, opentelemetry)
        return tracker


def _text(value: Any) -> str | None:
    if type(value) is bytes:
        return value.decode("latin-1")
    return value if type(value) is str else None


def _run_id(value: Any) -> str | None:
    if type(value) not in (bytes, str) or len(value) > MAX_RUN_ID_LENGTH:
        return None
    text = _text(value)
    return text if text is not None and is_valid_run_id(text) else None


def _is_trusted(trust: Trust, caller: Any) -> bool:
    if isinstance(trust, bool):
        return trust
    try:
        verdict = trust(caller)
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
            "llmobs: trust_run_id returned %s instead of True or False; "
            "the caller's run id is not used",
            quoted(verdict),
            level=logging.ERROR,
        )
    return verdict is True


def _adopt_traceparent(tracker: Run, value: Any) -> None:
    """Put the run into the trace of a W3C ``traceparent`` header; it stays a run of its own."""
    text = _text(value)
    if text is not None and (parent := parse_traceparent(text)):
        tracker.trace_id, tracker.span_id = parent.trace_id, parent.span_id


def _adopt_active_span(tracker: Run, opentelemetry: Any) -> bool:
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
