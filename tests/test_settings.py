"""llmobs.settings"""

import typing
from pathlib import Path
from typing import Any

import pytest

from llmobs import Client
from llmobs.contrib.asgi import LLMObsMiddleware
from llmobs.errors import ConfigurationError
from llmobs.settings import Settings, SettingsKeywords


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
    with pytest.raises(ValueError, match="frozen"):
        Settings().batch_size = 3  # type: ignore[misc]


def test_the_keywords_for_type_checkers_are_the_fields() -> None:
    assert set(typing.get_type_hints(SettingsKeywords)) == set(Settings.model_fields)


def test_every_field_is_documented() -> None:
    source = Path(typing.cast(str, __import__("llmobs.settings").settings.__file__)).read_text()
    for name in Settings.model_fields:
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
