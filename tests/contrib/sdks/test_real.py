"""Every SDK in every version that is tried: recorded is what was sent, and the host sees no difference."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.contrib.sdks.playing import environment, held, play
from tests.contrib.sdks.table import Trial, trials
from tests.support.llm_server import running_llm_server


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_llm_server("--ttft-ms", "0", "--chunk-ms", "0", "--repeatable") as url:
        yield url


@pytest.mark.timeout(600)
@pytest.mark.parametrize("trial", trials(), ids=str)
def test_recorded_is_what_was_sent(trial: Trial, server: str) -> None:
    try:
        environment(trial)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"cannot be installed here: {error}")
    found = play(trial, server)
    kept = held(trial.sdk.package)[trial.version]
    assert found == kept, "held/ is of before: python -m tests.contrib.sdks"
