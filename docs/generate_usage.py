"""
Write the reference page on usage and costs, from the code's own tables and the price table.

Run ``python docs/generate_usage.py`` after changing one; a test fails if the page is not current.
"""

from pathlib import Path

from genai_prices.data_snapshot import get_snapshot
from genai_prices.data_units import unit_data

from llmobs.pipeline._price_names import TABLE_IDS
from llmobs.recorded.providers import HOSTS, NAMES, SELF_HOSTED

PAGE = Path(__file__).parent / "reference" / "usage.md"

TOLD = {
    # What answers tell, as far as the corpus of tests holds it; `cost`: what was charged.
    "openai": (
        "tokens_cached tokens_cache_write tokens_reasoning input_text_tokens input_audio_tokens"
        " input_image_tokens output_text_tokens output_audio_tokens output_image_tokens"
        " web_searches storage_searches code_executions image_generations audio_seconds"
        " input_characters"
    ),
    "anthropic": (
        "tokens_cached tokens_cache_write tokens_reasoning cache_write_5m_tokens"
        " cache_write_1h_tokens web_searches advisor_input_tokens advisor_output_tokens"
    ),
    "aws.bedrock": "tokens_cached tokens_cache_write",
    "gcp.gemini": (
        "tokens_cached tokens_reasoning input_text_tokens input_image_tokens output_text_tokens"
        " web_searches"
    ),
    "mistral_ai": "audio_seconds",
    "deepinfra": "cost",
    "deepseek": "tokens_cached",
    "openrouter": "cost web_searches",
    "perplexity": "cost tokens_reasoning output_citation_tokens web_searches",
    "x_ai": "cost tokens_reasoning web_searches social_searches",
}

INTRO = """\
# Usage and costs

What a call used is in `tokens_input`, `tokens_output`, `tokens_cached`, `tokens_cache_write`,
`tokens_reasoning`, and every other count by kind in `usage` ([prompt_call](events.md#prompt_call)). The same
call has the same figures whichever door saw it: the wire, a span, LangChain, your own keywords. Made from the
code by `docs/generate_usage.py`.

## How a cost is found

1. Yours: `cost_usd` given by the caller (`cost_source` is `caller`).
2. The provider's: what the answer says was charged (`provider`). OpenRouter, Perplexity, xAI and DeepInfra do.
3. Your prices: the setting `prices` (`user`), in US dollars per million tokens.
4. The table of `genai-prices`, by kind, on the day of the call and for its service tier (`genai-prices 0.2.3`).
5. Else unknown: `None`, never zero, never a guess.

A part of the tokens that has no price of its own has that of the whole, as in the table: sound has the price of
text where a provider makes no difference. What is counted apart (a search, a second, the tokens of an advisor)
and has no price is left out and named: `genai-prices 0.2.3 without code_executions` is the cost of the rest.
What came in a batch has the price of a batch; where the table knows only one of single calls, `cost_source` says so.
The cost stays, because left out of a sum the call would count as free; the words are there for who must know.
Where nothing of what was used has a price, or where the price depends on something that was not told (which
part of what was cached is sound), the cost is unknown.

Whose price it is, the address decides. Behind one that no provider is known by, a gateway or a server of your
own, only models that nobody but their makers serve have a price, and `cost_source` adds `by the model's name`:
`claude-…`, `gemini-…`, `gpt-4o`, `us.anthropic.…`. Open weights (`gpt-oss`, `llama`, …) cost what your machine
costs; give their price in `prices`. {self_hosted} never have one.

## Names of kinds

Of `genai-prices`. Parts of the tokens are in them, not beside them.

| kind | unit | part of |
|---|---|---|
"""


FIELDS = {
    "input_tokens": "tokens_input",
    "output_tokens": "tokens_output",
    "cache_read_tokens": "tokens_cached",
    "cache_write_tokens": "tokens_cache_write",
    "output_reasoning_tokens": "tokens_reasoning",
}


def parts_of(kind: str) -> str:
    own = unit_data[kind]["dimensions"].items()
    found = [
        (len(unit_data[whole]["dimensions"]), field)
        for whole, field in FIELDS.items()
        if unit_data[whole]["dimensions"].items() < own
    ]
    return f"`{max(found)[1]}`" if found else ""


def kinds() -> list[str]:
    """Every kind that some model has a price for, or some answer tells, but for the five fields."""
    priced = {kind for found in priced_kinds().values() for kind in found}
    told = {word for words in TOLD.values() for word in words.split()} & set(unit_data)
    fields = {*FIELDS, "input_audio_seconds"}  # the last is asked for beside `audio_seconds`
    return [kind for kind in unit_data if kind in priced | told and kind not in fields]


def priced_kinds() -> dict[str, set[str]]:
    """Return what the table has prices for, by its name of the provider."""
    by_key = {unit["price_key"]: kind for kind, unit in unit_data.items()}
    found: dict[str, set[str]] = {}
    for provider in get_snapshot().providers:
        kinds = found.setdefault(provider.id, set())
        for model in provider.models:
            prices = model.prices if isinstance(model.prices, list) else [model.prices]
            for item in prices:
                for key, price in vars(getattr(item, "prices", item)).items():
                    if price is not None and key in by_key:
                        kinds.add(by_key[key])
    return found


def page() -> str:
    servers = sorted(SELF_HOSTED)
    named = ", ".join(f"`{name}`" for name in servers[:-1]) + f" and `{servers[-1]}`"
    lines = [INTRO.format(self_hosted=named).rstrip("\n")]
    for kind in kinds():
        family = unit_data[kind]["dimensions"]["family"]
        unit = {"tokens": "tokens", "durations": "seconds"}.get(family, "count")
        lines.append(f"| `{kind}` | {unit} | {parts_of(kind)} |")
    lines += [
        "",
        "`requests` is 1 without being told. Beside them, without a price: `image_generations`,",
        "`advisor_input_tokens`, `advisor_output_tokens`, and what you count yourself (lower case letters,",
        "digits and underscores).",
        "",
        "## Providers",
        "",
        "*Told* is what answers say beyond input and output and is read; whoever speaks the wire of OpenAI or",
        "Anthropic may say all that they say. *Priced* is what the table has a price for, beyond input, output",
        "and cache. In spellings only letters and digits count.",
        "",
        "| provider | also spelled | by address | told | priced |",
        "|---|---|---|---|---|",
    ]
    known = {name for _, name in HOSTS}
    priced = priced_kinds()
    plain = {*FIELDS, "input_audio_seconds"} - {"output_reasoning_tokens"}
    for name, others in NAMES.items():
        fees = priced.get(TABLE_IDS.get(name, name))
        if name == "huggingface":
            fees = set()  # by the provider behind it
        row = [
            f"`{name}`",
            code(others.split()[:3]),
            "yes" if name in known else "",
            code(TOLD.get(name, "").split()),
            "no prices" if fees is None else code(sorted(fees - plain)) or "tokens",
        ]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join([*lines, ""])


def code(words: list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


if __name__ == "__main__":
    PAGE.write_text(page())
