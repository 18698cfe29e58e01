"""What is stored is changed in steps: right after each of them, whatever ends it, whoever writes beside it."""

import random
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from llmobs import AgentStepEvent, Event, PromptCallEvent, RunEvent
from llmobs.store import rewrite
from llmobs.store.reader import Reader
from llmobs.store.rewrite import Steps
from llmobs.store.rollups import Sums
from llmobs.store.writer import Writer
from tests.store.recount import hourly_sums, recounted
from tests.support.stores import at, call, run, write_store

SECRET = "the blue canary sings "
LONG = SECRET * 20
SYSTEM = "You are a helpful assistant of the shop. " * 12
Change = Callable[[Event], Event | None]


def events(seed: int) -> list[Event]:
    """Some runs with secrets in any place; messages, tags and people are shared between events."""
    some = random.Random(seed)
    made: list[Event] = []
    for number in range(some.randint(20, 60)):
        name = some.choice(["r1", "r1", f"r2 {SECRET}", "r3"])
        person = some.choice([None, "ann", "bob"])
        text = some.choice([LONG, f"{LONG}{number}", "and nothing else " * 20])
        common: dict[str, Any] = {
            "event_id": f"e{number}", "user_id": person, "tags": (f"tag of {person}",),
            "release": some.choice([None, "1", SECRET]),
        }  # fmt: skip
        kind = some.random()
        if kind < 0.6:
            made.append(
                call(
                    name, number * 600, **common, model=some.choice(["gpt", f"m {SECRET}"]),
                    cost_usd=some.choice([None, 0.5, 2.0]), tokens_input=number,
                    latency_ms=some.choice([None, 12.0]), status=some.choice(["success", "error"]),
                    prompt=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}],
                )
            )  # fmt: skip
        elif kind < 0.85:
            made.append(
                AgentStepEvent(
                    run_id=name, timestamp=at(number * 600), step_number=1, step_name="s",
                    step_type="reasoning", output_data=[{"text": text}], **common,
                )
            )  # fmt: skip
        else:
            made.append(run(name, number * 600, **common, client_run_id=some.choice([None, SECRET]),
                            name=some.choice(["chat", f"chat {SECRET}"])))  # fmt: skip
    return made


def redacted(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(SECRET, "[X]").replace(SECRET.strip(), "[X]")
    if isinstance(value, (list, tuple)):
        return type(value)(map(redacted, value))
    if isinstance(value, dict):
        return {key: redacted(member) for key, member in value.items()}
    return value


def redact(event: Event) -> Event:
    for name in event.__struct_fields__:
        setattr(event, name, redacted(getattr(event, name)))
    return event


def forget(event: Event) -> Event | None:
    if event.user_id != "ann":
        return event
    if not isinstance(event, RunEvent):
        return None
    event.user_id, event.tags, event.client_run_id = None, (), None
    return event


def concerned(path: Path, change: Change) -> list[str]:
    """The runs that have an event which is to be another one."""
    with Reader(path) as reader:
        stored = [(one.run_id, one.decode(), one.decode()) for one in reader.events()]
    return sorted({run_id for run_id, event, same in stored if event and change(event) != same})


def counted(path: Path) -> dict[str, tuple[int, int, float]]:
    """What runs say of their events, and what these are."""
    connection = sqlite3.connect(path)
    said = connection.execute("SELECT run_id, events, tokens_input, cost_usd FROM runs").fetchall()
    are = connection.execute(
        "SELECT run_id, total(event_type <> 'run'), total(tokens_input), total(cost_usd)"
        " FROM events GROUP BY run_id"
    ).fetchall()
    connection.close()
    of_events = {run_id: tuple(values) for run_id, *values in are}
    of_runs = {run_id: (n, tokens, cost or 0.0) for run_id, n, tokens, cost in said}
    # A run that has lost its last event is there until it is finished.
    assert of_runs == of_events | dict.fromkeys(of_runs.keys() - of_events.keys(), (0, 0, 0.0))
    return of_runs


def tables(path: Path) -> dict[str, Any]:
    """All that a store holds, but for the numbers of rows and the names of messages."""
    connection = sqlite3.connect(path)
    names = [
        row[0]
        for row in connection.execute("SELECT name FROM sqlite_master WHERE name = 'unfinished'")
    ]
    found: dict[str, Any] = {
        "runs": sorted(connection.execute("SELECT * FROM runs")),
        "rows": sorted(row[1:] for row in connection.execute("SELECT * FROM events")),
        "pieces": connection.execute("SELECT count(*) FROM pieces").fetchone(),
        "run_pieces": connection.execute(
            "SELECT run_id, count(*) FROM run_pieces GROUP BY 1 ORDER BY 1"
        ).fetchall(),
        "unfinished": [connection.execute(f"SELECT * FROM {name}").fetchall() for name in names] or [[]],
    }  # fmt: skip
    connection.close()
    with Reader(path) as reader:
        found["events"] = sorted(
            (event for stored in reader.events() if (event := stored.decode()) is not None),
            key=lambda event: event.event_id,
        )
    return found


def with_all_names(stored: dict[tuple[Any, ...], bytes]) -> dict[tuple[Any, ...], bytes]:
    """Sums whatever the name of the run: in the middle its events may be ahead of it."""
    sums: dict[tuple[Any, ...], Sums] = defaultdict(Sums)
    for (hour, model, provider, _, release, project), one in stored.items():
        sums[hour, model, provider, release, project].merge(Sums.stored(one))
    return {key: one.to_bytes() for key, one in sums.items()}


class Killed(BaseException):
    """Nothing cleans up after it."""


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrite, "EVENTS", 4)
    monkeypatch.setattr("llmobs.store.writer.LEAST_PAUSE", 0)


def killed_after(writer: Writer, steps: int, look: Callable[[], None]) -> Steps:
    """The steps of *writer*, of which the last one never comes."""
    left = iter(range(steps))

    def write(step: Any) -> Any:
        if next(left, None) is None:
            raise Killed
        result = writer._steps.write(step)
        look()
        return result

    return Steps(writer._steps.read, write)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("change", [redact, forget])
@pytest.mark.parametrize("seed", range(4))
def test_it_may_be_killed_after_any_step(change: Change, seed: int, tmp_path: Path) -> None:
    stored = events(seed)
    path = write_store(tmp_path / "x.db", stored)
    left = [new for event in deepcopy(stored) if (new := change(event)) is not None]
    never = write_store(tmp_path / "never.db", left)
    some = random.Random(seed)

    def sums_are_right() -> None:
        assert with_all_names(hourly_sums(path)) == with_all_names(recounted(path))
        assert counted(path)

    ended = False
    while not ended:
        writer = Writer(path)
        try:
            steps = killed_after(writer, some.randint(1, 12), sums_are_right)
            rewrite.finish_all(steps)
            for name in concerned(path, change):
                rewrite.rewrite(steps, name, change)
            ended = True
        except Killed:
            pass
        finally:
            writer.close()
    assert tables(path) == tables(never)
    assert hourly_sums(path) == recounted(path) == hourly_sums(never)
    if change is redact:
        data = path.read_bytes()
        assert SECRET.strip().encode() not in data


@pytest.mark.usefixtures("small_steps")
def test_what_others_write_meanwhile_is_changed_too_and_nothing_of_it_is_lost(
    tmp_path: Path,
) -> None:
    stored = events(3)
    path = write_store(tmp_path / "x.db", stored)
    more = [
        call("r1", 10_000 + n, event_id=f"more{n}", prompt=[{"text": f"{LONG}{n}"}])
        for n in range(40)
    ]
    waiting: Iterator[Event] = iter(more)
    other, writer = Writer(path), Writer(path)

    def write(step: Any) -> Any:
        if (event := next(waiting, None)) is not None:
            other.write([event])
        return writer._steps.write(step)

    steps = Steps(writer._steps.read, write)
    names = concerned(path, redact)
    for name in names:
        rewrite.rewrite(steps, name, redact)
    arrived = [*stored, *more[: len(more) - len(list(waiting))]]
    for name in names:  # as `llmobs scan` looks again: a run that was done may have got more
        rewrite.rewrite(steps, name, redact)
    for one in (writer, other):
        one.close()
    with Reader(path) as reader:
        found = {event.event_id: event for one in reader.events() if (event := one.decode())}
    assert set(found) == {event.event_id for event in arrived}
    assert not [one for one in found.values() if SECRET.strip() in str(one)]
    assert hourly_sums(path) == recounted(path)
    never = write_store(tmp_path / "never.db", [found[event.event_id] for event in arrived])
    assert tables(path)["runs"] == tables(never)["runs"]
    assert tables(path)["run_pieces"] == tables(never)["run_pieces"]


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("moment", range(13))
def test_a_run_that_somebody_else_changes_is_looked_at_again(moment: int, tmp_path: Path) -> None:
    stored = [call("r", n, event_id=f"e{n}", user_id="ann", tags=(f"t{n}",)) for n in range(20)]
    path = write_store(tmp_path / "x.db", stored)
    writer, other = Writer(path), Writer(path)
    times = iter(range(100))
    gone = ("e1", "e18") if moment % 2 else ()

    def others(event: Event) -> Event | None:
        event.tags = ("another",) if event.event_id == "e2" else event.tags
        return None if event.event_id in gone else event

    def read(step: Any) -> Any:
        result = writer._steps.read(step)
        if next(times) == moment:  # another tool, between a look and what is put in place
            other.rewrite("r", others)
        return result

    def change(event: Event) -> Event:
        if isinstance(event, PromptCallEvent):
            event.prompt = "[X]"
        return event

    rewrite.rewrite(Steps(read, writer._steps.write), "r", change)
    assert next(times) > moment
    for one in (writer, other):
        one.close()
    left = [event for one in deepcopy(stored) if (event := others(change(one))) is not None]
    never = write_store(tmp_path / "never.db", left)
    assert tables(path) == tables(never)
    assert hourly_sums(path) == hourly_sums(never)
