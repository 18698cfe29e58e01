"""Jina's embeddings, of texts and pictures, and its rerank.

Wire rules: Jina's API reference, and what LiteLLM and LlamaIndex read of it.
"""

from . import cohere, openai_other, tokens
from .conversation import Json, Reply, Usage

_SIZE = 1024


def embeddings(body: Json, seed: str) -> Reply:
    """Answer `POST /v1/embeddings`; of pictures nothing is counted here."""
    texts = [each if isinstance(each, str) else each.get("text", "") for each in body["input"]]
    asked = {"model": body["model"], "input": texts, "dimensions": body.get("dimensions") or _SIZE}
    return openai_other.embeddings(asked, seed)


def rerank(body: Json, seed: str) -> Reply:
    """Answer `POST /v1/rerank`: the query is read with each document."""
    found = cohere.rerank(body, seed)
    assert isinstance(found.content, dict)
    texts = body["documents"]
    total = tokens.count(body["query"]) * len(texts) + sum(map(tokens.count, texts))
    results = [
        {**each, "document": {"text": texts[each["index"]]}} for each in found.content["results"]
    ]
    usage = {"total_tokens": total}
    content = {"model": body["model"], "object": "list", "usage": usage, "results": results}
    return Reply(content, Usage(total, 0))
