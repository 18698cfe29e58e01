"""Schemathesis asks a real collector whatever its document allows, and what it forbids."""

import subprocess
import sys
from pathlib import Path

import pytest

from llmobs.server.keys import KeyFile
from tests.server.test_api import store
from tests.support.serving import Serving
from tests.support.stores import index_texts

__all__ = ["store"]

CHECKS = "--checks=all"
BOUNDS = (
    "--max-examples=20",
    "--workers=1",
    "--seed=7",
    "--generation-database=none",
    "--no-color",
)


@pytest.mark.parametrize("with_key", [False, True], ids=["open", "key"])
def test_schemathesis_finds_nothing(store: Path, tmp_path: Path, with_key: bool) -> None:
    index_texts(store)  # so that /search has something to find
    headers: tuple[str, ...] = ()
    if with_key:
        # One that reads a project: what it asks for is there for it, or it is told that nothing is.
        key = KeyFile(store).add(project="shop", may=["read"])[1]
        headers = ("-H", f"Authorization: Bearer {key}")
    with Serving(store) as collector:
        command = [
            str(Path(sys.executable).with_name("st")), "run", f"{collector.url}/api/v1/openapi.json",
            CHECKS, *BOUNDS, *headers,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
