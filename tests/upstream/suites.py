"""
Run the suites of Starlette, FastAPI, Uvicorn and Django bare and with the middleware around every application.

``python -m tests.upstream.suites [NAME …] [-- PYTEST ARGUMENTS]`` fetches the source distributions of
the versions installed here, makes an environment for each in ``.cache/suites``, and prints what
differs. It needs a package index and some minutes; ``make test`` does not run it.
"""

import os
import re
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "suites"
HERE = Path(__file__).parent
UV = (sys.executable, "-m", "uv")


@dataclass
class Suite:
    name: str
    install: tuple[str, ...]
    """What its tests need, beside itself."""
    arguments: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return CACHE / f"{self.name}-{version(self.name)}"

    @property
    def python(self) -> Path:
        return self.folder / ".suite" / "bin" / "python"


SUITES = {
    "starlette": Suite("starlette", ("-e", ".[full]", "--group", "dev")),
    "fastapi": Suite("fastapi", ("-e", ".[all]", "--group", "tests"), ("--timeout", "60")),
    "uvicorn": Suite("uvicorn", ("-e", ".[standard]", "--group", "dev"), ("-o", "addopts=-rxXs")),
    "django": Suite("django", ("-e", ".")),
}
DJANGO = [
    "handlers",
    "middleware",
    "asgi",
    "wsgi",
    "async",
    "requests_tests",
    "responses",
    "test_client",
    "servers",
    "csrf_tests",
    "sessions_tests",
    "auth_tests",
]
"""The rooms of Django's suite in which requests are served."""
COLUMNS = {"bare": None, "with": "header", "silent": "silent"}


def prepare(suite: Suite) -> None:
    """Fetch and unpack the suite, and make its environment, unless they are there."""
    ready = suite.folder / ".suite" / "ready"
    if ready.exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    pinned = f"{suite.name}=={version(suite.name)}"
    fetch = ("-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(CACHE))
    subprocess.run([sys.executable, *fetch, pinned], check=True)
    with tarfile.open(CACHE / f"{suite.folder.name}.tar.gz") as archive:
        archive.extractall(CACHE, filter="data")
    subprocess.run(
        [*UV, "venv", "-q", "--python", sys.executable, str(suite.python.parents[1])], check=True
    )
    install = (*UV, "pip", "install", "-q", "--python", str(suite.python))
    subprocess.run([*install, *suite.install], cwd=suite.folder, check=True)
    subprocess.run([*install, "-e", str(ROOT)], check=True)
    ready.touch()


def run_django(suite: Suite, column: str, more: list[str]) -> dict[str, str]:
    """As `run`, for Django's suite, which has a runner of its own."""
    how = COLUMNS[column]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(HERE), "."))}
    if how is not None:
        environment["LLMOBS_AROUND"] = how
    command = (str(suite.python), "runtests.py", "--parallel", "1", "-v", "2", "--settings",
               "test_sqlite" if how is None else "around_django", *(more or DJANGO))  # fmt: skip
    ended = subprocess.run(
        command, cwd=suite.folder / "tests", env=environment, capture_output=True, text=True
    )
    said = ended.stdout + ended.stderr
    (suite.folder / ".suite" / f"{column}.log").write_text(said)
    outcomes = dict.fromkeys(re.findall(r"^test\w* \(([\w.]+)\)", said, re.MULTILINE), "passed")
    for test in re.findall(r"^(?:FAIL|ERROR): \w+ \(([\w.]+)\)", said, re.MULTILINE):
        outcomes[test] = "failure"
    return outcomes


def run(suite: Suite, column: str, more: list[str]) -> dict[str, str]:
    """Run the suite, and return each test's outcome."""
    if suite.name == "django":
        return run_django(suite, column, more)
    report = suite.folder / ".suite" / f"{column}.xml"
    report.unlink(missing_ok=True)
    how = COLUMNS[column]
    environment = {**os.environ, "PYTHONPATH": str(HERE), "LLMOBS_SINK": "memory:"}
    around = ()
    if how is not None:
        environment["LLMOBS_AROUND"] = how
        around = ("-p", "around")
    command = (str(suite.python), "-m", "pytest", "tests", "-q", "-p", "no:cacheprovider",
               "-p", "no:sugar", f"--junitxml={report}", *around, *suite.arguments, *more)  # fmt: skip
    log = suite.folder / ".suite" / f"{column}.log"
    with log.open("wb") as out:
        subprocess.run(command, cwd=suite.folder, env=environment, stdout=out, stderr=out)
    outcomes = {}
    for case in ET.parse(report).iter("testcase"):
        problem = next((child.tag for child in case if child.tag in ("failure", "error")), None)
        skipped = case.find("skipped") is not None
        name = f"{case.get('classname')}::{case.get('name')}"
        outcomes[name] = problem or ("skipped" if skipped else "passed")
    return outcomes


def differing(bare: dict[str, str], other: dict[str, str]) -> list[str]:
    """Return the names of the tests that passed bare and do not here, or the other way round."""
    names = sorted({*bare, *other})
    return [n for n in names if (bare.get(n) == "passed") != (other.get(n) == "passed")]


def main() -> int:
    arguments = sys.argv[1:]
    names, more = arguments, []
    if "--" in arguments:
        cut = arguments.index("--")
        names, more = arguments[:cut], arguments[cut + 1 :]
    worse = 0
    rows = [
        ("suite", "tests", "passed bare", "passed with", "silent", "differ with", "differ silent")
    ]
    details: list[str] = []
    for suite in [SUITES[name] for name in names or SUITES]:
        prepare(suite)
        found = {column: run(suite, column, more) for column in COLUMNS}
        passed = [sum(o == "passed" for o in outcomes.values()) for outcomes in found.values()]
        different = [differing(found["bare"], found[column]) for column in ("with", "silent")]
        worse += len(different[1])
        numbers = (len(found["bare"]), *passed, *(len(names) for names in different))
        rows.append((suite.folder.name, *map(str, numbers)))
        for column, tests in zip(("with", "silent"), different, strict=True):
            details += [
                f"{suite.name}, {column}: {test}: {found[column].get(test)}" for test in tests
            ]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    print(*details, sep="\n")
    return bool(worse)


if __name__ == "__main__":
    sys.exit(main())
