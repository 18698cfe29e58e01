"""llmobs.watchllm: how it is installed, and what it needs."""

import json
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from llmobs import watchllm
from tests.dialects.rows import ROOT
from tests.support.watchllm_server import WatchLLMServer

row = pytest.mark.row


def python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True, text=True, timeout=40, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@row("W002")
def test_the_pythons_it_runs_on() -> None:
    # The document says 3.8; those are no longer kept by anybody. docs/ says so to a migrant.
    metadata = distribution("llmobs").metadata
    assert metadata["Requires-Python"] == ">=3.11"
    named = {
        c.rpartition(" ")[2] for c in metadata.get_all("Classifier", []) if "Python :: 3." in c
    }
    assert named >= {"3.11", "3.12", "3.13"}
    page = (ROOT / "docs" / "how-to" / "migrate-from-watchllm.md").read_text(encoding="utf-8")
    assert "Python 3.11" in page


BARE = """
import importlib.abc, sys
extras = {"aiokafka", "cramjam", "opentelemetry", "genai_prices", "starlette", "uvicorn",
          "click", "rich", "openai", "anthropic", "langchain_core", "langchain", "requests", "httpx"}

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in extras:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from llmobs.watchllm import *
from llmobs.watchllm import WatchLLMClient, auto_instrument, get_callback_handler
with WatchLLMClient("test-key", "p", base_url=sys.argv[1]) as client:
    client.log_prompt_call("r", "p", "m", "a", 1, 1, 1)
auto_instrument("test-key", "p", base_url=sys.argv[1])
try:
    get_callback_handler()
except ImportError as error:
    print(error)
"""


@row("W003")
def test_it_works_without_any_extra(worker: WatchLLMServer) -> None:
    assert "langchain" in python(BARE, worker.base_url)
    assert len(worker.events) == 1


@row("W003")
def test_it_comes_with_the_package_and_is_typed() -> None:
    names = {str(file) for file in distribution("llmobs").files or ()}
    assert (Path(watchllm.__file__).parents[1] / "py.typed").exists()
    assert names  # a recorded installation, not a path someone put in front


@row("W004")
def test_an_editable_install_serves_the_checkout() -> None:
    origin = json.loads(distribution("llmobs").read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        pytest.skip("installed from a wheel here")
    where = python("import llmobs.watchllm; print(llmobs.watchllm.__file__)").strip()
    assert Path(where) == ROOT / "src" / "llmobs" / "watchllm" / "__init__.py"


@row("W003")
def test_importing_starts_nothing_and_reads_nothing() -> None:
    python(
        "import os, sys, threading\n"
        "os.environ['LLMOBS_SAMPLE_RATE'] = 'nonsense'\n"
        "import llmobs.watchllm\n"
        "assert threading.active_count() == 1\n"
        "assert not {'genai_prices', 'openai', 'anthropic', 'langchain_core'} & set(sys.modules)\n"
    )


@row("W130")
def test_the_license_is_the_documents() -> None:
    assert distribution("llmobs").metadata["License-Expression"] == "MIT"
    assert "MIT" in (ROOT / "tests" / "data" / "watchllm.md").read_text(encoding="utf-8")
