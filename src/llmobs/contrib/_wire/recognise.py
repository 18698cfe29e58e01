"""
Which HTTP request is a call of a model, judged by method, host and path alone.

What is sent to a provider and nobody here reads is said once, so that nobody believes it recorded.
"""

import math
import re
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, unquote

from msgspec import Struct

from llmobs.contrib._wire import (
    anthropic_messages,
    batch_results,
    bedrock,
    bedrock_invoke,
    cohere,
    cohere_v1,
    gemini,
    huggingface,
    interactions,
    llama_cpp,
    mistral,
    moderations,
    ollama,
    openai_chat,
    openai_other,
    openai_responses,
    realtime,
    rerank,
    shapes,
)
from llmobs.contrib._wire.shapes import Shape
from llmobs.contrib._wire.wire import Wire
from llmobs.recorded.printable import brief
from llmobs.recorded.providers import provider_of_host
from llmobs.runtime.troubles import Troubles

__all__ = ["Target", "recognise", "recognise_socket"]


class Target(Struct, frozen=True):
    """A kind of model call at one address."""

    wire: Wire
    operation: str
    """``gen_ai.operation.name``."""
    provider: str
    """``gen_ai.provider.name``."""
    host: str
    model: str = ""
    """The model, where the path names it (Azure deployments, Bedrock, Vertex)."""
    shape: Shape | None = None
    """What tells by the bodies whether this is a call of a model, where host and path do not."""
    answer_id: str = ""
    """If this fetches, or calls off, the answer of a call made before: that answer's id."""
    batch: str = ""
    """If this fetches the results of a batch: the id of their file or of the batch."""
    makes_batch: bool = False
    """Whether this makes a batch, or uploads a file that may become one."""


_Route = tuple[str, Wire, str, str, Shape | None]
_MEDIA = (
    r"/(?:audio/(?:speech|transcriptions|translations)|images/(?:generations|edits|variations))"
)
_GOOGLE = r"/(?:models|tunedModels|endpoints)/(?P<model>[^/:]+)"
_ROUTES: Final[tuple[_Route, ...]] = (
    # path, wire, operation, provider if the host is unknown, shape if the path alone is no proof
    (r"/chat/completions", openai_chat.WIRE, "chat", "openai", None),
    (r"/agents/completions", openai_chat.WIRE, "chat", "mistral_ai", shapes.CHAT),
    (r"/fim/completions", openai_chat.FIM, "text_completion", "mistral_ai", shapes.COMPLETIONS),
    (r"/responses(?:/compact)?", openai_responses.WIRE, "chat", "openai", shapes.RESPONSES),
    (
        r"/responses/input_tokens",
        openai_responses.COUNT,
        "count_tokens",
        "openai",
        shapes.INPUT_TOKENS,
    ),
    (r"/completions", openai_other.COMPLETIONS, "text_completion", "openai", shapes.COMPLETIONS),
    (r"/completion", llama_cpp.WIRE, "text_completion", "llama_cpp", shapes.LLAMA_CPP),
    (r"/api/chat", ollama.CHAT, "chat", "ollama", shapes.OLLAMA_CHAT),
    (r"/api/generate", ollama.GENERATE, "text_completion", "ollama", shapes.OLLAMA_GENERATE),
    (r"/api/embed(?:dings)?", ollama.EMBEDDINGS, "embeddings", "ollama", shapes.OLLAMA_EMBEDDINGS),
    (_GOOGLE + ":generateContent", gemini.WIRE, "chat", "gcp.gemini", None),
    (_GOOGLE + ":streamGenerateContent", gemini.STREAM, "chat", "gcp.gemini", None),
    (
        _GOOGLE + ":(?:embedContent|batchEmbedContents)",
        gemini.EMBEDDINGS,
        "embeddings",
        "gcp.gemini",
        None,
    ),
    (
        r"/publishers/google/models/(?P<model>[^/:]*(?:embedding|gecko)[^/:]*):predict",
        gemini.EMBEDDINGS,
        "embeddings",
        "gcp.vertex_ai",
        None,
    ),
    (r"/interactions", interactions.WIRE, "chat", "gcp.gemini", shapes.INTERACTIONS),
    (_GOOGLE + ":countTokens", gemini.COUNT, "count_tokens", "gcp.gemini", None),
    (r"/embeddings", openai_other.EMBEDDINGS, "embeddings", "openai", shapes.EMBEDDINGS),
    (r"/moderations", moderations.WIRE, "moderation", "openai", shapes.MODERATIONS),
    (r"/v1/chat", cohere_v1.CHAT, "chat", "cohere", shapes.COHERE_V1),
    (r"/v2/chat", cohere.CHAT, "chat", "cohere", shapes.COHERE_CHAT),
    (r"/v[12]/embed", cohere.EMBED, "embeddings", "cohere", shapes.COHERE_EMBED),
    (r"/rerank", rerank.WIRE, "retrieval", "cohere", shapes.RERANK),
    (r"/multimodalembeddings", openai_other.EMBEDDINGS, "embeddings", "voyage_ai", shapes.CHUNKS),
    (
        r"/contextualizedembeddings",
        openai_other.EMBEDDINGS,
        "embeddings",
        "voyage_ai",
        shapes.CHUNKS,
    ),
    (
        r"/conversations(?:/[^/]+(?:/restart)?)?",
        mistral.CONVERSATIONS,
        "chat",
        "mistral_ai",
        shapes.CONVERSATIONS,
    ),
    (r"/ocr", mistral.OCR, "generate_content", "mistral_ai", shapes.OCR),
    (r"/generate(?:_stream)?", huggingface.GENERATE, "text_completion", "tgi", shapes.GENERATE),
    (
        r"/models/(?P<model>[^/]+/[^/]+)/pipeline/feature-extraction",
        huggingface.EMBEDDINGS,
        "embeddings",
        "huggingface",
        shapes.FEATURES,
    ),
    (
        r"/hf-inference/models/(?P<model>[^/]+(?:/[^/]+)?)",
        huggingface.GENERATE,
        "text_completion",
        "huggingface",
        shapes.GENERATE,
    ),
    (_MEDIA, openai_other.MEDIA, "generate_content", "openai", shapes.MEDIA),
    (
        r"/messages/count_tokens",
        anthropic_messages.COUNT,
        "count_tokens",
        "anthropic",
        shapes.COUNT_TOKENS,
    ),
    (r"/messages", anthropic_messages.WIRE, "chat", "anthropic", shapes.MESSAGES),
    # A name may be an ARN, with slashes.
    (r"/model/(?P<model>.+)/converse(?:-stream)?", bedrock.WIRE, "chat", "aws.bedrock", None),
    (r"/model/(?P<model>.+)/count-tokens", bedrock.COUNT, "count_tokens", "aws.bedrock", None),
    (
        r"/model/(?P<model>.+)/invoke(?:-with-response-stream)?",
        bedrock_invoke.WIRE,
        "chat",
        "aws.bedrock",
        None,
    ),
    (
        r"/publishers/anthropic/models/count-tokens:rawPredict",
        anthropic_messages.COUNT,
        "count_tokens",
        "gcp.vertex_ai",
        None,
    ),
    (
        r"/publishers/anthropic/models/(?P<model>[^/:]+):(?:rawPredict|streamRawPredict)",
        anthropic_messages.WIRE,
        "chat",
        "gcp.vertex_ai",
        None,
    ),
)
_ELSE: Final = r"|/(?:responses|interactions)/[^/]+/cancel|/batches|/batch/jobs|/files)/?(?:\?|\Z)"
"""All begin with a slash, at which alone the search has to look."""
_compiled: Final = tuple((re.compile(f".*{route[0]}/?"), route) for route in _ROUTES)
_any_route: Final = re.compile(
    "|".join(re.sub(r"\(\?P<\w+>", "(?:", route[0]) for route in _ROUTES)
    .join(("(?:", _ELSE))
    .encode()
)
_any_fetch: Final = re.compile(rb"/(?:responses/|interactions/|files/|batch)")
_DEPLOYMENT = re.compile(r".*/openai/deployments/([^/]+)/")


@lru_cache(maxsize=1024)
def recognise(method: str, host: str, raw_path: bytes) -> Target | None:
    """
    Return what the request calls, or None if it is not a call of a model.

    Args:
        method: ``POST``, and ``GET`` where an answer is fetched; anything else is no call.
        host: Host name, lower case.
        raw_path: Path and query as sent.
    """
    if method == "GET":
        if not _any_fetch.search(raw_path):
            return None
    elif method != "POST" or not (
        _any_route.search(raw_path) or b"%" in raw_path or provider_of_host(host)
    ):
        return None  # nearly all that is no call of a model, in a tenth of the time
    path = unquote(raw_path.partition(b"?")[0].decode("ascii", "replace"))
    fetched = (_FETCHED if method == "GET" else _CALLED_OFF).fullmatch(path)
    if fetched is not None:
        provider = provider_of_host(host)
        wire, theirs = _FETCHED_OF[fetched[1]]
        shape = None if provider else shapes.FETCHED
        return Target(wire, "chat", provider or theirs, host, shape=shape, answer_id=fetched[2])
    if method == "GET":
        return _results_at(host, path)
    for pattern, (_, wire, operation, provider, shape) in _compiled:
        found = pattern.fullmatch(path)
        if found is None:
            continue
        model = found.groupdict().get("model") or ""
        if deployment := _DEPLOYMENT.match(path):
            model, provider, shape = deployment[1], "azure.ai.openai", None
        known = provider_of_host(host)
        return Target(wire, operation, known or provider, host, model, None if known else shape)
    provider_known = provider_of_host(host)
    if _MAKES_BATCH.fullmatch(path):
        shape = None if provider_known else shapes.FETCHED
        wire = batch_results.LINES
        return Target(wire, "chat", provider_known or "openai", host, shape=shape, makes_batch=True)
    if provider_known:
        _say_unread(provider_known, host, path)
    return None


_MAKES_BATCH: Final = re.compile(
    r".*/(?:batches|batch/jobs|files)/?|.*:(?:batchGenerateContent|asyncBatchEmbedContent)"
)
_RESULTS: Final = tuple(
    (re.compile(pattern), wire, provider)
    for pattern, wire, provider in (
        # path, wire, provider if the host is unknown; the answer shows whether these are results
        (r".*/messages/batches/([^/]+)/results/?", batch_results.LINES, "anthropic"),
        (r".*/files/([^/]+)/content/?", batch_results.LINES, "openai"),
        (r".*/files/([^/]+):download", batch_results.LINES, "gcp.gemini"),
        (r".*/batches/([^/]+)/?", batch_results.INLINED, "gcp.gemini"),
        (r".*/batch/jobs/([^/]+)/?", batch_results.OUTPUTS, "mistral_ai"),
    )
)


def _results_at(host: str, path: str) -> Target | None:
    for pattern, wire, provider in _RESULTS:
        if found := pattern.fullmatch(path):
            known = provider_of_host(host)
            return Target(
                wire,
                "chat",
                known or provider,
                host,
                shape=None if known else shapes.FETCHED,
                batch=found[1],
            )
    return None


_SOCKETS: Final = (
    # path, wire, provider if the host is unknown
    (r".*/realtime/?", realtime.WIRE, "openai"),
    (r".*/responses/?", openai_responses.WIRE, "openai"),
    (r".*[./]BidiGenerateContent(?:Constrained)?", gemini.STREAM, "gcp.gemini"),
)


def recognise_socket(host: str, raw_path: str) -> Target | None:
    """
    Return what a WebSocket is opened to, or None if it is nothing that is read.

    Args:
        host: Host name, lower case.
        raw_path: Path and query as sent.
    """
    path, _, query = raw_path.partition("?")
    provider = provider_of_host(host)
    for pattern, wire, theirs in _SOCKETS:
        if re.fullmatch(pattern, unquote(path)):
            asked = dict(parse_qsl(query))
            model = asked.get("model") or asked.get("deployment") or ""  # the latter, Azure's
            return Target(wire, "chat", provider or theirs, host, model)
    if provider:
        _say_unread(provider, host, unquote(path), "WebSocket wss")
    return None


# OpenAI's API reference, "Get a model response" and "Cancel a response"; Gemini's, "Interactions".
_FETCHED = re.compile(r".*/(responses|interactions)/(?!(?:compact|input_tokens)/?$)([^/]+)/?")
_CALLED_OFF = re.compile(r".*/(responses|interactions)/([^/]+)/cancel/?")
_FETCHED_OF: Final = {
    "responses": (openai_responses.WIRE, "openai"),
    "interactions": (interactions.WIRE, "gcp.gemini"),
}
_NO_MODEL = re.compile(
    r".*/(?:files|batch|batches|uploads|vector_stores|containers|organizations?|conversations|oauth2?|token"
    r"|fine[_-]?tuning|skills|libraries|connectors|workflows|observability)(?:/.*)?"
    r"|.*/cancel/?|.*:(?:batchGenerateContent|asyncBatchEmbedContent)"
)
"""Paths of providers behind which no model answers, or none that tells its tokens."""
_NAMED = re.compile(r"/(?!v\d+(?:beta|alpha)?\d*(?:/|$))[^/:]*\d[^/:]*")
_troubles = Troubles(math.inf)


def _say_unread(provider: str, host: str, path: str, how: str = "POST https") -> None:
    if _NO_MODEL.fullmatch(path):
        return
    kind = brief(_NAMED.sub("/*", path), 200)  # ids and names of models make no new kind
    _troubles.log(
        f"unread:{how}:{host}:{kind}",
        "llmobs: %s://%s%s is not read: calls of this kind (%s) are not recorded.",
        how,
        host,
        kind,
        provider,
    )
