"""What the doors of task queues share, without any queue: the carrier, and the run of a task."""

import json
import logging
from uuid import uuid4

import pytest

import llmobs
from llmobs import Client, ConfigurationError, RunEvent, Status, current_run
from llmobs.client import sync_client
from llmobs.contrib._tasks import LOST, MAX_LENGTH, TaskRuns, carry
from llmobs.testing import CapturedEvents


@pytest.fixture
def client(llmobs_events: CapturedEvents) -> Client:
    return Client(sink="memory:", api_key="sk-very-secret")


def log(client: Client) -> None:
    llmobs.current_tracker().log_error("noted")


def test_a_task_is_a_run_linked_to_the_one_that_sent_it(
    client: Client, llmobs_events: CapturedEvents
) -> None:
    task_id = str(uuid4())
    trace_id, span_id = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    with client.run("r1", user_id="u1", session_id="s1", trace_id=trace_id, span_id=span_id):
        carried = carry(task_id)
    with TaskRuns(client).running("shop.pay", task_id, attempt=2, carried=carried):
        log(client)
    (run,) = llmobs_events.of(RunEvent)
    assert (run.run_id, run.parent_run_id, run.name) == (task_id, "r1", "shop.pay")
    assert (run.user_id, run.session_id) == ("u1", "s1")
    assert (run.trace_id, run.span_id) == (trace_id, span_id)
    assert run.metadata == {"task_id": task_id, "attempt": 2}
    assert [event.user_id for event in llmobs_events.in_run(task_id)] == ["u1", "u1"]
    assert current_run() is None


def test_the_carrier_holds_names_and_nothing_else(client: Client) -> None:
    with client.run("r1", user_id="u1", tags=["vip"], metadata={"password": "hunter2"}) as run:
        run.log_error("a secret")
        carried = json.loads(carry("7"))
    assert carried.pop("task") != "7"  # such an id is others' too
    assert carried == {"run": "r1", "user": "u1"}


def test_outside_any_run_it_names_the_tasks_own_run_alone() -> None:
    task_id = str(uuid4())
    assert json.loads(carry(task_id)) == {"task": task_id}


def test_what_is_no_name_does_not_travel(client: Client) -> None:
    with client.run("r1", user_id="u" * (MAX_LENGTH + 1)) as run:
        run.session_id = 7  # type: ignore[assignment]
        run.trace_id, run.span_id = "no", "trace"
        carried = carry()
        assert json.loads(carried).keys() == {"task", "run", "session", "traceparent"}
    with TaskRuns(client).running("task", 1, carried=carried):
        run = current_run()  # type: ignore[assignment]
        assert (run.parent_run_id, run.session_id, run.trace_id) == ("r1", "7", None)


@pytest.mark.parametrize(
    "carried",
    [
        None, 5, b"{}", [], {"run": "r1"}, "", "{", "null", "[]", '"r1"', '{"run": 5}', '{"run": ""}',
        '{"run": ["r1"]}', json.dumps({"run": "r" * (MAX_LENGTH + 1)}), " " * 10_000 + '{"run":"r1"}',
        '{"run": "\\ud800"}', '{"run": "r1"}\udcff', "{" * 2_000,
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_a_malformed_carrier_is_ignored(
    carried: object, client: Client, llmobs_events: CapturedEvents
) -> None:
    with TaskRuns(client).running("task", "7", carried=carried):
        log(client)
    (run,) = llmobs_events.of(RunEvent)
    assert (run.parent_run_id, run.user_id, run.status) == (None, None, Status.SUCCESS)


def test_a_forged_name_prints_as_one_line(client: Client) -> None:
    carried = json.dumps({"run": "r1\n2026 ERROR \x1b[2J", "task": "t\r1", "new": "field"})
    with TaskRuns(client).running("task", "7", carried=carried):
        run = current_run()
        assert run is not None
        assert (run.run_id, run.parent_run_id) == ("t 1", "r1 2026 ERROR  [2J")


def test_attempts_share_the_carrier_and_the_run(
    client: Client, llmobs_events: CapturedEvents
) -> None:
    runs, task_id = TaskRuns(client), str(uuid4())
    with client.run("r1"):
        carried = carry(task_id)
    with pytest.raises(OSError), runs.running("task", task_id, attempt=1, carried=carried):
        again = carry(task_id, carried)  # sent again from inside the attempt
        child = carry(str(uuid4()), carried)  # another task, with this one's headers
        raise OSError
    with runs.running("task", task_id, attempt=2, carried=again):
        log(client)
    first, second = llmobs_events.of(RunEvent)
    assert first.run_id == second.run_id == task_id
    assert first.parent_run_id == second.parent_run_id == "r1"
    assert (first.status, second.status) == (Status.ERROR, Status.SUCCESS)
    assert json.loads(child)["run"] == task_id


def test_ids_that_are_not_unique_get_runs_of_their_own(client: Client) -> None:
    ids = set()
    for carried in (carry(), carry(), None):
        with TaskRuns(client).running("nightly", "nightly", carried=carried):
            run = current_run()
            assert run is not None
            ids.add(run.run_id)
    assert len(ids) == 3
    assert "nightly" not in ids


def test_a_task_that_is_called_right_here_is_a_child(client: Client) -> None:
    with client.run("r1", user_id="u1") as outer:
        with TaskRuns(client).running("eager", None):
            run = current_run()
            assert run is not None
            assert (run.parent_run_id, run.user_id) == ("r1", "u1")
        assert current_run() is outer


def test_a_task_that_replaced_itself_is_not_its_own_parent(client: Client) -> None:
    runs, task_id = TaskRuns(client), str(uuid4())
    with runs.running("first", task_id):
        carried = carry(task_id)
    with runs.running("second", task_id, carried=carried):
        run = current_run()
        assert run is not None
        assert run.parent_run_id is None


def test_hooks_in_place_of_a_block(client: Client, llmobs_events: CapturedEvents) -> None:
    runs = TaskRuns(client)
    runs.end("unknown")
    runs.begin("a", "outer", None)
    runs.begin("b", "inner", None)
    assert not runs.fail("a", ValueError())  # not the innermost
    assert runs.fail("b", ValueError("told before the end"))
    runs.end("b")
    runs.end("b")
    log(client)
    runs.end("a")
    assert [(run.name, run.status) for run in llmobs_events.of(RunEvent)] == [
        ("inner", Status.ERROR),
        ("outer", Status.SUCCESS),
    ]
    assert current_run() is None


def test_empty_runs_are_recorded_if_asked_for(
    client: Client, llmobs_events: CapturedEvents
) -> None:
    for record_empty in (False, True):
        with TaskRuns(client, record_empty).running(f"{record_empty}", None):
            pass
    assert [run.name for run in llmobs_events.of(RunEvent)] == ["True"]


def test_a_killed_task_is_recorded_from_outside(
    client: Client, llmobs_events: CapturedEvents
) -> None:
    task_id = str(uuid4())
    with client.run("r1"):
        carried = carry(task_id)
    error = RuntimeError("signal 9")
    TaskRuns(client).lost(error, "task", task_id, attempt=1, carried=carried)
    (run,) = llmobs_events.of(RunEvent)
    assert (run.run_id, run.parent_run_id, run.status) == (task_id, "r1", Status.ERROR)
    assert run.metadata == {"task_id": task_id, "attempt": 1, "lost": LOST}


def test_a_wrong_environment_is_said_and_reaches_no_task(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sync_client, "_default", None)
    monkeypatch.setenv("LLMOBS_SINK", "no-such-sink:")
    with caplog.at_level(logging.ERROR, logger="llmobs"), TaskRuns().running("task", None):
        carry()
    assert "nothing is recorded" in caplog.text


@pytest.mark.parametrize("wrong", [{"client": "sqlite:"}, {"record_empty": "yes"}])
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        TaskRuns(**wrong)  # type: ignore[arg-type]
