"""llmobs redact and llmobs scan: what redaction finds is told without saying it, and taken out in place."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from llmobs import ErrorInfo, Event, ToolCallEvent
from llmobs.cli.app import llmobs
from llmobs.codec import encode
from llmobs.pipeline.rewrite import spooled_events
from llmobs.pipeline.spool import Spool
from llmobs.redaction.events import Pseudonyms
from llmobs.redaction.kinds import DEFAULT_KINDS, KINDS
from llmobs.store.reader import Reader
from llmobs.store.records import RetentionPolicy
from llmobs.store.spans import Link, What, run_event_id_of
from llmobs.store.writer import Writer
from tests.cli.conftest import CLI, parsed
from tests.cli.test_forget import files_with
from tests.store.recount import hourly_sums, recounted
from tests.support.stores import at, call, index_texts, run, write_store

EMAIL, OTHER = KINDS["email"].example(1), KINDS["email"].example(2)
CARD, KEY = KINDS["card"].example(1), KINDS["secret"].example(1)
ALL = (EMAIL, OTHER, CARD, KEY)
LONG = "is what the customer wrote to us about a parcel that did not arrive; " * 5


def left_behind() -> list[Event]:
    return [
        call("r1", 0, prompt=[{"role": "user", "content": f"{EMAIL} {LONG}"}], user_id=EMAIL, cost_usd=1.0),
        call("r1", 1, response=f"pay with {CARD}", status="error", error=ErrorInfo(f"no such key {KEY}")),
        ToolCallEvent(
            event_id="t", run_id="r1", timestamp=at(2), tool_name="mail", input={EMAIL: [CARD]}
        ),
        run("r1", 0, name=f"mail to {EMAIL}", tags=(f"for {EMAIL}",)),
        call("r2", 5, prompt=[{"role": "user", "content": f"{OTHER} {LONG}"}], cost_usd=2.0),
        call(f"job-{EMAIL}", 9, prompt="hi", cost_usd=4.0),
        call("clean", 9, prompt="hi"),
    ]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return index_texts(write_store(tmp_path / "data" / "llmobs.db", left_behind()))


def found_in(result: object) -> dict[tuple[str, str], int]:
    (place,) = parsed(result)["places"]  # type: ignore[arg-type]
    return {(one["kind"], one["field"]): one["found"] for one in place["found"]}


def test_what_is_left_is_counted_by_kind_and_field_and_not_said(cli: CLI, store: Path) -> None:
    result = cli("scan", "--store", store, "--json", code=5)
    assert not any(text in result.output for text in ALL)
    found = found_in(result)
    assert found["email", "prompt"] == 2 and found["email", "input"] == 1
    assert found["card", "response"] == found["card", "input"] == 1
    assert found["secret", "error.message"] == 1
    assert found["email", "run_id"] == found["email", "user_id"] == found["email", "name"] == 1
    assert found["email", "hourly sums: route"] == 1
    only = found_in(cli("scan", "--store", store, "--kind", "card", "--json", code=5))
    assert {kind for kind, _ in only} == {"card"}


def test_fix_leaves_no_byte_and_sums_as_they_should_be(cli: CLI, store: Path) -> None:
    before = store.read_bytes()
    cli("scan", "--store", store, code=5)
    assert store.read_bytes() == before
    writer = Writer(store)  # an application that runs
    said = cli("scan", "--store", store, "--fix").stdout
    assert "redacted in place: 6" in said
    assert files_with(store.parent, *ALL) == []
    assert hourly_sums(store) == recounted(store)
    with Reader(store) as reader:
        assert reader.count_events() == 7 and reader.info().pieces == 1  # two texts became one
        assert sum(group.cost_usd or 0 for group in reader.cost()) == 7.0
        first, second = (e.decode() for e in reader.events() if "customer" in e.body)
        assert first is not None and second is not None
        assert (
            first.prompt[0]["content"] == f"[REDACTED_EMAIL] {LONG}" == second.prompt[0]["content"]
        )  # type: ignore[union-attr]
        assert [e.id for e in reader.events()] == list(range(1, 8))
    assert found_in(cli("scan", "--store", store, "--json")) == {}
    writer.close()


def test_what_a_trace_told_that_waits_for_more_is_fixed(cli: CLI, tmp_path: Path) -> None:
    path = write_store(tmp_path / "x.db", [])
    event = run("wait", name=f"mail to {EMAIL}")
    span = "0000000000000001"
    event.event_id = run_event_id_of("wait", span)
    writer = Writer(path)
    writer.write(
        [event],
        links=[
            Link(run_id="wait", span_id=span, what=What.NOTHING, event_id=event.event_id, rank=3)
        ],
    )
    writer.close()
    assert found_in(cli("scan", "--store", path, "--json", code=5)) == {("email", "name"): 1}
    cli("scan", "--store", path, "--fix")
    assert found_in(cli("scan", "--store", path, "--json")) == {}
    assert files_with(tmp_path, EMAIL) == []


def test_sums_of_runs_that_are_gone_are_redacted_too(cli: CLI, store: Path) -> None:
    writer = Writer(store)
    while writer.prune(RetentionPolicy(bytes=1)):
        pass
    writer.close()
    assert set(found_in(cli("scan", "--store", store, "--json", code=5))) == {
        ("email", "hourly sums: route")
    }
    with Reader(store) as reader:
        before = reader.cost("day")
    cli("scan", "--store", store, "--fix")
    with Reader(store) as reader:
        assert reader.cost("day") == before
        assert "mail to [REDACTED_EMAIL]" in {group.key for group in reader.cost("route")}
    assert files_with(store.parent, *ALL) == []


def test_what_a_run_alone_still_says_is_found_and_fixed(cli: CLI, tmp_path: Path) -> None:
    path = write_store(tmp_path / "x.db", [call("r1"), run("r1", user_id="u", tags=("a", "b"))])
    with sqlite3.connect(path) as connection:
        for column in ("name", "user_id", "session_id", "service_name", "release", "client_run_id"):
            connection.execute(f"UPDATE runs SET {column} = ?", (f"of {EMAIL}",))
        connection.execute("UPDATE runs SET tags = ?", (json.dumps(["a", OTHER]),))
    connection.close()
    found = found_in(cli("scan", "--store", path, "--json", code=5))
    assert set(found) == {
        ("email", f"runs: {name}")
        for name in (
            "name", "user_id", "session_id", "service_name", "release", "client_run_id", "tags"
        )
    }  # fmt: skip
    cli("scan", "--store", path, "--fix")
    assert found_in(cli("scan", "--store", path, "--json")) == {}
    assert files_with(tmp_path, *ALL) == []
    with Reader(path) as reader:
        summary = reader.run("r1").summary
    assert (summary.name, summary.user_id, summary.tags) == ("POST /chat", "u", ("a", "b"))


WRITES = """
import sys, time
from pathlib import Path
from llmobs.store.writer import Writer
from tests.support.stores import call, run
writer, stop, longest, number = Writer(Path(sys.argv[1])), Path(sys.argv[2]), 0.0, 0
while not stop.exists():
    began = time.monotonic()
    writer.write([call(f"job{number}", number, prompt="hi"), run(f"job{number}", number)])
    longest = max(longest, time.monotonic() - began)
    number += 1
    if number == 1:
        print("writing", flush=True)
    time.sleep(0.03)
print(number, longest)
"""


def test_it_may_be_killed_at_any_moment_beside_processes_that_write(
    cli: CLI, tmp_path: Path
) -> None:
    many = [
        call(f"r{n % 3}", n, prompt=[{"role": "user", "content": f"{EMAIL} {LONG} {n}"}], cost_usd=1.0)
        for n in range(240)
    ]  # fmt: skip
    names = [run(f"r{n}", n, name=f"mail {EMAIL}", tags=(OTHER,)) for n in range(3)]
    (tmp_path / "data").mkdir()
    path = write_store(tmp_path / "data" / "x.db", [*many, *names])
    other = subprocess.Popen(
        [sys.executable, "-c", WRITES, str(path), str(tmp_path / "stop")],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert other.stdout is not None and other.stdout.readline() == "writing\n"
    try:
        for steps in (1, 4):
            died = subprocess.run(
                [sys.executable, "-c", DIES, str(steps), str(path)], timeout=60, check=False
            )
            assert died.returncode == -signal.SIGKILL
        assert cli("scan", "--store", path, code=5)
        cli("scan", "--store", path, "--fix")
    finally:
        (tmp_path / "stop").touch()
        written, _ = other.communicate(timeout=60)[0].split()
    assert found_in(cli("scan", "--store", path, "--json")) == {}
    assert files_with(tmp_path / "data", EMAIL, OTHER) == []
    assert hourly_sums(path) == recounted(path)
    with Reader(path) as reader:
        assert reader.count_runs() == 3 + int(written)
        assert reader.run("r1").summary.tags == ("[REDACTED_EMAIL]",)
        assert reader.run("r1").summary.calls == 80


DIES = """
import os, signal, sys
from llmobs.__main__ import main
from llmobs.store.writer import Writer
from llmobs.store import rewrite
rewrite.EVENTS = 50
step, left = Writer._step, int(sys.argv[1])
def dies(writer, work):
    global left
    left -= 1
    if not left:
        def killed(connection):
            work(connection)
            os.kill(os.getpid(), signal.SIGKILL)  # before it is committed
        return step(writer, killed)
    return step(writer, work)
Writer._step = dies
sys.argv = ["llmobs", "scan", "--fix", "--store", sys.argv[2]]
main()
"""


def test_the_spool(cli: CLI, tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    Spool(folder, "https:collector", 10_000_000).write(left_behind())
    found = found_in(cli("scan", "--spool", folder, "--json", code=5))
    assert found["card", "response"] == 1
    cli("scan", "--spool", folder, "--fix")
    assert files_with(folder, *ALL) == []
    assert found_in(cli("scan", "--spool", folder, "--json")) == {}


DIES_WITHIN = """
import os, shutil, signal, sys
from pathlib import Path
from llmobs.__main__ import main
folder, words = Path(sys.argv[1]), sys.argv[2:]
for number in range(1, 100):
    copy = folder.with_name(f"killed-{number}")
    shutil.copytree(folder, copy)
    if not (child := os.fork()):
        left = number
        def hook(name, given):
            global left
            if name in ("os.rename", "os.remove", "os.truncate", "os.chmod", "fcntl.flock", "fcntl.lockf") or (
                name == "open" and str(given[0]).startswith(str(copy))
            ):
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        sys.argv = ["llmobs", "scan", "--fix", *(word.replace("FOLDER", str(copy)) for word in words)]
        main()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        print(number)
        break
"""


@pytest.mark.parametrize("kind", ["spool", "events", "text"])
def test_it_may_be_killed_before_each_of_its_calls_to_the_system(
    cli: CLI, tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "whole"
    whole = b"\n".join(map(encode, left_behind())) if kind == "events" else " ".join(ALL).encode()
    if kind == "spool":
        Spool(folder, "https:collector", 10_000_000).write(left_behind())
        words = ["--spool", "FOLDER"]
    else:
        folder.mkdir()
        (folder / "some.txt").write_bytes(whole + b"\n")
        words = ["FOLDER/some.txt"]
    done = subprocess.run(
        [sys.executable, "-c", DIES_WITHIN, str(folder), *words],
        stdout=subprocess.PIPE, text=True, timeout=60, check=True,
    )  # fmt: skip
    times = int(done.stdout.split()[-1])
    assert times > 3
    for number in range(1, times + 1):
        copy = tmp_path / f"killed-{number}"
        cli("scan", *(word.replace("FOLDER", str(copy)) for word in words), "--fix")
        assert files_with(copy, *ALL) == []
        if kind == "spool":  # a copy that was whole, or not yet, is a batch like others
            left, were = ({e.event_id for e in spooled_events(at)} for at in (copy, folder))
            assert left == were and len(were) == len(left_behind())
        else:
            assert [path.name for path in copy.iterdir()] == ["some.txt"]
            text = (copy / "some.txt").read_bytes()
            assert len(text.splitlines()) == len(whole.splitlines())


@pytest.mark.parametrize("kind", ["events", "text"])
def test_files(cli: CLI, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "some.txt"
    lines = [encode(event) for event in left_behind()]
    path.write_bytes(
        b"\n".join(lines) + b"\n" if kind == "events" else b"\xff" + " ".join(ALL).encode()
    )
    path.chmod(0o640)
    cli("scan", path, code=5)
    cli("scan", path, "--fix")
    assert files_with(tmp_path, *ALL) == [] and path.stat().st_mode & 0o777 == 0o640
    assert len(path.read_bytes().splitlines()) == (7 if kind == "events" else 1)
    cli("scan", path)


def test_a_store_is_known_whatever_it_is_named_as_and_other_files_are_spared(
    cli: CLI, store: Path, tmp_path: Path
) -> None:
    cli("scan", store, "--fix")
    with Reader(store) as reader:
        assert reader.count_events() == 7
    assert files_with(store.parent, *ALL) == []
    picture = tmp_path / "picture"
    picture.write_bytes(b"\x89PNG\0" + EMAIL.encode())
    assert "no text" in cli("scan", picture, "--fix", code=5).stdout
    assert picture.read_bytes().endswith(EMAIL.encode())
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "mail.txt")
    link.write_text(EMAIL)
    cli("scan", link, "--fix")
    assert link.is_symlink() and (tmp_path / "mail.txt").read_text() == "[REDACTED_EMAIL]"


def test_every_kind_that_is_on_goes(cli: CLI, tmp_path: Path) -> None:
    canaries = {kind: KINDS[kind].example(7) for kind in sorted(DEFAULT_KINDS)}
    events = [call("r", n, prompt=f"it is {text} here") for n, text in enumerate(canaries.values())]
    path = write_store(tmp_path / "x.db", events)
    assert {kind for kind, _ in found_in(cli("scan", "--store", path, "--json", code=5))} >= set(
        canaries
    )
    cli("scan", "--store", path, "--fix")
    connection = sqlite3.connect(path)  # no log of ours is left to be folded in
    connection.close()
    assert files_with(tmp_path, *canaries.values()) == []


def test_nothing_found(cli: CLI, tmp_path: Path) -> None:
    path = write_store(tmp_path / "x.db", [call("r")])
    assert "nothing found" in cli("scan", "--store", path).stdout
    cli("scan", "--store", tmp_path / "none.db", code=3)


def of_a_team(tmp_path: Path) -> Path:
    rules = tmp_path / "rules.json"
    rules.write_text(
        json.dumps(
            {
                "kinds": {"phone": True, "card": False},
                "patterns": {"badge": "EMP-[0-9]{5}"},
                "names": ["locker"],
                "allow": ["*@our.example"],
                "action": "hashed",
                "key": "k" * 16,
            }
        )
    )
    return rules


@pytest.mark.parametrize("how", ["option", "variable"])
def test_the_rules_of_the_clients_are_those_of_the_scan(
    cli: CLI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    events = [
        call(f"run of {EMAIL}", prompt=f"EMP-12345 +43 1 58858 0010 {CARD} ann@our.example"),
        ToolCallEvent(
            event_id="t", run_id="r", timestamp=at(2), tool_name="open", input={"locker": "blue"}
        ),
    ]
    path = write_store(tmp_path / "x.db", events)
    rules: list[object] = []
    if how == "option":
        rules = ["--redaction", of_a_team(tmp_path)]
    else:
        monkeypatch.setenv("LLMOBS_REDACTION", str(of_a_team(tmp_path)))
    found = found_in(cli("scan", "--store", path, "--json", *rules, code=5))
    assert found == {
        ("badge", "prompt"): 1,
        ("phone", "prompt"): 1,
        ("secret", "input"): 1,
        ("email", "run_id"): 1,
    }
    only = found_in(cli("scan", "--store", path, "--json", "--kind", "phone", *rules, code=5))
    assert only == {("phone", "prompt"): 1}
    cli("scan", "--store", path, "--fix", *rules)
    with Reader(path) as reader:
        first, second = (stored.decode() for stored in reader.events())
    assert first is not None and second is not None
    assert re.fullmatch(
        rf"\[BADGE_\w{{12}}\] \[PHONE_\w{{12}}\] {CARD} ann@our.example", first.prompt
    )
    assert first.run_id == Pseudonyms("k" * 16).of(f"run of {EMAIL}")  # as the clients rename it
    assert second.input == {"locker": second.input["locker"]} != {"locker": "blue"}


def test_rules_that_cannot_be_used_are_named(cli: CLI, store: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text('{"kinds": ["fax"]}')
    said = cli("scan", "--store", store, "--redaction", tmp_path / "rules.json", code=1).stderr
    assert "--redaction" in said and "fax" in said


def test_a_secret_by_its_name_is_counted(cli: CLI, tmp_path: Path) -> None:
    path = write_store(tmp_path / "x.db", [call("r", request_params={"password": "hunter2"})])
    assert found_in(cli("scan", "--store", path, "--json", code=5)) == {
        ("secret", "request_params"): 1
    }


def test_projects_in_sums_are_looked_at(cli: CLI, tmp_path: Path) -> None:
    path = write_store(tmp_path / "x.db", [call("r", project_id=f"of {EMAIL}")])
    writer = Writer(path)
    while writer.prune(RetentionPolicy(bytes=1)):
        pass
    writer.close()
    found = found_in(cli("scan", "--store", path, "--json", code=5))
    assert found == {("email", "hourly sums: project"): 1}
    cli("scan", "--store", path, "--fix")
    assert files_with(tmp_path, EMAIL) == []


def test_a_store_of_json_lines(cli: CLI, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = [encode(event) for event in left_behind()]
    path.write_bytes(b"\n".join([*lines, b"no event, of " + EMAIL.encode(), b""]))
    with path.open("rb") as old:
        cli("scan", "--store", path, code=5)
        assert "redacted in place: 7" in cli("scan", "--store", path, "--fix").stdout
        assert files_with(tmp_path, *ALL) == [] and old.read() == b""
    assert len(path.read_bytes().splitlines()) == 8


class TestRedact:
    TEXT = f"to {EMAIL} and {OTHER}\n\nfrom {KEY}\r\n".encode() + b"\xff"

    def run(self, *arguments: str, data: bytes = TEXT) -> tuple[bytes, str]:
        result = CliRunner().invoke(llmobs, ["redact", *arguments], input=data)
        assert result.exit_code == 0
        return result.stdout_bytes, result.stderr

    def test_the_text_goes_to_one_place_and_the_report_to_another(self, cli: CLI) -> None:
        text, report = self.run()
        assert text == b"to [REDACTED_EMAIL] and [REDACTED_EMAIL]\n\nfrom [REDACTED_KEY]\r\n\xff"
        rows = [line.split() for line in report.splitlines()]
        assert rows[0] == ["kind", "rule", "found", "in", "lines"]
        assert [row[0] for row in rows[1:]] == ["email", "secret"]
        assert rows[1][-2:] == ["2", "1"] and rows[2][-2:] == ["1", "3"]

    def test_some_kinds_only(self) -> None:
        text, _ = self.run("--kind", "secret")
        assert EMAIL.encode() in text and KEY.encode() not in text

    def test_by_rules_of_a_team(self, tmp_path: Path) -> None:
        data = b"EMP-12345, ann@our.example"
        text, report = self.run("--redaction", str(of_a_team(tmp_path)), data=data)
        assert re.fullmatch(rb"\[BADGE_\w{12}\], ann@our.example", text) and "badge" in report

    def test_for_programs(self) -> None:
        out, _ = self.run("--json")
        told = json.loads(out)
        assert [one["kind"] for one in told["found"]] == ["email", "email", "secret"]
        assert told["text"].startswith("to [REDACTED_EMAIL]")

    def test_nothing_is_found(self) -> None:
        assert self.run(data=b"plain") == (b"plain", "nothing found\n")
