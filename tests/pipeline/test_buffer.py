"""llmobs.pipeline.buffer: bounds, overflow rules, the ledger."""

import threading
import time
from typing import Any

import pytest

from llmobs.pipeline.buffer import Buffer, Entry
from llmobs.pipeline.statistics import DropReason
from tests.helpers import make_event, poll


def make_buffer(**options: Any) -> Buffer:
    return Buffer(
        **{"max_events": 4, "max_bytes": 1000, "batch_events": 3, "batch_bytes": 500, **options}
    )


def entry(name: str = "e", size: int = 10, **fields: Any) -> Entry:
    return Entry(make_event(event_id=name), size, **fields)


def names(entries: list[Entry]) -> list[str]:
    return [one.event.event_id for one in entries]


def balance(buffer: Buffer) -> None:
    counts = buffer.counts()
    assert counts["accepted"] == (
        counts["delivered"]
        + sum(counts["dropped"].values())
        + counts["spooled"]
        + counts["pending"]
    )


def test_take_moves_one_batch_oldest_first() -> None:
    buffer = make_buffer()
    for name in "abcd":
        buffer.offer(entry(name))
    taken = buffer.take()
    assert names(taken) == ["a", "b", "c"]
    assert (buffer.waiting, buffer.pending, buffer.waiting_bytes) == (1, 4, 10)
    buffer.settle(taken)
    assert (buffer.pending, buffer.delivered) == (1, 3)
    balance(buffer)


def test_batches_are_bounded_in_bytes_but_never_empty() -> None:
    buffer = make_buffer(max_bytes=5000)
    for name, size in (("a", 300), ("b", 300), ("c", 900)):
        buffer.offer(entry(name, size))
    assert names(buffer.take()) == ["a"]
    assert names(buffer.take()) == ["b"]
    assert names(buffer.take()) == ["c"]
    assert buffer.take() == []


def test_drop_oldest_by_count_and_by_bytes() -> None:
    buffer = make_buffer()
    for name in "abcdef":
        buffer.offer(entry(name))
    assert buffer.counts()["dropped"] == {DropReason.QUEUE_FULL: 2}
    buffer.offer(entry("g", 970))
    assert (buffer.dropped[DropReason.QUEUE_FULL], buffer.waiting_bytes) == (3, 1000)
    assert names(buffer.take()) == ["d", "e", "f"]
    balance(buffer)


def test_drop_newest_keeps_what_waits() -> None:
    buffer = make_buffer(overflow="drop_newest")
    for name in "abcdef":
        buffer.offer(entry(name))
    assert names(buffer.take()) == ["a", "b", "c"]
    assert buffer.counts()["dropped"] == {DropReason.QUEUE_FULL: 2}
    balance(buffer)


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
def test_failures_outlive_successes(overflow: Any) -> None:
    buffer = make_buffer(overflow=overflow, batch_events=10)
    buffer.offer(entry("f1", failed=True))
    for name in "abc":
        buffer.offer(entry(name))
    for number in range(2, 5):
        buffer.offer(entry(f"f{number}", failed=True))
    assert names(buffer.take()) == ["f1", "f2", "f3", "f4"]
    assert buffer.counts()["dropped"] == {DropReason.QUEUE_FULL: 3}
    balance(buffer)


def test_among_failures_the_oldest_goes() -> None:
    buffer = make_buffer(batch_events=10)
    for number in range(6):
        buffer.offer(entry(str(number), failed=True))
    assert names(buffer.take()) == ["2", "3", "4", "5"]


def test_an_event_larger_than_the_queue_is_dropped_alone() -> None:
    buffer = make_buffer()
    buffer.offer(entry("a"))
    buffer.offer(entry("big", 2000))
    assert buffer.counts()["dropped"] == {DropReason.TOO_LARGE: 1}
    assert names(buffer.take()) == ["a"]
    balance(buffer)


def test_block_waits_for_room_from_a_thread() -> None:
    buffer = make_buffer(overflow="block", block_timeout=10)
    for name in "abcd":
        buffer.offer(entry(name))
    done = threading.Event()

    def offer() -> None:
        buffer.offer(entry("e"))
        done.set()

    thread = threading.Thread(target=offer)
    thread.start()
    assert not done.wait(0.05)
    buffer.settle(buffer.take())
    assert done.wait(5)
    thread.join()
    assert not any(buffer.dropped.values())
    assert buffer.waiting == 2


def test_block_gives_up_after_its_timeout() -> None:
    buffer = make_buffer(overflow="block", block_timeout=0.05)
    for name in "abcde":
        buffer.offer(entry(name))
    assert buffer.counts()["dropped"] == {DropReason.QUEUE_FULL: 1}
    assert names(buffer.take()) == ["a", "b", "c"]


@pytest.mark.anyio
async def test_block_never_blocks_an_event_loop() -> None:
    buffer = make_buffer(overflow="block", block_timeout=60)
    started = time.monotonic()
    for name in "abcde":
        buffer.offer(entry(name))
    assert time.monotonic() - started < 5
    assert buffer.counts()["dropped"] == {DropReason.QUEUE_FULL: 1}
    assert names(buffer.take()) == ["b", "c", "d"]


def test_closing_frees_blocked_threads_and_counts_late_events() -> None:
    buffer = make_buffer(overflow="block", block_timeout=60)
    for name in "abcd":
        buffer.offer(entry(name))
    thread = threading.Thread(target=buffer.offer, args=(entry("e"),))
    thread.start()
    poll(lambda: getattr(buffer._room, "_waiters"))  # noqa: B009 - private to threading
    counts = buffer.counts()
    assert counts["accepted"] == counts["pending"] == 4, "what still waits for room is not in yet"
    buffer.close()
    thread.join(5)
    assert not thread.is_alive()
    buffer.offer(entry("late"))
    assert buffer.counts()["dropped"] == {DropReason.CLOSED: 2}
    balance(buffer)


def test_the_worker_is_woken_on_the_edges_only() -> None:
    buffer = make_buffer(max_events=100)
    wakes: list[int] = []
    buffer.wake = lambda: wakes.append(buffer.waiting)
    for _ in range(5):
        buffer.offer(entry())
    assert wakes == [1, 3]
    buffer.offer(entry(size=460))
    assert wakes == [1, 3, 6]


def test_settling_by_number() -> None:
    buffer = make_buffer(max_events=100)
    for name in "abcd":
        buffer.offer(entry(name))
    assert buffer.last_seq == 4
    taken = buffer.take()
    assert not buffer.is_settled(3)
    buffer.settle(taken[1:])
    assert not buffer.is_settled(3)
    buffer.settle(taken[:1])
    assert buffer.is_settled(3)
    assert not buffer.is_settled(4)
    assert buffer.is_waiting(4)


def test_done_is_called_once_with_the_outcome() -> None:
    outcomes: list[Any] = []
    buffer = make_buffer(max_events=1)
    for name in "ab":
        buffer.offer(entry(name, done=lambda *outcome: outcomes.append(outcome)))
    assert outcomes == [(DropReason.QUEUE_FULL, None)]
    buffer.settle(buffer.take(), DropReason.REJECTED, "no")
    assert outcomes[1:] == [(DropReason.REJECTED, "no")]


def test_recording_inside_a_callback_does_not_deadlock() -> None:
    # A finalizer or a signal handler may record while this thread is inside `offer`.
    buffer = make_buffer(max_events=1)
    buffer.offer(entry("a", done=lambda *_: buffer.offer(entry("inner", size=1001))))
    buffer.offer(entry("b"))
    assert buffer.counts()["dropped"] == {DropReason.QUEUE_FULL: 1, DropReason.TOO_LARGE: 1}
    balance(buffer)


def test_many_threads_lose_no_count() -> None:
    buffer = make_buffer(max_events=50, max_bytes=10**9, batch_bytes=10**9)

    def offer() -> None:
        for _ in range(2_000):
            buffer.offer(entry())

    threads = [threading.Thread(target=offer) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        buffer.settle(buffer.take())
        balance(buffer)
    assert buffer.accepted == 16_000
    balance(buffer)
