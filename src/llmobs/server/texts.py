"""Indexes texts while a collector fills the store, so that they are found."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio

from llmobs.errors import LLMObsError, StoreNotFoundError
from llmobs.pipeline.thread import BlockingThread
from llmobs.runtime.troubles import Troubles
from llmobs.store.engine import ReadsStore, open_reader
from llmobs.store.records import Waiting

__all__ = ["Indexing"]

LOOK_SECONDS: Final = 0.5
"""Between two looks whether something has come."""
REST: Final = 2
"""Times as long as it worked: who stores events needs the processor and the disk more."""
BUSY_REST: Final = 10
"""The same while events come: what it takes then, ingest lacks."""
TROUBLE_SECONDS: Final = 5.0
"""Until it is tried again, where the index cannot be written."""


class Indexing:
    """
    Brings the index of texts up to date, the latest events first, behind ingest.

    In steps of some ten milliseconds in a thread of its own, between which it rests for longer: at
    full ingest it falls behind, and catches up.

    Args:
        store: Whose texts.
        is_busy: Whether events come just now.
    """

    def __init__(self, store: Path, *, is_busy: Callable[[], bool] = lambda: False) -> None:
        self._store = store
        self._is_busy = is_busy
        self._reader: ReadsStore | None = None
        self._troubles = Troubles()
        self.waiting: Waiting | None = None
        """How far it is; None before the first look."""

    async def run(self) -> None:
        """Go on until cancelled, and end with the step that is under way."""
        thread = BlockingThread("llmobs-texts")
        try:
            while True:
                begun = time.monotonic()
                rest = LOOK_SECONDS
                try:
                    self.waiting = await thread.call(self._step)
                    if self.waiting.events:
                        rest = BUSY_REST if self._is_busy() else REST
                        rest *= time.monotonic() - begun
                except StoreNotFoundError:
                    pass
                except LLMObsError as error:
                    self._troubles.log("texts", "llmobs: texts cannot be indexed: %s", error)
                    rest = TROUBLE_SECONDS
                except Exception as error:  # noqa: BLE001 - the collector is there for the events
                    self._troubles.log("texts", "llmobs: texts cannot be indexed: %r", error)
                    rest = TROUBLE_SECONDS
                await anyio.sleep(rest)
        finally:
            # In its turn: SQLite breaks where one thread closes what another one uses.
            with anyio.CancelScope(shield=True):
                await thread.call(self._let_go)
            thread.stop()

    def _step(self) -> Waiting:
        if self._reader is None:
            self._reader = open_reader(self._store)
        try:
            return self._reader.index_texts()
        except Exception:
            self._let_go()  # whoever mends it may put another file there
            raise

    def _let_go(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
