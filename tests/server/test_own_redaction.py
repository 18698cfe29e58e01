"""Functions of redaction that the operator hands to a collector: they may fail or hang, and hold up nothing."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from llmobs import Settings
from llmobs.redaction.replacing import FAILED
from llmobs.server.collector import Collector
from llmobs.server.metrics import Metrics
from llmobs.store.engine import open_reader, open_writer
from tests.support.stores import call

pytestmark = pytest.mark.anyio


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """What a function that hangs waits for."""
    monkeypatch.setattr("llmobs.pipeline.user_code.LIMIT_SECONDS", 0.2)
    event = threading.Event()
    yield event
    event.set()


def prompts(path: Path) -> list[Any]:
    with open_reader(path) as reader:
        return [event.prompt for one in reader.events() if (event := one.decode())]  # type: ignore[attr-defined]


@pytest.mark.parametrize("where", ["redactor", "path"])
async def test_one_that_hangs_costs_its_field_and_neither_ingest_nor_the_end(
    released: threading.Event, tmp_path: Path, where: str
) -> None:
    def hangs(value: Any) -> Any:
        if value == "slow":
            released.wait(60)
        return value

    asked: dict[str, Any] = {
        "redactor": {"redactor": hangs},
        "path": {"redaction": {"functions": {"prompt_call.prompt": hangs}}},
    }
    path = tmp_path / "x.db"
    collector = Collector(lambda: open_writer(path), Settings(**asked[where]))
    await collector.open()
    with anyio.fail_after(30):
        await collector.store([call("r", 0, prompt="quick"), call("r", 1, prompt="slow")])
        for n in range(5):  # while it hangs nothing is asked of it, and nothing waits
            await collector.store([call("r", 2 + n, prompt="later")])
        await collector.aclose()
    assert not released.is_set()
    assert prompts(path) == ["quick", *[FAILED] * 6]
    assert collector.redaction_failures == 6
    assert ("llmobs_redaction_failures", 6) in figures(collector)


async def test_one_that_answers_again_is_asked_again(
    released: threading.Event, tmp_path: Path
) -> None:
    def hangs(text: str) -> str:
        if text == "slow":
            released.wait(60)
        return text

    path = tmp_path / "x.db"
    collector = Collector(lambda: open_writer(path), Settings(redactor=hangs))
    await collector.open()
    with anyio.fail_after(30):
        await collector.store([call("r", 0, prompt="slow")])
        released.set()
        number = 0
        while prompts(path)[-1] != "again":
            number += 1
            await collector.store([call("r", number, prompt="again")])
        await collector.aclose()
    assert prompts(path)[0] == FAILED


async def test_one_that_raises_costs_its_field(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    collector = Collector(lambda: open_writer(path), Settings(redactor=_raising(ValueError("no"))))
    await collector.open()
    await collector.store([call("r", 0, prompt="one"), call("r", 1, prompt="two")])
    await collector.aclose()
    assert prompts(path) == [FAILED, FAILED]
    assert collector.redaction_failures >= 2


def _raising(error: Exception) -> Callable[[str], str]:
    def function(text: str) -> str:
        raise error

    return function


def figures(collector: Collector) -> set[tuple[str, float]]:
    metrics = Metrics(collector, lambda: open_reader(Path("none")))
    return {
        (metric.name, sample.value) for metric in metrics.collect() for sample in metric.samples
    }
