"""Which path speaks whose wire, and what answers there."""

from collections.abc import Callable, Iterator
from functools import partial

from . import (
    anthropic_messages,
    bedrock,
    cohere,
    gemini,
    huggingface,
    interactions,
    jina,
    mistral,
    ollama,
    openai_chat,
    openai_compaction,
    openai_moderations,
    openai_other,
    openai_responses,
    voyage,
)
from .conversation import Json, Reply
from .errors import Dialect

Answering = Callable[[Json, str], Reply]
"""Answers a decoded request; the text it gets besides makes the ids of the answer."""
Wire = tuple[str, Answering, Dialect]

_AZURE = ("/openai/v1", "/openai/deployments/{model}", "/models")
_VERTEX = "/{version}/projects/{project}/locations/{location}/publishers"
_CLAUDE = f"{_VERTEX}/anthropic/models"
_GEMINI: tuple[tuple[str, Answering], ...] = (
    ("generateContent", gemini.generate),
    ("streamGenerateContent", gemini.stream),
    ("embedContent", gemini.embed),
    ("batchEmbedContents", gemini.embed_several),
    ("predict", gemini.predict),
    ("countTokens", gemini.count_tokens),
)
_BY_DIALECT: dict[Dialect, tuple[tuple[str, Answering], ...]] = {
    Dialect.ANTHROPIC: (
        ("/v1/messages", anthropic_messages.reply),
        ("/v1/messages/count_tokens", anthropic_messages.count_tokens),
        (f"{_CLAUDE}/count-tokens:rawPredict", anthropic_messages.count_tokens),
        (f"{_CLAUDE}/{{model}}:rawPredict", anthropic_messages.reply),
        (f"{_CLAUDE}/{{model}}:streamRawPredict", anthropic_messages.reply),
    ),
    Dialect.COHERE: (
        ("/v2/chat", cohere.chat),
        ("/v2/embed", cohere.embed),
        ("/v2/rerank", cohere.rerank),
    ),
    Dialect.GOOGLE: (
        ("/{version}/interactions", interactions.create),
        *(
            (f"{place}/models/{{model}}:{verb}", answering)
            for place in ("/{version}", f"{_VERTEX}/google")
            for verb, answering in _GEMINI
        ),
    ),
    Dialect.OLLAMA: (
        ("/api/chat", ollama.chat),
        ("/api/generate", ollama.generate),
        ("/api/embed", ollama.embed),
    ),
    Dialect.BEDROCK: (
        ("/model/{model:path}/converse", bedrock.converse),
        ("/model/{model:path}/converse-stream", bedrock.converse_stream),
        ("/model/{model:path}/invoke", bedrock.invoke),
        ("/model/{model:path}/invoke-with-response-stream", bedrock.invoke_stream),
    ),
    # From here on paths are others', too.
    Dialect.MISTRAL: (
        ("/mistral/v1/chat/completions", mistral.chat),
        ("/mistral/v1/agents/completions", mistral.chat),
        ("/mistral/v1/fim/completions", mistral.fim),
        ("/mistral/v1/embeddings", mistral.embeddings),
        ("/mistral/v1/conversations", mistral.conversation),
        ("/mistral/v1/conversations/{conversation_id}", mistral.conversation),
        ("/mistral/v1/moderations", openai_moderations.moderate),
        ("/mistral/v1/ocr", mistral.ocr),
    ),
    Dialect.HUGGINGFACE: (
        ("/hf-inference/models/{model:path}/pipeline/feature-extraction", huggingface.features),
        ("/hf-inference/models/{model:path}", huggingface.generate),
    ),
    Dialect.JINA: (
        ("/jina/v1/embeddings", jina.embeddings),
        ("/v1/rerank", jina.rerank),  # LiteLLM knows no other path
    ),
    Dialect.VOYAGE: (
        ("/voyage/v1/embeddings", voyage.embeddings),
        ("/voyage/v1/multimodalembeddings", voyage.multimodal),
        ("/voyage/v1/contextualizedembeddings", voyage.contextualized),
        ("/voyage/v1/rerank", voyage.rerank),
    ),
}

_OPENAI: tuple[tuple[str, Answering], ...] = (
    ("/chat/completions", openai_chat.reply),
    ("/completions", openai_other.completions),
    ("/embeddings", openai_other.embeddings),
    ("/moderations", openai_moderations.moderate),
)


def wires(memory: openai_responses.Memory) -> Iterator[Wire]:
    """Yield every path that takes a POST; `memory` holds what the responses said before."""
    responses: tuple[tuple[str, Answering], ...] = (
        ("/responses", partial(openai_responses.reply, memory=memory)),
        ("/responses/compact", partial(openai_compaction.compact, memory=memory)),
        ("/responses/input_tokens", partial(openai_compaction.count, memory=memory)),
    )
    for path, answering in (*_OPENAI, *responses):
        yield f"/v1{path}", answering, Dialect.OPENAI
        for prefix in _AZURE:
            yield f"{prefix}{path}", answering, Dialect.AZURE
    for dialect, wires_of_it in _BY_DIALECT.items():
        yield from ((path, answering, dialect) for path, answering in wires_of_it)
