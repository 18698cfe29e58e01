"""Enums, exceptions, version and types of `llmobs.sentinel`."""

import builtins
import importlib
import inspect
import pickle
import subprocess
import sys
from enum import Enum
from pathlib import Path

import pytest

import llmobs
from llmobs import sentinel
from llmobs.sentinel import AnomalyType, DetectionMethod, SentinelError, Severity
from tests.dialects.rows import checklist

PROMISED = [row for row in checklist() if row.kind == "member" and row.id.startswith("S")]
MEMBERS = [
    pytest.param(
        *row.promise.strip("`").replace('"', "").split(" = "), marks=pytest.mark.row(row.id)
    )
    for row in PROMISED
]


@pytest.mark.parametrize(("member", "value"), MEMBERS)
def test_a_member_has_its_value_and_is_its_text(member: str, value: str) -> None:
    kind, _, name = member.partition(".")
    enum = getattr(sentinel, kind)
    assert enum[name].value == value
    assert enum(value) is enum[name]
    assert str(enum[name]) == value == f"{enum[name]}"
    assert enum[name] == value


@pytest.mark.parametrize(
    ("enum", "count"),
    [
        pytest.param(Severity, 4, marks=pytest.mark.row("S114")),
        pytest.param(AnomalyType, 12, marks=pytest.mark.row("S120")),
        pytest.param(DetectionMethod, 11, marks=pytest.mark.row("S133")),
    ],
)
def test_an_enum_is_text_and_has_no_further_members(enum: type[Enum], count: int) -> None:
    assert issubclass(enum, str) and issubclass(enum, Enum)
    assert len(enum) == count
    assert len([row for row in PROMISED if row.promise.startswith(f"`{enum.__name__}.")]) == count


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("builders", "TelemetryEventBuilder"),
        ("client", "AsyncSentinelClient SentinelClient"),
        ("config", "SentinelConfig"),
        ("events", "PromptInfo ResponseInfo TelemetryEvent"),
        (
            "exceptions",
            (
                "ConfigurationError ConnectionError SendError SentinelError TimeoutError"
                " ValidationError"
            ),
        ),
        ("types", "AnomalyType DetectionMethod Severity"),
    ],
)
def test_the_originals_modules_have_their_names(module: str, names: str) -> None:
    found = importlib.import_module(f"llmobs.sentinel.{module}")
    assert set(found.__all__) == set(names.split())
    for name in names.split():
        assert getattr(found, name) is getattr(sentinel, name)


@pytest.mark.row("S119")
def test_severities_order_by_meaning() -> None:
    low, medium, high, critical = Severity
    assert low < medium < high < critical
    assert critical >= high >= high > medium
    assert sorted([critical, low, high, medium]) == [low, medium, high, critical]
    assert max("critical", Severity.HIGH, key=Severity) == "critical"
    assert Severity.LOW < "high"
    assert Severity is llmobs.Severity


@pytest.mark.row("S145", "S146", "S147")
def test_the_base_error_keeps_message_and_cause() -> None:
    assert list(inspect.signature(SentinelError).parameters) == ["message", "cause"]
    assert inspect.signature(SentinelError).parameters["cause"].default is None
    cause = ValueError("v")
    error = SentinelError("m", cause)
    assert (error.message, error.cause, str(error)) == ("m", cause, "m (caused by: v)")
    assert (SentinelError("m").cause, str(SentinelError("m"))) == (None, "m")
    assert SentinelError.__base__ is Exception


@pytest.mark.parametrize(
    ("name", "also"),
    [
        pytest.param("ConnectionError", builtins.ConnectionError, marks=pytest.mark.row("S148")),
        pytest.param("ValidationError", ValueError, marks=pytest.mark.row("S149")),
        pytest.param("SendError", Exception, marks=pytest.mark.row("S150")),
        pytest.param("ConfigurationError", Exception, marks=pytest.mark.row("S151")),
        pytest.param("TimeoutError", builtins.TimeoutError, marks=pytest.mark.row("S152")),
    ],
)
def test_an_error_is_caught_as_ours_and_as_the_builtin(name: str, also: type[Exception]) -> None:
    kind = getattr(sentinel, name)
    cause = ValueError("v")
    error = kind("m", cause)
    assert isinstance(error, SentinelError) and isinstance(error, also)
    assert (error.message, error.cause, str(error)) == ("m", cause, "m (caused by: v)")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.message, str(copy)) == (kind, "m", str(error))


@pytest.mark.row("S169")
def test_the_version_is_the_documents() -> None:
    assert sentinel.__version__ == "0.1.0"


def test_importing_it_imports_neither_kafka_nor_pydantic() -> None:
    code = (
        "import sys, llmobs.sentinel; "
        "print([m for m in ('aiokafka', 'kafka', 'pydantic') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert answer.stdout.strip() == "[]"


@pytest.mark.row("S167")
def test_the_package_is_marked_as_typed() -> None:
    package = Path(llmobs.__file__).parent
    assert (package / "py.typed").is_file()
    assert (package / "sentinel" / "__init__.py").is_file()


CONSUMER = """
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

from llmobs.sentinel import (
    AnomalyType, AsyncSentinelClient, ConfigurationError, ConnectionError, DetectionMethod,
    PromptInfo, ResponseInfo, SendError, SentinelClient, SentinelConfig, SentinelError, Severity,
    TelemetryEvent, TelemetryEventBuilder, TimeoutError, ValidationError, __version__,
    from_prompt_call, to_prompt_call,
)


def main() -> None:
    config = SentinelConfig(brokers=["b:9092"], additional_config={"linger_ms": "5"})
    with SentinelClient(config=config) as client:
        event: TelemetryEvent = (
            TelemetryEventBuilder().event_id(uuid4()).timestamp(datetime.now(timezone.utc))
            .service("s").model("m").prompt("p", 1, [0.5]).response("r", 2, "stop").latency(1)
            .cost(0.5).metadata({"a": "b"}).add_metadata("c", "d").errors([]).add_error("e").build()
        )
        client.send(event, timeout=1.5)
        client.track("s", "m", "p", "r", 1.5, 1, 2, 0.1, metadata={"a": "b"}, errors=["e"])
        client.flush(timeout=1)
        tokens: int = event.total_tokens()
        rate: float = event.error_rate()
        plain: dict[str, Any] = event.to_dict()
        again: TelemetryEvent = TelemetryEvent.from_dict(plain)
        options: dict[str, Any] = config.to_kafka_config() | config.to_aiokafka_config()
        call: str = to_prompt_call(event).event_id
        reveal_type(from_prompt_call(to_prompt_call(event)).prompt.text)
        reveal_type(Severity.LOW < Severity.HIGH)
        reveal_type(SentinelClient.from_env(topic="t"))
        print(tokens, rate, again, options, call, AnomalyType.HALLUCINATION, DetectionMethod.RAG)


async def amain() -> None:
    try:
        async with AsyncSentinelClient(["b:9092"], topic="t") as client:
            await client.start()
            await client.track("s", "m", "p", "r", 1.5, 1, 2, 0.1, timeout=0.5)
            await client.flush()
    except (ConnectionError, SendError, TimeoutError, ValidationError, ConfigurationError) as error:
        base: SentinelError = error
        print(base.message, base.cause, __version__)
"""


@pytest.mark.row("S168")
def test_a_consumer_passes_mypy_strict(tmp_path: Path) -> None:
    script = tmp_path / "consumer.py"
    script.write_text(CONSUMER)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=",
              "--cache-dir", str(tmp_path / "cache"), str(script)],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
    revealed = [line for line in checked.stdout.splitlines() if "Revealed type" in line]
    assert [line.rpartition('is "')[2].rstrip('"') for line in revealed] == [
        "str",
        "bool",
        "llmobs.sentinel.client.SentinelClient",
    ]
