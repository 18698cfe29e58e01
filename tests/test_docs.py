"""The documentation says what is true: pages are current, links lead somewhere, names exist."""

import importlib
import re
import runpy
import tomllib
from enum import Enum
from pathlib import Path

import pytest

import llmobs

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]
GUIDES = sorted(
    [*(ROOT / "docs" / "tutorial").glob("*.md"), *(ROOT / "docs" / "how-to").glob("*.md")]
)


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


API = (ROOT / "docs" / "reference" / "api.md").read_text()
DESCRIBED = {
    "llmobs": llmobs.__all__,
    "llmobs.contrib.fastapi": None,
    "llmobs.contrib.openai": None,
    "llmobs.contrib.anthropic": None,
    "llmobs.contrib.httpx": ["instrument", "uninstrument"],
    "llmobs.contrib.aiohttp": None,
    "llmobs.contrib.urllib3": None,
    "llmobs.contrib.websockets": None,
    "llmobs.contrib.botocore": None,
    "llmobs.contrib.langchain": None,
    "llmobs.contrib.openai_agents": None,
    "llmobs.contrib.mcp": None,
    "llmobs.contrib.litellm": None,
    "llmobs.contrib.pydantic_ai": None,
    "llmobs.contrib.llama_index": None,
    "llmobs.contrib.dspy": None,
    "llmobs.contrib.crewai": None,
    "llmobs.contrib.smolagents": None,
    "llmobs.contrib.google_adk": None,
    "llmobs.contrib.tool_runners": None,
    "llmobs.contrib.opentelemetry": None,
    "llmobs.contrib.celery": None,
    "llmobs.contrib.dramatiq": None,
    "llmobs.contrib.taskiq": None,
    "llmobs.contrib.arq": None,
    "llmobs.contrib.rq": ["LLMObsJob", "LLMObsWorker", "LLMObsSimpleWorker"],
    "llmobs.contrib.django_tasks": ["LLMObsBackend"],
    "llmobs.contrib.procrastinate": None,
    "llmobs.testing": None,
}
"""Modules with what the reference must have of them; None for all that they offer."""


@pytest.mark.parametrize("module", DESCRIBED)
def test_the_reference_has_all_that_is_public(module: str) -> None:
    prefix = "" if module == "llmobs" else f"{module}."
    for name in DESCRIBED[module] or importlib.import_module(module).__all__:
        entry = re.search(
            rf"^(### {prefix}{name}|\| (\[`{name}`\]|`{name}`).*)$", API, re.MULTILINE
        )
        assert entry, f"docs/generate_api.py leaves out {module}.{name}"


def test_the_reference_has_the_fixture_values_and_fields() -> None:
    assert "### llmobs_events" in API
    for kind in (getattr(llmobs, name) for name in llmobs.__all__):
        if isinstance(kind, type) and issubclass(kind, Enum):
            for each in kind:
                assert re.search(rf"^\| `{each.name}` \| `{each.value}` \| \S.* \|$", API, re.M), (
                    each
                )
    for report in (llmobs.FlushReport, llmobs.Statistics, llmobs.ErrorInfo, llmobs.ClientInfo):
        entry = API.partition(f"### {report.__name__}\n")[2].partition("\n### ")[0]
        for name in report.__struct_fields__:
            assert re.search(rf"^\| `{name}` \| \S.* \|$", entry, re.MULTILINE), (report, name)


def test_the_reference_hides_what_is_internal() -> None:
    for name in ("after_fork", "enclose", "expect", "record_later", "refuse", "drain", "_write"):
        assert not re.search(rf"[.]{name}$|^{name}\(", API, re.MULTILINE), name


def test_every_field_of_an_event_has_a_meaning() -> None:
    page = (ROOT / "docs" / "reference" / "events.md").read_text()
    assert re.findall(r"^\| `(\w+)` \| [^|]+ \|  \|$", page, re.MULTILINE) == []


UNBUILT = re.compile(
    r"llmobs\.(contrib\.)?dashboard",
    re.IGNORECASE,
)


def test_nothing_is_promised_that_is_not_there() -> None:
    sources = [*PAGES, *sorted((ROOT / "src").rglob("*.py")), ROOT / "pyproject.toml"]
    for path in sources:
        assert not UNBUILT.search(path.read_text()), path
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in re.findall(r"llmobs\[([\w,]+)\]", "".join(page.read_text() for page in PAGES)):
        assert set(extra.split(",")) <= set(project["optional-dependencies"]), extra


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_guide_is_reachable_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for page in GUIDES:
        assert f"docs/{page.parent.name}/{page.name}" in readme, page.name


def test_headings_that_links_name_are_there() -> None:
    for page in PAGES:
        for target, heading in re.findall(r"\]\(([^):#]*)#([^)]+)\)", page.read_text()):
            other = page.parent / target if target else page
            if other.suffix == ".md":
                assert heading in _headings(other), f"{page.name}: {target}#{heading}"


def _headings(page: Path) -> set[str]:
    """What Markdown's headings are called in addresses."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"\[(.+?)\]\(.+?\)", r"\1", each).lower() for each in found)
    return {re.sub(r"[^\w\- ]", "", each).replace(" ", "-") for each in plain}


def test_pictures_are_of_pages_and_small() -> None:
    shown = {
        target for page in PAGES for target in re.findall(r"!\[.+?\]\((.+?)\)", page.read_text())
    }
    kept = {path.name for path in (ROOT / "docs" / "pictures").glob("*.png")}
    assert {Path(target).name for target in shown} <= kept
    for path in (ROOT / "docs" / "pictures").glob("*.png"):
        assert path.stat().st_size <= 100_000, path.name


def test_the_changelog_names_the_version_or_has_unreleased_changes() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert version[1] == llmobs.__version__
    top = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert top[0] in ("Unreleased", version[1])
