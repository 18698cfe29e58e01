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
from importlib.metadata import version

import pytest
from genai_prices import Usage as TableUsage
from genai_prices import calc_price
from genai_prices.data_snapshot import DataSnapshot, get_snapshot, set_custom_snapshot
from genai_prices.types import ModelInfo, TieredPrices

from llmobs.pipeline import _price_table
from llmobs.pipeline._price_table import Inquiry, _Tariff
from llmobs.pipeline.cost import Pricing
from llmobs.pipeline.pricing import Cost, Price, PriceBook, Usage, load_prices
from tests.helpers import make_event

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
            **usage.more,
            **(
                {"input_audio_seconds": usage.more["audio_seconds"]}
                if "audio_seconds" in usage.more
                else {}
            ),
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


def test_endless_unknown_models_do_not_storm_the_log(caplog: pytest.LogCaptureFixture) -> None:
    book = PriceBook()
    for number in range(5_000):
        book.cost(f"unknown-{number}", None, USAGES[1])
    assert len(caplog.messages) == 21
    book._troubles._seen = type(book._troubles._seen)(
        (key, (-1e9, count)) for key, (_, count) in book._troubles._seen.items()
    )  # as if a minute had passed
    book.cost("one more", None, USAGES[1])
    assert len(caplog.messages) == 22
    assert "and 4979 more like this" in caplog.messages[-1]


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


# --- kinds of usage, and whose prices they have --------------------------------------------------


FIREWORKS = "accounts/fireworks/models/gpt-oss-120b"
SOUND = {"input_audio_tokens": 900, "output_audio_tokens": 450}
KINDS = [
    ("gpt-audio", "openai", Usage(1000, 500, more=SOUND)),
    ("gpt-image-1", "openai", Usage(400, 1000, more={"input_text_tokens": 50, "input_image_tokens": 350})),
    ("gpt-image-1.5", "openai", Usage(400, 1000, 100, more={
        "input_image_tokens": 350, "output_image_tokens": 900, "cache_image_read_tokens": 100})),
    ("gpt-4o-transcribe", "openai", Usage(300, 40, more={"input_audio_tokens": 280, "input_text_tokens": 20})),
    ("whisper-1", "openai", Usage(0, 0, more={"audio_seconds": 61})),
    ("whisper-large-v3", "groq", Usage(0, 0, more={"audio_seconds": 4})),
    ("whisper-large-v3", "groq", Usage(0, 0, more={"audio_seconds": 40})),
    ("tts-1-hd", "openai", Usage(0, 0, more={"input_characters": 700})),
    ("gpt-5", "openai", Usage(900, 100, more={"web_searches": 2, "storage_searches": 3})),
    ("claude-sonnet-4-5", "anthropic", Usage(3000, 9, 500, 1500, more={
        "cache_write_1h_tokens": 1000, "cache_write_5m_tokens": 500})),
    ("claude-sonnet-4-5", "anthropic", Usage(300_000, 9, 0, 1500, more={
        "cache_write_1h_tokens": 1500, "web_searches": 4})),
    ("claude-opus-4-1", "anthropic", Usage(10, 9, more={"web_searches": 1})),
    ("gemini-2.5-flash", "gcp.gemini", Usage(1000, 99, 0, 0, 50, more={"input_audio_tokens": 500})),
    ("gemini-2.5-flash", "gcp.gemini", Usage(1000, 9, 100, more={
        "input_audio_tokens": 500, "cache_audio_read_tokens": 20})),
    ("gemini-2.5-flash-image", "gcp.gemini", Usage(1000, 1290, more={"output_image_tokens": 1290})),
    ("amazon.nova-sonic-v1:0", "aws.bedrock", Usage(1000, 500, more=SOUND)),
    ("sonar-deep-research", "perplexity", Usage(33, 90_000, 0, 0, 70_000, more={
        "output_citation_tokens": 10_000, "web_searches": 18})),
    ("sonar", "perplexity", Usage(10, 20)),
    ("voxtral-small-24b-2507", "mistral_ai", Usage(400, 20, more={"audio_seconds": 30})),
]  # fmt: skip


@pytest.mark.parametrize(("model", "provider", "usage"), KINDS)
def test_each_kind_has_the_tables_price(model: str, provider: str, usage: Usage) -> None:
    book = PriceBook()
    for factor in (1, 1, 2, 7):  # the second is answered from what is kept
        plain = Usage(
            usage.tokens_input * factor,
            usage.tokens_output * factor,
            usage.tokens_cached * factor,
            usage.tokens_cache_write * factor,
            usage.tokens_reasoning * factor,
            {kind: count * factor for kind, count in usage.more.items()},
        )
        cost = book.cost(model, provider, plain, at=AT)
        table = {"gcp.gemini": "google", "aws.bedrock": "aws", "mistral_ai": "mistral"}
        assert cost is not None
        assert cost.usd == asked(model, table.get(provider, provider), plain)
        assert cost.version == f"genai-prices {version('genai_prices')}"


def test_published_prices() -> None:
    """Some of those, by hand from the price lists: the table is right about them."""
    costs = [cost.usd for item in KINDS if (cost := PriceBook().cost(*item, at=AT))]
    million, thousand = Decimal(1_000_000), Decimal(1_000)
    assert costs[0] == Decimal("0.05835")
    assert costs[4] == Decimal("0.006") * 61 / 60
    assert costs[5] == Decimal("0.111") * 10 / 3600  # Groq charges ten seconds at least
    assert (
        costs[9]
        == (1000 * 3 + 9 * 15 + 500 * Decimal("0.3") + 1000 * 6 + 500 * Decimal("3.75")) / million
    )
    assert costs[11] == (10 * 15 + 9 * 75) / million + 10 / thousand


def test_what_has_no_price_is_named_and_the_rest_is_priced() -> None:
    book = PriceBook({"own": Price(1, 1)})
    plain = book.cost("gpt-4o", "openai", Usage(900, 100), at=AT)
    more = {"code_executions": 1, "image_generations": 2, "input_text_tokens": 900}
    partly = book.cost("gpt-4o", "openai", Usage(900, 100, more=more), at=AT)
    assert plain is not None
    assert partly is not None
    assert partly.usd == plain.usd
    assert partly.version == f"{plain.version} without code_executions, image_generations"
    many = book.cost("gpt-4o", "openai", Usage(9, 1, more={f"k{n}": 1 for n in range(9)}), at=AT)
    assert many is not None
    assert many.version == f"{plain.version} without k0, k1, k2, k3 and 5 more"
    own = book.cost("own", None, Usage(900, 100, more={"web_searches": 1}))
    assert own == Cost(Decimal("0.001"), "user without web_searches")


def test_nothing_with_a_price_is_no_cost() -> None:
    """Not zero: the model has prices, of other things."""
    book = PriceBook()
    assert book.cost("gpt-4o", "openai", Usage(0, 0, more={"audio_seconds": 9})) is None
    assert book.cost("whisper-1", "openai", Usage(10, 20)) is None
    assert book.cost("tts-1", "openai", Usage(10, 0)) is None


def test_what_the_price_depends_on_is_not_guessed(caplog: pytest.LogCaptureFixture) -> None:
    """Cached sound has a price of its own: how much of what was cached is sound must be told."""
    usage = Usage(1000, 5, 100, more={"input_audio_tokens": 500})
    book = PriceBook()
    for _ in range(3):
        assert book.cost("gemini-2.5-flash", "gcp.gemini", usage, at=AT) is None
    [line] = caplog.messages
    assert "cache_audio_read_tokens" in line


def test_parts_larger_than_their_whole_have_no_cost() -> None:
    book = PriceBook()
    for wrong in (
        Usage(100, 5, more={"input_audio_tokens": 101}),
        Usage(100, 5, more={"output_audio_tokens": 6}),
        Usage(0, 5, more={"input_audio_tokens": 1}),
    ):
        assert book.cost("gpt-audio", "openai", wrong, at=AT) is None
        with pytest.raises(ValueError, match="exceed"):
            asked("gpt-audio", "openai", wrong)
    assert book.cost("gpt-audio", "openai", Usage(101, 5, more={"input_audio_tokens": 101}), at=AT)
    written = {"cache_write_1h_tokens": 6, "cache_write_5m_tokens": 5}
    assert (
        book.cost("claude-opus-4-1", "anthropic", Usage(90, 5, 0, 5, more=written), at=AT) is None
    )
    # More text is cached than was sent: 900 of which 20 are sound, and only half is text.
    mixed = {"input_audio_tokens": 500, "cache_audio_read_tokens": 20}
    assert book.cost("gemini-2.5-flash", "google", Usage(1000, 5, 900, more=mixed), at=AT) is None
    assert book.cost("gemini-2.5-flash", "google", Usage(1000, 5, 100, more=mixed), at=AT)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "10.1.2.3", "vllm.corp.example", "api.openai.com.evil.test"]
)
@pytest.mark.parametrize(
    "model",
    [
        "gpt-oss-120b", "openai/gpt-oss-120b", "gpt-oss:20b", "google/gemma-3-27b-it", "gpt-j-6b",
        "meta-llama/Llama-3.3-70B-Instruct", "mistralai/Mistral-7B-Instruct-v0.3", "mistral-large",
        "deepseek-ai/DeepSeek-R1", "deepseek-chat", "Qwen/Qwen3-32B", "moonshotai/Kimi-K2-Instruct",
        "zai-org/GLM-4.6", "sonar", "grok-1", "my-claude", "not-gpt-4o",
    ],
)  # fmt: skip
def test_a_server_of_ones_own_has_no_price(model: str, host: str) -> None:
    for provider in ("openai", "anthropic", "ollama", "vllm", "lm_studio", None):
        assert PriceBook().cost(model, provider, USAGES[1], at=AT, host=host) is None
    if host not in ("vllm.corp.example", "api.openai.com.evil.test"):  # whoever's client it is
        for provider in ("deepseek", "mistral_ai", "groq", "gcp.gemini", "openrouter"):
            assert PriceBook().cost(model, provider, USAGES[1], at=AT, host=host) is None


def test_weights_that_are_given_away_have_no_price_without_an_address() -> None:
    for model in ("gpt-oss-120b", "openai/gpt-oss-20b", "gpt-oss:20b", "llama3:8b", "gemma3"):
        for provider in ("openai", None, "", "ollama"):
            assert PriceBook().cost(model, provider, USAGES[1], at=AT) is None
    # Whoever serves them for money has a list.
    for provider in ("groq", "together", "openrouter"):
        assert PriceBook().cost("openai/gpt-oss-120b", provider, USAGES[1], at=AT), provider


@pytest.mark.parametrize(
    ("model", "known", "provider"),
    [
        ("claude-sonnet-4-5", "claude-sonnet-4-5", "anthropic"),
        ("anthropic/claude-sonnet-4-5", "claude-sonnet-4-5", "anthropic"),
        ("openrouter/anthropic/claude-sonnet-4-5", "claude-sonnet-4-5", "anthropic"),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "us.anthropic.claude-sonnet-4-20250514-v1:0", "aws"),
        ("bedrock/us.anthropic.claude-sonnet-4-20250514-v1:0", "us.anthropic.claude-sonnet-4-20250514-v1:0", "aws"),
        ("gemini-2.5-pro", "gemini-2.5-pro", "google"),
        ("models/gemini-2.5-pro", "gemini-2.5-pro", "google"),
        ("vertex_ai/gemini-2.5-pro", "gemini-2.5-pro", "google"),
        ("gpt-4o", "gpt-4o", "openai"),
        ("openai/gpt-4o", "gpt-4o", "openai"),
        ("azure/gpt-4o", "gpt-4o", "azure"),
        ("x-ai/grok-4", "grok-4", "x-ai"),
        ("text-embedding-3-small", "text-embedding-3-small", "openai"),
        ("amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0", "aws"),
    ],
)  # fmt: skip
def test_behind_a_gateway_the_name_tells(model: str, known: str, provider: str) -> None:
    usage = Usage(1000, 0) if "embedding" in model else USAGES[1]
    for told in ("openai", "anthropic", "", None):
        for host in ("localhost", "gateway.corp.example"):
            cost = PriceBook().cost(model, told, usage, at=AT, host=host)
            assert cost is not None
            assert cost.usd == asked(known, provider, usage)
            assert cost.version.endswith(" by the model's name")
        cost = PriceBook().cost(model, told, usage, at=AT)
        assert cost is not None
        assert cost.usd == asked(known, provider, usage)


@pytest.mark.parametrize(
    ("model", "host", "known", "provider"),
    [
        ("gpt-4-1106", "x.openai.azure.com", "gpt-4-1106-preview", "azure"),
        ("llama-3.3-70b-versatile", "api.groq.com", "llama-3.3-70b-versatile", "groq"),
        ("openai/gpt-oss-120b", "openrouter.ai", "openai/gpt-oss-120b", "openrouter"),
        (FIREWORKS, "api.fireworks.ai", FIREWORKS, "fireworks"),
        ("glm-4.6", "api.z.ai", "glm-4.6", "zai"),
        ("deepseek-chat", "api.deepseek.com", "deepseek-chat", "deepseek"),
        ("models/gemini-2.5-pro", "generativelanguage.googleapis.com", "gemini-2.5-pro", "google"),
        ("deepseek-ai/DeepSeek-V3:novita", "router.huggingface.co", "deepseek-ai/deepseek-v3", "huggingface_novita"),
        ("gemini-2.5-pro", "europe-west1-aiplatform.googleapis.com", "gemini-2.5-pro", "google"),
    ],
)  # fmt: skip
def test_the_address_tells_whose_prices(model: str, host: str, known: str, provider: str) -> None:
    for told in ("openai", None):
        told = "azure.ai.openai" if "azure" in host else told
        cost = PriceBook().cost(model, told, USAGES[1], at=AT, host=host)
        assert cost is not None
        assert cost.usd == asked(known, provider, USAGES[1])
        assert "name" not in cost.version


def test_azure_answers_with_less_than_was_asked() -> None:
    event = make_event(
        model="gpt-4-1106", model_version="gpt-4", provider="azure.ai.openai",
        server_address="x.openai.azure.com", tokens_input=1000, tokens_output=500, timestamp=AT,
    )  # fmt: skip
    Pricing().price(event)
    usage = Usage(1000, 500)
    assert event.cost_usd == float(asked("gpt-4-1106-preview", "azure", usage))
    # A deployment's name tells nothing.
    event = make_event(
        model="gpt-4-ours", model_version="gpt-4", provider="azure.ai.openai",
        server_address="x.openai.azure.com", tokens_input=1000, tokens_output=500, timestamp=AT,
    )  # fmt: skip
    Pricing().price(event)
    assert event.cost_usd == float(asked("gpt-4", "azure", usage))


def test_fast_mode_has_its_price() -> None:
    found = 0
    for model in get_snapshot().find_provider(None, "anthropic", None).models:
        if any(variant.when == {"speed": "fast"} for variant in model.price_variants or ()):
            cost = PriceBook().cost(model.id, "anthropic", USAGES[1], at=AT, service_tier="fast")
            assert cost is not None
            assert cost.usd == asked(model.id, "anthropic", USAGES[1], context={"speed": "fast"})
            found += 1
    assert found


def test_whose_cost_it_is() -> None:
    told = make_event(cost_usd=1.5, model="gpt-4o", provider="openai", tokens_input=5)
    Pricing().price(told)
    assert (told.cost_usd, told.cost_source) == (1.5, "caller")
    charged = make_event(cost_usd=1.5, cost_source="provider", model="gpt-4o", tokens_input=5)
    Pricing().price(charged)
    assert (charged.cost_usd, charged.cost_source) == (1.5, "provider")
    spoken = make_event(model="tts-1", provider="openai", usage={"input_characters": 1000})
    Pricing().price(spoken)
    assert spoken.cost_usd == 0.015
