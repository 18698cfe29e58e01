"""Each mistake has an id and a way out; a misspelt key stops ``manage.py check``."""

import os
import subprocess
import sys
from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.test import override_settings

from llmobs.contrib.django import LLMObsMiddleware
from llmobs.runtime.troubles import Troubles
from tests.contrib.django.site import SETTINGS
from tests.servers.serving import ROOT

OURS = "llmobs.contrib.django.LLMObsMiddleware"


class Own(LLMObsMiddleware):
    """A project's own middleware, standing on ours."""


def found(**settings: Any) -> list[CheckMessage]:
    with override_settings(**settings):
        return [message for message in run_checks() if str(message.id).startswith("llmobs.")]


def the(messages: list[CheckMessage]) -> tuple[str, str]:
    (message,) = messages
    assert message.id is not None
    return message.id, f"{message.msg} {message.hint}"


def test_a_right_installation_says_nothing() -> None:
    assert (
        found(LLMOBS={"SINK": "sqlite:///llmobs.db", "EXCLUDE": ["/health"], "USER_ID": "pk"}) == []
    )
    assert found(LLMOBS=None) == []
    assert found(MIDDLEWARE=["llmobs.contrib.django.middleware.LLMObsMiddleware"]) == found()
    assert found(MIDDLEWARE=["tests.contrib.django.test_checks.Own"]) == found()
    assert (
        found(
            INSTALLED_APPS=[
                *SETTINGS["INSTALLED_APPS"][:-1],
                "llmobs.contrib.django.apps.LLMObsConfig",
            ]
        )
        == found()
    )


@pytest.mark.parametrize(
    ("llmobs", "code", "words"),
    [
        ({"SNIK": "memory:"}, "E001", "LLMOBS['SNIK']: there is no such setting. Did you mean 'SINK'?"),
        ({"sink": "memory:"}, "E001", "Did you mean 'SINK'?"),
        ({7: "memory:"}, "E001", "LLMOBS['7']"),
        ("memory:", "E001", "must be a dict"),
        ({"BATCH_SIZE": "many"}, "E002", "batch_size='many'"),
        ({"SAMPLE_RATE": 2}, "E002", "sample_rate"),
        ({"EXCLUDE": "/health"}, "E002", "exclude: a list of paths is needed"),
        ({"HEADER_NAME": "no header"}, "E002", "is no name of an HTTP header"),
        ({"CAPTURE": "yes"}, "E002", "is not True or False"),
        ({"RECORD_EMPTY": "no"}, "E002", "is not True or False"),
        ({"TRUST_RUN_ID": "false"}, "E002", "takes the request"),
        ({"USER_ID": "email"}, "E002", "neither 'pk' nor a function"),
        ({"VIEWER_PERMISSION": "view_prompts"}, "E002", "name one as 'app_label.codename'"),
        ({"VIEWER_PERMISSION": "shop."}, "E002", "'shop.' is no permission"),
        ({"VIEWER_PERMISSION": ["shop.view"]}, "E002", "is no permission"),
        ({"VIEWER_PERMISSION": ""}, "E002", "is no permission"),
        ({"SINK": "nowhere://x"}, "E003", "known schemes are"),
        ({"SINK": "memory:"}, "W007", "every process keeps its own events"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_settings(llmobs: Any, code: str, words: str) -> None:
    found_code, text = the(found(LLMOBS=llmobs))
    assert found_code == f"llmobs.{code}"
    assert words in text


def test_several_mistakes_are_said_at_once_and_no_secret() -> None:
    codes = [m.id for m in found(LLMOBS={"EXCLUDE": "/x", "BATCH_SIZE": 0})]
    assert codes == ["llmobs.E002", "llmobs.E002"]
    text = str(found(LLMOBS={"SINK": "ftp://secret@host", "API_KEY": 7}))
    assert "secret" not in text


def test_the_environment_fills_and_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOBS_BATCH_SIZE", "many")
    code, text = the(found(LLMOBS={"SINK": "sqlite:///llmobs.db"}))
    assert code == "llmobs.E002"
    assert "LLMOBS_BATCH_SIZE" in text
    assert found(LLMOBS={"SINK": "sqlite:///llmobs.db", "BATCH_SIZE": 5}) == []


def test_disabled_no_sink_is_built() -> None:
    assert found(LLMOBS={"SINK": "nowhere://x", "ENABLED": False}) == []


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"MIDDLEWARE": []}, "E004"),
        ({"MIDDLEWARE": [OURS, "django.middleware.gzip.GZipMiddleware", OURS]}, "E005"),
    ],
)
def test_what_is_wrong_with_the_installation(settings: Any, code: str) -> None:
    from llmobs.contrib.django.checks import check_installation

    with override_settings(**settings):  # type: ignore[arg-type]
        assert the(list(check_installation()))[0] == f"llmobs.{code}"


def test_the_middleware_says_that_its_app_is_missing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the app is missing its checks are not run, as `manage.py check` imports no middleware."""
    monkeypatch.setattr("llmobs.contrib.django.middleware._troubles", Troubles())
    with override_settings(INSTALLED_APPS=SETTINGS["INSTALLED_APPS"][:-1]):
        LLMObsMiddleware(lambda request: None)
    assert "missing in INSTALLED_APPS" in caplog.text


def test_a_misspelt_key_stops_manage_py_check() -> None:
    program = (
        "from tests.contrib.django.site import SETTINGS, configure\n"
        "SETTINGS['LLMOBS'] = {'SNIK': 'memory:'}\n"
        "configure()\n"
        "from django.core.management import call_command\n"
        "call_command('check')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ended.returncode == 1
    assert "(llmobs.E001)" in ended.stderr
    assert "Did you mean 'SINK'?" in ended.stderr
