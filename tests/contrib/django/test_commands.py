"""``manage.py``: commands deliver before they end, and the command line has the project's settings."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.serving import ROOT
from tests.support.arrivals import Arrivals

SETTINGS = """
import os
from pathlib import Path
from tests.servers.django_site import *

INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "shop", "llmobs.contrib.django"]
LLMOBS = {
    "SINK": f"sqlite:///{Path(__file__).parent / 'kept here.db'}".replace(" ", "%20"),
    "FLUSH_INTERVAL_SECONDS": 60,
    "PROJECT_ID": "shop",
}
"""

ASK = """
from django.core.management.base import BaseCommand

import llmobs
from tests.servers.django_site import ledger
from tests.support.ledger import COST


class Command(BaseCommand):
    def handle(self, *args, **options):
        with llmobs.run(name="nightly") as run:
            for _ in range(3):
                ledger.note(run.log_prompt_call("q", "gpt-4o", "a", 1, 2, **COST))
        ledger.note(llmobs.current_tracker().log_error("outside any run"))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    commands = tmp_path / "shop" / "management" / "commands"
    commands.mkdir(parents=True)
    (tmp_path / "shop" / "__init__.py").touch()
    (commands / "ask.py").write_text(ASK)
    (tmp_path / "shop_settings.py").write_text(SETTINGS)
    return tmp_path


def manage(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join((str(project), str(ROOT))),
        "DJANGO_SETTINGS_MODULE": "shop_settings",
        "TEST_LEDGER": str(project / "ledger"),
        "COLUMNS": "100",
    }
    return subprocess.run(
        [sys.executable, "-m", "django", *words],
        cwd=project, env=env, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_commands_deliver_before_they_end(project: Path) -> None:
    for words in (["migrate"], ["ask"]):
        ended = manage(project, *words)
        assert ended.returncode == 0, ended.stderr
    arrivals = Arrivals.read(project / "ledger", project / "kept here.db")
    assert len(arrivals.recorded) == 4
    assert not arrivals.lost
    assert len(arrivals.runs) == 1
    shown = manage(project, "llmobs", "runs", "--json")
    assert shown.returncode == 0, shown.stderr
    assert "nightly" in shown.stdout
    assert json.loads(shown.stdout)
    assert manage(project, "llmobs", "show", "no-such-run", "--settings=shop_settings").returncode
    assert "--client-run-id" in manage(project, "llmobs", "runs", "--help").stdout
