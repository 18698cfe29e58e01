"""
What a request sets beside its content: temperature and its like, tools, formats.

What the conventions have a name for (``gen_ai.request.top_k``, ``.max_tokens``, ``.stop_sequences``) goes by
it, whoever's word was sent, and stands at the top, wherever it was sent; all else is as it was sent.
"""

from typing import Final

from llmobs.recorded.jsontext import Json

__all__ = ["request_params"]

_CONTENT: Final = frozenset(
    {"messages", "input", "prompt", "suffix", "system", "instructions", "model", "stream"}
)
_SETTINGS: Final = frozenset(
    # objects that hold settings alone: Gemini's, Bedrock's, Titan's, Ollama's
    {"generationConfig", "inferenceConfig", "textGenerationConfig", "options"}
)
_NAMES: Final[dict[str, str]] = {
    "candidateCount": "n",
    "frequencyPenalty": "frequency_penalty",
    "maxOutputTokens": "max_tokens",
    "maxTokenCount": "max_tokens",  # Titan
    "maxTokens": "max_tokens",
    "max_gen_len": "max_tokens",  # Llama on Bedrock
    "max_new_tokens": "max_tokens",  # Hugging Face, Nova
    "n_predict": "max_tokens",  # llama.cpp
    "num_predict": "max_tokens",  # Ollama
    "presencePenalty": "presence_penalty",
    "random_seed": "seed",  # Mistral
    "stopSequences": "stop_sequences",
    "topK": "top_k",
    "topP": "top_p",
}


def request_params(body: Json) -> Json | None:
    """Return what *body* sets; None if that is nothing."""
    params: Json = {}
    for name, value in body.items():
        if name in _SETTINGS and type(value) is dict:
            for inner in value:
                params[_NAMES.get(inner) or inner] = value[inner]
        elif name not in _CONTENT:
            params[_NAMES.get(name, name)] = value
    return {name: params[name] for name in params if params[name] is not None} or None
