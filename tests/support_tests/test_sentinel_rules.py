"""The Sentinel validator against every row of the format, accepted and refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.sentinel import sentinel_warnings, validate_sentinel

SAMPLE = (Path(__file__).parents[1] / "data" / "sentinel_event.json").read_bytes()
MISSING: Any = object()


def changed(path: str, value: Any) -> bytes:
    """Return the sample with one field set, or taken out."""
    event = json.loads(SAMPLE)
    *parents, name = path.split(".")
    holder = event
    for parent in parents:
        holder = holder[parent]
    if value is MISSING:
        del holder[name]
    else:
        holder[name] = value
    return json.dumps(event).encode()


def spliced(old: str, new: str) -> bytes:
    """Return the sample's text with one piece replaced: for what Python's JSON cannot write."""
    text = json.dumps(json.loads(SAMPLE))
    assert text.count(old) == 1
    return text.replace(old, new).encode("utf-8", "surrogatepass")


ACCEPTED: dict[str, bytes] = {
    "the sample": SAMPLE,
    "simple uuid": changed("event_id", "d621713f67835da99f02d812d880e43a"),
    "urn uuid": changed("event_id", "urn:uuid:d621713f-6783-5da9-9f02-d812d880e43a"),
    "braced uuid": changed("event_id", "{d621713f-6783-5da9-9f02-d812d880e43a}"),
    "upper-case uuid": changed("event_id", "D621713F-6783-5DA9-9F02-D812D880E43A"),
    "any version": changed("event_id", "00000000-0000-0000-0000-000000000000"),
    **{
        f"timestamp {text}": changed("timestamp", text)
        for text in (
            "2024-01-01T00:00:00Z",
            "2024-01-01T00:00:00z",
            "2024-01-01T00:00:00+02:00",
            "2024-01-01T00:00:00+0000",
            "2024-01-01T00:00:00-11:30",
            "2024-01-01 00:00:00Z",
            "2024-01-01T00:00:00.1Z",
            "2024-01-01T00:00:00.123456789123Z",
            "2024-01-01T23:59:60Z",
            "2024-02-29T00:00:00Z",
        )
    },
    "empty service": changed("service_name", ""),
    "empty model": changed("model", ""),
    "empty text": changed("prompt.text", ""),
    "empty finish reason": changed("response.finish_reason", ""),
    "text over the declared length": changed("prompt.text", "x" * 100_001),
    "no trace": changed("trace_id", MISSING),
    "null trace": changed("trace_id", None),
    "no span": changed("span_id", MISSING),
    "tokens 0": changed("prompt.tokens", 0),
    "tokens at the top of u32": changed("prompt.tokens", 2**32 - 1),
    "no embedding": changed("prompt.embedding", MISSING),
    "empty embedding": changed("prompt.embedding", []),
    "integers in an embedding": changed("prompt.embedding", [1, -2]),
    "embedding beyond f32": changed("prompt.embedding", [1e300]),
    "integer latency": changed("latency_ms", 5),
    "zero latency": changed("latency_ms", 0),
    "zero cost": changed("cost_usd", 0.0),
    "empty metadata": changed("metadata", {}),
    "some errors": changed("errors", ["a", ""]),
    "unknown field": changed("later", {"any": 1}),
    "unknown inner field": changed("prompt.later", None),
    "blanks at the end": SAMPLE + b" \n\t\r",
    "raw text beyond ASCII": spliced("Paris.", "Zürich \N{GRINNING FACE}"),
    "escaped pair": spliced("Paris.", "\\ud83d\\ude00"),
}

REFUSED: dict[str, tuple[bytes, str]] = {
    "no offset": (changed("timestamp", "2024-01-01T00:00:00"), "premature end of input"),
    "two offsets": (changed("timestamp", "2024-01-01T00:00:00+00:00Z"), "trailing input"),
    "two other offsets": (changed("timestamp", "2024-01-01T00:00:00+02:00Z"), "trailing input"),
    "no seconds": (changed("timestamp", "2024-01-01T00:00Z"), "timestamp"),
    "hour 24": (changed("timestamp", "2024-01-01T24:00:00Z"), "out of range"),
    "second 61": (changed("timestamp", "2024-01-01T00:00:61Z"), "out of range"),
    "no such day": (changed("timestamp", "2023-02-29T00:00:00Z"), "out of range"),
    "offset out of range": (changed("timestamp", "2024-01-01T00:00:00+02:60"), "out of range"),
    "dot without digits": (changed("timestamp", "2024-01-01T00:00:00.Z"), "timestamp"),
    "digits of another script": (changed("timestamp", "٢٠٢٤-01-01T00:00:00Z"), "timestamp"),
    "timestamp as number": (changed("timestamp", 1704067200), "timestamp"),
    "null timestamp": (changed("timestamp", None), "timestamp"),
    "not a uuid": (changed("event_id", "event-1"), "event_id"),
    "uuid too short": (changed("event_id", "d621713f-6783-5da9-9f02-d812d880e43"), "event_id"),
    "uuid with a line end": (
        changed("event_id", "d621713f-6783-5da9-9f02-d812d880e43a\n"),
        "event_id",
    ),
    "null uuid": (changed("event_id", None), "event_id"),
    "numeric trace": (changed("trace_id", 1), "trace_id"),
    "null text": (changed("response.text", None), "response.text"),
    "null service": (changed("service_name", None), "service_name"),
    "null prompt": (changed("prompt", None), "prompt: expected an object"),
    "prompt as text": (changed("prompt", "hi"), "prompt: expected an object"),
    **{
        f"tokens {value!r}": (changed("prompt.tokens", value), "prompt.tokens: expected u32")
        for value in (5.0, "5", True, -1, 2**32, None)
    },
    "tokens with an exponent": (spliced('"tokens": 8', '"tokens": 8e0'), "prompt.tokens"),
    "tokens -0": (spliced('"tokens": 8', '"tokens": -0'), "prompt.tokens"),
    "text in an embedding": (changed("prompt.embedding", ["1"]), "prompt.embedding"),
    "null in an embedding": (changed("prompt.embedding", [None]), "prompt.embedding"),
    "negative latency": (changed("latency_ms", -0.1), "latency_ms"),
    "latency as text": (changed("latency_ms", "5"), "latency_ms"),
    "null latency": (changed("latency_ms", None), "latency_ms"),
    "negative cost": (changed("cost_usd", -1), "cost_usd"),
    "cost as truth": (changed("cost_usd", True), "cost_usd"),
    "null metadata": (changed("metadata", None), "metadata"),
    "number in metadata": (changed("metadata", {"k": 1}), "not so: k"),
    "null in metadata": (changed("metadata", {"k": None}), "not so: k"),
    "object in metadata": (changed("metadata", {"k": {}}), "not so: k"),
    "null errors": (changed("errors", None), "errors"),
    "number in errors": (changed("errors", [1]), "errors"),
    "NaN": (changed("latency_ms", float("nan")), "NaN"),
    "Infinity": (changed("cost_usd", float("inf")), "Infinity"),
    "NaN in an embedding": (changed("prompt.embedding", [float("nan")]), "NaN"),
    "number beyond f64": (spliced("150.5", "1e400"), "out of range"),
    "duplicate key": (spliced('"cost_usd"', '"model": "x", "cost_usd"'), "duplicate"),
    "lone surrogate": (spliced("Paris.", "\\ud83d"), "surrogate"),
    "lone low surrogate": (spliced("Paris.", "\\ude00"), "surrogate"),
    "surrogate in metadata": (spliced("us-east-1", "\\ud83d"), "surrogate"),
    "surrogate in errors": (spliced('"errors": []', '"errors": ["\\ud83d"]'), "surrogate"),
    "invalid UTF-8": (spliced("Paris.", "Paris").replace(b"Paris", b"\xff"), "UTF-8"),
    "surrogate in UTF-8": (spliced("Paris.", "\ud83d"), "UTF-8"),
    "UTF-16": (SAMPLE.decode().encode("utf-16"), "UTF-8"),
    "BOM": (b"\xef\xbb\xbf" + SAMPLE, "message"),
    "trailing comma": (spliced("[]}", "[],}"), "message"),
    "trailing bytes": (SAMPLE + b"{}", "message"),
    "two events in an array": (b"[" + SAMPLE + b"," + SAMPLE + b"]", "expected an object"),
    "raw control character": (spliced("Paris.", "Pa\nris"), "message"),
    "empty": (b"", "message"),
    "null": (b"null", "expected an object"),
    "too deep": (b'{"a":' * 100_000, "message"),
    **{
        f"no {path}": (changed(path, MISSING), f"{path}: missing field")
        for path in (
            "event_id",
            "timestamp",
            "service_name",
            "model",
            "prompt",
            "prompt.text",
            "prompt.tokens",
            "response",
            "response.text",
            "response.tokens",
            "response.finish_reason",
            "latency_ms",
            "cost_usd",
            "metadata",
            "errors",
        )
    },
}


@pytest.mark.parametrize("value", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(value: bytes) -> None:
    assert validate_sentinel(value) == []


@pytest.mark.parametrize(("value", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused(value: bytes, reason: str) -> None:
    problems = validate_sentinel(value)
    assert len(problems) == 1
    assert reason in problems[0]


def test_every_problem_is_named() -> None:
    event = json.loads(SAMPLE) | {"latency_ms": -1, "metadata": None, "errors": [1]}
    problems = validate_sentinel(json.dumps(event).encode())
    assert [problem.split(":")[0] for problem in problems] == ["latency_ms", "metadata", "errors"]


@pytest.mark.parametrize(
    ("path", "edge", "beyond", "warning"),
    [
        ("prompt.text", "\N{GRINNING FACE}" * 100_000, "x" * 100_001, "prompt.text"),
        ("latency_ms", 600_000, 600_000.5, "latency_ms"),
        ("cost_usd", 100, 100.01, "cost_usd"),
        ("prompt.tokens", 127_998, 127_999, "tokens"),
    ],
)
def test_the_second_stage_only_warns(path: str, edge: Any, beyond: Any, warning: str) -> None:
    assert sentinel_warnings(changed(path, edge)) == []
    assert validate_sentinel(changed(path, beyond)) == []
    (found,) = sentinel_warnings(changed(path, beyond))
    assert found.startswith(warning)


def test_a_sum_that_overflows_is_warned_of() -> None:
    warnings = sentinel_warnings(changed("prompt.tokens", 2**32 - 1))
    assert "tokens: the sum passes u32" in warnings
