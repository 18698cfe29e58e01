"""Tests of users: with pytest-django, and with Django's own runner, in one process and in several."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.serving import ROOT

pytest.importorskip("pytest_django")

SETTINGS = """
from tests.contrib.django.site import SETTINGS

globals().update(SETTINGS)
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.db"}}
LLMOBS = {"SINK": "sqlite:///never.db"}
"""

WITH_PYTEST = """
import threading

import pytest
from llmobs import PromptCallEvent, RunEvent


def test_a_view(client, llmobs_events):
    run_id = client.get("/chat/").headers["x-run-id"]
    assert llmobs_events.in_run(run_id) == list(llmobs_events)
    assert llmobs_events.of(PromptCallEvent)[0].model == "gpt-4o"


async def _ask(async_client):
    return await async_client.get("/achat/")


def test_an_async_view(async_client, llmobs_events):
    import asyncio

    asyncio.run(_ask(async_client))
    assert len(llmobs_events.of(RunEvent)) == 1


def test_other_settings(client, settings, llmobs_events):
    settings.LLMOBS = {"SINK": "memory:", "HEADER_NAME": "x-chat"}
    assert "x-chat" in client.get("/chat/").headers


def test_none_is_left(llmobs_events):
    assert llmobs_events == []
    assert "llmobs" not in {thread.name for thread in threading.enumerate()}


def test_a_live_server(live_server, llmobs_events):
    from urllib.request import urlopen

    assert urlopen(f"{live_server.url}/chat/").status == 200
    from tests.support.polling import eventually

    eventually(lambda: llmobs_events.of(RunEvent))
"""

WITH_DJANGO = """
from urllib.request import urlopen

from django.test import LiveServerTestCase, TestCase, TransactionTestCase
from llmobs import RunEvent
from llmobs.testing import capture_events
from tests.support.polling import eventually


class Shared:
    def setUp(self):
        self.events = self.enterContext(capture_events())

    def test_view(self):
        self.client.get("/chat/")
        self.assertEqual(len(self.events.of(RunEvent)), 1)


class One(Shared, TestCase):
    pass


class Two(Shared, TransactionTestCase):
    pass


class Three(Shared, LiveServerTestCase):
    def test_live(self):
        self.assertEqual(urlopen(f"{self.live_server_url}/chat/").status, 200)
        eventually(lambda: self.events.of(RunEvent))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "own_settings.py").write_text(SETTINGS)
    (tmp_path / "test_with_pytest.py").write_text(WITH_PYTEST)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").touch()
    (tmp_path / "own" / "tests.py").write_text(WITH_DJANGO)
    return tmp_path


def run(project: Path, *words: str) -> str:
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join((str(project), str(ROOT))),
        "DJANGO_SETTINGS_MODULE": "own_settings",
    }
    ended = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=project, env=env, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert not (project / "never.db").exists()
    return ended.stdout + ended.stderr


def test_pytest_django(project: Path) -> None:
    assert "5 passed" in run(project, "pytest", "-q", "test_with_pytest.py")


@pytest.mark.parametrize("more", [(), ("--parallel", "2")])
def test_djangos_own_runner(more: tuple[str, ...], project: Path) -> None:
    said = run(project, "django", "test", "own", *more)
    assert "Ran 4 tests" in said
    assert "OK" in said
