"""
Interleaved rounds, medians and ratios: what every row is measured with.

    python -m benchmarks.harness MODULE VARIANT {0,1}    # one sample as JSON; 1 means quick
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import PYTHON, ROOT, peers

if TYPE_CHECKING:  # samples of peers run in environments without it
    from rich.console import Console

SECONDS_PER_SAMPLE = 180
PEER_ROUNDS = 3
"""Rounds that peers take part in, of those there are: they differ from us by factors."""


@cache
def console() -> Console:
    """Where progress is told."""
    from rich.console import Console

    return Console(stderr=True)


@dataclass(frozen=True)
class Budget:
    """A promise of the design and what was measured."""

    what: str
    measured: float
    limit: float
    unit: str = ""
    at_least: bool = False
    """The limit is a lower one."""

    @property
    def met(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def __str__(self) -> str:
        relation = "≥" if self.at_least else "≤"
        unit = f" {self.unit}" if self.unit else ""
        words = (
            f"{self.what}: {show(self.measured)}{unit} (budget {relation} {show(self.limit)}{unit})"
        )
        if self.met:
            return f"{words}, met"
        if self.limit == 0:
            return f"{words}, missed"
        off = self.limit / self.measured if self.at_least else self.measured / self.limit
        return f"{words}, missed by a factor of {off:.2f}"


@dataclass(frozen=True)
class Result:
    """The table of one row."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[float | str | None]]
    """The first cell of each names the variant; None is shown as a dash."""
    budgets: Sequence[Budget] = ()
    notes: str = ""


@dataclass
class Samples:
    """Figures by variant and metric, one per round, in the order of the rounds."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, variant: str, metrics: dict[str, float]) -> None:
        """Take in one sample."""
        for metric, value in metrics.items():
            self.values.setdefault(variant, {}).setdefault(metric, []).append(value)

    @property
    def variants(self) -> list[str]:
        """Those that could be measured."""
        return list(self.values)

    def median(self, variant: str, metric: str) -> float | None:
        """Median over the rounds; None if it was not measured."""
        found = self.values.get(variant, {}).get(metric)
        return median(found) if found else None

    def best(self, variant: str, metric: str) -> float | None:
        """The smallest figure: what the code costs when nobody else wants the processor."""
        found = self.values.get(variant, {}).get(metric)
        return min(found) if found else None

    def ratio(self, variant: str, to: str, metric: str) -> float | None:
        """Median of the ratios of the rounds both ran: a slow moment of the machine slows both."""
        ours, theirs = (self.values.get(name, {}).get(metric) for name in (variant, to))
        if not ours or not theirs:
            return None
        return median(a / b for a, b in zip(ours, theirs, strict=False))


def show(value: float | str | None) -> str:
    """Three significant digits, thousands separated."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def interleave(
    module: str,
    variants: Sequence[str],
    *,
    rounds: int,
    quick: bool,
    python: Callable[[str], str] | None = None,
    others: Collection[str] = peers.PINS,
) -> Samples:
    """
    Sample every variant once per round, each in a process of its own; rounds start one further on.

    A variant named as a peer runs with the interpreter of that peer's environment, in the first
    rounds. One of the others that cannot run here (a package is missing) is left out, and said on the terminal.

    Args:
        python: Returns the interpreter of a variant, where all have environments of their own.
        others: Those that are measured beside ours.

    Raises:
        NotMeasuredError: One of ours cannot run: what is not measured meets no budget.
    """
    samples = Samples()
    missing: set[str] = set()
    for number in range(rounds):
        turn = number % len(variants)
        for variant in (*variants[turn:], *variants[:turn]):
            is_peer = python is None and variant in peers.PINS
            if variant in missing or (is_peer and number >= PEER_ROUNDS):
                continue
            with console().status(f"{module}: {variant}, round {number + 1} of {rounds}"):
                try:
                    find = python or (peers.python if is_peer else _ours)
                    metrics = _run(find(variant), module, variant, quick)
                except (peers.NotInstalledError, NotMeasuredError) as error:
                    if variant not in others:
                        raise NotMeasuredError(f"{variant}: {error}") from None
                    missing.add(variant)
                    console().print(f"[yellow]{module}: without {variant}: {error}")
                    continue
            samples.add(variant, metrics)
    # In the order asked for, not that of the first round that happened to have it.
    samples.values = {v: samples.values[v] for v in variants if v in samples.values}
    return samples


def _ours(variant: str) -> str:
    return sys.executable


class NotMeasuredError(RuntimeError):
    """A sample that failed or took too long; the message is the last line it said."""


def _run(python: str, module: str, variant: str, quick: bool) -> dict[str, float]:
    """One sample, in a group of processes that ends with it."""
    process = subprocess.Popen(
        [python, "-m", "benchmarks.harness", module, variant, str(int(quick))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "0", PYTHON: sys.executable},
        start_new_session=True,
    )
    try:
        said, complaints = process.communicate(timeout=SECONDS_PER_SAMPLE)
    except subprocess.TimeoutExpired:
        raise NotMeasuredError(f"took longer than {SECONDS_PER_SAMPLE} s") from None
    finally:
        with suppress(ProcessLookupError):  # what it left behind: a server, a child
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
    if process.returncode != 0:
        raise NotMeasuredError((complaints.strip().splitlines() or ["no reason given"])[-1])
    return dict(json.loads(said.splitlines()[-1]))


def quantile(values: Sequence[float], share: float) -> float:
    """The value that *share* of *values* lie below."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def heartbeat(seconds: float, period: float = 0.002) -> list[float]:
    """Milliseconds by which a beat every *period* seconds came late, as the host's own code would."""
    late: list[float] = []
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    due = loop.time() + period
    while due < end:
        await asyncio.sleep(due - loop.time())
        now = loop.time()
        late.append((now - due) * 1000)
        due = max(due + period, now)
    return late


def _sample() -> None:
    module, variant, quick = sys.argv[1:]
    row = importlib.import_module(f"benchmarks.{module}")
    gc.collect()
    begin = time.perf_counter()
    metrics = row.sample(variant, quick == "1")
    assert metrics, f"nothing measured in {time.perf_counter() - begin:.1f} s"
    sys.stdout.write(json.dumps(metrics) + "\n")


if __name__ == "__main__":
    _sample()
