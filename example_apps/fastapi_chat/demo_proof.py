"""Compares what the users of the demo were answered with what the store has."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from llmobs import RunEvent
from llmobs.store.reader import Reader
from llmobs.store.records import RunNotFoundError

from .demo_drive import Answered


@dataclass
class Proof:
    """The figures, and what is missing."""

    answered: int
    statuses: str
    stored: int
    events_recorded: int
    """As counted by the API while it answered; each run's own event tells."""
    events_stored: int
    lost: list[str]
    richest: str
    """The run with the most events."""
    streamed: str
    """A run with a streamed answer."""

    @property
    def holds(self) -> bool:
        """Whether every answer's run is there, with every event."""
        return not self.lost and self.events_recorded == self.events_stored


def prove(store: Path, answered: list[Answered]) -> Proof:
    """Look every answered run up, and count its events."""
    lost: list[str] = []
    stored = recorded_events = stored_events = 0
    richest = (0, "last")
    streamed = "last"
    with Reader(store) as reader:
        for status, run_id in answered:
            if run_id is None:
                lost.append(f"a request: {status}, no run id")
                continue
            try:
                detail = reader.run(run_id)
            except RunNotFoundError:
                lost.append(run_id)
                continue
            stored += 1
            own = [event for event in detail.events if isinstance(event, RunEvent)]
            if len(own) != 1:
                lost.append(f"the run event of {run_id}")
                continue
            recorded_events += own[0].events + 1
            stored_events += detail.total
            if own[0].events + 1 != detail.total:
                lost.append(f"{own[0].events + 1 - detail.total} events of {run_id}")
            richest = max(richest, (detail.total, run_id))
            if any(getattr(event, "stream", None) for event in detail.events):
                streamed = run_id
    counts = Counter(status for status, _ in answered)
    return Proof(
        answered=sum(run_id is not None for _, run_id in answered),
        statuses=", ".join(f"{count} x {status}" for status, count in sorted(counts.items())),
        stored=stored,
        events_recorded=recorded_events,
        events_stored=stored_events,
        lost=lost,
        richest=richest[1],
        streamed=streamed,
    )


def say(out: Console, proof: Proof) -> None:
    """Print the figures, and the verdict."""
    counts = f"{proof.answered:>5}   ({proof.statuses})"
    out.print(f"  answered with a run id   {counts}", soft_wrap=True)
    out.print(f"  of these in the store    {proof.stored:>5}")
    out.print(f"  events recorded in them  {proof.events_recorded:>5}")
    out.print(f"  of these in the store    {proof.events_stored:>5}")
    if proof.holds:
        out.print("  [bold green]nothing was lost[/]\n")
    else:
        out.print(f"  [bold red]LOST[/]: {', '.join(proof.lost)}\n", markup=True)


def empty_store(folder: Path, name: str = "llmobs.db") -> Path:
    """Return the path of a store that is not there yet, in *folder*, which Git ignores."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    store = folder / name
    for end in ("", "-wal", "-shm"):
        store.with_name(store.name + end).unlink(missing_ok=True)
    return store
