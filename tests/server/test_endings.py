"""Killed or asked to end in the middle of load: what was acknowledged is there, once."""

import threading
from pathlib import Path

import httpx2
import pytest

from llmobs.recorded.ids import new_id
from llmobs.store.reader import Reader
from tests.server.collecting import HEADERS, NUMBERS, body_of, ids, stored
from tests.sinks.examples import prompt_call
from tests.support.polling import eventually
from tests.support.serving import Serving, children_of

SENDERS = 4
TRIALS = 30
EVENTS = 20
"""In a request."""


class Load:
    """
    Senders that go on until they are told to stop, and remember what was acknowledged.

    Args:
        url: Of the collector.
        prompt: Of each event.
    """

    def __init__(self, url: str, prompt: str = "p") -> None:
        self.url = url
        self._prompt = prompt
        self.acknowledged: list[str] = []
        self.refused: list[int] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(30)

    def _send(self) -> None:
        with httpx2.Client(timeout=20) as client:
            events, again = [], False
            while not self._ended.is_set():
                if not again:
                    events = [
                        prompt_call(event_id=new_id(), run_id=new_id(), prompt=self._prompt)
                        for _ in range(EVENTS)
                    ]
                try:
                    answer = client.post(
                        f"{self.url}/v1/events/batch", content=body_of(events), headers=HEADERS
                    )
                except httpx2.HTTPError:
                    again = True  # nobody knows whether it is stored: as every sender must
                    self._ended.wait(0.02)
                    continue
                again = answer.status_code != 200
                if again:
                    self.refused.append(answer.status_code)
                else:
                    assert answer.json()["stored"] == len(events)
                    self.acknowledged += ids(events)


def trial(store: Path, end: str, *, by_a_worker: bool = False) -> int:
    """
    Return how many events were acknowledged before it ended.

    Args:
        store: Where it stores.
        end: ``kill`` or ``term``.
        by_a_worker: Whether bodies are being read by a process of its own by then.
    """
    prompt = NUMBERS if by_a_worker else "p"
    with Serving(store, "--workers", "1") as collector, Load(collector.url, prompt) as load:
        eventually(lambda: len(load.acknowledged) >= 200, timeout=60, what="load")
        if by_a_worker:
            eventually(lambda: children_of(collector.process.pid), timeout=60, what="a worker")
            before = len(load.acknowledged)
            eventually(lambda: len(load.acknowledged) >= before + 400, timeout=60, what="more")
        if end == "kill":
            collector.kill()
        else:
            assert collector.terminate() == 0
            assert "Traceback" not in collector.log
    found = ids(stored(store))
    assert len(found) == len(set(found)), "stored twice"
    lost = set(load.acknowledged) - set(found)
    assert not lost, f"{len(lost)} of {len(load.acknowledged)} acknowledged events lost"
    return len(load.acknowledged)


@pytest.mark.parametrize("by_a_worker", [False, True])
@pytest.mark.parametrize("end", ["kill", "term"])
def test_what_was_acknowledged_outlives_the_end(
    tmp_path: Path, end: str, by_a_worker: bool
) -> None:
    assert trial(tmp_path / "llmobs.db", end, by_a_worker=by_a_worker) >= 200


@pytest.mark.timeout(900)  # thirty starts, also on a busy machine
@pytest.mark.parametrize("end", ["kill", "term"])
def test_thirty_ends_lose_nothing(tmp_path: Path, end: str) -> None:
    """On one store: each start finds what the end before left behind."""
    for _ in range(TRIALS):
        trial(tmp_path / "llmobs.db", end)


def test_readers_are_never_told_to_wait(tmp_path: Path) -> None:
    """Pages, exports and sums, while four senders are at it."""
    store = tmp_path / "llmobs.db"
    troubles: list[Exception] = []
    reads = [0, 0]
    ended = threading.Event()

    def read(number: int) -> None:
        try:
            while not ended.is_set():
                with Reader(store, time_limit=30) as reader:
                    for run in reader.runs(5):
                        reader.run(run.run_id)
                    reader.cost()
                    sum(1 for _ in reader.events())
                reads[number] += 1
        except Exception as error:
            troubles.append(error)

    with Serving(store) as collector, Load(collector.url) as load:
        eventually(lambda: load.acknowledged, timeout=60, what="load")
        threads = [threading.Thread(target=read, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        try:
            before = len(load.acknowledged)
            eventually(
                lambda: troubles or (min(reads) >= 3 and len(load.acknowledged) > before + 300),
                timeout=60, what="reads and writes",
            )  # fmt: skip
        finally:
            ended.set()
            for thread in threads:
                thread.join(60)
        assert "nothing can be stored" not in collector.log
    assert not troubles and not load.refused


def test_who_sends_through_restarts_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """The same senders, who send again what they have no answer for, to one start after the other."""
    store = tmp_path / "llmobs.db"
    with Serving(store) as first, Load(first.url) as load:
        eventually(lambda: len(load.acknowledged) >= 100, timeout=60, what="load")
        first.kill()
        with Serving(store, "--port", str(first.port)) as second:
            before = len(load.acknowledged)
            eventually(lambda: len(load.acknowledged) >= before + 200, timeout=60, what="more")
            assert second.terminate() == 0
    found = ids(stored(store))
    assert len(found) == len(set(found))
    assert set(load.acknowledged) <= set(found)
