"""What happens now: the latest runs, those that run still, and what is new of them since a moment."""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec.structs import replace

from llmobs.answers.asked import Asked
from llmobs.store.engine import ReadsStore
from llmobs.store.records import RunSummary, to_microseconds
from llmobs.store.values import as_moment

__all__ = ["LIVE", "Live", "News", "Now", "live", "news", "now", "opened", "sealed"]

LIVE: Final = 50
"""Runs in one answer, unless another number is asked for; and as many again that run still."""
MAX_BEHIND: Final = 20_000
"""Events, beyond which everything is told anew."""
MAX_GONE: Final = 500
_CURSOR: Final = struct.Struct(">QQ8s")


class Live(msgspec.Struct, frozen=True):
    """The latest runs, and those before them that have not ended; the latest first."""

    runs: Sequence[RunSummary]
    """All of them."""


class Now(msgspec.Struct, frozen=True):
    """How far a store has come, at a moment."""

    number: int
    """Of the event stored last; 0 if there is none."""
    digest: bytes
    """Of its id: numbers of events that are gone may be given again, and another file may lie there."""
    at: datetime


class News(msgspec.Struct, frozen=True):
    """Runs that began, went on, ended or were cut off in a stretch of time; the latest first."""

    runs: Sequence[RunSummary]
    whole: bool
    """Whether these are all that `Live` tells, since it is not known what is new, or too much is."""
    gone: Sequence[str] = ()
    """Ids of runs that fitted, perhaps, until they ended or were cut off."""


def live(store: ReadsStore, asked: Asked) -> Live:
    """Return the latest runs that fit, and those before them that run still."""
    limit = asked.limit(LIVE)
    latest = store.runs(limit, where=asked.where)
    known = {run.run_id for run in latest}
    running = store.runs(limit, where=replace(asked.where, running=True))
    return Live([*latest, *(run for run in running if run.run_id not in known)])


def now(store: ReadsStore) -> Now:
    """Return how far *store* has come. It tells of all projects: only sealed it may be told."""
    # Whole seconds, by which the store itself tells who is silent.
    at, position = datetime.now(UTC).replace(microsecond=0), store.position()
    return Now(0, b"", at) if position is None else Now(position.id, _digest(position.event_id), at)


def news(store: ReadsStore, asked: Asked, since: Now | None, until: Now) -> News:
    """Return what is new between two moments of the runs that fit; since None, everything is."""
    if since is None or until.number - since.number > MAX_BEHIND or not _is_still(store, since):
        return News(live(store, asked).runs, whole=True)
    ask = partial(store.runs_since, since.number, until.number, silent=(since.at, until.at))
    where, gone = asked.where, []
    if where.running or where.cut_off:
        others = ask(limit=MAX_GONE, where=replace(where, running=False, cut_off=False))
        gone = [run.run_id for run in others if not (run.running if where.running else run.cut_off)]
    return News(ask(limit=asked.limit(LIVE), where=where), whole=False, gone=gone)


def sealed(store: ReadsStore, moment: Now) -> str:
    """Return *moment* as a word that tells nobody anything."""
    return store.seal(_CURSOR.pack(moment.number, to_microseconds(moment.at), moment.digest))


def opened(store: ReadsStore, word: str) -> Now | None:
    """Return what `sealed` was given; None if it was given nothing here."""
    try:
        number, at, digest = _CURSOR.unpack(store.unseal(word) or b"")
    except struct.error:
        return None
    return Now(number, digest if number else b"", as_moment(at))


def _is_still(store: ReadsStore, moment: Now) -> bool:
    if moment.number == 0:
        return True
    position = store.position(moment.number)
    return position is not None and _digest(position.event_id) == moment.digest


def _digest(event_id: str) -> bytes:
    return blake2b(event_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
