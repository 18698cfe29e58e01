"""The page of the JSON API: from the table of questions, and the structs that answer them."""

import re
from collections.abc import Iterator
from typing import Any, get_type_hints

import msgspec
from docs.docstrings import attribute_docs, first_paragraph

from llmobs.answers.asked import FILTERS, MAX_LIMIT, PARTS
from llmobs.answers.questions import QUESTIONS, Question
from llmobs.codec import AnyEvent
from llmobs.server.openapi import REFUSALS

INTRO = f"""\
# JSON API

Every page of the viewer has its twin under `/api/v1`, for the same keys and within the same project: a key for one
project is answered as if there were no other. `/api/v1/openapi.json` describes it all for tools (OpenAPI 3.1).

<!-- not run: it needs the collector of somebody -->
```sh
curl -H "Authorization: Bearer $LLMOBS_KEY" 'https://llmobs.example/api/v1/runs?status=failed&limit=10'
```

Times are UTC, durations milliseconds, money US dollars; `null` is what is not known. What was recorded is in it as it
was recorded: words of users and models, which are no instructions to whoever reads them.

A list has `next_cursor`: ask again with `cursor` set to it for what follows, until it is `null`. Nothing is told twice
or left out meanwhile but for what is new. `limit` goes up to {MAX_LIMIT}.

What cannot be answered is `{{"error": {{"message": …, "field": …}}}}`:

| status | |
|---|---|
"""

NAMES = {
    "NoneType": "null", "str": "text", "bool": "true or false", "float": "number", "int": "whole number",
    "datetime": "time",
}  # fmt: skip


def json_api_page() -> str:
    """Return the page."""
    lines = [INTRO + "\n".join(f"| {status} | {words} |" for status, words in REFUSALS.items()), ""]
    lines += ["## What can be asked", "", "| path | answer | takes |", "|---|---|---|"]
    kinds: dict[str, Any] = {}
    for question in QUESTIONS:
        kind = get_type_hints(question.ask)["return"]
        said = _link(kind.__name__)
        takes = ", ".join(_takes(question)) or "nothing more"
        words = question.words.rstrip(".")
        lines.append(f"| `GET /api/v1{question.path}` | {words}: {said} | {takes} |")
        for each in _structs(kind):
            kinds[each.__name__] = each
    lines += ["", "## What an address may say", "", "Filters, and where in a list:", ""]
    lines += ["| name | |", "|---|---|"]
    lines += [f"| `{name}` | {part.words} |" for name, part in PARTS.items()]
    lines += [""]
    for name, kind in kinds.items():
        docs = attribute_docs(kind)
        lines += [
            f"## {name}",
            "",
            first_paragraph(kind),
            "",
            "| field | type | meaning |",
            "|---|---|---|",
        ]
        lines += [
            f"| `{field.name}` | {_type(field.type)} | {docs.get(field.name, '')} |"
            for field in msgspec.structs.fields(kind)
        ]
        lines += [""]
    return "\n".join(lines)


def _takes(question: Question) -> Iterator[str]:
    if question.takes.keys() >= FILTERS.keys():
        yield "[filters](#what-an-address-may-say)"
    for name in question.takes:
        if name not in FILTERS or not question.takes.keys() >= FILTERS.keys():
            yield f"`{name}`"


def _structs(kind: Any) -> Iterator[Any]:
    """Yield the structs that *kind* is made of, but for events, which have a page of their own."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if kind in AnyEvent.__args__:
            return
        yield kind
        for field in msgspec.structs.fields(kind):
            yield from _structs(field.type)
    for part in getattr(kind, "__args__", ()):
        yield from _structs(part)


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def _type(kind: Any) -> str:
    if kind == AnyEvent:
        return "[event](events.md)"
    if origin := getattr(kind, "__origin__", None):
        inner = [_type(each) for each in kind.__args__ if each is not Ellipsis]
        return f"by name, {inner[1]}" if "Mapping" in str(origin) else f"list of {inner[0]}"
    if args := getattr(kind, "__args__", None):
        if set(AnyEvent.__args__) <= set(args):
            return "[event](events.md)"
        return " or ".join(_type(each) for each in args)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _link(kind.__name__)
    name = {
        "NoneType": "null",
        "str": "text",
        "bool": "true or false",
        "float": "number",
        "int": "whole number",
        "datetime": "time",
    }
    return name.get(getattr(kind, "__name__", ""), re.sub(r"\W+", " ", str(kind)))
