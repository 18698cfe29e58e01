"""The Django example: its own tests under Django's runner, and the demo."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rest_framework")
pytest.importorskip("celery")

from example_apps.django_chat import demo
from tests.servers.serving import ROOT


def manage(folder: Path, model: str, *words: str) -> str:
    """Run `manage.py` in a process of its own: Django has one project per process."""
    ended = subprocess.run(
        [sys.executable, "-m", "example_apps.django_chat.manage", *words],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_CHAT_FOLDER": str(folder),
            "OPENAI_BASE_URL": f"{model}/v1",
            "OPENAI_API_KEY": "any",
        },
        capture_output=True, text=True, check=False, timeout=150,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_its_own_tests_pass(llm_server: str, tmp_path: Path) -> None:
    out = manage(tmp_path, llm_server, "test", "example_apps.django_chat")
    assert "System check identified no issues" in out
    assert "Ran 9 tests" in out
    assert not (tmp_path / "django.db").exists(), "tests deliver nothing"


@pytest.mark.servers
def test_the_demo_loses_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--folder", str(tmp_path)]) == 0
    out = capfd.readouterr().out
    assert "6 of 6 answers arrived whole" in out
    assert "nothing was lost" in out
    assert "find_title" in out
    assert "manage.py digest" in out
    assert "first token" in out
    assert "\x1b" not in out
