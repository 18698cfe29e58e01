"""The documentation says what is true: pages are current, links lead somewhere, examples run."""

import re
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import llmobs

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = [ROOT / "README.md", *sorted((ROOT / "docs" / "how-to").glob("*.md"))]


def test_generated_pages_are_current() -> None:
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    for name, page in generate["PAGES"].items():
        assert (ROOT / "docs" / "reference" / name).read_text() == page(), (
            f"{name} is not current: run python docs/generate.py"
        )


def test_the_page_on_usage_is_current() -> None:
    generate = runpy.run_path(str(ROOT / "docs" / "generate_usage.py"))
    page = (ROOT / "docs" / "reference" / "usage.md").read_text()
    assert page == generate["page"](), "usage.md is not current: run python docs/generate_usage.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


async def _ask(question: str) -> Any:
    return SimpleNamespace(text="42", tokens_in=3, tokens_out=1)


# The providers' async clients complain when an example ends without closing them.
@pytest.mark.filterwarnings("ignore:coroutine 'Async:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("page", EXAMPLES, ids=lambda page: page.name)
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMOBS_SINK", "memory:")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none")
    namespace: dict[str, Any] = {
        "ask": _ask,
        "search": list,
        "model_stream": None,
        "__name__": "example",
    }
    # Deferred annotations of classes in the example are looked up in its module.
    monkeypatch.setitem(sys.modules, "example", SimpleNamespace(**namespace))  # type: ignore[arg-type]
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        if "from mcp." in block and find_spec("mcp") is None:
            continue
        if "async with" in block and "async def" not in block:
            block = re.sub(r"^async with .*", "", block, flags=re.MULTILINE | re.DOTALL)
        exec(compile(block, str(page), "exec"), namespace)
    client = namespace.get("client")
    if client is not None:
        client.close()


def test_every_how_to_is_reachable_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for page in EXAMPLES[1:]:
        assert f"docs/how-to/{page.name}" in readme, page.name


def test_the_changelog_names_the_version_or_has_unreleased_changes() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert version[1] == llmobs.__version__
    top = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert top[0] in ("Unreleased", version[1])
