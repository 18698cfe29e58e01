"""The collector beside the viewers that pip can install: start, memory, speed, disk, and loss."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from benchmarks.harness import Budget, Result, console
from benchmarks.serve.load import (
    NATIVE_EVENTS,
    SPANS,
    Sent,
    native_bodies,
    otlp_bodies,
    send,
)
from benchmarks.serve.targets import TARGETS, Running, Target, running

TITLE = "Collectors: OTLP spans of 3.9 KB, 100 a request, over four connections"
WARM_UP = 50
"""Requests to llmobs before its speed is measured: under load it starts a worker process, within seconds."""
QUIET_SECONDS = 20.0
"""Without anything new stored, after which nothing more is expected."""
OURS = "llmobs"
_TOOLS = ("pip-", "setuptools-", "wheel-")
"""What makes an environment is no part of what is in it."""
_OTLP = {"content-type": "application/x-protobuf"}


def run(quick: bool) -> Result:
    """Measure all of them, one after the other."""
    return table({name: figures_of(target, quick) for name, target in TARGETS.items()}, quick)


def table(found: Mapping[str, Mapping[str, float | None]], quick: bool) -> Result:
    """Return what was found of each as one table."""
    ours = found[OURS]
    columns = list(ours)
    return Result(
        TITLE,
        ["collector", *columns],
        [[name, *(figures.get(column) for column in columns)] for name, figures in found.items()],
        [
            Budget("start", _number(ours["first answer s"]), 1, "s"),
            Budget("memory idle", _number(ours["idle MB"]), 80, "MB"),
            Budget("packages beside itself", _number(ours["packages"]) - 1, 23),
            Budget("OTLP spans", _number(ours["spans/s"]), 5_000, "/s", at_least=True),
            Budget("native events", _number(ours["native events/s"]), 20_000, "/s", at_least=True),
            Budget("lost", _number(ours["lost, SIGTERM"]) + _number(ours["lost, kill -9"]), 0),
        ],
        "A span is stored when another process can read it; the clock runs from the first request until all are. "
        f"To llmobs, {WARM_UP} requests go before: what is measured is the speed that it keeps, its worker process "
        "started. Memory is that of all processes, resident (what they share counts in each), "
        "before the first request. Lost is what was answered with 200 and "
        "is not in the store after the process has ended, its clients still sending; "
        f"sum over {_trials(OURS, quick)} trials of each signal for llmobs, one for the others. "
        "Defaults everywhere; each in an environment of its own with a new SQLite store, on one machine with the "
        "client, one after the other. Got is the share of one processor that a busy loop got just before the speed "
        "was measured: where it is low, others were at work, and the CPU columns tell more than those of time. "
        f"Versions: {', '.join(f'{t.name} ({t.pins[0]})' if t.name != OURS else OURS for t in TARGETS.values())}.",
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _got() -> float:
    """Return the share of a processor that a busy loop gets now."""
    began, before = time.monotonic(), time.thread_time()
    while time.thread_time() - before < 0.3:
        pass
    return 0.3 / (time.monotonic() - began)


def _trials(name: str, quick: bool) -> int:
    return (2 if quick else 10) if name == OURS else 1


def figures_of(target: Target, quick: bool) -> dict[str, float | None]:
    """Measure one."""
    is_ours = target.name == OURS
    site = next(target.install().parent.glob("lib/python*/site-packages"))
    with tempfile.TemporaryDirectory(prefix="llmobs-bench-") as directory:
        home = Path(directory)
        starts, start_cpu = [], []
        for number in range(3 if is_ours else 2):  # the first compiles what was not
            console().print(f"{target.name}: start {number + 1}")
            with running(target, home / f"start-{number}") as one:
                start_cpu.append(one.cpu())
                time.sleep(1 if is_ours else 5)
                memory = one.memory()
            starts.append(one.start_seconds)
        requests = (60 if quick else 240) if is_ours else (5 if quick else 20)
        got = _got()
        speed, acknowledged, disk, cpu = _speed(target, home / "speed", requests)
        native = _native(target, home / "native", 40 if quick else 120) if is_ours else None
        lost = dict.fromkeys((signal.SIGTERM, signal.SIGKILL), 0)
        answered = 0
        for how in lost:
            for number in range(_trials(target.name, quick)):
                there, missing = _loss(target, home / f"{how.name}-{number}", how)
                lost[how] += missing
                answered += there
        return {
            "first answer s": median(starts[1:]),
            "its CPU s": median(start_cpu[1:]),
            "idle MB": memory / 1e6,
            "packages": sum(not p.name.startswith(_TOOLS) for p in site.glob("*.dist-info")),
            "site MB": sum(f.stat().st_size for f in site.rglob("*") if f.is_file()) / 1e6,
            "got %": got * 100,
            "spans/s": speed,
            "acknowledged/s": acknowledged,
            "CPU ms/span": cpu * 1000,
            "native events/s": native,
            "KB/span": disk / 1e3,
            "acknowledged": answered,
            "lost, SIGTERM": lost[signal.SIGTERM],
            "lost, kill -9": lost[signal.SIGKILL],
        }


def _speed(target: Target, home: Path, requests: int) -> tuple[float, float, float, float]:
    first = WARM_UP if target.name == OURS else 1
    bodies = otlp_bodies(first + requests)
    with running(target, home) as one:
        post(one, bodies[:first])  # what is done once, is done
        begun_with, _ = until_stored(one, SPANS * first)
        sent, before, began = Sent(), one.cpu(), time.monotonic()
        post(one, bodies[first:], sent)
        stored, at = until_stored(one, SPANS * (first + requests))
        cpu = (one.cpu() - before) / max(stored - begun_with, 1)
        one.end(signal.SIGTERM)
    disk = target.bytes(home) / max(stored, 1)
    shutil.rmtree(home)
    console().print(f"{target.name}: {sent.acknowledged} acknowledged, {stored} stored")
    speed = (stored - begun_with) / (at - began)
    return speed, SPANS * sent.acknowledged / sent.seconds, disk, cpu


def _native(target: Target, home: Path, requests: int) -> float:
    from llmobs.codec import NATIVE_TYPE

    bodies = native_bodies(WARM_UP + requests)
    with running(target, home) as one:
        headers = {"content-type": NATIVE_TYPE}
        send(one.port, "/v1/events/batch", headers, bodies[:WARM_UP], Sent())
        sent = Sent()
        send(one.port, "/v1/events/batch", headers, bodies[WARM_UP:], sent)
        stored = target.stored(home)
    shutil.rmtree(home)
    if sent.acknowledged != requests or stored != NATIVE_EVENTS * (WARM_UP + requests):
        raise RuntimeError(f"of {requests} requests: {sent}, {stored} events")
    return NATIVE_EVENTS * requests / sent.seconds


def post(one: Running, bodies: list[bytes], sent: Sent | None = None) -> None:
    send(one.port, "/v1/traces", _OTLP | dict(one.target.headers), bodies, sent or Sent())


def until_stored(one: Running, count: int) -> tuple[int, float]:
    """Return how many are stored when it is all of them or no more come, and when that was."""
    stored, at = -1, time.monotonic()
    while stored < count and time.monotonic() - at < QUIET_SECONDS:
        if (now := one.target.stored(one.home)) > stored:
            stored, at = now, time.monotonic()
        if stored < count:
            time.sleep(0.05)
    return stored, at


def _loss(target: Target, home: Path, how: signal.Signals) -> tuple[int, int]:
    """End it in the middle of load; return how many were acknowledged, and how many of them are missing."""
    bodies = otlp_bodies(60)
    sent = Sent()
    with running(target, home) as one:
        sending = threading.Thread(target=post, args=(one, bodies, sent))
        sending.start()
        deadline = time.monotonic() + 120
        while sent.acknowledged < 15 and time.monotonic() < deadline:
            time.sleep(0.002)
        one.end(how)
        sending.join()
    stored = target.stored(home)
    acknowledged = SPANS * sent.acknowledged
    console().print(f"{target.name}: {how.name}: {acknowledged} acknowledged, {stored} stored")
    shutil.rmtree(home)
    return acknowledged, max(0, acknowledged - stored)
