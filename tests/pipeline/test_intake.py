"""The intake and its outboxes: bounds, overflow rules, the ledger, per sink and in sum."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from llmobs.pipeline.intake import Entry, Intake
from llmobs.pipeline.outbox import Outbox
from llmobs.pipeline.statistics import DropReason
from tests.helpers import make_event, poll


def make_intake(sinks: int = 1, **options: Any) -> Intake:
    options = {"max_events": 4, "max_bytes": 1000, "batch_events": 3, "batch_bytes": 500, **options}
    bounds = {name: options.pop(name) for name in ("batch_events", "batch_bytes")}
    room = {name: options[name] for name in ("max_events", "max_bytes")}
    return Intake([Outbox(**room, **bounds) for _ in range(sinks)], **options)


def entry(name: str = "e", size: int = 10, **fields: Any) -> Entry:
    return Entry(make_event(event_id=name), size, **fields)


def names(entries: Sequence[Any]) -> list[str]:
    return [one.event.event_id for one in entries]


def pass_on(intake: Intake) -> None:
    """What the stages do, doing nothing to events."""
    while intake.waiting:
        intake.finish_batch(intake.next_batch(), [], time.monotonic())


def deliver(outbox: Outbox) -> list[str]:
    """What a worker does."""
    gone: list[str] = []
    while batch := outbox.next_batch():
        gone += names(batch)
        outbox.acknowledge(batch)
    return gone


def arrive(intake: Intake, sink: int = 0) -> list[str]:
    pass_on(intake)
    return deliver(intake.outboxes[sink])


def dropped(intake: Intake, sink: int = 0) -> dict[str, int]:
    return dict(intake.counts(intake.outboxes[sink])["dropped"])


def balance(intake: Intake) -> None:
    for outbox in intake.outboxes:
        counts = intake.counts(outbox)
        assert counts["accepted"] == (
            counts["delivered"]
            + sum(counts["dropped"].values())
            + counts["spooled"]
            + counts["pending"]
        )


def offer(intake: Intake, names: str, **fields: Any) -> None:
    for name in names:
        intake.offer(entry(name, **fields))


def test_events_pass_oldest_first_in_batches() -> None:
    intake = make_intake(max_events=8)
    offer(intake, "abcd")
    batch = intake.next_batch()
    assert names(batch) == ["a", "b", "c"]
    assert (intake.waiting, intake.pending) == (1, 4)
    intake.finish_batch(batch, [], 0)
    (outbox,) = intake.outboxes
    assert (intake.pending, outbox.pending) == (1, 3)
    taken = outbox.next_batch()
    balance(intake)
    outbox.acknowledge(taken)
    assert (outbox.pending, outbox.delivered) == (0, 3)
    balance(intake)


def test_batches_are_bounded_in_bytes_but_never_empty() -> None:
    intake = make_intake(max_bytes=5000)
    for name, size in (("a", 300), ("b", 300), ("c", 900)):
        intake.offer(entry(name, size))
    assert names(intake.next_batch()) == ["a"]
    intake.requeue_all()
    pass_on(intake)
    (outbox,) = intake.outboxes
    assert [names(outbox.next_batch()) for _ in range(4)] == [["a"], ["b"], ["c"], []]


def test_what_was_not_finished_waits_again_in_order() -> None:
    intake = make_intake(max_events=8)
    offer(intake, "abcd")
    batch = intake.next_batch()
    intake.finish_batch(batch[:1], batch[1:], 0)
    assert names(intake.outboxes[0].next_batch()) == ["a"]
    assert names(intake.next_batch()) == ["b", "c", "d"]
    balance(intake)


@pytest.mark.parametrize("passed", [0, 1, 4], ids=["here", "both", "in the outbox"])
def test_drop_oldest_by_count_and_by_bytes(passed: int) -> None:
    intake = make_intake()
    offer(intake, "abcd"[:passed])
    pass_on(intake)
    offer(intake, "abcdef"[passed:])
    assert dropped(intake) == {DropReason.QUEUE_FULL: 2}
    intake.offer(entry("g", 970))
    assert dropped(intake) == {DropReason.QUEUE_FULL: 3}
    assert intake.counts(intake.outboxes[0])["queue_bytes"] == 1000
    assert arrive(intake) == ["d", "e", "f", "g"]
    balance(intake)


@pytest.mark.parametrize("passed", [0, 1, 4], ids=["here", "both", "in the outbox"])
def test_drop_newest_keeps_what_waits(passed: int) -> None:
    intake = make_intake(overflow="drop_newest")
    offer(intake, "abcd"[:passed])
    pass_on(intake)
    offer(intake, "abcdef"[passed:])
    assert arrive(intake) == ["a", "b", "c", "d"]
    assert dropped(intake) == {DropReason.QUEUE_FULL: 2}
    balance(intake)


@pytest.mark.parametrize("passes", [False, True], ids=["here", "in the outbox"])
@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
def test_failures_outlive_successes(overflow: Any, passes: bool) -> None:
    intake = make_intake(overflow=overflow, batch_events=10)
    for name, failed in [("f1", True), ("a", False), ("b", False), ("c", False)]:
        intake.offer(entry(name, failed=failed))
        if passes:
            pass_on(intake)
    for number in range(2, 5):
        intake.offer(entry(f"f{number}", failed=True))
    assert arrive(intake) == ["f1", "f2", "f3", "f4"]
    assert dropped(intake) == {DropReason.QUEUE_FULL: 3}
    balance(intake)


def test_among_failures_the_oldest_goes() -> None:
    intake = make_intake(batch_events=10)
    offer(intake, "012345", failed=True)
    assert arrive(intake) == ["2", "3", "4", "5"]


def test_an_event_larger_than_the_queue_is_dropped_alone() -> None:
    intake = make_intake()
    intake.offer(entry("a"))
    intake.offer(entry("big", 2000))
    assert dropped(intake) == {DropReason.TOO_LARGE: 1}
    assert arrive(intake) == ["a"]
    balance(intake)


def test_block_waits_for_room_from_a_thread() -> None:
    intake = make_intake(overflow="block", block_timeout=10)
    offer(intake, "abcd")
    done = threading.Event()

    def work() -> None:
        intake.offer(entry("e"))
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    pass_on(intake)
    assert not done.wait(0.05), "in the outbox it waits too"
    batch = intake.outboxes[0].next_batch()
    assert done.wait(5)
    thread.join()
    intake.outboxes[0].acknowledge(batch)
    assert dropped(intake) == {}
    balance(intake)


def test_block_gives_up_after_its_timeout() -> None:
    intake = make_intake(overflow="block", block_timeout=0.05)
    offer(intake, "abcde")
    assert dropped(intake) == {DropReason.QUEUE_FULL: 1}
    assert arrive(intake) == ["a", "b", "c", "d"]


@pytest.mark.anyio
async def test_block_never_blocks_an_event_loop() -> None:
    intake = make_intake(overflow="block", block_timeout=60)
    started = time.monotonic()
    offer(intake, "abcde")
    assert time.monotonic() - started < 5
    assert dropped(intake) == {DropReason.QUEUE_FULL: 1}
    assert arrive(intake) == ["b", "c", "d", "e"]


def test_closing_frees_blocked_threads_and_counts_late_events() -> None:
    intake = make_intake(overflow="block", block_timeout=60)
    offer(intake, "abcd")
    thread = threading.Thread(target=intake.offer, args=(entry("e"),))
    thread.start()
    poll(lambda: getattr(intake._room, "_waiters"))  # noqa: B009 - private to threading
    counts = intake.counts(intake.outboxes[0])
    assert counts["accepted"] == counts["pending"] == 4, "what still waits for room is not in yet"
    intake.close()
    thread.join(5)
    assert not thread.is_alive()
    intake.offer(entry("late"))
    assert dropped(intake) == {DropReason.CLOSED: 2}
    balance(intake)
    intake.reopen()
    pass_on(intake)
    deliver(intake.outboxes[0])
    intake.offer(entry("again"))
    assert arrive(intake) == ["again"]


def test_the_stages_are_woken_on_the_edges_only() -> None:
    intake = make_intake(max_events=100, max_bytes=10_000)
    wakes: list[int] = []
    intake.wake = lambda: wakes.append(intake.waiting)
    offer(intake, "abcde")
    assert wakes == [1, 3]
    intake.offer(entry(size=460))
    assert wakes == [1, 3], "it is due already"
    pass_on(intake)
    offer(intake, "fg")
    intake.offer(entry(size=480))
    assert wakes == [1, 3, 1, 3]
    pass_on(intake)
    intake.offer(entry(size=510))
    intake.offer(entry(size=510))
    assert wakes == [1, 3, 1, 3, 1]


def test_a_batch_is_due_before_the_queue_is_full() -> None:
    intake = make_intake(batch_events=100, batch_bytes=10**6)
    wakes: list[int] = []
    intake.wake = lambda: wakes.append(intake.waiting)
    offer(intake, "abc")
    assert wakes == [1, 2]
    assert intake.is_due()


def test_accounting_by_number() -> None:
    intake = make_intake(max_events=100)
    offer(intake, "abcd")
    assert intake.last_seq == 4
    assert intake.is_waiting(1)
    pass_on(intake)
    assert not intake.is_waiting(4)
    (outbox,) = intake.outboxes
    assert outbox.last_seq == 4
    taken = outbox.next_batch()
    assert not outbox.is_done(3)
    outbox.acknowledge(taken[1:])
    assert not outbox.is_done(3)
    outbox.acknowledge(taken[:1])
    assert outbox.is_done(3)
    assert not outbox.is_done(4)
    assert outbox.is_waiting(4)


@pytest.mark.parametrize("sinks", [1, 2])
def test_done_is_called_once_per_sink_with_the_outcome(sinks: int) -> None:
    outcomes: list[Any] = []
    intake = make_intake(sinks, max_events=1)
    for name in "ab":
        intake.offer(entry(name, done=lambda *outcome: outcomes.append(outcome)))
    assert outcomes == [(DropReason.QUEUE_FULL, "queue_full")] * sinks
    pass_on(intake)
    for outbox in intake.outboxes:
        outbox.acknowledge(outbox.next_batch(), DropReason.REJECTED, "no")
    assert outcomes[sinks:] == [(DropReason.REJECTED, "no")] * sinks


def test_recording_inside_a_callback_does_not_deadlock() -> None:
    # A finalizer or a signal handler may record while this thread is inside `offer`.
    intake = make_intake(max_events=1)
    intake.offer(entry("a", done=lambda *_: intake.offer(entry("inner", size=1001))))
    intake.offer(entry("b"))
    assert dropped(intake) == {DropReason.QUEUE_FULL: 1, DropReason.TOO_LARGE: 1}
    balance(intake)


def test_many_threads_lose_no_count() -> None:
    intake = make_intake(2, max_events=50, max_bytes=10**9, batch_bytes=10**9)

    def work() -> None:
        for _ in range(2_000):
            intake.offer(entry())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        arrive(intake)
        balance(intake)
    assert [intake.counts(outbox)["accepted"] for outbox in intake.outboxes] == [16_000] * 2
    balance(intake)


# Several sinks.


def test_each_sink_gets_every_event_and_shortens_its_own_copy() -> None:
    intake = make_intake(2)
    offer(intake, "abc")
    pass_on(intake)
    first, second = (outbox.next_batch() for outbox in intake.outboxes)
    assert names(first) == names(second) == ["a", "b", "c"]
    first[0].event = make_event(event_id="shortened")
    assert names(second) == ["a", "b", "c"]


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
def test_a_dead_sink_costs_the_other_nothing(overflow: Any) -> None:
    intake = make_intake(2, overflow=overflow)
    arrived = []
    for number in range(50):
        intake.offer(entry(f"{number}"))
        if number % 2:
            arrived += arrive(intake, 1)
    assert len(arrived) == 50
    assert dropped(intake, 0) == {DropReason.QUEUE_FULL: 46}
    assert dropped(intake, 1) == {}
    assert intake.outboxes[0].waiting == 4
    balance(intake)
    kept = deliver(intake.outboxes[0])
    assert kept == [str(n) for n in (range(46, 50) if overflow == "drop_oldest" else range(4))]


def test_failures_that_wait_for_a_dead_sink_do_not_cost_the_other_its_successes() -> None:
    intake = make_intake(2)
    offer(intake, "abcd", failed=True)
    pass_on(intake)
    deliver(intake.outboxes[1])
    offer(intake, "efg")
    assert arrive(intake, 1) == ["e", "f", "g"]
    balance(intake)


def test_block_waits_for_the_dead_sink_and_then_goes_on_without_it() -> None:
    intake = make_intake(2, overflow="block", block_timeout=0.05)
    for number in range(6):
        intake.offer(entry(f"{number}"))
        pass_on(intake)
        deliver(intake.outboxes[1])
    assert dropped(intake, 0) == {DropReason.QUEUE_FULL: 2}
    assert dropped(intake, 1) == {}
    balance(intake)


def test_what_is_held_back_does_not_take_the_room_of_others() -> None:
    intake = make_intake()
    offer(intake, "ab")
    held = intake.next_batch()
    intake.finish_batch([], [], 0)
    assert intake.pending == 2
    offer(intake, "cdef")
    assert dropped(intake) == {}
    intake.release(held, 0)
    assert intake.pending == 4
    balance(intake)


def test_what_could_not_be_finished_is_given_up_for_each_sink_s_own_reason() -> None:
    intake = make_intake(2)
    outcomes: list[Any] = []
    offer(intake, "abc", done=lambda *outcome: outcomes.append(outcome[0]))
    intake.next_batch()
    offer(intake, "d")
    assert intake.give_up([DropReason.UNAVAILABLE, DropReason.SHUTDOWN]) == 4
    assert dropped(intake, 0) == {"unavailable": 4}
    assert dropped(intake, 1) == {"shutdown": 4}
    assert outcomes == [DropReason.UNAVAILABLE] * 3 + [DropReason.SHUTDOWN] * 3
    balance(intake)


def test_reasons_of_stages_are_counted_by_name_as_far_as_there_are_few() -> None:
    intake = make_intake(max_events=1000)
    for number in range(60):
        intake.offer(entry())
        (batch,) = [intake.next_batch()]
        batch[0].drop = f"reason {number}"
        intake.finish_batch(batch, [], 0)
    counted = dropped(intake)
    assert counted["reason 0"] == 1
    assert counted["stage"] == 10
    balance(intake)
