"""
Record what LlamaIndex does: calls of models, embeddings, retrieval, tools, and the steps around them.

::

    from llmobs.contrib import llama_index

    llama_index.instrument()

Stands on LlamaIndex's public instrumentation: a span handler and an event handler at the root dispatcher.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack
from importlib import import_module
from typing import Any, Final

from llmobs.capture.operations import PromptCall
from llmobs.client.async_client import Recording
from llmobs.contrib import _llama_index as reading
from llmobs.contrib._agents.hooks import Hook, hook
from llmobs.contrib._agents.work import OpenWork
from llmobs.contrib._wire.call import CaptureContent
from llmobs.runtime.troubles import internal_errors

__all__ = ["instrument", "uninstrument"]

_STREAMS: Final = (Generator, AsyncGenerator)


class _Spans(Hook):
    """What becomes a ``BaseSpanHandler``."""

    def span_enter(
        self, id_: str, bound_args: Any, instance: Any = None, parent_id: Any = None, **kwargs: Any
    ) -> None:
        """Begin a call, a tool or a step."""
        with internal_errors("begin a span of LlamaIndex"):
            name = id_.rsplit("-", 5)[0]  # before its UUID
            self.work.begin(
                id_,
                lambda tracker: reading.operation(
                    tracker, name, instance, dict(bound_args.arguments)
                ),
                parent=parent_id,
                run_name=name,
                ends_late="stream_" in id_,
            )

    def span_exit(
        self, id_: str, bound_args: Any, instance: Any = None, result: Any = None, **kwargs: Any
    ) -> None:
        """Record it; a stream goes on until its events tell of its end."""
        with internal_errors("record a span of LlamaIndex"):
            piece = self.work.get(id_)
            call = None if piece is None else piece.operation
            if piece is not None and isinstance(call, PromptCall) and isinstance(result, _STREAMS):
                piece.note = "streams"
                call.on_cancelled = lambda: self.work.end(id_, CancelledError())
                call.add(stream=True)
            else:
                self.work.end(id_, tell=lambda operation: reading.tell(operation, result))

    def span_drop(
        self, id_: str, bound_args: Any, instance: Any = None, err: Any = None, **kwargs: Any
    ) -> None:
        """Record what failed."""
        with internal_errors("record a span of LlamaIndex"):
            self.work.end(id_, err)

    def new_span(self, *args: Any, **kwargs: Any) -> None:
        """Keep no span."""

    prepare_to_exit_span = prepare_to_drop_span = new_span


class _Events(Hook):
    """What becomes a ``BaseEventHandler``: tells when a streamed answer has ended."""

    def handle(self, event: Any, **kwargs: Any) -> None:
        """Record the call of a stream that was read to its end, or note its first piece."""
        with internal_errors("record an event of LlamaIndex"):
            piece, name = self.work.get(event.span_id), event.class_name()
            if piece is None or not isinstance(piece.operation, PromptCall):
                return
            if name.endswith("InProgressEvent"):
                piece.operation.first_token()
            elif name in ("LLMChatEndEvent", "LLMCompletionEndEvent") and piece.note:
                self.work.end(event.span_id, tell=lambda call: reading.tell(call, event.response))


_undo: Final = ExitStack()


def instrument(
    *, llmobs_client: Recording | None = None, capture_content: CaptureContent = "full"
) -> None:
    """
    Add handlers to the root dispatcher; twice is harmless, the options of the last time hold.

    Args:
        llmobs_client: Records what happens outside any run; by default the default client.
        capture_content: As of `llmobs.instrument`.

    Raises:
        ImportError: ``llama-index-core`` is not installed.
        ValueError: *capture_content* is none of the three.
    """
    work = OpenWork("llama_index", llmobs_client, capture_content)
    theirs = import_module("llama_index_instrumentation")
    spans = import_module("llama_index_instrumentation.span_handlers").BaseSpanHandler
    events = import_module("llama_index_instrumentation.event_handlers").BaseEventHandler
    uninstrument()
    root: Any = theirs.get_dispatcher()
    root.add_span_handler(hook(_Spans, spans, work))
    root.add_event_handler(hook(_Events, events, work))
    _undo.callback(work.give_up)
    _undo.callback(_take_out, root)


def _take_out(root: Any) -> None:
    root.span_handlers = [each for each in root.span_handlers if not isinstance(each, _Spans)]
    root.event_handlers = [each for each in root.event_handlers if not isinstance(each, _Events)]


def uninstrument() -> None:
    """Undo :func:`instrument`."""
    _undo.close()
