"""The newest Django, with a newer Python: these tests, its own tasks and the example, in an environment of its own."""

import os
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

from tests.servers.serving import ROOT

DJANGO = "django>=6.1,<6.2"
PACKAGES = (
    "djangorestframework",
    "django-ninja",
    "channels",
    "pytest-django",
    "daphne",
    "opentelemetry-sdk",
    "websockets",
    "django-tasks-db",
    "psycopg[binary]",  # which the workers' fixtures import
    # Of the example, and of the model server it asks.
    "anthropic",
    "celery",
    "openai",
    "starlette",
    "uvicorn",
)
TESTS = (
    *(
        f"tests/contrib/django/test_{name}.py"
        for name in ("middleware", "checks", "asgi", "ecosystem", "commands", "runners")
    ),
    "tests/workers/test_runs.py::test_tasks_are_linked_runs_and_all_arrive[django_tasks one process, SIGTERM]",
    "tests/workers/test_killed.py::test_the_disk_keeps_what_a_killed_worker_recorded[django_tasks]",
    "tests/example_apps/test_django_chat.py::test_its_own_tests_pass",
)
HOME = ROOT / ".cache" / "django-6.1"


def newer_python() -> str | None:
    """Return a Python of 3.12 or newer, this one if it is."""
    found = [sys.executable, *(which(f"python3.{n}") for n in (14, 13, 12))]
    for versions in (Path.home() / ".pyenv" / "versions", Path("/usr/local")):
        found += [str(path) for path in sorted(versions.glob("3.1[2-9]*/bin/python"), reverse=True)]
    for python in found:
        if python is None:
            continue
        # A shim of pyenv may stand for a version that is not chosen here.
        asked = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 12))"]
        if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            return python
    return None


@pytest.mark.timeout(600)
def test_on_the_newest_django() -> None:
    python = newer_python()
    if python is None:
        pytest.skip("there is no Python 3.12 or newer here")
    uv, ours = [sys.executable, "-m", "uv"], str(HOME / "bin" / "python")
    ready, wanted = HOME / "ready", "\n".join((python, DJANGO, *PACKAGES))
    if not ready.exists() or ready.read_text() != wanted:
        subprocess.run([*uv, "venv", "-q", "--clear", "--python", python, str(HOME)], check=True)
        install = [*uv, "pip", "install", "-q", "--python", ours]
        install += [
            "-e",
            f"{ROOT}[cli,kafka,prices,serve]",
            "--group",
            f"{ROOT / 'pyproject.toml'}:tests",
        ]
        subprocess.run([*install, DJANGO, *PACKAGES], check=True)
        ready.write_text(wanted)
    ended = subprocess.run(
        [ours, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", *TESTS],
        cwd=ROOT, env={**os.environ, "PYTHONDEVMODE": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr[-2000:]
    assert "skipped" not in ended.stdout.splitlines()[-1]
