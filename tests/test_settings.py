"""llmobs.settings"""

import copy
import os
import pickle
import subprocess
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmobs import Client
from llmobs.contrib.asgi import LLMObsMiddleware
from llmobs.errors import ConfigurationError
from llmobs.settings import NAMES, Settings, SettingsKeywords, _plainly_right, _validated


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)


def test_keywords_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOBS_BATCH_SIZE", "7")
    monkeypatch.setenv("LLMOBS_SINK", "jsonl:///a.jsonl console:")
    assert Settings().batch_size == 7
    assert Settings().sink == "jsonl:///a.jsonl console:"
    assert Settings(batch_size=8, sink="memory:").batch_size == 8


def test_an_empty_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOBS_SINK", "")
    assert Settings().sink == "sqlite:///llmobs.db"


def test_the_service_name_falls_back_to_opentelemetrys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    assert Settings().service_name == "shop"
    monkeypatch.setenv("LLMOBS_SERVICE_NAME", "ours")
    assert Settings().service_name == "ours"
    assert Settings(service_name="mine").service_name == "mine"


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("LLMOBS_BATCH_SIZE", "many", "integer"),
        ("LLMOBS_SAMPLE_RATE", "2", "less than or equal to 1"),
        ("LLMOBS_SAMPLE_RATE", "nan", "finite"),
        ("LLMOBS_TIMEOUT", "0", "greater than 0"),
        ("LLMOBS_OVERFLOW", "explode", "'drop_oldest', 'drop_newest', 'block' or 'spill'"),
        ("LLMOBS_REDACT_PII", "perhaps", "boolean"),
        ("LLMOBS_SINK", "  ", "sqlite:///llmobs.db"),
        ("LLMOBS_CAPTURE_CONTENT", "some", "'metadata'"),
    ],
)
def test_a_bad_variable_is_named_with_what_would_be_right(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as caught:
        Settings()
    assert variable in str(caught.value)
    assert words in str(caught.value)


def test_an_unknown_keyword_lists_the_known_ones() -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"sinks: no such setting, did you mean sink\?; the settings are sink, api_key",
    ):
        Settings(sinks="memory:")


@pytest.mark.parametrize("wanted", [{"overflow": "spill"}, {"durability": "disk"}])
def test_disk_settings_need_a_directory(wanted: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="spool_dir"):
        Settings(**wanted)
    assert Settings(**wanted, spool_dir=tmp_path).spool_dir == tmp_path


@pytest.mark.parametrize(
    "wrong", [{"spool_dir": "~nobody-here/x"}, {"sink": "jsonl:///~nobody-here/x"}]
)
def test_a_home_that_is_not_there_is_a_wrong_setting(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(wrong))}.*home directory"):
        Client(**wrong)


def test_secrets_are_in_no_repr_and_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOBS_API_KEY", "s3cret")
    settings = Settings(sink="https://s3cret@host/v1")
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in str(settings)
    monkeypatch.setenv("LLMOBS_BATCH_SIZE", "s3cret")
    with pytest.raises(ConfigurationError) as caught:
        Settings(sink="https://s3cret@host/v1")
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError, match="frozen"):
        Settings().batch_size = 3
    with pytest.raises(AttributeError, match="frozen"):
        del Settings(batch_size=3).batch_size


def test_the_keywords_for_type_checkers_are_the_fields() -> None:
    assert set(typing.get_type_hints(SettingsKeywords)) == set(NAMES)


def test_every_field_is_documented() -> None:
    source = Path(typing.cast(str, __import__("llmobs.settings").settings.__file__)).read_text()
    for name in NAMES:
        after = source.split(f"    {name}: ", 1)[1]
        assert '"""' in after[:400], name


def test_a_wrong_keyword_is_named_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"^sample_rate=2: Input should be less than"):
        Settings(sample_rate=2)
    with pytest.raises(ConfigurationError, match="did you mean batch_size"):
        Settings(batchsize=2)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError) as caught:
        Settings(sink="  ", api_key=["s3cret"])  # type: ignore[arg-type]
    assert "s3cret" not in str(caught.value) and "environment" not in str(caught.value)


def test_the_middleware_names_its_own_arguments_too() -> None:
    with pytest.raises(
        ConfigurationError, match=r"header_nam: .*did you mean header_name\?.*exclude"
    ):
        LLMObsMiddleware(None, header_nam="x")  # type: ignore[call-arg,arg-type]


def test_unknown_variables_are_said_once_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LLMOBS_SAMPEL_RATE", "0.5")
    Settings()
    Settings()
    (line,) = [r.getMessage() for r in caplog.records if "SAMPEL" in r.getMessage()]
    assert "did you mean LLMOBS_SAMPLE_RATE?" in line and "0.5" not in line


def python(code: str, **variables: str) -> str:
    """Run *code* in an interpreter of its own; return what it prints."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LLMOBS_", "OTEL_"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, timeout=60, env={**environment, **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


FIRST_CLIENT = """
import sys
from llmobs import Client
Client({}).close()
print(*sorted({{"pydantic", "pydantic_settings", "rich", "trio", "httpx", "httpx2", "zstandard"}} & set(sys.modules)))
"""


def test_a_first_client_loads_no_library_to_read_plain_settings(tmp_path: Path) -> None:
    spool = f"{str(tmp_path)!r}"
    for keywords in ("", "sink='memory:', batch_size=7, tail_sampling='errors', stages=[print]"):
        assert python(FIRST_CLIENT.format(keywords), LLMOBS_SINK="memory:") == ""
    given = f"spool_dir={spool}, overflow='spill', sample_rate=1, timeout=2.5, api_key='k'"
    plain = {"LLMOBS_SINK": "memory:", "LLMOBS_BATCH_SIZE": "7", "LLMOBS_REDACT_PII": "false"}
    assert python(FIRST_CLIENT.format(given), **plain, OTEL_SERVICE_NAME="shop") == ""


def test_what_is_not_plain_is_read_by_the_library() -> None:
    loaded = python(FIRST_CLIENT.format("sink='memory:'"), LLMOBS_REDACT_PII="yes")
    assert loaded == "pydantic pydantic_settings"


class Text(str):
    pass


GIVEN: list[dict[str, Any]] = [
    {},
    {"sample_rate": 1}, {"sample_rate": 0.25}, {"sample_rate": "0.5"}, {"sample_rate": True},
    {"batch_size": 7}, {"batch_size": 7.0}, {"batch_size": "7"}, {"batch_size": True},
    {"redact_pii": False}, {"redact_pii": 0}, {"redact_pii": "off"}, {"enabled": "True"},
    {"project_id": Text("p")}, {"release": "null"}, {"release": None}, {"api_key": "k"},
    {"timeout": 10**400}, {"timeout": "inf"}, {"timeout": float("nan")}, {"batch_size": 10**30},
    {"project_id": ""}, {"project_id": None}, {"batch_size": 0}, {"batch_size": -1}, {"tail_bytes": 1},
    {"overflow": "block"}, {"overflow": "Block"}, {"capture_content": b"full"},
    {"tail_sampling": "errors,rate=0.5"}, {"tail_sampling": len}, {"tail_sampling": "perhaps"},
    {"tail_sampling": 7}, {"redactor": str.upper}, {"redactor": "upper"}, {"stages": [len]},
    {"stages": "len"}, {"stages": ()}, {"stages": 7}, {"sink": "memory:"}, {"sink": []}, {"sink": None},
    {"spool_dir": "x"}, {"spool_dir": Path("~/x")}, {"spool_dir": "~"}, {"spool_dir": 7},
    {"redaction": {"kinds": ["card"]}}, {"redaction": "rules.json"}, {"redaction": None},
    {"prices": {"m": {"input": 1}}}, {"prices": {}}, {"prices": None},
    {"service_name": "mine", "max_queue_events": 3, "shutdown_timeout": 0},
]  # fmt: skip
VARIABLES: list[dict[str, str]] = [
    {"LLMOBS_SAMPLE_RATE": "0.5"}, {"llmobs_sample_rate": "1"}, {"LLMOBS_SAMPLE_RATE": " 1"},
    {"LLMOBS_SAMPLE_RATE": "1e-3"}, {"LLMOBS_TIMEOUT": "Infinity"}, {"LLMOBS_TIMEOUT": "1_0"},
    {"LLMOBS_BATCH_SIZE": "7"}, {"LLMOBS_BATCH_SIZE": "7.0"}, {"LLMOBS_BATCH_SIZE": "07"},
    {"LLMOBS_BATCH_SIZE": "+7"}, {"LLMOBS_BATCH_SIZE": "\u0667"}, {"LLMOBS_BATCH_SIZE": "null"},
    {"LLMOBS_ENABLED": "1"}, {"LLMOBS_ENABLED": "FALSE"}, {"LLMOBS_ENABLED": "no"},
    {"LLMOBS_RELEASE": "null"}, {"LLMOBS_RELEASE": "1.0"}, {"LLMOBS_API_KEY": "k"},
    {"LLMOBS_SERVICE_NAME": "ours", "OTEL_SERVICE_NAME": "shop"}, {"otel_service_name": "shop"},
    {"SERVICE_NAME": "somebody else's"}, {"LLMOBS_SERVICE_NAME": ""}, {"LLMOBS_SINK": " "},
    {"LLMOBS_STAGES": "[]"}, {"LLMOBS_STAGES": "len"}, {"LLMOBS_REDACTOR": "upper"},
    {"LLMOBS_PRICES": '{"m": {"input": 1}}'}, {"LLMOBS_PRICES": "free"}, {"LLMOBS_PROJECT_ID": "null"},
    {"LLMOBS_TAIL_SAMPLING": "errors"}, {"LLMOBS_TAIL_SAMPLING": "often"}, {"LLMOBS_SPOOL_DIR": "~/x"},
]  # fmt: skip


def _said(read: Callable[[], Any]) -> Any:
    """Return what *read* makes of its settings, or that it finds them wrong."""
    try:
        given = dict(read())
    except Exception:
        return "wrong"
    if "api_key" in given and given["api_key"] is not None:
        given["api_key"] = given["api_key"].get_secret_value()
    return {name: (type(value), value) for name, value in given.items()}


@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_the_plain_way_and_the_library_agree_on_keywords(given: dict[str, Any]) -> None:
    plainly = _said(lambda: _plainly_right(given))
    assert plainly in ("wrong", _said(lambda: _validated(given)))


@pytest.mark.parametrize("variables", VARIABLES, ids=str)
def test_the_plain_way_and_the_library_agree_on_variables(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for given in ({}, {"service_name": "mine", "batch_size": 9}):
        plainly = _said(lambda: _plainly_right(given))  # noqa: B023 - called at once
        assert plainly in ("wrong", _said(lambda: _validated(given)))  # noqa: B023 - as above


def test_a_file_of_variables_gives_way_to_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "env").write_text("LLMOBS_BATCH_SIZE=7\nLLMOBS_TIMEOUT=3\nLLMOBS_RELEASE=1\n")
    monkeypatch.setenv("LLMOBS_TIMEOUT", "4")
    settings = Settings(_env_file=tmp_path / "env", release="2")
    assert (settings.batch_size, settings.timeout, settings.release) == (7, 4.0, "2")


def test_settings_are_copied_compared_and_pickled() -> None:
    one = Settings(batch_size=7, sink="memory:")
    assert one == copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == Settings(**one.given)
    assert one != Settings(batch_size=8, sink="memory:")
    assert Settings.disabled().given == {"enabled": False}
