"""The command ``llmobs`` as it is installed: a process, its streams, signals and exit codes."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.support.stores import call, write_store

LLMOBS = Path(sys.executable).with_name("llmobs")
DEADLINE = 20


def llmobs(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [LLMOBS, *arguments], capture_output=True, text=True, timeout=DEADLINE, **options
    )


def test_version() -> None:
    result = llmobs("--version")
    assert (result.returncode, result.stdout) == (0, f"llmobs {version('llmobs')}\n")


@pytest.mark.parametrize(
    ("arguments", "unused"),
    [
        (["--version"], ["msgspec", "rich", "sqlite3", "email", "anyio", "pydantic"]),
        (["runs"], ["email", "anyio", "pydantic", "asyncio", "llmobs.sinks"]),
    ],
)
def test_a_command_starts_with_what_it_needs_only(
    arguments: list[str], unused: list[str], store: Path
) -> None:
    """A quarter of a second is wanted; ``python -X importtime -m llmobs runs`` says who takes it."""
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print(sorted({{*{unused!r}}} & {{*sys.modules}})))\n"
        "from llmobs.__main__ import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, timeout=DEADLINE, cwd=store.parent,
    )  # fmt: skip
    assert (result.returncode, result.stdout.splitlines()[-1]) == (0, "[]"), result


def test_help_names_every_command() -> None:
    text = llmobs("--help").stdout
    assert all(f"  {name} " in text for name in ("runs", "show", "tail", "cost", "export"))
    assert llmobs("no-such-command").returncode == 2


def test_no_store_yet_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    result = llmobs("runs", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr.startswith("llmobs: there is no store at llmobs.db yet")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_a_missing_extra_is_named_with_its_command(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from llmobs.__main__ import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "runs"], capture_output=True, text=True, timeout=DEADLINE
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"llmobs: the package {missing!r} is not installed; run: pip install 'llmobs[cli]'\n"
    )


def test_so_is_what_reading_from_kafka_needs(tmp_path: Path) -> None:
    code = "import sys; sys.modules |= dict.fromkeys(('aiokafka', 'cramjam')); from llmobs.__main__ import main; main()"
    serve = ["serve", "--port", "0", "--store", str(tmp_path / "llmobs.db"), "--kafka", "b:9092"]
    result = subprocess.run(
        [sys.executable, "-c", code, *serve], capture_output=True, text=True, timeout=DEADLINE
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "llmobs: --kafka b:9092: the package 'aiokafka' is not installed; "
        "run: pip install 'llmobs[kafka]'\n"
    )


def test_without_rich_the_help_names_what_runs_without_it() -> None:
    code = "import sys; sys.modules['rich'] = None; from llmobs.__main__ import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, timeout=DEADLINE
    )
    assert result.returncode == 0, result.stderr
    assert "\n  serve " in result.stdout and "\n  store " in result.stdout
    assert "\n  runs " not in result.stdout


def test_no_colours_in_a_pipe_and_an_ascii_locale_is_no_trouble(store: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    for command in (["runs"], ["show", "run-agent"], ["cost"], ["tail", "--no-follow"]):
        result = llmobs(*command, cwd=store.parent, env=environment)
        assert (result.returncode, "\x1b" in result.stdout) == (0, False), result.stderr


def test_colours_on_a_terminal(store: Path) -> None:
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(
        [LLMOBS, "show", "run-agent"], cwd=store.parent, env=environment, stdout=child
    ) as process:
        os.close(child)
        chat = b"\x1b[36mchat\x1b[0m"
        assert chat in read_until(parent, chat)
    os.close(parent)
    assert process.returncode == 0


@pytest.mark.parametrize("command", [["export"], ["tail", "-n", "100000"], ["runs", "-n", "9999"]])
def test_a_reader_that_goes_away_is_no_trouble(tmp_path: Path, command: list[str]) -> None:
    events = [call(f"r{number}", number, prompt="p" * 300) for number in range(3000)]
    write_store(tmp_path / "llmobs.db", events)
    # Unbuffered, Python swallows what a broken pipe did not take of a single large write.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [LLMOBS, *command],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        # `tail` notices when it writes next.
        deadline = time.monotonic() + DEADLINE
        while process.poll() is None and time.monotonic() < deadline:
            write_store(tmp_path / "llmobs.db", [call("late")])
            time.sleep(0.05)
        assert (process.returncode, process.stderr.read()) == (141, b"")


def test_tail_follows_until_ctrl_c(store: Path) -> None:
    with subprocess.Popen(
        [LLMOBS, "tail", "--json", "-n", "1"],
        cwd=store.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["run_id"] == "run-chat"
        for run_id in ("new-1", "new-2"):
            write_store(store, [call(run_id)])
            assert json.loads(process.stdout.readline())["run_id"] == run_id
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 130
        assert process.stderr.read() == b""


def test_a_long_export_shows_its_progress_on_a_terminal(tmp_path: Path) -> None:
    write_store(tmp_path / "llmobs.db", [call("r1", number) for number in range(6000)])
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(
        [LLMOBS, "export", "-o", "all.jsonl"],
        cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=child,
    ):  # fmt: skip
        os.close(child)
        assert b"exporting" in read_until(parent, b"6,000 events to all.jsonl")
    os.close(parent)
    assert len((tmp_path / "all.jsonl").read_text().splitlines()) == 6000


def read_until(descriptor: int, wanted: bytes) -> bytes:
    """What came from a pseudo-terminal up to *wanted*, or in the time there is."""
    seen = b""
    deadline = time.monotonic() + DEADLINE
    while wanted not in seen and time.monotonic() < deadline:
        if select.select([descriptor], [], [], 0.2)[0]:
            try:
                seen += os.read(descriptor, 65536)
            except OSError:  # the other end is closed
                break
    return seen
