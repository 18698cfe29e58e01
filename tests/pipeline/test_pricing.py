"""Cached prices equal what genai-prices itself says, and nothing is invented."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from genai_prices import Usage as TableUsage
from genai_prices import calc_price
from genai_prices.data_snapshot import DataSnapshot, get_snapshot, set_custom_snapshot
from genai_prices.types import ModelInfo, TieredPrices

from llmobs.pipeline import _price_table
from llmobs.pipeline._price_table import Inquiry, _Tariff
from llmobs.pipeline.pricing import Cost, Price, PriceBook, Usage, load_prices

AT = datetime(2026, 6, 15, 12, 30, tzinfo=UTC)

MODELS = [
    ("gpt-4o", "openai"),
    ("gpt-4o", None),
    ("gpt-4o-2024-11-20", "openai"),
    ("gpt-4o-mini", "openai"),
    ("gpt-4o-mini-2024-07-18", "openai"),
    ("GPT-4o", "OpenAI"),
    ("gpt-4.1", "openai"),
    ("gpt-5", "openai"),
    ("gpt-5-mini-20250807", "openai"),
    ("o3", "openai"),
    ("o4-mini", "openai"),
    ("text-embedding-3-small", "openai"),
    ("ft:gpt-4o-2024-08-06:org::id", "openai"),
    ("claude-sonnet-4-5", "anthropic"),
    ("claude-sonnet-4-20250514", "anthropic"),
    ("claude-3-5-haiku-latest", "anthropic"),
    ("claude-opus-4-1", None),
    ("us.anthropic.claude-sonnet-4-20250514-v1:0", "aws.bedrock"),
    ("anthropic.claude-3-5-sonnet-20241022-v2:0", "aws"),
    ("gpt-4o", "azure"),
    ("gemini-2.5-pro", "gcp.vertex_ai"),
    ("gemini-2.5-pro", "google"),
    ("gemini-1.5-pro", "gcp.gemini"),
    ("gemini-2.5-flash", "google"),
    ("claude-sonnet-4@20250514", "gcp.vertex_ai"),
    ("mistral-large", "mistral_ai"),
    ("deepseek-chat", "deepseek"),
    ("deepseek-reasoner", "deepseek"),
    ("command-r", "cohere"),
    ("sonar", "perplexity"),
    ("sonar-deep-research", "perplexity"),
    ("llama-3.1-8b-instant", "groq"),
    ("openai/gpt-4o", "openrouter"),
    ("azure/gpt-4o", "litellm"),
]
USAGES = [
    Usage(0, 0),
    Usage(10, 5),
    Usage(1_234, 567, tokens_cached=1_000, tokens_reasoning=300),
    Usage(4_321, 1, tokens_cached=1_111, tokens_cache_write=2_222),
    *(Usage(n, 777, n // 3, n // 5, 99) for n in (128_000, 128_001, 199_999, 200_000, 200_001)),
    Usage(272_001, 12, 5, 7),
    Usage(3_000_000, 100_000, 2_000_000, 0, 50_000),
]


def asked(
    model: str,
    provider: str | None,
    usage: Usage,
    at: datetime = AT,
    context: dict[str, str] | None = None,
) -> Decimal:
    """What the package itself says."""
    return calc_price(
        TableUsage(
            input_tokens=usage.tokens_input,
            output_tokens=usage.tokens_output,
            cache_read_tokens=usage.tokens_cached,
            cache_write_tokens=usage.tokens_cache_write,
            output_reasoning_tokens=usage.tokens_reasoning,
        ),
        model,
        provider_id=provider,
        genai_request_timestamp=at,
        price_context=context,
    ).total_price


@pytest.mark.parametrize(("model", "provider"), MODELS)
def test_cached_prices_equal_the_tables(model: str, provider: str | None) -> None:
    book = PriceBook()
    for _ in range(2):
        for usage in USAGES:
            cost = book.cost(model, provider, usage, at=AT)
            assert cost is not None
            assert cost.usd == asked(model, provider, usage)
            assert cost.version.startswith("genai-prices 0.")


def test_every_model_of_the_table_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample over all providers, with how many had to be asked each time."""
    table = _price_table.PriceTable()
    slow = tiered = total = 0
    for provider in get_snapshot().providers:
        for model in provider.models[::12]:
            if provider.find_model(model.id) is not model:
                continue
            total += 1
            for usage in (Usage(1_500, 500, 700, 300, 200), Usage(600_001, 9, 8, 7, 6)):
                try:
                    expected = asked(model.id, provider.id, usage)
                except ValueError:
                    continue
                inquiry = Inquiry(model.id, provider.id)
                found = table.cost(inquiry, usage, AT)
                if found is None:
                    # Priced by the second, say: then tokens have no price. Or weights of OpenAI's,
                    # which it gives away and does not serve.
                    assert expected == 0 or "gpt-oss" in model.id, model.id
                    continue
                assert found[0] == expected, model.id
                entry = table._models[inquiry]
                assert entry is not None
                tariffs = [t for t in entry[0]._tariffs.values() if isinstance(t, _Tariff)]
                slow += entry[0]._by_hour or any(t.rates is None for t in tariffs)
                tiered += any(len(t.rates or ()) > 1 for t in tariffs)
    assert total > 100
    assert tiered > 5
    assert slow <= total // 50


def test_tiers_are_really_tiers() -> None:
    book = PriceBook()
    below = book.cost("gemini-2.5-pro", "google", Usage(200_000, 0), at=AT)
    above = book.cost("gemini-2.5-pro", "google", Usage(200_001, 0), at=AT)
    assert below is not None
    assert above is not None
    assert above.usd > below.usd * Decimal("1.5")


def test_prices_of_the_day() -> None:
    """A model whose price changed costs what it cost at the time."""
    book = PriceBook()
    changed = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            if not isinstance(model.prices, list) or provider.find_model(model.id) is not model:
                continue
            for condition in model.prices:
                start = getattr(condition.constraint, "start_date", None)
                if start is None or changed >= 40:
                    continue
                day = datetime(start.year, start.month, start.day, tzinfo=UTC)
                for at in (day - timedelta(seconds=1), day, day.replace(tzinfo=None)):
                    cost = book.cost(model.id, provider.id, USAGES[2], at=at)
                    expected = asked(model.id, provider.id, USAGES[2], at)
                    assert (cost.usd if cost else 0) == expected
                changed += 1
    assert changed > 10


def test_prices_of_the_hour_are_asked_each_time() -> None:
    book = PriceBook()
    found = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            conditions = model.prices if isinstance(model.prices, list) else []
            if any(hasattr(condition.constraint, "start_time") for condition in conditions):
                found += 1
                for hour in range(0, 24, 3):
                    at = datetime(2026, 6, 15, hour, 45, tzinfo=UTC)
                    cost = book.cost(model.id, provider.id, USAGES[2], at=at)
                    assert cost is not None
                    assert cost.usd == asked(model.id, provider.id, USAGES[2], at)
    assert found


@pytest.mark.parametrize("tier", ["flex", "priority", "default", "batch", "no-such-tier"])
@pytest.mark.parametrize("model", ["gpt-5", "gpt-5-mini", "o3", "gpt-4o"])
def test_service_tiers(model: str, tier: str) -> None:
    context = {"service_tier": tier} | ({"processing": "batch"} if tier == "batch" else {})
    cost = PriceBook().cost(model, "openai", USAGES[2], at=AT, service_tier=tier)
    assert cost is not None
    assert cost.usd == asked(model, "openai", USAGES[2], context=context)


def test_dated_names_are_not_confused() -> None:
    book = PriceBook()
    usage = Usage(1_000_000, 0)
    big = book.cost("gpt-4o-2024-11-20", "openai", usage)
    small = book.cost("gpt-4o-mini-2024-07-18", "openai", usage)
    assert big is not None
    assert small is not None
    assert big.usd > 10 * small.usd


@pytest.mark.parametrize(
    ("ours", "theirs", "model"),
    [("azure.ai.openai", "azure", "gpt-4o"), ("x_ai", "x-ai", "grok-3"), ("", None, "gpt-4o")],
)
def test_opentelemetry_provider_names(ours: str, theirs: str | None, model: str) -> None:
    cost = PriceBook().cost(model, ours, USAGES[1], at=AT)
    assert cost is not None
    assert cost.usd == asked(model, theirs, USAGES[1])


def test_what_is_unknown_costs_none_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    book = PriceBook()
    with caplog.at_level(logging.DEBUG, "llmobs"):
        for _ in range(3):
            assert book.cost("our-own-model", None, USAGES[1]) is None
            assert book.cost("gpt-4o", "a-proxy-of-ours", USAGES[1]) is None
            assert book.cost("", "openai", USAGES[1]) is None
            assert book.cost(None, "openai", USAGES[1]) is None
            assert book.cost("x" * 300, "openai", USAGES[1]) is None
    assert [record.name for record in caplog.records] == ["llmobs", "llmobs"]
    assert "our-own-model" in caplog.text
    assert "LLMOBS_PRICES" in caplog.text


@pytest.mark.parametrize(
    "usage",
    [
        Usage(-1, 0),
        Usage(0, -1),
        Usage(5, 0, 6),
        Usage(5, 0, 3, 3),
        Usage(0, 5, 0, 0, 6),
        Usage(5, 5, -1),
        Usage(5, 5, 0, -1),
        Usage(5, 5, 0, 0, -1),
    ],
)
def test_contradictory_usage_has_no_cost(usage: Usage) -> None:
    assert PriceBook({"own": Price(1, 1)}).cost("gpt-4o", "openai", usage) is None
    assert PriceBook({"own": Price(1, 1)}).cost("own", "openai", usage) is None


def test_own_prices_win() -> None:
    book = PriceBook(
        {
            "gpt-4o": Price(1, "2.5", cached=0.1, cache_write=Decimal(3)),
            "my-*": Price(1, 1),
            "my-model*": Price(4, 4),
            "My-Model-Exact": Price(5, 5),
        }
    )
    million = 1_000_000
    usage = Usage(3 * million, million, million, million)
    assert book.cost("gpt-4o", "openai", usage) == Cost(Decimal("6.6"), "user")
    one = Usage(million, 0)
    costs = [
        book.cost(name, None, one)
        for name in ("my-x", "MY-model-7", "my-model-exact", "gpt-4o-mini")
    ]
    assert [cost and (cost.usd, cost.version == "user") for cost in costs] == [
        (1, True),
        (4, True),
        (5, True),
        (asked("gpt-4o-mini", None, one), False),
    ]
    plain = PriceBook({"m": Price(2, 1)}).cost("m", None, Usage(million, 0, million // 2))
    assert plain == Cost(Decimal(2), "user")


def test_without_the_table() -> None:
    book = PriceBook({"m": Price(1, 1)}, use_genai_prices=False)
    assert book.cost("gpt-4o", "openai", USAGES[1]) is None
    assert book.cost("m", "openai", USAGES[1]) == Cost(Decimal("0.000015"), "user")


def test_a_missing_package_is_named_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    book = PriceBook()
    for _ in range(3):
        assert book.cost("gpt-4o", "openai", USAGES[1]) is None
        assert book.cost("gpt-4o-mini", "openai", USAGES[1]) is None
    assert caplog.messages == ["llmobs: costs are unknown: pip install 'llmobs[prices]'"]


def test_importing_imports_no_table() -> None:
    code = "import sys, llmobs.pipeline.pricing; sys.exit('genai_prices' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_updated_prices_are_used() -> None:
    book = PriceBook()
    before = book.cost("gpt-4o", "openai", USAGES[1])
    bundled = get_snapshot()
    openai = next(provider for provider in bundled.providers if provider.id == "openai")
    mini = openai.find_model("gpt-4o-mini")
    assert isinstance(mini, ModelInfo)
    swapped = type(openai)(
        id="openai",
        name="x",
        api_pattern="x",
        models=[
            ModelInfo(id="gpt-4o", match=openai.find_model("gpt-4o").match, prices=mini.prices)
        ],
    )
    set_custom_snapshot(DataSnapshot([swapped], from_auto_update=True))
    try:
        after = book.cost("gpt-4o", "openai", USAGES[1])
    finally:
        set_custom_snapshot(None)
    assert before is not None
    assert after is not None
    assert after.usd < before.usd
    assert " updated 20" in after.version
    assert book.cost("gpt-4o", "openai", USAGES[1]) == before


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_price_table, "_REMEMBERED", 8)
    monkeypatch.setattr("llmobs.pipeline.pricing._REMEMBERED", 8)
    book = PriceBook()
    for number in range(50):
        book.cost(f"unknown-{number}", None, USAGES[1])
        assert book.cost("gpt-4o", "openai", USAGES[1], at=AT) is not None
    table = book._table
    assert table is not None
    assert len(table._models) <= 8
    assert len(book._complaints) <= 8
    assert table._lookup is not None
    assert len(table._lookup._provider_misses) <= 8
    for day in range(200):
        book.cost("gpt-5", "openai", USAGES[1], AT + timedelta(days=day), "flex")
    assert all(len(entry[0]._tariffs) <= 128 for entry in table._models.values() if entry)


def test_a_table_that_is_not_linear_is_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("input_tokens",)

    def ask(counts: Mapping[str, int]) -> Decimal:
        return Decimal(counts["input_tokens"] ** 2)

    assert _price_table._probe(ask, kinds, []) is None
    linear = _price_table._probe(lambda counts: Decimal(counts["input_tokens"]), kinds, [])
    assert linear is not None
    narrow = _price_table._probe(lambda counts: Decimal(counts["input_tokens"]), kinds, [5, 7])
    assert narrow is None
    monkeypatch.setattr(_price_table, "_probe", lambda ask, kinds, thresholds: None)
    cost = PriceBook().cost("gemini-2.5-pro", "google", USAGES[-1], at=AT)
    assert cost is not None
    assert cost.usd == asked("gemini-2.5-pro", "google", USAGES[-1])


def test_threads_share_a_book() -> None:
    book = PriceBook()
    expected = {model: asked(*model, USAGES[3]) for model in MODELS}
    wrong: list[object] = []

    def price() -> None:
        for model in MODELS * 3:
            cost = book.cost(*model, USAGES[3], at=AT)
            if cost is None or cost.usd != expected[model]:
                wrong.append((model, cost))

    threads = [threading.Thread(target=price) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong


def test_the_table_has_what_these_tests_are_about() -> None:
    prices = get_snapshot().find_provider_model("gemini-2.5-pro", None, "google", None)[1].prices
    assert any(isinstance(price, TieredPrices) for price in vars(prices).values())


# --- the setting ---------------------------------------------------------------------------------


def test_prices_from_json_or_a_mapping() -> None:
    source = {
        "m": {"input": 0.1, "output": "2", "cached": 0, "cache_write": None},
        "l*": Price(1, 2),
    }
    expected = {"m": Price("0.1", 2, 0), "l*": Price(1, 2)}
    assert load_prices(source) == expected
    del source["l*"], expected["l*"]
    assert load_prices(json.dumps(source)) == expected
    assert load_prices('{"m": {"input": 0.1, "output": 2}}')["m"].input == Decimal("0.1")
    assert load_prices("") == load_prices("{}") == load_prices({}) == {}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{", "not valid JSON"),
        ("[1]", "not be a list"),
        ('{"": {"input": 1, "output": 1}}', "'' is not a model"),
        ('{"a*b": {"input": 1, "output": 1}}', "only stand at its end"),
        ('{"m": 1}', "'m' must have 'input' and 'output'"),
        ('{"m": {"input": 1}}', "'m': output missing"),
        ('{"m": {"input": 1, "output": 1, "imput": 2}}', "unknown imput"),
        ('{"m": {"input": "x", "output": 1}}', "'m': price 'input' must be a number, not 'x'"),
        ('{"m": {"input": true, "output": 1}}', "must be a number"),
        ('{"m": {"input": null, "output": 1}}', "must be a number"),
        ('{"m": {"input": -1, "output": 1}}', "not negative"),
        ('{"m": {"input": 1, "output": NaN}}', "finite"),
        ({1: {"input": 1, "output": 1}}, "1 is not a model"),
    ],
)
def test_wrong_prices_are_named(source: object, message: str) -> None:
    with pytest.raises(ValueError, match="prices") as caught:
        load_prices(source)  # type: ignore[arg-type]
    assert message in str(caught.value)
