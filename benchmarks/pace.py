"""
How fast this machine is while a row is measured, beside the day on which the budgets were set.

A shared machine changes its speed by factors within minutes, in processor time too, and not for all
kinds of work alike: new memory may cost a multiple while loops are quick. Three jobs by hand, whose
figures of that day are known, say what an absolute budget means today.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Final

from benchmarks.workload import calls

EVENTS: Final = 1_000
ROUNDS: Final = 5
THEN: Final = {
    "struct and JSON": 0.050,
    "zstd level 3": 0.186,
    "importing anyio and msgspec": 0.085,
}
"""Processor seconds on 2026-11-21, CPython 3.13: per 10,000 events, and beyond a bare start of Python."""

Pace = Sequence[tuple[str, float]]
"""Of each job, how many times the seconds of that day it takes."""


def pace() -> Pace:
    """Do the jobs, which takes some two seconds."""
    import msgspec
    from backports import zstd

    from benchmarks.by_hand import BATCH, Call

    encode = msgspec.json.Encoder().encode
    wanted = calls(EVENTS)

    def struct_and_json() -> None:
        for args, kwargs in wanted:
            encode(Call(*args, fields=kwargs, timestamp=datetime.now(UTC)))

    bodies = [
        encode(
            [
                Call(*args, fields=kwargs, timestamp=datetime.now(UTC))
                for args, kwargs in wanted[at : at + BATCH]
            ]
        )
        for at in range(0, EVENTS, BATCH)
    ]

    def compress() -> None:
        for body in bodies:
            zstd.compress(body, 3)

    def importing() -> float:
        return _started("import anyio, msgspec") - _started("pass")

    now = (
        _per_10_000(struct_and_json),
        _per_10_000(compress),
        median(importing() for _ in range(ROUNDS)),
    )
    return [(name, took / THEN[name]) for name, took in zip(THEN, now, strict=True)]


def _started(what: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", what], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _per_10_000(job: Callable[[], None]) -> float:
    took = []
    for _ in range(ROUNDS):
        began = time.process_time()
        job()
        took.append(time.process_time() - began)
    return median(took) * 10_000 / EVENTS


def in_words(before: Pace, after: Pace) -> str:
    """Say what two measures mean for budgets in seconds or per second."""
    words = ", ".join(
        f"{first:.1f} to {last:.1f} times as long for {name}"
        for (name, first), (_, last) in zip(before, after, strict=True)
    )
    return (
        f"Pace: this machine took {words} before and after this row as on the day the budgets were set; what is "
        "measured in seconds reads accordingly."
    )
