"""Everybody's real SDK, in an environment of its own, pointed at ``llmobs serve``."""

import re
import subprocess
from pathlib import Path

import pytest

from llmobs import EvaluationEvent
from tests.senders.environments import SENDERS, environment, run
from tests.senders.expected import ARRIVES, check
from tests.server.collecting import stored
from tests.support.llm_server import llm_server
from tests.support.serving import Serving

__all__ = ["llm_server"]

COMPLAINTS = re.compile(
    r"fail(?:ed|ure)|traceback|unreachable|not reachable|API error|status[ _]code|\b40[0-9]\b|\b50[0-9]\b",
    re.IGNORECASE,
)
"""What exporters log of an answer that they do not like."""
OF_THE_CALL = "Error code: 429 - Rate limit reached"
"""Langfuse logs what its user's call ended with."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SENDERS)
def test_what_arrives(name: str, llm_server: str, tmp_path: Path) -> None:
    sender = SENDERS[name]
    try:
        environment(sender)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        pytest.skip(f"cannot be installed here: {error}")
    store = tmp_path / "llmobs.db"
    with Serving(store) as collector:
        ended = run(sender, model=llm_server, collector=collector.url)
        assert ended.returncode == 0, ended.stderr
        said = [line for line in ended.stderr.splitlines() if OF_THE_CALL not in line]
        assert not [line for line in said if COMPLAINTS.search(line)], ended.stderr
        check(store, None, ARRIVES[name.replace(" ", "-")])
        collector.terminate()
    if name == "langfuse":
        assert "auth True" in ended.stdout
        [score] = [event for event in stored(store) if isinstance(event, EvaluationEvent)]
        assert (score.name, score.score, score.explanation) == ("helpful", 0.9, "good")
