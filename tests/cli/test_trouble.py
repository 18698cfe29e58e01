"""What goes wrong is said in one line, with an exit code; hostile text does nothing."""

import csv
import io
import json
import sqlite3
from pathlib import Path

import pytest

from llmobs import AgentStepEvent, ErrorInfo
from llmobs.describe.words import count, duration, money, one_line, short_id, visible
from tests.cli.conftest import CLI
from tests.support.stores import at, call, run, write_store

COMMANDS = (["runs"], ["show", "last"], ["tail", "--no-follow"], ["cost"], ["export"])
HOSTILE = (
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J \x90q \x08\x08 \r over \x7f "
    "[red]markup[/red] [/] [link=file:///x]y[/link] :skull: \u202eesrever \u2066 \ufeff \U000e0041"
)
COMMANDING = {*map(chr, range(32)), *map(chr, range(127, 160)), "\u202e", "\u2066", "\ufeff"} - {
    "\n"
}


@pytest.mark.parametrize("command", COMMANDS)
class TestStores:
    def test_none_yet(self, cli: CLI, command: list[str], tmp_path: Path) -> None:
        result = cli(*command, code=3)
        assert result.stdout == ""
        assert "there is no store at llmobs.db yet" in result.stderr
        assert "--store PATH" in result.stderr
        assert list(tmp_path.iterdir()) == []

    def test_that_is_no_store(self, cli: CLI, command: list[str], tmp_path: Path) -> None:
        (tmp_path / "llmobs.db").write_bytes(b"hello" * 2000)
        assert "not a readable SQLite database" in cli(*command, code=1).stderr

    def test_of_a_newer_version(self, cli: CLI, command: list[str], store: Path) -> None:
        connection = sqlite3.connect(store)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        assert "upgrade llmobs" in cli(*command, code=1).stderr

    def test_of_somebody_else(self, cli: CLI, command: list[str], tmp_path: Path) -> None:
        connection = sqlite3.connect(tmp_path / "llmobs.db")
        connection.execute("CREATE TABLE theirs (id)")
        connection.close()
        assert "not a store of llmobs" in cli(*command, code=3).stderr

    def test_that_is_empty(self, cli: CLI, command: list[str], tmp_path: Path) -> None:
        write_store(tmp_path / "llmobs.db", [])
        assert cli(*command, code=4 if command[0] == "show" else 0).stdout.strip() == ""

    def test_named_by_the_setting(
        self, cli: CLI, command: list[str], store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = store.rename(store.with_name("other.db"))
        monkeypatch.setenv("LLMOBS_SINK", f"console: sqlite:///{other}")
        by_setting = cli(*command).stdout
        monkeypatch.delenv("LLMOBS_SINK")
        assert by_setting == cli(*command, "--store", other).stdout
        assert by_setting == cli(*command, "--store", "sqlite:///other.db").stdout
        assert by_setting.strip()

    def test_hostile_text_reaches_no_terminal(
        self, cli: CLI, command: list[str], tmp_path: Path
    ) -> None:
        path = tmp_path / "llmobs.db"
        evil = call(
            HOSTILE, prompt=HOSTILE, response=[HOSTILE], model=HOSTILE, user_id=HOSTILE,
            finish_reason=HOSTILE, session_id=HOSTILE, tags=(HOSTILE,), operation=HOSTILE,
            status="error", error=ErrorInfo(HOSTILE, type=HOSTILE, stack=HOSTILE),
            tool_calls=[{"function": {"name": HOSTILE, "arguments": HOSTILE}}],
        )  # fmt: skip
        write_store(path, [evil, run(HOSTILE, name=HOSTILE, status=HOSTILE)])
        more = [[], ["--full"]] if command[0] == "show" else [[]]
        more += [["--json"]] if command[0] != "export" else [["--format", "csv"]]
        for options in more:
            result = cli(*command, *options)
            assert COMMANDING.isdisjoint(result.output), options
            if command[0] in ("show", "export"):
                assert "[red]markup[/red] [/]" in " ".join(result.stdout.split())
            if options == ["--json"] and command[0] == "show":
                assert HOSTILE in [e.get("prompt") for e in json.loads(result.stdout)["events"]]

    def test_ctrl_c_ends_it_quietly(
        self, cli: CLI, command: list[str], store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(self: object, *args: object, **options: object) -> None:
            raise KeyboardInterrupt

        for method in ("runs", "run", "latest", "cost", "count_events"):
            monkeypatch.setattr(f"llmobs.store.reader.Reader.{method}", interrupted)
        assert cli(*command, code=130).output == ""


class TestRuns:
    def test_not_found(self, cli: CLI, store: Path) -> None:
        result = cli("show", "zzz[red]\x1b[2J", code=4)
        assert "zzz[red]\\x1b[2J" in result.stderr
        assert result.stdout == ""

    def test_ambiguous(self, cli: CLI, store: Path) -> None:
        result = cli("show", "run-", code=4)
        assert "several runs fit 'run-'" in result.stderr
        assert result.stderr.split("\n")[1:3] == ["  run-chat", "  run-agent"]

    def test_parents_that_go_round_in_circles(self, cli: CLI, tmp_path: Path) -> None:
        ring = [
            AgentStepEvent(
                event_id=f"e{n}", run_id="r1", timestamp=at(n), step_name=f"n{n}",
                parent_id=f"e{(n + 1) % 3}",
            )
            for n in range(3)
        ]  # fmt: skip
        own_parent = AgentStepEvent(
            event_id="x", run_id="r1", timestamp=at(9), step_name="self", parent_id="x"
        )
        write_store(tmp_path / "llmobs.db", [*ring, own_parent])
        shown = cli("show", "r1").stdout
        assert [shown.count(f" {name} ") for name in ("n0", "n1", "n2", "self")] == [1, 1, 1, 1]

    def test_very_deep_nesting(self, cli: CLI, tmp_path: Path) -> None:
        chain = [
            AgentStepEvent(
                event_id=f"e{n}", run_id="r1", timestamp=at(n), step_name=f"n{n}",
                parent_id=f"e{n - 1}",
            )
            for n in range(3000)
        ]  # fmt: skip
        write_store(tmp_path / "llmobs.db", chain)
        shown = cli("show", "r1", "-n", "5000").stdout
        assert max(map(len, shown.splitlines())) <= 80
        assert shown.count("─ step") == 3000


def test_a_spreadsheet_gets_no_formula(cli: CLI, tmp_path: Path) -> None:
    before = ["", " ", "\t", "\r", "\n", '"', "'", "\u00a0", "\u200b", "\ufeff", ' "\u00a0']
    formulas = [f"{b}{sign}1" for b in before for sign in "=+-@\uff1d\uff0b\uff0d\uff20"]
    harmless = ["a=1", "5 - 3", "mail me @home", "é=", "'tis", '"quoted"', " plain"]
    texts = [*formulas, *harmless]
    write_store(tmp_path / "llmobs.db", [call("r", prompt=text) for text in texts])
    rows = list(csv.DictReader(io.StringIO(cli("export", "--format", "csv").stdout)))
    assert len(rows) == len(texts)
    for text, row in zip(texts, rows, strict=True):
        assert row["input"].startswith("'") == (text in formulas or text == "'tis"), text


class TestWhatIsHidden:
    def test_invisible_characters_are_written_out(self) -> None:
        for character in "\u00ad\u034f\u115f\u180e\u200b\u2060\u2800\u3164\ufeff\uffa0":
            assert visible(f"a{character}b") == f"a\\u{ord(character):04x}b".replace("u00ad", "xad")

    def test_joiners_are_part_of_scripts_and_emoji_only(self) -> None:
        assert visible("👩\u200d🔬 क\u200cष") == "👩\u200d🔬 क\u200cष"
        assert visible("ad\u200dmin") == "ad\\u200dmin"

    def test_json_keeps_its_value(self, cli: CLI, tmp_path: Path) -> None:
        text = "a\u00ad\u200b\u3164\U000e0041\u202eb"
        write_store(tmp_path / "llmobs.db", [call("r", prompt=text)])
        written = cli("export").stdout
        assert written.isascii()
        assert json.loads(written)["prompt"] == text


def test_what_makes_no_sense_is_one_line(
    cli: CLI, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, *args: object, **options: object) -> None:
        raise TypeError("a blob where a number was")

    monkeypatch.setattr("llmobs.store.reader.Reader._all", broken)
    result = cli("runs", code=1)
    assert result.stderr == (
        "llmobs: what was read makes no sense to this llmobs: TypeError: a blob where a number was\n"
    )


def test_a_text_of_ten_megabytes_is_shown_in_part(cli: CLI, tmp_path: Path) -> None:
    texts = ["word " * 2_000_000, "x" * 10_000_000, "中" * 3_000_000, "line\n" * 2_000_000]
    write_store(tmp_path / "llmobs.db", [call("r", prompt=text) for text in texts])
    shown = cli("show", "r", "--full").stdout
    assert shown.count("characters more: llmobs export has them") == len(texts)
    assert len(shown) < 4_000_000
    assert max(map(len, shown.splitlines())) <= 80


class TestText:
    def test_lines_and_letters_stay(self) -> None:
        assert visible("a\r\nb\tc é 中 👩‍🔬") == "a\nb    c é 中 👩‍🔬"
        assert visible("\x1b\r\x9b\u202e") == "\\x1b\\x0d\\x9b\\u202e"

    def test_a_huge_text_is_cut_before_it_is_looked_at(self) -> None:
        assert one_line("ab \n" * 10_000_000, 10) == "ab ab ab …"
        assert one_line(" \n " * 100, 10) == "…"
        assert one_line("short", 10) == "short"

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (None, "-"), (float("nan"), "-"), (float("inf"), "-"), (0, "0 ms"), (999.4, "999 ms"),
            (999.6, "1.00 s"), (59_994, "59.99 s"), (59_996, "1m 00s"), (125_000, "2m 05s"),
            (3_599_600, "1h 00m"), (11_220_000, "3h 07m"), (-5, "-5 ms"),
        ],
    )  # fmt: skip
    def test_durations(self, value: float | None, text: str) -> None:
        assert duration(value) == text

    def test_figures(self) -> None:
        assert [count(n) for n in (0, 9999, 10_000, 999_949, 999_950)] == [
            "0", "9,999", "10.0k", "999.9k", "1.00M",
        ]  # fmt: skip
        assert [money(usd) for usd in (None, 0, 0.00012, 0.0123, 1.234, 12345.6)] == [
            "-", "$0.000000", "$0.000120", "$0.0123", "$1.23", "$12,345.60",
        ]  # fmt: skip
        assert (money(None, 3), money(0.5, 1)) == ("unknown", "≥$0.5000")
        assert (short_id("run-1"), short_id("0123456789abcdef")) == ("run-1", "…89abcdef")
