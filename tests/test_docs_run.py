"""
Every block of the documentation runs as printed, page by page, against the local model server.

A block that cannot run says why: ``<!-- not run: the reason -->`` on the line before it.
"""

import asyncio
import configparser
import json
import logging
import re
import shlex
import sqlite3
import sys
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import click
import pytest
import yaml
from click.testing import CliRunner
from fastapi.testclient import TestClient

import llmobs
from llmobs import PromptCallEvent
from llmobs.cli.app import llmobs as command
from llmobs.client import sync_client
from llmobs.testing import CapturedEvents, capture_events
from tests.support.llm_server import llm_server
from tests.support.stores import call, run, write_store

__all__ = ["llm_server"]

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]
NO_CODE = {"", "diff"}
"""Drawings, signatures and comparisons: not meant to run."""


class Block(NamedTuple):
    language: str
    code: str
    reason: str | None


def blocks_of(page: Path) -> list[Block]:
    found = re.findall(
        r"(?:<!-- not run: (.+?) -->\n)?^```(\w*)\n(.*?)^```$", page.read_text(), re.S | re.M
    )
    return [Block(language, code, reason or None) for reason, language, code in found]


WITH_CODE = [
    page for page in PAGES if any(block.language not in NO_CODE for block in blocks_of(page))
]


@pytest.fixture
def surroundings(
    llm_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "LLMOBS_SINK": "memory:",
        "OPENAI_API_KEY": "any",
        "OPENAI_BASE_URL": f"{llm_server}/v1",
        "ANTHROPIC_API_KEY": "any",
        "ANTHROPIC_BASE_URL": llm_server,
        "GATEWAY_KEY": "secret",
        "COLUMNS": "100",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sync_client, "_default", None)
    namespace: dict[str, Any] = {"__name__": "example"}
    # Deferred annotations of what an example defines are looked up in its module.
    monkeypatch.setitem(sys.modules, "example", SimpleNamespace(**namespace))  # type: ignore[arg-type]
    logger = logging.getLogger("llmobs")
    before = (list(logger.handlers), logger.level, logger.propagate)
    yield namespace
    llmobs.uninstrument()
    for handler in set(logger.handlers) - set(before[0]):
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(before[1])
    logger.propagate = before[2]
    for client in (namespace.get("client"), sync_client._default):
        if isinstance(client, llmobs.Client):
            client.close()


# The providers' async clients complain when an example ends without closing them.
@pytest.mark.filterwarnings("ignore:coroutine 'Async:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_blocks_run_as_printed(page: Path, surroundings: dict[str, Any], tmp_path: Path) -> None:
    now = (datetime.now(UTC) - datetime(2026, 11, 21, 12, tzinfo=UTC)).total_seconds()
    store = write_store(
        tmp_path / "llmobs.db",
        [
            call("old", -9e7), run("old", -9e7),
            call("of-a-user", now), run("of-a-user", now, user_id="user-456"),
            call("other", now), run("other", now, user_id="user-1"),
        ],
    )  # fmt: skip
    for block in blocks_of(page):
        if block.language in NO_CODE or block.reason:
            continue
        if block.language == "python":
            if "from mcp." in block.code and find_spec("mcp") is None:
                continue
            exec(compile(block.code, str(page), "exec"), surroundings)
        elif block.language == "console":
            run_commands(block.code, store)
        elif block.language == "sql":
            with sqlite3.connect(store, isolation_level=None) as connection:
                connection.executescript(block.code)
            connection.close()
        else:
            READ[block.language](block.code)
    if page.name in USES:
        with capture_events() as events:
            USES[page.name](surroundings, events)


def run_commands(code: str, store: Path) -> None:
    """What follows ``$`` is a command, the other lines are what it may print."""
    lines = [line[2:] for line in code.splitlines() if line.startswith("$ ")]
    assert lines, f"no command in: {code}"
    for line in lines:
        name, *words = shlex.split(line, comments=True)
        assert name == "llmobs", f"cannot be run here, say why: {line}"
        if words[0] == "tail":
            words.append("--no-follow")
        result = CliRunner().invoke(command, [*words, "--store", str(store)])
        assert result.exit_code == 0, (line, result.output)


def read_unit(code: str) -> None:
    """A systemd unit starts a command that there is, with options that it has and can read."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(code)
    _, name, *options = shlex.split(unit["Service"]["ExecStart"])
    found = command.get_command(click.Context(command), name)
    assert found is not None
    found.make_context(name, options)


def read_proxy(code: str) -> None:
    """A proxy's configuration, which tests/server/test_proxies.py runs: here, that it names our port."""
    assert code.count("{") == code.count("}") and "127.0.0.1:4318" in code


READ: dict[str, Callable[[str], object]] = {
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": yaml.safe_load,
    "ini": read_unit,
    "nginx": read_proxy,
    "caddy": read_proxy,
}
"""Blocks that are read by what reads such files."""


# What the functions that a page defines do when they are used.


def use_readme(names: dict[str, Any], events: CapturedEvents) -> None:
    with TestClient(names["app"]) as http:
        answer = http.post("/chat", params={"question": "What is an LLM?"})
    [told] = events.of(PromptCallEvent)
    assert answer.json() == told.response_text
    assert answer.headers["x-run-id"] == told.run_id


def use_fastapi(names: dict[str, Any], events: CapturedEvents) -> None:
    with TestClient(names["app"]) as http:
        assert http.get("/stream").text == "Hello"
        known = {"x-run-id": "run-7", "x-gateway-key": "secret"}
        assert http.get("/stream", headers=known).headers["x-run-id"] == "run-7"
    assert [told.response for told in events.of(PromptCallEvent)] == ["Hello", "Hello"]


def use_openai(names: dict[str, Any], events: CapturedEvents) -> None:
    names["test_summarise"](events)
    names["ask_in_private"]([{"role": "user", "content": "Hi"}])
    assert [bool(told.prompt_text) for told in events.of(PromptCallEvent)] == [True, False]


def use_claude(names: dict[str, Any], events: CapturedEvents) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    names["claude"].messages.create(model="claude-sonnet-5", max_tokens=50, messages=messages)
    [told] = events.of(PromptCallEvent)
    assert told.response_text


def use_langchain(names: dict[str, Any], events: CapturedEvents) -> None:
    asyncio.run(names["job"]("Hi"))
    [told] = events.of(PromptCallEvent)
    assert "Hi" in told.prompt_text
    assert told.response_text


def use_test(names: dict[str, Any], events: CapturedEvents) -> None:
    names["test_the_question_is_recorded"](events)


def use_erasure(names: dict[str, Any], events: CapturedEvents) -> None:
    assert names["forget"]("llmobs.db", "user-456") == 1
    with sqlite3.connect("llmobs.db") as connection:
        left = [
            connection.execute(f"SELECT DISTINCT run_id FROM {table}").fetchall()
            for table in ("runs", "events")
        ]
    connection.close()
    assert left == [[("old",), ("other",)]] * 2


USES: dict[str, Callable[[dict[str, Any], CapturedEvents], None]] = {
    "README.md": use_readme,
    "fastapi.md": use_fastapi,
    "capture-openai.md": use_openai,
    "capture-anthropic.md": use_claude,
    "opentelemetry.md": use_claude,
    "langchain.md": use_langchain,
    "test-your-app.md": use_test,
    "erase-a-person.md": use_erasure,
}
