"""Tail sampling where a process ends: SIGTERM keeps what is undecided, and so does a kill with durability=disk."""

import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx2
import pytest

import llmobs
from llmobs.codec import decode
from tests.processes.running import SECONDS, started
from tests.processes.tail import BAD, EACH, GOOD, OPEN
from tests.support.polling import eventually
from tests.support.ports import free_ports

pytestmark = pytest.mark.timeout(60)

SINKS = ("one.jsonl", "two.jsonl")
UNDECIDED = {f"open-{n}": EACH for n in range(OPEN)}
FAILED = {f"bad-{n}": EACH + 2 for n in range(BAD)}
SAMPLED = GOOD * (EACH + 1)


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {
        "LLMOBS_SINK": f"jsonl:///{folder / 'one.jsonl'} jsonl:///{folder / 'two.jsonl'}",
        "LLMOBS_FLUSH_INTERVAL_SECONDS": "0.01",
        "TEST_COUNTERS": str(folder / "counters.json"),
        **more,
    }


def on_disk(folder: Path) -> dict[str, str]:
    return environment(
        folder, LLMOBS_SPOOL_DIR=str(folder / "spool"), LLMOBS_DURABILITY="disk", LLMOBS_TIMEOUT="5"
    )


def arrived(folder: Path, name: str) -> Counter[str]:
    """How many events of each run a sink has; each came once."""
    file = folder / name
    lines = file.read_bytes().splitlines() if file.exists() else []
    events = [decode(line) for line in lines]
    assert len({event.event_id for event in events}) == len(events)
    assert {event.weight for event in events} <= {1.0}
    return Counter(event.run_id for event in events)


def journals(folder: Path) -> Iterator[Counter[str]]:
    """What each sink's journal holds."""
    for sink in sorted(folder.glob("spool/*")):
        lines = [
            line
            for file in sink.glob(".*.jsonl")
            for line in file.read_bytes().splitlines()
            if not line.startswith(b"#")
        ]
        yield Counter(decode(line).run_id for line in lines)


@pytest.mark.parametrize(
    ("how", "durability"), [("script", "memory"), ("script", "disk"), ("uvicorn", "memory")]
)
def test_sigterm_keeps_what_is_undecided(how: str, durability: str, tmp_path: Path) -> None:
    env = environment(tmp_path) if durability == "memory" else on_disk(tmp_path)
    (port,) = free_ports(1)
    app = ["uvicorn", "tests.processes.tail:app", "--port", str(port)]
    with started(["tests.processes.tail"] if how == "script" else app, tmp_path, **env) as process:
        if how == "script":
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        else:
            record_through(port)
        process.send_signal(signal.SIGTERM)
        ended = process.wait(SECONDS)
    if how == "script":
        assert ended == 5, (tmp_path / "stderr").read_text()
    for name in SINKS:
        assert arrived(tmp_path, name) == UNDECIDED | FAILED
    delivered = sum((UNDECIDED | FAILED).values())
    counters = json.loads((tmp_path / "counters.json").read_text())
    assert list(counters.values()) == [[delivered, 0, 0, {"sampled": SAMPLED}]] * 2
    assert not list(tmp_path.glob("spool/*/*"))


def record_through(port: int) -> None:
    def answered() -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/", timeout=10).text == "recorded"
        except httpx2.ConnectError:
            return False

    eventually(answered, timeout=SECONDS, what="the application")


async def live() -> llmobs.Statistics:
    async with llmobs.AsyncClient() as client:
        pass
    return client.statistics()


def test_what_is_undecided_survives_a_kill_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started(["tests.processes.tail"], tmp_path, **on_disk(tmp_path)) as process:
        eventually(
            lambda: (
                list(journals(tmp_path)) == [UNDECIDED] * 2
                and all(arrived(tmp_path, name) == FAILED for name in SINKS)
                and not list(tmp_path.glob("spool/*/[!.]*"))
            ),
            timeout=SECONDS,
            what="the journals",
        )
        process.kill()
        process.wait(SECONDS)
    assert not any(b"ann@" in file.read_bytes() for file in tmp_path.glob("spool/*/.*"))
    for name, value in on_disk(tmp_path).items():
        monkeypatch.setenv(name, value)
    counters = anyio.run(live)
    for name in SINKS:
        assert arrived(tmp_path, name) == UNDECIDED | FAILED
    for each in counters.sinks.values():
        assert (each.accepted, each.pending, each.spooled) == (0, 0, 0)
        assert each.replayed == sum(UNDECIDED.values())
    assert not list(tmp_path.glob("spool/*/*"))
