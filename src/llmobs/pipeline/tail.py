"""
Tail sampling: whether a run is kept is decided when it is over, and its errors, time and cost are known.

Until then its events wait here, finished, and count as pending. Whatever does not let them wait keeps
the run: a flush, the end of the client, more bytes than may wait, a run that goes on for too long.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec import Struct

from llmobs.events import Event, RunEvent
from llmobs.pipeline.intake import Entry
from llmobs.pipeline.sampling import is_sampled
from llmobs.pipeline.statistics import DropReason
from llmobs.pipeline.user_code import UserCode
from llmobs.policy import Judge, Rules
from llmobs.runtime.troubles import Troubles, foreign_call

__all__ = ["TailSampler"]

MAX_DECIDED: Final = 10_000
"""Runs whose decision is remembered, for events that come after it."""


class _Run(Struct):
    run_id: str
    until: float
    """When it has waited long enough, by ``time.monotonic``."""
    entries: list[Entry]
    size: int = 0
    ends: bool = False
    """Whether somebody opened it here: it has an end to wait for."""
    over: bool = False


class _Decision(Struct, frozen=True):
    is_kept: bool
    weight: float = 1.0


_KEEP: Final = _Decision(True)


class TailSampler:
    """
    Holds the events of each run until it is decided. For one task.

    Args:
        judge: Decides.
        max_bytes: Estimated bytes that may wait; beyond, the run that waits longest is kept.
        seconds: How long a run may wait; then it is kept. Events recorded outside any run wait as
            long for others of their run's id, and are decided by the rules then.
        sample_rate: Share of runs that came this far; the rate is a share of these.
        to_disk: Writes events that are held to the disk; None where memory is enough.
        code: The thread that a judge of the application's is called in.
        troubles: Where trouble is logged.
    """

    def __init__(
        self,
        judge: Judge,
        *,
        max_bytes: int,
        seconds: float,
        sample_rate: float,
        to_disk: Callable[[Sequence[Event]], object] | None = None,
        code: UserCode,
        troubles: Troubles,
    ) -> None:
        self._judge = judge
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._sample_rate = sample_rate
        self._to_disk = to_disk
        self._code = code
        self._troubles = troubles
        self.reset()

    def reset(self) -> None:
        """Forget what is held: it is back in the intake, or the parent's; end the thread."""
        self._code.close()
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._bytes = 0
        self._over: list[_Run] = []
        self._fresh: list[Entry] = []
        """Held since the last decision."""
        self._decided: OrderedDict[str, _Decision] = OrderedDict()

    def sift(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return which of *entries* go on, or nowhere, as their run was decided; hold the others."""
        going = []
        for entry in entries:
            run_id = entry.event.run_id
            decision = self._decided.get(run_id)
            if decision is None and entry.drop is None and entry.done is not None:
                decision = _KEEP  # somebody waits for it
            if entry.drop is not None or decision is not None:
                if decision is not None:
                    self._apply(entry, decision)
                going.append(entry)
                continue
            run = self._runs.get(run_id)
            if run is None:
                run = self._runs[run_id] = _Run(run_id, time.monotonic() + self._seconds, [])
            run.entries.append(entry)
            self._fresh.append(entry)
            run.size += entry.size
            self._bytes += entry.size
            run.ends = run.ends or not entry.event.standalone
            if type(entry.event) is RunEvent and not run.over:
                run.over = True
                self._over.append(run)
        return going

    def next_deadline(self) -> float | None:
        """Return in how many seconds `decide` has something to do; None: nothing is held."""
        first = next(iter(self._runs.values()), None)  # all wait equally long
        return None if first is None else max(0.0, first.until - time.monotonic())

    async def decide(self) -> list[Entry]:
        """Decide what is over, has waited long enough or takes too much memory; return its events."""
        over, self._over = self._over, []
        now = time.monotonic()
        late = []
        for run in self._runs.values():
            if run.until > now:
                break
            if not run.over:
                late.append(run)
        over += [run for run in late if not run.ends]
        # What is decided at once need not be written; a function of the application's takes its time.
        self._write(but=over if isinstance(self._judge, Rules) else ())
        rates = await self._rates(over)
        gone: list[Entry] = []
        for run, rate in zip(over, rates, strict=True):
            gone += self._finish(run, self._decision(run.run_id, rate))
        for run in late:
            if run.ends:
                gone += self._finish(run, _KEEP)
        while self._bytes > self._max_bytes:
            gone += self._finish(next(iter(self._runs.values())), _KEEP)
        return gone

    def keep_all(self) -> list[Entry]:
        """Keep everything that is undecided; return its events."""
        gone: list[Entry] = []
        for run in list(self._runs.values()):
            gone += self._finish(run, _KEEP)
        self._over.clear()
        self._fresh.clear()
        return gone

    def _write(self, but: Iterable[_Run]) -> None:
        fresh, self._fresh = self._fresh, []
        if self._to_disk is None:
            return
        decided = {run.run_id for run in but}
        held = [
            entry
            for entry in fresh
            if entry.event.run_id in self._runs and entry.event.run_id not in decided
        ]
        for entry in held:
            entry.on_disk = True
        if held:
            self._to_disk([entry.event for entry in held])

    async def _rates(self, runs: Sequence[_Run]) -> list[float]:
        events = [[entry.event for entry in run.entries] for run in runs]
        if isinstance(self._judge, Rules):
            return [self._judge(each) for each in events]
        rates: list[float] = []

        def work() -> None:
            for each in events:
                rates.append(self._ask(each))  # noqa: PERF401 - looked at meanwhile

        if runs and not await self._code.call(work):
            self._troubles.log(
                "slow-tail", "llmobs: the function tail_sampling takes too long; runs are kept"
            )
        known = list(rates)
        return known + [1.0] * (len(runs) - len(known))

    def _ask(self, events: Sequence[Event]) -> float:
        rate = 1.0
        with foreign_call("ask the function tail_sampling"):
            rate = min(1.0, max(0.0, float(self._judge(events))))
        return rate if rate == rate else 1.0  # not a number

    def _decision(self, run_id: str, rate: float) -> _Decision:
        if rate >= 1:
            return _KEEP
        # The same share of the same hash that sampled the run when it was recorded.
        is_kept = is_sampled(run_id, rate * self._sample_rate)
        return _Decision(is_kept, 1 / rate if is_kept else 1.0)

    def _finish(self, run: _Run, decision: _Decision) -> list[Entry]:
        del self._runs[run.run_id]
        self._bytes -= run.size
        self._decided[run.run_id] = decision
        if len(self._decided) > MAX_DECIDED:
            self._decided.popitem(last=False)
        for entry in run.entries:
            self._apply(entry, decision)
        return run.entries

    def _apply(self, entry: Entry, decision: _Decision) -> None:
        if not decision.is_kept:
            entry.drop = entry.drop or DropReason.SAMPLED
        elif decision.weight != 1.0:
            entry.event.weight *= decision.weight
