"""llmobs search: what was found, where, and how far it looked."""

from pathlib import Path

from llmobs.codec import encode
from llmobs.store.text_index import index_beside
from tests.cli.conftest import CLI, parsed
from tests.support.stores import call, run, write_store


def test_hits_are_shown_with_what_stands_around_them(cli: CLI, tmp_path: Path) -> None:
    path = write_store(
        tmp_path / "x.db",
        [
            call("r1", 0, prompt="Where is my \x1b[31m parcel?", response=""),
            call("r2", 1, prompt="A blue\nparcel", user_id="ann", response=""),
            run("r2", 1),
        ],
    )
    lines = cli("search", "parcel", "--store", path).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["run", "r2", "r1"]
    assert "A blue parcel" in lines[1] and "Where is my \\x1b[31m parcel?" in lines[2]
    assert index_beside(path).exists()
    found = parsed(cli("search", '"blue parcel"', "--store", path, "--user", "ann", "--json"))
    (hit,) = found["hits"]
    assert hit["run"]["run_id"] == "r2" and hit["event_type"] == "prompt_call"
    assert [part for part in hit["snippet"] if part["hit"]] == [
        {"text": "blue parcel", "hit": True}
    ]
    assert "nothing like this" in cli("search", "violet OR parcel", "--store", path).stderr


def test_pages_go_on_where_the_last_one_ended(cli: CLI, tmp_path: Path) -> None:
    path = write_store(tmp_path / "x.db", [call(f"r{n}", n) for n in range(5)])
    first = cli("search", "hi", "--store", path, "-n", "3")
    place = first.stderr.partition("--before ")[2].split()[0]
    rest = cli("search", "hi", "--store", path, "--before", place).stdout.splitlines()
    assert [line.split()[0] for line in rest[1:]] == ["r1", "r0"]
    assert "before" in cli("search", "hi", "--store", path, "--before", "x", code=2).stderr
    assert "longer than" in cli("search", "hi" * 600, "--store", path, code=2).stderr


def test_a_file_of_json_lines_is_searched_and_gets_no_index_beside_it(
    cli: CLI, tmp_path: Path
) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_bytes(encode(call("r1", prompt="parcel")) + b"\n")
    assert "r1" in cli("search", "parcel", "--store", path).stdout
    assert list(tmp_path.iterdir()) == [path]
