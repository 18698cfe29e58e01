"""One request of Django: its answer, its streamed body, its end."""

import asyncio
import time
import weakref
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync

from llmobs.capture.tracker import Tracker, has_any
from llmobs.contrib._web.ending import Ending
from llmobs.contrib.django.project import Options
from llmobs.contrib.django.streaming import Progress, body, body_async
from llmobs.runtime.context import current_frame, set_frame
from llmobs.runtime.troubles import internal_errors

__all__ = ["Serving"]


def _nothing() -> None:
    """What stands for a closer in a response that was pickled, for a cache."""


_closing: set[asyncio.Task[None]] = set()
"""Keeps what closes bodies from being collected itself."""


def _close(chunks: Any) -> None:
    async def close() -> None:
        await chunks.aclose()

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # in the request's thread, as Django's handler does
        async_to_sync(close)()
    else:
        task = loop.create_task(close())
        _closing.add(task)
        task.add_done_callback(_closing.discard)


def _closer_from_cache() -> Any:
    return _nothing


class Serving(Ending):
    """
    What the middleware keeps about one request. It is the closer of the response.

    Not of the request, whose life it shares: a reference back would keep both until the garbage
    collector comes.

    Args:
        tracker: The request's run.
        options: What the middleware is told.
    """

    __slots__ = ("_body", "_is_over", "_match", "_method", "_progress", "options")

    def __init__(self, tracker: Tracker, options: Options) -> None:
        super().__init__(tracker)
        self.options = options
        self._method: str | None = None
        self._match: Any = None
        self._progress: Progress | None = None
        self._body: Any = None
        self._is_over = False

    def note(self, request: Any) -> None:
        """Take from *request*, which was served, what the run's event says of it."""
        self._method = request.method
        self._match = request.resolver_match

    def answer(self, response: Any) -> None:
        """Put the run's id into *response*'s headers, and wait for its end."""
        self.status = response.status_code
        run_id, header = self.answered_id(), self.options.header
        if header is not None and run_id is not None:
            response.headers[header] = run_id
        closers = response._resource_closers  # noqa: SLF001 - where Django itself puts them
        if response.streaming:
            self._watch(response)
            closers[:] = [partial(self._inside, closer) for closer in closers]
        closers.append(self)

    def _watch(self, response: Any) -> None:
        # Not by way of `streaming_content`: reading it wraps the iterator once more, and setting
        # it makes a file's response forget its file.
        self._progress = progress = Progress()
        chunks = response._iterator  # noqa: SLF001
        if response.is_async:
            chunks = body_async(chunks, self, progress, self._end)
            self._body = weakref.ref(chunks)
        else:
            chunks = body(chunks, self, progress)
        response._iterator = chunks  # noqa: SLF001

    def _inside(self, closer: Any) -> None:
        previous = current_frame()
        set_frame(self.tracker)
        try:
            closer()
        finally:
            set_frame(previous)

    def __call__(self) -> None:
        """End the run: the response is closed, and so is its body."""
        if self._progress is None or self._progress.close():
            self._end()
        elif (chunks := self._body()) is not None:
            # Its reader has left. Django closes no asynchronous iterator: the garbage collector does,
            # at any time. Closed here, what it does last belongs to the run, which it then ends.
            _close(chunks)

    def _end(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        tracker, progress = self.tracker, self._progress
        always = self.options.record_empty or self.failed
        if always or has_any(tracker):
            if progress is None or progress.is_over or not progress.began:
                self.ended = time.perf_counter()  # else its client left
            with internal_errors("record a request"):
                self._record(always)
        self.error = None  # its traceback holds the request

    def _record(self, always: bool) -> None:
        tracker, match, method, route = self.tracker, self._match, self._method, None
        name = method or tracker.kind
        if match is not None:  # else no URL took it
            route = match.route or "/"
            name = f"{name} /{route.removeprefix('/')}"
            given = tracker.metadata or {}
            if "view" not in given:
                tracker.metadata = {**given, "view": match.view_name}
        self.finish(always, method, route, name)

    def __del__(self) -> None:
        # Somebody outside has put another response in place of ours, or closes none.
        if not self._is_over:
            with internal_errors("record a request that nobody closed"):
                self._end()

    def __reduce__(self) -> tuple[Any, ...]:
        return _closer_from_cache, ()
