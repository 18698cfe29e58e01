"""A script that forgets to close its client, and forks: what was recorded still arrives."""

import json
import subprocess
import sys

import pytest
from backports import zstd

from tests.sinks.test_otlp import spans_of
from tests.support.scripted_server import ScriptedServer

SCRIPT = """
import os, sys, llmobs
client = llmobs.Client(sink=sys.argv[1])
client.log_prompt_call("r", "first", "m", "r")
client.flush()
for number in range(100):
    client.log_prompt_call("r", "parent", "m", "r")
if (child := os.fork()) == 0:
    for number in range(50):
        client.log_prompt_call("r", "child", "m", "r")
    sys.exit()
os.waitpid(child, 0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.parametrize("scheme", ["http", "otlp+http"])
def test_nothing_is_lost_at_exit_or_by_forking(scheme: str) -> None:
    with ScriptedServer() as server:
        # A name, not an address: it must still resolve while the interpreter exits.
        port = server.address.rpartition(":")[2]
        option = "?wire=native" if scheme == "http" else ""
        url = f"{scheme}://localhost:{port}{option}"
        command = [
            sys.executable,
            "-W",
            "error::ResourceWarning",
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            SCRIPT,
            url,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert (done.returncode, done.stderr) == (0, "")
    if scheme == "http":
        bodies = [json.loads(zstd.decompress(seen.body)) for seen in server.requests]
        assert sum(len(body["events"]) for body in bodies) == 151
    else:
        assert len(spans_of(server)) == 151
