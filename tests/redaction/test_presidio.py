"""Presidio beside our finders, the real one, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from llmobs.redaction.rules_of_users import user_rules
from tests.servers.serving import ROOT

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
