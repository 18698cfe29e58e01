"""
Which server answered, where its address does not tell, and what a gateway says the call cost.

Whoever speaks OpenAI's wire adds members of its own: Ollama its fingerprint; SGLang ``matched_stop`` and vLLM
``stop_reason`` to a choice (their sources, "protocol.py"); llama.cpp ``timings`` (its server's README); LM
Studio ``stats`` (its REST API). LiteLLM's proxy tells a cost in a header, of answers that are no streams ("Response
Headers"); where it knows no price that is 0 or no number.
"""

from collections.abc import Callable, Mapping
from typing import Final

from llmobs.contrib._wire.usage import PROVIDER, amount
from llmobs.contrib._wire.wire import Fields
from llmobs.recorded.jsontext import Json, as_list, as_object
from llmobs.recorded.providers import provider_of_host

__all__ = ["told_by_server"]

_SIGNS: Final[tuple[tuple[str, Callable[[Json, Json], bool]], ...]] = (
    # provider, sign in an answer or a piece of one, and in its first choice
    ("ollama", lambda body, choice: body.get("system_fingerprint") == "fp_ollama"),
    ("llama_cpp", lambda body, choice: "predicted_n" in as_object(body.get("timings"))),
    ("lm_studio", lambda body, choice: "tokens_per_second" in as_object(body.get("stats"))),
    ("sglang", lambda body, choice: "matched_stop" in choice),
    ("vllm", lambda body, choice: "stop_reason" in choice or "kv_transfer_params" in body),
)
_COST_HEADER: Final = "x-litellm-response-cost"


def told_by_server(host: str, headers: Mapping[str, str], pieces: list[Json]) -> Fields:
    """
    Return ``provider``, or a cost, as far as the server tells them.

    Args:
        host: Who was asked; a known provider is itself.
        headers: Of the answer; keys in lower case.
        pieces: The answer; of a stream its first and last events.
    """
    fields: Fields = {}
    if provider_of_host(host) is not None:
        return fields
    for body in pieces:
        choice = as_object(next(iter(as_list(body.get("choices"))), None))
        found = next((name for name, shows in _SIGNS if choice and shows(body, choice)), None)
        if found is not None:
            return {"provider": found}
    if cost := amount(headers.get(_COST_HEADER)):
        fields |= {"cost_usd": cost, "cost_source": PROVIDER}
    return fields
