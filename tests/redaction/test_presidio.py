"""Presidio beside our finders, the real one, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmobs.redaction.rules_of_users import user_rules
from tests.cli.test_forget import files_with
from tests.servers.serving import ROOT
from tests.support.stores import call, write_store

HOME = ROOT / ".cache" / "presidio"
SCRIPT = """
import json, sys, llmobs
from llmobs.sinks.memory import MemorySink
rules, text = json.loads(sys.argv[1])
try:
    with llmobs.Client(sink=(sink := MemorySink()), redaction=rules) as client:
        client.log_prompt_call(run_id="r", model="gpt-4o", prompt=text, response="")
    [call] = [e for e in sink.events if isinstance(e, llmobs.PromptCallEvent)]
    print(json.dumps(call.prompt))
except llmobs.ConfigurationError as error:
    print(json.dumps(str(error)))
"""


@pytest.fixture(scope="module")
def python() -> str:
    python = HOME / "bin" / "python"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    if not python.exists():
        subprocess.run([*uv, "venv", "--python", sys.executable, HOME], check=True)
    install = [*uv, "pip", "install", "--python", python, "-e", f"{ROOT}[presidio]"]
    subprocess.run(install, check=True)
    return str(python)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("rules", "text", "expected"),
    [
        (
            {"presidio": True},
            "NHS 943 476 5919, mail ann@example.com, see https://example.com/a on 2024-05-01",
            "NHS [REDACTED_UK_NHS], mail [REDACTED_EMAIL], see https://example.com/a on 2024-05-01",
        ),
        (
            {"presidio": ["UK_NHS"], "action": "numbered", "allow": {"uk_nhs": ["943*"]}},
            "943 476 5919 and 401 023 2137",
            "943 476 5919 and [UK_NHS_1]",
        ),
        (
            {"presidio": {"entities": ["US_SSN"], "score": 0.9}, "kinds": []},
            "536-90-4399",
            "536-90-4399",
        ),
        ({"presidio": ["NO_SUCH"]}, "", "NO_SUCH: no entity for 'en'"),
        ({"presidio": {"model": "en_core_web_none"}}, "", "is not installed"),
    ],
)
def test_what_presidio_finds_goes_too(
    python: str, rules: dict[str, Any], text: str, expected: str
) -> None:
    done = subprocess.run(
        [python, "-c", SCRIPT, json.dumps([rules, text])],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer == expected or expected in answer
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(600)
def test_what_presidio_finds_in_what_is_stored_goes_too(python: str, tmp_path: Path) -> None:
    text = "NHS 943 476 5919, mail ann@example.com"
    clean = "NHS [REDACTED_UK_NHS], mail [REDACTED_EMAIL]"
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"presidio": ["UK_NHS"], "allow": {"uk_nhs": ["401*"]}}))
    store = write_store(
        tmp_path / "data" / "x.db", [call("r", prompt=text), call("s", prompt="hi")]
    )
    note = tmp_path / "data" / "note.txt"
    note.write_text(f"{text}, 401 023 2137\n")

    def llmobs(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [python, "-m", "llmobs", *words, "--redaction", str(rules)],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout

    assert llmobs("redact", str(note)) == f"{clean}, 401 023 2137\n"
    found = json.loads(llmobs("redact", str(note), "--json"))["found"]
    assert [one["kind"] for one in found] == ["uk_nhs", "email"]
    for place, field in ((store, "prompt"), (note, "text")):
        places = json.loads(llmobs("scan", str(place), "--json", code=5))["places"]
        counts = {(f["kind"], f["field"]): f["found"] for f in places[0]["found"]}
        assert counts == {("uk_nhs", field): 1, ("email", field): 1}
        llmobs("scan", str(place), "--kind", "ssn")
        llmobs("scan", str(place), "--fix")
        llmobs("scan", str(place))
    assert note.read_text() == f"{clean}, 401 023 2137\n"
    assert files_with(tmp_path / "data", "943 476 5919") == []
    rules.write_text(json.dumps({"presidio": ["NO_SUCH"]}))
    llmobs("scan", str(note), code=1)


def test_without_it_a_client_says_what_to_install() -> None:
    from llmobs import Client, ConfigurationError

    with pytest.raises(ConfigurationError, match=r"pip install 'llmobs\[presidio\]'"):
        Client(sink="memory:", redaction={"presidio": True})


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"entity": []}, "presidio: entity: unknown; there are entities, language, score, model"),
        ("UK_NHS", "presidio: must be true, a list of entities, or a mapping"),
        ({"score": 2}, "presidio: score: must be a number from 0 to 1"),
        ({"model": 1}, "presidio: model: must be a text"),
    ],
)
def test_what_is_wrong_is_named(said: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        user_rules({"presidio": said})
