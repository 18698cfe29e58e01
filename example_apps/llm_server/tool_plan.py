"""Decides which of the offered tools a message asks for, and with which arguments.

It understands three wishes (weather, a calculation, a search) by their words, matches them to the
offered tools by name and description, and makes one call per wish, and per place for the weather.
"A, then B" asks for one call at a time.
"""

import re
from collections.abc import Iterator

from . import schema
from .conversation import Call, Json, Question, Tool

_WISHES = {  # what the message says, what the tool is called
    "weather": (r"weather|forecast|temperature|\brain", r"weather|forecast|temperature"),
    "calculation": (
        r"calculat|\bcompute?\b|how much is|percent|\d\s*[-+*/\u00d7^%]\s*\(?\d",
        r"calc|math|comput|eval|arithmetic",
    ),
    "search": (
        r"search|look\s?up|find out|find me|latest|news",
        r"search|look_?up|find|retriev|brows|wiki|knowledge|docs",
    ),
}
_PLACE = r"[A-Z][\w'-]+(?:\s[A-Z][\w'-]+)*"
_PLACES = re.compile(rf"\b(?:in|for|at|of)\s+({_PLACE}(?:(?:,\s*and|,|\s+and|\s*&)\s+{_PLACE})*)")
_EXPRESSION = re.compile(r"[\d.(][\d\s.()]{0,80}(?:[-+*/\u00d7^%][\d\s.()]{1,80})+")
_SEARCHED = re.compile(
    r"(?:search(?:\s+\w+){0,3}\s+for|look\s?up|find out|find me|news about)\s+([^.?!\n]+)", re.I
)
_MAIN_PARAMETER = re.compile(
    r"city|location|place|query|^q$|expression|formula|question|topic|text|input"
)


def planned_calls(question: Question) -> tuple[Call, ...]:
    """The calls to make now; empty when no tool is wanted, or all that was asked for is done."""
    done = len(question.results)
    if question.must_call and not done:
        forced = [tool for tool in question.tools if question.must_call in ("*", tool.name)]
        wanted = [call for call in _calls(question) if call.name in {tool.name for tool in forced}]
        if not wanted and forced:
            wanted = [Call(forced[0].name, _arguments(forced[0], question.text, question.text))]
        return tuple(wanted if question.parallel else wanted[:1])
    wanted = list(_calls(question))
    if re.search(r"\bthen\b", question.text) or not question.parallel:
        return tuple(wanted[done : done + 1])
    return () if done else tuple(wanted)


def _calls(question: Question) -> Iterator[Call]:
    found: list[tuple[int, Tool, str]] = []
    for wish, (said, called) in _WISHES.items():
        match = re.search(said, question.text, re.IGNORECASE)
        tool = _tool(question.tools, called)
        if match and tool:
            found += [(match.start(), tool, what) for what in _subjects(wish, question.text)]
    for _, tool, what in sorted(found, key=lambda item: item[0]):
        yield Call(tool.name, _arguments(tool, what, question.text))


def _tool(tools: tuple[Tool, ...], called: str) -> Tool | None:
    by_name = (tool for tool in tools if re.search(called, tool.name, re.IGNORECASE))
    told = (tool for tool in tools if re.search(called, tool.description, re.IGNORECASE))
    return next(by_name, None) or next(told, None)


def _subjects(wish: str, text: str) -> list[str]:
    if wish == "weather":
        groups = _PLACES.findall(text)
        places = [
            place
            for group in groups
            for place in re.split(r",\s*and\s+|,\s*|\s+and\s+|\s*&\s*", group)
        ]
        return list(dict.fromkeys(places)) or ["Paris"]
    if wish == "calculation":
        found = _EXPRESSION.search(text)
        return [" ".join(found[0].split()) if found else text]
    said = _SEARCHED.search(text)
    return [re.split(r",?\s+(?:and\s+)?then\b", said[1])[0].strip() if said else text]


def _arguments(tool: Tool, what: str, text: str) -> Json:
    properties: Json = tool.parameters.get("properties", {})
    strings = [key for key, item in properties.items() if item.get("type", "string") == "string"]
    main = next(
        (key for key in strings if _MAIN_PARAMETER.search(key)), strings[0] if strings else None
    )
    needed = set(tool.parameters.get("required", ())) - {main}
    rest = {**tool.parameters, "properties": {k: v for k, v in properties.items() if k in needed}}
    values: Json = schema.fill(rest, text)
    return values if main is None else {main: what, **values}
