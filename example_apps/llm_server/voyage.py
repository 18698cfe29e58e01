"""Voyage's embeddings, of texts, of chunks and of contents of several kinds, and its rerank.

Wire rules: Voyage's API reference, and the `voyageai` package. Its usage is a total alone.
"""

from . import cohere, openai_other, tokens
from .conversation import Json, Reply, Usage

_SIZE = 1024


def embeddings(body: Json, seed: str) -> Reply:
    """Answer `POST /v1/embeddings`."""
    return _embedded(body, body["input"], seed)


def multimodal(body: Json, seed: str) -> Reply:
    """Answer `POST /v1/multimodalembeddings`; texts alone are counted here."""
    texts = [
        "\n".join(part["text"] for part in each["content"] if part["type"] == "text")
        for each in body["inputs"]
    ]
    return _embedded(body, texts, seed)


def contextualized(body: Json, seed: str) -> Reply:
    """Answer `POST /v1/contextualizedembeddings`: a list of chunks for each document."""
    groups = [_embedded(body, chunks, seed) for chunks in body["inputs"]]
    total = sum(each.usage.prompt for each in groups)
    data = [
        {"object": "list", "data": each.content["data"], "index": place}
        for place, each in enumerate(groups)
        if isinstance(each.content, dict)
    ]
    usage = {"total_tokens": total}
    content = {"object": "list", "data": data, "model": body["model"], "usage": usage}
    return Reply(content, Usage(total, 0))


def rerank(body: Json, seed: str) -> Reply:
    """Answer `POST /v1/rerank`: the query is read with each document."""
    found = cohere.rerank({**body, "top_n": body.get("top_k")}, seed)
    assert isinstance(found.content, dict)
    query = tokens.count(body["query"]) * len(body["documents"])
    total = query + sum(map(tokens.count, body["documents"]))
    usage = {"total_tokens": total}
    data = found.content["results"]
    content = {"object": "list", "data": data, "model": body["model"], "usage": usage}
    return Reply(content, Usage(total, 0))


def _embedded(body: Json, texts: str | list[str], seed: str) -> Reply:
    size = body.get("output_dimension") or _SIZE
    asked = {"model": body["model"], "input": texts, "dimensions": size}
    found = openai_other.embeddings(asked | {"encoding_format": body.get("encoding_format")}, seed)
    assert isinstance(found.content, dict)
    usage = {"total_tokens": found.usage.prompt}
    return Reply({**found.content, "usage": usage}, found.usage)
