"""The command for curl, in real shells: what was recorded reaches the body of the request, and nothing else."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from llmobs.describe.curl import curl_of
from llmobs.events import PromptCallEvent
from tests.support.stores import at

SHELLS = [shell for shell in (["bash"], ["sh"], ["bash", "--norc", "-i"]) if shutil.which(shell[0])]
RECORDER = """#!/bin/sh
printf '%s\\n' "$@" > "$SEEN/arguments"
cat > "$SEEN/body"
"""
HOSTILE = (
    "'; touch pwned; '", '"; touch pwned; "', "$(touch pwned)", "`touch pwned`", "\nLLMOBS\ntouch pwned\n",
    "!!; touch pwned", "\\'; touch pwned", "# \r\ntouch pwned", "\x00\x1b[31m\x7f\u202e\u2028", "@/etc/passwd",
    "https://evil.example\n", "-o pwned", "emoji \U0001f600 and e\u0301", "\\", "\x1b[200~touch pwned\n",
)  # fmt: skip


def call(**fields: Any) -> PromptCallEvent:
    values = {
        "event_id": "e",
        "run_id": "r",
        "timestamp": at(0),
        "model": "m",
        "provider": "openai",
    }
    return PromptCallEvent(**{**values, **fields})


@pytest.fixture
def run_in(tmp_path: Path) -> Any:
    """Run a command in a shell in which curl only notes what it was given."""
    (tmp_path / "bin").mkdir()
    curl = tmp_path / "bin" / "curl"
    curl.write_text(RECORDER)
    curl.chmod(0o755)

    def run(shell: list[str], command: str) -> tuple[list[str], Any]:
        environment = {
            "PATH": f"{curl.parent}:{os.environ['PATH']}", "SEEN": str(tmp_path), "HOME": str(tmp_path),
            "OPENAI_API_KEY": "the key", "ANTHROPIC_API_KEY": "the key", "API_KEY": "the key",
            "BASE_URL": "https://mine.example/v1", "PS1": "", "HISTFILE": "/dev/null",
        }  # fmt: skip
        before = set(tmp_path.iterdir())
        subprocess.run(
            shell, input=command.encode(), cwd=tmp_path, env=environment, check=True, timeout=30,
            capture_output=True, start_new_session=True,
        )  # fmt: skip
        made = {path.name for path in set(tmp_path.iterdir()) - before}
        assert made <= {"arguments", "body"}, made
        arguments = (tmp_path / "arguments").read_text().splitlines()
        return arguments, json.loads((tmp_path / "body").read_bytes())

    return run


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_hostile_text_in_every_field_stays_text(run_in: Any, shell: list[str]) -> None:
    for provider in ("openai", "anthropic", HOSTILE[0]):
        tools = [
            {"type": "tool_call", "id": text, "name": text, "arguments": {text: text}}
            for text in HOSTILE
        ]
        asked = call(
            provider=provider, model="".join(HOSTILE), server_address="evil.example; touch pwned",
            prompt=[
                {"role": "user", "parts": [{"type": "text", "content": text} for text in HOSTILE]},
                {"role": "assistant", "parts": tools},
                {"role": HOSTILE[2], "content": HOSTILE[4]},
            ],
            request_params={text: [text] for text in HOSTILE},
        )  # fmt: skip
        command = curl_of(asked)
        assert command is not None and set(command) <= {"\n", *map(chr, range(32, 127))}
        arguments, body = run_in(shell, command)
        assert body["model"] == "".join(HOSTILE)
        assert all(body[text] == [text] for text in HOSTILE)
        assert not any("evil.example" in each or "pwned" in each for each in arguments)
        assert HOSTILE[12] in json.dumps(body["messages"], ensure_ascii=False)


def test_the_key_and_an_address_that_is_not_known_are_the_readers_own(run_in: Any) -> None:
    arguments, _ = run_in(["sh"], curl_of(call(prompt="hi")))
    assert arguments[:3] == [
        "https://api.openai.com/v1/chat/completions", "-H", "Authorization: Bearer the key"
    ]  # fmt: skip
    arguments, _ = run_in(["sh"], curl_of(call(prompt="hi", provider="vllm")))
    assert arguments[0] == "https://mine.example/v1/chat/completions"
    # Whoever sends events says which host it was: no key goes there.
    command = curl_of(call(prompt="hi", server_address="api.openai.com.evil.example"))
    assert command is not None and "evil" not in command


def test_a_conversation_is_asked_again_in_the_words_of_each_api() -> None:
    said = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Which tea?"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "shelf", "arguments": '{"row":3}'}},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "Assam"},
    ]  # fmt: skip

    def body(**fields: Any) -> tuple[str, Any]:
        command = curl_of(call(prompt=said, request_params={"temperature": 0.5}, **fields))
        assert command is not None
        address, _, rest = command.partition(" \\\n")
        return address, json.loads(rest[rest.index("{") : rest.rindex("}") + 1])

    address, asked = body(stream=True)
    assert "/chat/completions" in address
    assert (asked["temperature"], asked["stream"], asked["model"]) == (0.5, True, "m")
    assert [each["role"] for each in asked["messages"]] == ["system", "user", "assistant", "tool"]
    (tool,) = asked["messages"][2]["tool_calls"]
    assert (tool["id"], json.loads(tool["function"]["arguments"])) == ("c1", {"row": 3})
    assert asked["messages"][3] == {"role": "tool", "tool_call_id": "c1", "content": "Assam"}

    address, asked = body(provider="anthropic")
    assert address == 'curl "https://api.anthropic.com/v1/messages"'
    assert (asked["system"], asked["max_tokens"]) == ("Be short.", 1024)
    assert [each["role"] for each in asked["messages"]] == ["user", "assistant", "user"]
    use = {"type": "tool_use", "id": "c1", "name": "shelf", "input": {"row": 3}}
    assert asked["messages"][1]["content"] == [use]

    address, asked = body(response_id="resp_1")
    assert "/responses" in address
    assert [each.get("type", each.get("role")) for each in asked["input"]] == [
        "system", "user", "function_call", "function_call_output"
    ]  # fmt: skip


def test_other_operations_are_asked_as_they_are_or_not_at_all() -> None:
    assert '"input": "hi"' in (curl_of(call(operation="embeddings", prompt="hi")) or "")
    assert '"prompt": "hi"' in (curl_of(call(operation="text_completion", prompt="hi")) or "")
    assert curl_of(call(operation="generate_content", prompt="hi")) is None
