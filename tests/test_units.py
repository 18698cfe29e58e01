"""Sizes and times as people write them."""

from datetime import timedelta

import pytest

from llmobs.errors import ConfigurationError
from llmobs.runtime.units import age_of, bytes_of, in_words, rate_of


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("500MB", 500_000_000), ("1.5 gb", 1_500_000_000), ("12", 12), ("2k", 2000), ("20GB", 20_000_000_000),
        ("2GiB", 2 << 30), ("1TiB", 1 << 40), ("1 Ki", 1024), ("7b", 7),
    ],
)  # fmt: skip
def test_sizes(text: str, number: int) -> None:
    assert bytes_of(text, "--max-size") == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "big",
        "-1GB",
        "0",
        "0GB",
        "5XB",
        "5ib",
        "1e9",
        "٣GB",
        "1GB 2GB",
        "9" * 13,
        "nan",
        "1..2GB",
    ],
)
def test_no_sizes(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^--max-size: .*is no size: write 500MB"):
        bytes_of(text, "--max-size")


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("30d", timedelta(days=30)), ("12 h", timedelta(hours=12)), ("8W", timedelta(weeks=8)),
        ("45m", timedelta(minutes=45)), ("0h", timedelta()),
    ],
)  # fmt: skip
def test_ages(text: str, age: timedelta) -> None:
    assert age_of(text, "--retain") == age


@pytest.mark.parametrize(
    "text", ["", "soon", "30", "-1d", "1.5d", "30 days", "٣d", "9999999d", "1d1h"]
)
def test_no_ages(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^--retain: .*is no age: write 12h"):
        age_of(text, "--retain")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_500_000_000, "1.5 GB"),
        (20_000_000, "20 MB"),
        (2e15, "2e+03 TB"),
    ],
)
def test_sizes_in_words(number: int, words: str) -> None:
    assert in_words(number) == words


@pytest.mark.parametrize(("text", "rate"), [("100/s", 100), ("600/m", 10), ("1 / S", 1)])
def test_rates(text: str, rate: float) -> None:
    assert rate_of(text, "--rate-limit") == rate


@pytest.mark.parametrize(
    "text", ["", "100", "0/s", "-1/s", "1/h", "1.5/s", "\u0663/s", "1/s/s", "99999999/s"]
)
def test_no_rates(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--rate-limit"):
        rate_of(text, "--rate-limit")
