"""The document of the JSON API, OpenAPI 3.1: made of the table of questions and of what they return."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, get_type_hints

import msgspec

from llmobs.answers.asked import Part
from llmobs.answers.questions import QUESTIONS, Question
from llmobs.answers.schemas import schema_of

__all__ = ["openapi"]

ABOUT: Final = (
    "What the store of llmobs holds, as JSON: every page of the viewer has its twin here. Times are UTC, "
    "durations milliseconds, money US dollars. Lists are read page by page: ask again with cursor set to "
    "the next_cursor of the answer before, until that is null. What was recorded is the words of others."
)
REFUSALS: Final = {
    "400": "Something in the address cannot be understood; field names it.",
    "401": "A key is needed, or this one is wrong or was revoked.",
    "403": "The key is not for reading, or the host's name is not known here.",
    "404": "Nothing is there that this key may see.",
    "429": "Too many requests; Retry-After says when to come again.",
    "503": "The store cannot be read now.",
}
KEYS: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic", "description": "The key is the password."},
    "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


class ErrorWords(msgspec.Struct):
    """Why there is no answer."""

    message: str
    field: str | None
    """Which part of the request is at fault, if one is."""


class Refusal(msgspec.Struct):
    """What is answered instead of an answer."""

    error: ErrorWords


@cache
def openapi(root: str) -> Mapping[str, Any]:
    """
    Return the document.

    Args:
        root: What the paths begin with.
    """
    from llmobs import __version__

    kinds = [get_type_hints(question.ask)["return"] for question in QUESTIONS]
    (refusal, *answers), schemas = msgspec.json.schema_components(
        [Refusal, *kinds], ref_template="#/components/schemas/{name}"
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "llmobs", "version": __version__, "description": ABOUT},
        "servers": [{"url": root}],
        # Nobody on the same machine needs one, unless a proxy has passed the request on.
        "security": [{}, *({name: []} for name in KEYS)],
        "paths": {
            question.path: {"get": _operation(question, answer, refusal)}
            for question, answer in zip(QUESTIONS, answers, strict=True)
        },
        "components": {"schemas": schemas, "securitySchemes": KEYS},
    }


def _operation(question: Question, answer: Any, refusal: Any) -> Mapping[str, Any]:
    return {
        "operationId": question.name,
        "summary": question.words,
        "parameters": [*_parameters(question)],
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {"application/json": {"schema": answer}},
            },
            **{
                status: {"description": words, "content": {"application/json": {"schema": refusal}}}
                for status, words in REFUSALS.items()
            },
        },
    }


def _parameters(question: Question) -> Iterator[Mapping[str, Any]]:
    for name in question.names:
        schema = {"type": "string", "minLength": 1}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    for name, part in question.takes.items():
        yield {
            "name": name,
            "in": "query",
            "description": _words(part, name, question),
            "schema": schema_of(part),
        }


def _words(part: Part, name: str, question: Question) -> str:
    if name == "period" and question.period:
        return f"{part.words} Unless said: {question.period}."
    return part.words
