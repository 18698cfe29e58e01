"""The benchmarks' machinery: rows are found, and the server they deliver to counts what arrives."""

import ast
import gzip
import importlib
import json
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from types import ModuleType

import pytest
from backports import zstd

from benchmarks import ROOT, peers
from benchmarks.__main__ import discover
from benchmarks.collector import Collector, collector
from benchmarks.harness import Budget
from benchmarks.workload import calls, marker, weighty


@pytest.fixture
def server() -> Iterator[Collector]:
    with collector() as running:
        yield running


def ask(
    server: Collector, target: str, body: bytes = b"", timeout: float = 10, **headers: str
) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=timeout)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST" if body else "GET", target, body or None, named)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def prompts(count: int, first: int = 0) -> bytes:
    return json.dumps([args[1] for args, _ in calls(count, first)]).encode()


def test_every_budget_of_the_design_has_a_row() -> None:
    rows = discover()
    assert list(rows)[:11] == [
        "caller", "delivery", "burst", "frozen", "loop", "flush", "shutdown", "asgi", "redaction",
        "imports", "store",
    ]  # fmt: skip
    assert all(row.TITLE for row in rows.values())


def ours_in(source: str) -> Iterator[tuple[str, str]]:
    """What of llmobs *source* names: modules, and what they hold."""
    tree, modules = ast.parse(source), dict[str, str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("llmobs"):
            for alias in node.names:
                yield node.module or "", alias.name
                modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        of = node.value if isinstance(node, ast.Attribute) else None
        if isinstance(of, ast.Name) and of.id in modules:
            yield modules[of.id], node.attr


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").rglob("*.py")), ids=lambda p: p.stem)
def test_what_rows_use_of_ours_is_there(path: Path) -> None:
    for module, name in ours_in(path.read_text()):
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError:  # a class: its attributes are its own affair
            continue
        if not hasattr(found, name):
            assert isinstance(importlib.import_module(f"{module}.{name}"), ModuleType)


@pytest.mark.parametrize("row", ["caller", "delivery", "burst", "frozen", "flush", "shutdown"])
def test_rows_have_at_least_three_peers(row: str) -> None:
    module = discover()[row]
    variants = getattr(module, "VARIANTS", ()) or module.OTHERS
    assert len(set(variants) & set(peers.PINS)) >= 3


def test_peers_are_pinned_exactly_and_say_how_they_are_driven() -> None:
    assert all("==" in pin for pins in peers.PINS.values() for pin in pins)
    told = peers.notes(["llmobs", "langfuse"])
    assert "langfuse 5" in told and "generation" in told and "langsmith" not in told


def test_events_are_told_apart() -> None:
    assert len({marker(number) for number in range(100_001)}) == 100_001
    assert [args[1][:13] for args, _ in calls(2, 41)] == [marker(41), marker(42)]
    source = weighty()
    assert [next(source)[0][1][:13] for _ in range(2)] == [marker(0), marker(1)]


def test_the_server_counts_each_event_once_whatever_the_compression(server: Collector) -> None:
    assert server.events() == 0
    ask(server, "/v1/events/batch", prompts(3))
    ask(server, "/v1/traces", gzip.compress(prompts(4)), content_encoding="gzip")
    ask(server, "/runs/multipart", zstd.compress(prompts(2, 10)), content_encoding="zstd")
    assert server.events() == 6
    assert server.settled(quiet=0.01) == 6


def test_a_request_that_is_cut_off_does_not_count(server: Collector) -> None:
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", "/v1/events/batch")
    connection.putheader("content-length", "1000000")
    connection.endheaders(prompts(5))
    connection.close()
    assert server.settled(quiet=0.05) == 0


def test_each_client_hears_what_it_wants(server: Collector) -> None:
    _, info = ask(server, "/info")
    assert json.loads(info)["instance_flags"]["zstd_compression_enabled"]
    _, ours = ask(server, "/v1/events/batch", b"{}")
    assert json.loads(ours)["success"]
    answer, otlp = ask(server, "/v1/traces", b"x", content_type="application/x-protobuf")
    assert (answer.headers["content-type"], otlp) == ("application/x-protobuf", b"")


def test_a_frozen_server_answers_nothing_and_counts_after_the_thaw(server: Collector) -> None:
    server.freeze()
    with pytest.raises(TimeoutError):
        ask(server, "/v1/events/batch", prompts(3), timeout=0.2)
    server.thaw()
    assert server.settled(quiet=0.05) == 3  # given up by its client, and arrived all the same


def test_a_slow_server_answers_late() -> None:
    with collector(0.2) as server:
        began = time.monotonic()
        ask(server, "/v1/events/batch", prompts(1))
        assert time.monotonic() - began >= 0.2


def test_a_missed_budget_is_said() -> None:
    assert "met" in str(Budget("lost", 0, 0, "events"))
    assert "missed by a factor of 2.00" in str(Budget("rate", 100, 200, "MB/s", at_least=True))
