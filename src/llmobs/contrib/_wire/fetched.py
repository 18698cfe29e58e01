"""
Requests that are no calls themselves: for the answer of a call made before, for a batch, for its results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from llmobs.capture.joining import sightings
from llmobs.contrib._wire.batch import Result, Results
from llmobs.contrib._wire.batch_requests import remember, remember_files, requests_of
from llmobs.contrib._wire.body import Copy, decoder
from llmobs.contrib._wire.call import OVERHEAD_BYTES, Call, apply_policy, is_final
from llmobs.contrib._wire.ending import Ending
from llmobs.contrib._wire.reading import Exchange, read_exchange
from llmobs.events import Event, PromptCallEvent
from llmobs.recorded.ids import derived_id
from llmobs.runtime.context import Frame
from llmobs.runtime.time_slices import Steps, finish

__all__ = ["Asking", "Batch", "Fetch"]

_MADE: Final = (200, 201)


class Fetch(Call):
    """A request for the answer of a call that was made before: it ends that call, and is none itself."""

    def _begin(self, frame: Frame | None) -> None:
        pass

    def _end(self, failed: bool) -> None:
        if failed and self._http_status != 200:
            return
        event = self._event(self.tracker.run_id)
        finish(self.read(event))
        self.is_read = True
        if not is_final(event):
            return
        key = self._target.answer_id
        call = sightings.take_awaited(key)
        news = sightings.is_news(key)
        if isinstance(call, Call):
            call.answered_by(event, self.size)
        elif news and (event.response_metadata or {}).get("background"):
            # Another process asked: its event has no usage, so that totals count it once.
            event.latency_ms = None
            sightings.begin(self)
            sightings.end(self, event, self.size, event.failed)


class Asking(Call):
    """A request that makes a batch, or a file of requests for one: what it asks is kept for the results."""

    def _begin(self, frame: Frame | None) -> None:
        self._file: _Passing | None = None

    def take_form(self, fields: Iterable[Any]) -> None:
        """Keep the beginning of the file as it passes, if it is one for a batch."""
        named = {field.name: field for field in fields}
        purpose = getattr(named.get("purpose"), "value", None)
        if purpose not in ("batch", b"batch") or "file" not in named or self._mode == "metadata":
            return
        field = named["file"]
        if isinstance(field.file, bytes):
            self.ask(field.file)
        else:
            field.file = self._file = _Passing(field.file, self._limit)

    def _finish(self, ending: Ending, error: BaseException | None) -> None:
        copy, asked = self.copy, self._request
        if self._file is not None:
            asked = self._file.beginning(), None
        if copy is not None and ending is Ending.WHOLE and self._http_status in _MADE:
            copy.close()
            encoding = "" if self.decoded else self._headers.get("content-encoding", "")
            if asked is not None and self._mode != "metadata":
                remember(self._target.host, asked[0], self._mode, copy.start(encoding))
        self.release()


class _Passing:
    """
    A file that is being sent. Whoever sends it reads it, once: it may be a pipe, or far away.

    Args:
        file: The file.
        limit: Bytes of its beginning that are kept.
    """

    def __init__(self, file: Any, limit: int) -> None:
        self.inner: Any = file.inner if isinstance(file, _Passing) else file  # sent again
        self._room = limit
        self._kept: list[bytes] = []

    def read(self, *args: Any) -> Any:
        """Read on, as the file does."""
        data = self.inner.read(*args)
        if self._room > 0 and isinstance(data, bytes):
            self._kept.append(data[: self._room])
            self._room -= len(data)
        return data

    def beginning(self) -> bytes:
        """Return what was kept."""
        return b"".join(self._kept)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Batch(Call):
    """
    A request for the results of a batch: each of them becomes an event, and the request none.

    An event's id is made of the batch and the name of the request in it: who reads the results
    again, here or in another process, adds nothing.
    """

    def _begin(self, frame: Frame | None) -> None:
        self._results: Results | None = None
        self._asked = requests_of(self._target.host, self._target.batch)

    def respond(self, status: int, headers: Any) -> Copy:
        """Note the head of the answer; returns what takes the results as they come."""
        items = self._target.wire.items
        if status != 200 or items is None:
            return super().respond(status, headers)
        encoding = headers.get("content-encoding") or "identity"
        self.copy = self._results = Results(
            self._limit, items(), self._decoding(encoding.lower()), self._record_result
        )
        return self._results

    def _decoding(self, encoding: str) -> Callable[[bytes], bytes]:
        decode = None if encoding == "identity" else decoder(encoding)

        def decoded(data: bytes) -> bytes:
            if self.decoded or encoding == "identity":
                return data
            if decode is None:
                raise ValueError(encoding)
            return decode(data)

        return decoded

    def _finish(self, ending: Ending, error: BaseException | None) -> None:
        if self._results is not None and ending is Ending.WHOLE:
            self._results.finish()
            remember_files(self._target.host, self._target.batch, self._results.head)
        self.release()

    def _record_result(self, result: Result) -> None:
        target = self._target
        event_id = derived_id("batch", target.host, target.batch, result.name)
        if not sightings.is_news(event_id):
            return
        event = PromptCallEvent(
            event_id=event_id,
            run_id=self.tracker.run_id,
            parent_id=self.parent_id or "",
            timestamp=datetime.now(UTC),
            operation=target.operation,
            provider=target.provider,
            server_address=target.host,
        )
        self.tracker.record(
            event,
            size=result.size + OVERHEAD_BYTES,
            failed=result.failed,
            complete=partial(self._read_result, result),
        )

    def _read_result(self, result: Result, event: Event) -> Steps[None]:
        assert isinstance(event, PromptCallEvent)
        asked = None
        if self._asked is not None:
            asked = yield from self._asked.find(result.asked, result.place)
        exchange = Exchange(
            target=self._target,
            request=None if asked is None else (asked, None),
            form_model=result.model,
            started=self.started,
            status=200,
            headers={"content-type": "application/json"},
            copy=result.body,
            ending=Ending.WHOLE,
            decoded=True,
        )
        yield from read_exchange(exchange, event)
        if event.failed and not result.failed:
            self.tracker.failures += 1
        apply_policy(event, self._mode)
        if asked is not None and self._asked is not None:
            apply_policy(event, self._asked.mode)
