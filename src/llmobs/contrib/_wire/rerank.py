"""
Rerank: which documents answer a query best.

One shape, with small differences, at Cohere, Jina, Together, Voyage, Mixedbread and vLLM (API
reference of each, "Rerank"), and at text-embeddings-inference, whose answer is a bare list. By the
conventions it is a ``retrieval``: documents are found, with their scores.
"""

from typing import Any

from llmobs.contrib._wire.params import request_params
from llmobs.contrib._wire.usage import cohere_usage, openai_usage
from llmobs.contrib._wire.wire import Fields, Wire
from llmobs.recorded.jsontext import Json, as_list, as_object, as_text, json_text
from llmobs.recorded.messages import message, text_part

__all__ = ["WIRE", "document"]


def document(item: Any) -> Json:
    """Return one document, a text or an object, as a part of a message."""
    return {"type": "document", "parts": [text_part(_text(item))]}


def _text(item: Any) -> str:
    if type(item) is dict:
        return as_text(item.get("text")) or json_text(item)
    return item if type(item) is str else json_text(item)


def _request(body: Json) -> Fields:
    documents = as_list(body.get("documents")) or as_list(body.get("texts"))
    parts = [text_part(_text(body.get("query") or ""))]
    parts += map(document, documents)
    content = ("query", "documents", "texts")
    return {
        "model": as_text(body.get("model")),
        "prompt": [message("user", parts)],
        "request_params": request_params({k: v for k, v in body.items() if k not in content}),
    }


def _response(body: Json) -> Fields:
    results = [as_object(each) for each in as_list(body.get("results") or body.get("data"))]
    ranking = [
        {"index": each.get("index"), "score": each.get("relevance_score", each.get("score"))}
        for each in results
    ]
    spent = "meta" in body or "tokens" in as_object(body.get("usage"))
    return {
        "response_id": as_text(body.get("id")),
        "model_version": as_text(body.get("model")),
        "response_metadata": {"documents": len(ranking), "ranking": ranking},
        **(cohere_usage(body) if spent else openai_usage({**body, "data": results})),
    }


WIRE = Wire(_request, _response)
