"""llmobs runs, show, tail, cost, export: what they say about a store."""

import csv
import io
import json
import re
import stat
import time
from datetime import timedelta
from pathlib import Path

import pytest

from llmobs import ErrorInfo
from llmobs.cli.options import time_of
from llmobs.codec import encode
from tests.cli.conftest import CLI, parsed
from tests.support.stores import call, run, write_store

pytestmark = pytest.mark.usefixtures("store")


def lines_of(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


class TestRuns:
    def test_the_latest_first(self, cli: CLI) -> None:
        heading, chat, agent = lines_of(cli("runs").stdout)
        assert heading.split() == [
            "run",
            "started",
            "UTC",
            "name",
            "status",
            "time",
            "calls",
            "tokens",
            "cost",
        ]
        assert chat.split() == [
            "run-chat",
            "11-21",
            "12:01:00",
            "-",
            "cut",
            "off",
            "30",
            "ms",
            "1",
            "11",
            "unknown",
        ]
        expected = "run-agent 11-21 12:00:00 POST /agent 200 ✗2 1.00 s 2 1,245 $0.001200"
        assert agent.split() == expected.split()

    def test_it_fits_eighty_columns(self, cli: CLI, store: Path) -> None:
        long = "POST /a/very/long/route/{that}/never/ends"
        write_store(store, [call("0123456789abcdef" * 3, user_id="u" * 99, model=long)])
        for arguments in (["runs"], ["show", "0123456789"], ["cost"]):
            assert max(map(len, lines_of(cli(*arguments).stdout))) <= 80

    def test_filters_and_limit(self, cli: CLI) -> None:
        def ids(*arguments: str) -> list[str]:
            return [run["run_id"] for run in parsed(cli("runs", "--json", *arguments))]

        assert ids() == ["run-chat", "run-agent"]
        assert ids("-n", "1") == ["run-chat"]
        assert ids("--user", "ann") == ids("--failed") == ids("--name", "AGENT") == ["run-agent"]
        assert ids("--model", "gpt-*") == ids("--status", "success") == ["run-agent"]
        assert ids("--since", "2026-11-21T12:00:30Z") == ["run-chat"]
        assert ids("--since", "2026-11-21T14:00:30+02:00") == ["run-chat"]
        assert ids("--user", "nobody") == []

    def test_a_time_without_an_offset_is_local(
        self, cli: CLI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "Etc/GMT+5")  # five hours behind
            time.tzset()
            try:
                found = parsed(cli("runs", "--json", "--since", "2026-11-21T07:00:30"))
                midnight = time_of("today", "--since")
            finally:
                patch.undo()
                time.tzset()
        assert [run["run_id"] for run in found] == ["run-chat"]
        assert midnight is not None
        assert (midnight.hour, midnight.minute, midnight.utcoffset()) == (5, 0, timedelta(0))

    def test_it_says_when_there_are_more_or_none(self, cli: CLI) -> None:
        assert "the latest 1 of 2 runs" in cli("runs", "-n", "1").stderr
        assert "no runs like this" in cli("runs", "--user", "nobody").stderr

    @pytest.mark.parametrize("since", ["yesterday-ish", "99999999w", "", "2026-13-01"])
    def test_a_time_that_is_none_is_refused(self, cli: CLI, since: str) -> None:
        assert "write 30m, 2h, 7d, today" in " ".join(
            cli("runs", "--since", since, code=2).stderr.split()
        )


class TestShow:
    def test_a_tree_with_times_tokens_cost_and_errors(self, cli: CLI) -> None:
        shown = lines_of(cli("show", "run-agent").stdout)
        assert shown[:2] == ["run run-agent", "POST /agent  200 success"]
        sums = ["2026-11-21 12:00:00 UTC", "1.00 s", "2 calls", "1,200 in + 45 out"]
        assert shown[2].split(" · ") == [*sums, "cost $0.001200", "2 failed"]
        text = "\n".join(shown)
        assert re.search(r"├─ step 1 think +\+100 ms +500 ms +━+", text)
        assert re.search(r"│  └─ chat gpt-4o +\+100 ms +450 ms +━+", text)
        assert "1,200 in (1,024 cached) + 45 out · first token 80 ms · $0.001200" in text
        assert "> user: Rain?" in text
        assert "Be kind." not in text
        assert "< get_weather({})" in text
        assert '> {"city":"Paris"}' in text
        assert "✗ openai.RateLimitError: boom" in text
        assert "deep inside" not in text
        assert re.search(r"└─ assertion failed is_json +\+950 ms +- ", text)

    def test_the_last_attempt_of_a_task_is_its_outcome(self, cli: CLI, store: Path) -> None:
        write_store(
            store,
            [
                run(
                    "task-1", 100 + attempt, name="mail", status=status, error=error,
                    metadata={"task_id": "1", "attempt": attempt},
                )
                for attempt, status, error in (
                    (1, "error", ErrorInfo("too busy", type="OSError")),
                    (2, "error", ErrorInfo("gone", type="OSError")),
                    (3, "success", None),
                )
            ],
        )  # fmt: skip
        shown = lines_of(cli("show", "task-1").stdout)
        assert shown[1] == "mail  success"
        errors = [line for line in shown if "✗" in line]
        assert errors == ["✗ attempt 1: OSError: too busy", "✗ attempt 2: OSError: gone"]

    def test_bars_lie_where_the_time_went(self, cli: CLI) -> None:
        (line,) = [s for s in lines_of(cli("show", "run-agent").stdout) if "tool get_weather" in s]
        bar = line[60:]  # twenty columns for the run's second: from 0.6 s, 0.1 s long
        assert (len(bar) - len(bar.lstrip()), bar.count("━")) == (12, 2)

    def test_full(self, cli: CLI) -> None:
        text = cli("show", "run-agent", "--full").stdout
        assert "system: Be kind." in text
        assert "Traceback: deep inside" in text

    @pytest.mark.parametrize("text", ["run-a", "agent", "…gent", "last"])
    def test_runs_are_found_by_a_part_of_their_id(self, cli: CLI, text: str) -> None:
        expected = "run-chat" if text == "last" else "run-agent"
        assert parsed(cli("show", text, "--json"))["run"]["run_id"] == expected

    def test_json(self, cli: CLI) -> None:
        shown = parsed(cli("show", "run-agent", "--json", "-n", "1"))
        assert shown["run"]["tokens_input"] == 1200
        kinds = [event["event_type"] for event in shown["events"]]
        assert sorted(kinds) == sorted(
            ["run", "agent_step", "prompt_call", "tool_call", "prompt_call", "assertion_failed"]
        )

    def test_a_limit_is_said(self, cli: CLI) -> None:
        assert "the first 3 of 6 events" in cli("show", "run-agent", "-n", "2").stderr


class TestTail:
    def test_the_last_ones(self, cli: CLI) -> None:
        shown = lines_of(cli("tail", "--no-follow", "-n", "2").stdout)
        assert shown == [
            "12:00:00 run-agent run POST /agent                ok          1.00 s",
            f"12:01:00 run-chat  {'chat mine':<30} ok           30 ms  5 in + 6 out · cost unknown",
        ]
        assert cli("tail", "--no-follow", "-n", "0").stdout == ""

    def test_json_is_as_stored(self, cli: CLI) -> None:
        written = cli("tail", "--no-follow", "--json").stdout.splitlines()
        assert [json.loads(line)["run_id"] for line in written] == ["run-agent"] * 6 + ["run-chat"]

    def test_of_a_user_and_of_what_failed(self, cli: CLI) -> None:
        lines = lines_of(cli("tail", "--no-follow", "--user", "ann").stdout)
        assert [line.split()[1] for line in lines] == ["run-agent"]
        failed = [
            json.loads(line)["event_type"]
            for line in cli("tail", "--no-follow", "--failed", "--json").stdout.splitlines()
        ]
        assert failed == ["prompt_call", "assertion_failed"]


class TestWidths:
    @pytest.mark.parametrize("width", [40, 50, 60, 72, 80, 120, 200])
    def test_the_name_has_room_in_every_terminal(
        self, cli: CLI, monkeypatch: pytest.MonkeyPatch, width: int
    ) -> None:
        monkeypatch.setenv("COLUMNS", str(width))
        shown = cli("runs").stdout
        assert "POST /agent" in shown
        assert max(map(len, shown.splitlines())) <= width

    def test_a_pipe_gets_everything(
        self, cli: CLI, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("COLUMNS")
        name = "GET /a/very/long/route/" + "x" * 300
        write_store(tmp_path / "other.db", [run("r", name=name, user_id="ann")])
        shown = cli("runs", "--store", "other.db").stdout
        assert name in shown and "ann" in shown


class TestUnknown:
    def test_tokens_that_are_not_known_are_no_zero(self, cli: CLI, tmp_path: Path) -> None:
        events = [
            call("none"),
            call("part", tokens_input=7),
            call("some", tokens_input=7, tokens_output=2),
            call("some"),
            call("failed", status="error"),
        ]
        write_store(tmp_path / "other.db", events)
        runs = {run["run_id"]: run for run in parsed(cli("runs", "--store", "other.db", "--json"))}
        assert {name: run["uncounted"] for name, run in runs.items()} == {
            "none": 1, "part": 1, "some": 1, "failed": 0,
        }  # fmt: skip
        tokens = {line.split()[0]: line.split()[-2] for line in lines_of(
            cli("runs", "--store", "other.db").stdout)}  # fmt: skip
        assert tokens == {
            "run": "tokens", "none": "?", "part": "≥7", "some": "≥9", "failed": "0",
        }  # fmt: skip
        assert "? in + ? out" in cli("show", "none", "--store", "other.db").stdout
        assert "7 in + ? out" in cli("show", "part", "--store", "other.db").stdout
        total = lines_of(cli("cost", "--store", "other.db").stdout)[-1].split()
        assert total[3:6] == ["≥14", "0", "≥2"]


class TestJSONLines:
    def test_read_like_a_store(self, cli: CLI, store: Path, tmp_path: Path) -> None:
        cli("export", "-o", "runs.jsonl")
        for command in (["runs"], ["show", "last"], ["cost"], ["tail", "--no-follow"], ["export"]):
            expected = cli(*command).stdout
            assert cli(*command, "--store", "runs.jsonl").stdout == expected
            assert cli(*command, "--store", "jsonl:///runs.jsonl").stdout == expected

    def test_the_file_that_the_setting_names(
        self, cli: CLI, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cli("export", "-o", "runs.jsonl")
        expected = cli("runs").stdout
        store.unlink()
        monkeypatch.setenv("LLMOBS_SINK", "console: jsonl:///runs.jsonl")
        assert cli("runs").stdout == expected

    def test_imported_once_however_often(self, cli: CLI, tmp_path: Path) -> None:
        cli("export", "-o", "runs.jsonl")
        with (tmp_path / "runs.jsonl").open("a") as file:
            file.write('{"event_type": "of tomorrow"}\nnot JSON\n\n{"cut o')
        said = cli("import", "runs.jsonl", "--store", "new.db", code=1).stdout
        assert said == "7 events are new in new.db; 3 lines are no event of this llmobs\n"
        assert cli("runs", "--store", "new.db").stdout == cli("runs").stdout
        again = parsed(cli("import", "runs.jsonl", "--store", "new.db", "--json", code=1))
        assert again == {"events": 7, "new": 0, "dropped": {}, "unreadable": 3}

    def test_what_is_imported_is_redacted(self, cli: CLI, tmp_path: Path) -> None:
        line = encode(call("r", prompt="mail ann@example.com"))
        (tmp_path / "foreign.jsonl").write_bytes(line)
        cli("import", "foreign.jsonl", "--store", "new.db")
        assert "mail [REDACTED_EMAIL]" in cli("show", "r", "--store", "new.db").stdout


class TestCost:
    def test_per_model_with_what_is_not_known(self, cli: CLI) -> None:
        result = cli("cost")
        table = [line.split() for line in lines_of(result.stdout)]
        assert table == [
            ["model", "calls", "failed", "in", "cached", "out", "p50", "p95", "cost"],
            ["gpt-4o", "1", "0", "1,200", "1,024", "45", "450", "ms", "450", "ms", "$0.001200"],
            ["mine", "2", "1", "5", "0", "6", "30", "ms", "30", "ms", "unknown"],
            ["total", "3", "1", "1,205", "1,024", "51", "≥$0.001200"],
        ]
        assert "1 of 3 calls (mine)" in result.stderr

    def test_json(self, cli: CLI) -> None:
        written = parsed(cli("cost", "--by", "day", "--json"))
        assert written["by"] == "day"
        assert [group["key"] for group in written["groups"]] == ["2026-11-21"]
        assert (written["total"]["calls"], written["total"]["cost_usd"]) == (3, 0.0012)

    def test_nothing_to_add_up(self, cli: CLI) -> None:
        result = cli("cost", "--model", "nothing")
        assert (result.stdout, result.stderr.strip()) == ("", "no calls of a model like this")


class TestExport:
    def test_of_the_last_run_and_by_the_short_word(self, cli: CLI) -> None:
        assert '"run_id":"run-chat"' in cli("export", "--run", "last").stdout
        ok = {
            json.loads(line)["run_id"]
            for line in cli("export", "--status", "ok").stdout.split("\n")
            if line
        }
        assert ok == {"run-agent"}
        assert "none of ok, success" in cli("runs", "--status", "fine", code=2).stderr

    def test_jsonl_is_exact(self, cli: CLI) -> None:
        events = [json.loads(line) for line in cli("export").stdout.splitlines()]
        assert len(events) == 7
        assert events[1]["prompt"][1] == {"role": "user", "content": "Rain?"}

    def test_csv(self, cli: CLI) -> None:
        rows = list(csv.DictReader(io.StringIO(cli("export", "--format", "csv").stdout)))
        assert [row["event_type"] for row in rows][:3] == ["agent_step", "prompt_call", "tool_call"]
        row = rows[1]
        assert (row["name"], row["tokens_cached"], row["cost_usd"]) == ("gpt-4o", "1024", "0.0012")
        assert row["input"] == "system: Be kind.\nuser: Rain?"
        assert rows[3]["error"] == "boom"

    def test_a_file_for_its_owner_alone_in_the_format_of_its_name(
        self, cli: CLI, tmp_path: Path
    ) -> None:
        result = cli("export", "-o", "out.csv", "--type", "prompt_call", "--run", "agent")
        assert "2 events to out.csv" in result.stderr
        rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
        assert [row["run_id"] for row in rows] == ["run-agent", "run-agent"]
        assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == 0o600
        assert not list(tmp_path.glob("*.part"))

    @pytest.mark.parametrize("name", ["llmobs.db", "./llmobs.db", "link.db"])
    def test_the_store_itself_is_never_the_target(
        self, cli: CLI, store: Path, tmp_path: Path, name: str
    ) -> None:
        (tmp_path / "link.db").symlink_to(store)
        before = store.read_bytes()
        cli("export", "-o", name, code=2)
        assert store.read_bytes() == before

    def test_a_file_that_cannot_be_written(self, cli: CLI) -> None:
        assert "llmobs: " in cli("export", "-o", "no/such/folder/x.csv", code=1).stderr


def test_a_pipe_gets_whole_texts_and_a_drawing_that_fits(
    store: Path, invoke: CLI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    shown = invoke("show", "run-agent").stdout
    assert max(map(len, shown.splitlines())) <= 160
    assert "get_weather" in shown


def test_show_gives_evaluations(cli: CLI, store: Path) -> None:
    assert "evaluation is_json  failed" in cli("show", "run-agent").stdout
    (one,) = parsed(cli("show", "run-agent", "--json"))["evaluations"]
    assert (one["event_id"], one["name"], one["label"]) == ("check", "is_json", "failed")
