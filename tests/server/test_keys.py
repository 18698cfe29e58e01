"""Keys of a collector: made once, kept as hashes, revoked while a server runs."""

import json
import os
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import msgspec
import pytest
from click.testing import CliRunner, Result

from llmobs.cli.app import llmobs
from llmobs.errors import ConfigurationError, StoreError
from llmobs.redaction.redactor import redact_text
from llmobs.server import keys as module
from llmobs.server.keys import Key, KeyFile, KeyNotFoundError, Keys, looks_like_a_key


def find(known: Keys, text: str) -> Key | None:
    """Ask as a server does; the file itself is changed by another process, outside of any loop."""
    return anyio.run(known.find, text)


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "llmobs.db")


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", -1.0)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLMOBS_SINK", raising=False)


def cli(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(llmobs, list(arguments))
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_a_key_is_found_and_no_other(file: KeyFile) -> None:
    key, text = file.add(name="checkout", project="shop", may=["ingest"])
    assert looks_like_a_key(text)
    known = Keys(file)
    assert len(known) == 1
    found = find(known, text)
    assert found == key
    assert found is not None and (found.project, found.may) == ("shop", frozenset({"ingest"}))
    changed = text[:-1] + ("a" if text[-1] != "a" else "b")
    for wrong in (
        changed, text[:-1], f"{text}a", f" {text}", f"{text}\n", text.upper(), "", "llmobs_", "ключ",
        "\ud800", f"{text[:-1]}\u0430", key.id, key.hash, f"llmobs_{'0' * 10}_{'0' * 40}", "x" * 10**6,
    ):  # fmt: skip
        assert find(known, wrong) is None, wrong


def test_the_file_has_no_key_in_it_and_is_private(file: KeyFile) -> None:
    key, text = file.add(project="shop")
    assert text.rpartition("_")[2] not in file.path.read_text()
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert key.hash not in repr(key) and key.hash not in str(key)
    assert [path.name for path in file.path.parent.iterdir()] == ["llmobs.db.keys"]


def test_keys_are_never_the_same(file: KeyFile) -> None:
    texts = {file.add(project="p")[1] for _ in range(20)}
    assert len({text.split("_")[1] for text in texts}) == 20


@pytest.mark.usefixtures("_impatient")
def test_a_running_server_learns_of_changes(file: KeyFile) -> None:
    known = Keys(file)
    assert len(known) == 0
    first, text = file.add(project="shop")
    assert find(known, text) == first
    second, other = file.add(project="shop")
    file.revoke(first.id)
    assert find(known, text) is None
    assert find(known, other) == second


def test_a_revoked_key_ends_within_a_second(file: KeyFile) -> None:
    key, text = file.add(project="shop")
    known = Keys(file)
    assert find(known, text) == key
    file.revoke(key.id)
    deadline = time.monotonic() + 1
    while find(known, text) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_one_look_for_many_requests(file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    key, text = file.add(project="shop")
    known = Keys(file)
    looks: list[int] = []
    other = f"llmobs_{'0' * 10}_{'0' * 40}"
    monkeypatch.setattr(known, "_look", lambda: looks.append(1))
    monkeypatch.setattr(known, "_looked_at", 0.0)
    found = []

    async def ask() -> None:
        found.append(await known.find(text))

    async def all_at_once() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(ask)

    anyio.run(all_at_once)
    assert found == [key] * 50
    assert len(looks) == 1
    text = other
    anyio.run(all_at_once)
    assert found[50:] == [None] * 50
    assert len(looks) <= 3, "nor for one that it does not know"


def test_a_key_is_known_as_soon_as_it_is_made(file: KeyFile) -> None:
    known = Keys(file)
    for _ in range(3):
        key, text = file.add(project="shop")
        assert find(known, text) == key


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"keys": 1}', b'{"keys": [], "version": 2}', b"\xff" * 10, b"[" * 100_000],
)
def test_a_damaged_file_lets_nobody_in(file: KeyFile, content: bytes) -> None:
    _, text = file.add(project="shop")
    known = Keys(file)
    good = file.path.read_bytes()
    file.path.write_bytes(content)
    with pytest.raises(StoreError):
        find(known, text)
    with pytest.raises(StoreError):
        file.read()
    file.path.write_bytes(good)
    assert find(known, text) is not None


@pytest.mark.usefixtures("_impatient")
def test_a_file_that_is_gone_has_no_keys(file: KeyFile) -> None:
    _, text = file.add(project="shop")
    known = Keys(file)
    file.path.unlink()
    assert find(known, text) is None
    assert len(known) == 0


@pytest.mark.usefixtures("_impatient")
def test_a_hash_that_is_none_fits_nothing(file: KeyFile) -> None:
    """Not even the hash of nothing, which everybody knows."""
    key, text = file.add(project="shop")
    for hash in ("", "e3b0", "zz" * 32, key.hash.upper()):
        content = module._Content([msgspec.structs.replace(key, hash=hash)])
        file.path.write_bytes(msgspec.json.encode(content))
        assert find(Keys(file), text) is None


def test_who_reads_sees_no_half_of_it(file: KeyFile) -> None:
    """Not even while the first key is made."""
    ended = threading.Event()
    failures: list[Exception] = []

    def read() -> None:
        while not ended.is_set():
            try:
                file.read()
            except Exception as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        file.add(project="p")
        file.path.unlink()
    ended.set()
    reader.join()
    assert failures == []


def test_a_link_to_nothing_is_not_followed(file: KeyFile, tmp_path: Path) -> None:
    file.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot write the keys"):
        file.add(project="p")
    assert not (tmp_path / "elsewhere").exists()


def test_keys_made_at_once_are_all_there(file: KeyFile) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: file.add(name=f"k{n}", project="p")[0].id, range(24)))
    assert {key.id for key in file.read()} == set(made)


@pytest.mark.parametrize(
    "wrong",
    [
        {"project": ""}, {"project": " "}, {"project": "a\nb"}, {"project": "p" * 101},
        {"project": "p", "name": "\x1b[2J"}, {"project": "p", "may": []}, {"project": "p", "may": ["write"]},
    ],
)  # fmt: skip
def test_what_a_key_cannot_be(file: KeyFile, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        file.add(**wrong)  # type: ignore[arg-type]
    assert not file.path.exists()


def test_revoking(file: KeyFile) -> None:
    first, text = file.add(name="ci", project="p")
    file.add(name="ci", project="q")
    with pytest.raises(KeyNotFoundError, match="several"):
        file.revoke("ci")
    with pytest.raises(KeyNotFoundError, match="no key"):
        file.revoke("nothing")
    when = file.revoke(text).revoked  # the key that leaked says which it is
    assert when is not None
    assert file.revoke(first.id).revoked == when
    assert file.revoke("ci").project == "q", "of two, one is revoked already"
    assert all(key.hash == "" for key in file.read())


def test_the_command(tmp_path: Path) -> None:
    made = cli("keys", "add", "checkout", "--project", "shop", "--may", "ingest", "--may", "read")
    text = made.stdout.strip()
    assert looks_like_a_key(text), "nothing else on standard output: KEY=$(llmobs keys add ...)"
    id = text.split("_")[1]
    listed = cli("keys", "list").stdout
    assert id in listed and "shop" in listed and "ingest, read" in listed and "checkout" in listed
    assert text not in listed
    (known,) = json.loads(cli("keys", "list", "--json").stdout)
    assert set(known) == {"id", "name", "project", "may", "created", "revoked"}
    assert "revoked" in cli("keys", "revoke", id).stdout
    (known,) = json.loads(cli("keys", "list", "--json").stdout)
    assert known["revoked"] is not None
    cli("keys", "revoke", "nobody", code=4)
    everything = json.loads(cli("keys", "add", "--all-projects", "--may", "all", "--json").stdout)
    assert (everything["project"], everything["may"]) == (None, ["ingest", "evaluate", "read"])


def test_a_key_says_for_what_it_is() -> None:
    cli("keys", "add", code=2)
    cli("keys", "add", "--project", "p", "--all-projects", code=2)
    cli("keys", "add", "--project", "p", "--may", "write", code=2)
    assert "there are no keys yet" in cli("keys", "list").stderr


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "llmobs.db.keys").write_text("{")
    for command in (["list"], ["add", "--project", "p"], ["revoke", "x"]):
        assert "llmobs.db.keys are damaged" in cli("keys", *command, code=1).stderr
    assert (tmp_path / "llmobs.db.keys").read_text() == "{", "it may be the only copy"


def test_names_are_tamed_in_a_terminal(file: KeyFile) -> None:
    key, _ = file.add(project="p")
    content = module._Content([msgspec.structs.replace(key, name="\x1b[2J\u202e")])
    file.path.write_bytes(msgspec.json.encode(content))
    shown = cli("keys", "list").stdout
    assert "\x1b" not in shown and "\u202e" not in shown


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root")
def test_what_root_makes_belongs_to_the_owner_of_the_store(tmp_path: Path) -> None:
    store = tmp_path / "llmobs.db"
    store.touch()
    os.chown(store, 1234, 1234)
    file = KeyFile(store)
    file.add(project="p")
    assert file.path.stat().st_uid == 1234


def test_redaction_knows_our_keys(file: KeyFile) -> None:
    _, text = file.add(project="p")
    for words in (
        f"sent {text} away",
        f"x{text}",
        f"Basic u:{text}",
        f'{{"k":"{text}"}}',
        f"a={text}",
    ):
        assert text[20:] not in redact_text(words), words
