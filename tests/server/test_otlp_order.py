"""What everybody's SDK sent, recorded, in other orders and one by one: the runs are the same."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from llmobs.server.otlp import json_, protobuf
from llmobs.server.otlp.mapping import Converted, convert_logs, convert_spans
from llmobs.store.engine import open_reader
from llmobs.store.writer import Writer
from tests.senders.replay import names, requests_of


def pieces(name: str) -> Iterator[list[Any]]:
    """Yield the spans, or the log records, of each request of a sender."""
    for request in requests_of(name):
        wire: Any = json_ if "json" in request.content_type else protobuf
        if request.path.endswith("/v1/traces"):
            yield list(wire.spans_in(request.body))
        elif request.path.endswith("/v1/logs"):
            yield list(wire.logs_in(request.body))


def taken(some: Sequence[Any]) -> Converted:
    return convert_spans(some) if hasattr(some[0], "parent_id") else convert_logs(some)


def stored(path: Path, requests: Sequence[Converted]) -> Any:
    """Return all runs when they came in *requests*, each in a transaction of its own."""
    writer = Writer(path)
    for request in requests:
        assert request.rejected == 0
        writer.write(request.events, links=request.links)
    writer.close()
    with open_reader(path) as reader:
        return {
            run.run_id: (run, sorted(reader.run(run.run_id).events, key=lambda e: e.event_id))
            for run in reader.runs(100)
        }


@pytest.mark.parametrize("name", names())
def test_one_by_one_in_any_order(name: str, tmp_path: Path) -> None:
    requests = [each for each in pieces(name) if each]
    whole = stored(tmp_path / "whole.db", [taken(each) for each in requests])
    assert whole
    singles = [[each] for request in requests for each in request]
    orders = {"as they ended": singles, "reversed": singles[::-1]}
    for seed in range(2):
        mixed = [*singles, *singles[: len(singles) // 2]]  # some twice
        random.Random(seed).shuffle(mixed)
        orders[f"shuffled {seed}"] = mixed
    for number, (order, some) in enumerate(orders.items()):
        again = stored(tmp_path / f"{number}.db", [taken(each) for each in some])
        assert again == whole, order
