"""The document of the JSON API, OpenAPI 3.1: made of the table of questions and of what they return."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from typing import Any, Final, get_args, get_type_hints

import msgspec

from llmobs.answers.asked import Part
from llmobs.answers.docstrings import attribute_docs
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
    """What is wrong, and the way out."""
    field: str | None
    """Which part of the request is at fault, if one is."""


class Refusal(msgspec.Struct):
    """What is answered instead of an answer."""

    error: ErrorWords
    """What is in the way."""


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
    for kind in _structs([Refusal, *kinds]):
        _describe(schemas[kind.__name__]["properties"], kind)
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


def _structs(kinds: Iterable[Any]) -> Iterator[type[msgspec.Struct]]:
    """Yield the structs that *kinds* are made of, each once."""
    waiting, seen = list(kinds), set[Any]()
    while waiting:
        kind = waiting.pop()
        waiting += get_args(kind)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in seen:
            seen.add(kind)
            waiting += [field.type for field in msgspec.structs.fields(kind)]
            yield kind


def _describe(properties: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    """Say of each property what its field's docstring says, and of times that they are."""
    words = attribute_docs(kind)
    if (tag := kind.__struct_config__.tag_field) is not None:
        properties[tag]["description"] = "What kind of event it is."
    for field in msgspec.structs.fields(kind):
        schema = properties[field.encode_name]
        if datetime in (field.type, *get_args(field.type)):
            for each in schema.get("anyOf", [schema]):
                if each["type"] == "string":
                    each["format"] = "date-time"
        if field.name in words:
            schema["description"] = _in_json(words[field.name], vars(sys.modules[kind.__module__]))


def _in_json(words: str, names: Mapping[str, Any]) -> str:
    """Return a docstring for who knows JSON and not our code: the values of *names*, and null."""

    def value_of(match: re.Match[str]) -> str:
        value = names.get(match[1])
        if isinstance(value, type) and issubclass(value, Enum):
            return ", ".join(str(each.value) for each in value)
        if isinstance(value, timedelta):
            return f"{value // timedelta(minutes=1)} minutes"
        return f"{value:,}" if isinstance(value, int) else match[0]

    return re.sub(r"\bNone\b", "null", re.sub(r"`([A-Z]\w+)`", value_of, words.replace("``", "`")))


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
