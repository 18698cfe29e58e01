"""
Where the price table has a call's price: under which provider, and under which name.

A provider that is known serves what its list says. Behind an address that nobody knows, a gateway
or a server of one's own, the name has to tell: ``claude-...`` is served by its maker alone, whose
list price holds; what anybody can serve (``gpt-oss``, ``llama``) costs what its owner pays for the
machine, which no list knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from llmobs.recorded.providers import SELF_HOSTED, is_private, provider_name, provider_of_host

if TYPE_CHECKING:
    from genai_prices.types import Provider

__all__ = ["BY_NAME", "TABLE_IDS", "Candidate", "candidates"]

BY_NAME: Final = "by the model's name"
"""Added to where a price comes from if only the name told whose it is."""

TABLE_IDS: Final = {
    # our name: the table's
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "github_copilot": "github-copilot",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "voyage_ai": "voyageai",
    "x_ai": "x-ai",
    "z_ai": "zai",
    "zhipu_ai": "zhipuai",
}
_WIRES: Final = frozenset({"", "openai", "anthropic"})

_OPENAI: Final = (
    r"(ft:)?(gpt-(3\.5|4|[5-9]|audio|image|realtime|transcribe)|chatgpt-|o[134](-|$)|codex-"
    r"|text-embedding-(3-|ada-)|whisper-1$|tts-1|computer-use-).*"
)
_MAKERS: Final = (
    # Models that nobody but their makers and the clouds they chose can serve.
    (r"claude-.+", "anthropic"),
    (
        _OPENAI,
        "openai",
    ),
    (r"gemini-.+", "google"),
    (r"grok-([3-9]|code).*", "x-ai"),
    (r"((us|eu|apac|jp|au|global|us-gov)\.)?amazon\.nova-.+", "aws"),
    (r"((us|eu|apac|jp|au|global|us-gov)\.)?anthropic\.claude-.+", "aws"),
)
_compiled: Final = tuple((re.compile(pattern), provider) for pattern, provider in _MAKERS)
_CLOUDS: Final = {"azure": "azure", "bedrock": "aws", "vertex_ai": "google"}
# Weights that anybody can serve: families, a number of parameters, the tag of an Ollama model.
_WEIGHTS: Final = re.compile(
    r"gpt-oss|llama|gemma|qwen|phi-|kimi|glm-|minimax|distill|deepseek-[vr]\d|(\d|^)[\d.]*b\b|:(?!v?\d$)"
)


class Candidate(NamedTuple):
    """Something to ask the table for."""

    model: str
    provider: str | None
    """The table's name; None: whose model it is shows its name."""
    source: str = ""
    """What to add to where the price comes from."""


def candidates(
    model: str, provider: str | None, host: str | None, providers: list[Provider]
) -> Iterator[Candidate]:
    """
    Yield what to ask the table for, the best first.

    Args:
        model: Its name as asked or answered, in any spelling.
        provider: Who was asked, as told; may say no more than whose wire was spoken.
        host: Where the call went, if known.
        providers: Those of the table.
    """
    name = provider_name(provider or "", host)
    if name in SELF_HOSTED:
        return
    served_by = provider_of_host(host) if host else None
    if host and served_by is None and (name in _WIRES or is_private(host)):
        listed = next((each.id for each in providers if _serves(each, host)), None)
        if listed is not None:
            yield from _spelled(model, listed)
        else:
            yield from _by_maker(model)
    elif name in _WIRES and served_by is None:  # a span, or a caller that does not tell the address
        if model.startswith("ft:") or _WEIGHTS.search(model.lower()) is None:
            yield from _spelled(model, name or None)
        yield from _by_maker(model)
    elif name == "huggingface":
        inner, _, router = model.rpartition(":")
        if inner:
            yield Candidate(inner, f"huggingface_{router}")
    else:
        yield from _spelled(model, TABLE_IDS.get(name, name))


def _serves(provider: Provider, host: str) -> bool:
    url = f"https://{host}/"
    found = re.match(provider.api_pattern, url)
    return found is not None and found.end() >= len(url) - 1


def _spelled(model: str, provider: str | None) -> Iterator[Candidate]:
    yield Candidate(model, provider)
    inner = model.rpartition("/")[2]
    if inner and inner != model:  # models/gemini-..., an ARN of Bedrock, anthropic/claude-...
        yield Candidate(inner, provider)
    if provider == "azure" and re.fullmatch(r"gpt-4-(0125|1106|vision)", model.lower()):
        yield Candidate(f"{model}-preview", provider)  # Azure names deployments without it


def _by_maker(model: str) -> Iterator[Candidate]:
    route, _, inner = model.lower().rpartition("/")
    for pattern, provider in _compiled:
        if pattern.fullmatch(inner):
            cloud = _CLOUDS.get(route.partition("/")[0])
            if cloud is not None:
                yield Candidate(inner, cloud, BY_NAME)
            yield Candidate(inner, provider, BY_NAME)
            if provider == "aws" and "anthropic." in inner:
                dated = inner.rpartition("anthropic.")[2]
                yield Candidate(re.sub(r"-v\d(:\d)?$", "", dated), "anthropic", BY_NAME)
            return
