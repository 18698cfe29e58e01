"""The parts of the model server that are worth a look of their own."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from example_apps.llm_server import images, schema, tokens
from example_apps.llm_server.answers import answer
from example_apps.llm_server.conversation import Question, Tool
from example_apps.llm_server.tool_plan import planned_calls

from .test_llm_server import PIXEL

TEXT = {"type": "object", "properties": {"q": {"type": "string"}}}
TOOLS = (
    Tool("weather_at", "", {"type": "object", "properties": {"place": {"type": "string"}}}),
    Tool("math", "", {"type": "object", "properties": {"expression": {"type": "string"}}}),
    Tool("lookup", "", TEXT),
    Tool("unrelated", "", TEXT),
)


@given(st.text())
def test_the_pieces_of_any_text_are_that_text(text: str) -> None:
    assert "".join(tokens.pieces(text)) == text
    assert tokens.count(text) <= len(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("Hello world", 2),
        ("It's 12345!", 4),
        ("internationalisation", 4),
        ("日本語", 3),
        ("a\n\nb", 3),
        ("    deep", 2),
    ],
)
def test_token_counts(text: str, count: int) -> None:
    assert tokens.count(text) == count


@given(st.text())
def test_any_question_has_one_answer(text: str) -> None:
    question = Question(text, tools=TOOLS, max_tokens=20)
    assert answer(question) == answer(question)
    assert tokens.count(answer(question).text) <= 20


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("Tell me a joke", []),
        ("Forecast for New York, Oslo and Rome", ["New York", "Oslo", "Rome"]),
        ("Is it raining at the moment?", ["Paris"]),
        ("How much is 12 * (3 + 4) today?", ["12 * (3 + 4)"]),
        ("Search the web for asyncio pitfalls. Thanks", ["asyncio pitfalls"]),
        ("Weather in Oslo and compute 2+2", ["Oslo", "2+2"]),
    ],
)
def test_what_a_message_wishes(text: str, calls: list[str]) -> None:
    made = planned_calls(Question(text, tools=TOOLS))
    assert [next(iter(call.arguments.values())) for call in made] == calls
    assert planned_calls(Question(text, tools=TOOLS, results=("done",) * len(calls))) == ()
    assert planned_calls(Question(text)) == ()


def test_then_means_one_call_after_the_other() -> None:
    text = "Look up the population of Norway, then calculate 5 * 100"
    steps = [planned_calls(Question(text, tools=TOOLS, results=("x",) * done)) for done in range(3)]
    assert [[call.name for call in step] for step in steps] == [["lookup"], ["math"], []]


def test_a_tool_that_must_be_called_is_called_once() -> None:
    question = Question("Anything", tools=TOOLS, must_call="unrelated")
    assert [call.arguments for call in planned_calls(question)] == [{"q": "Anything"}]
    assert planned_calls(Question("Anything", TOOLS, "unrelated", results=("x",))) == ()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ({"const": 7}, 7),
        ({"enum": ["only"]}, "only"),
        ({"type": "integer", "minimum": 10, "maximum": 10}, 10),
        ({"type": ["string", "null"], "format": "date"}, "2026-01-15"),
        ({"anyOf": [{"type": "null"}, {"const": 1}]}, 1),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"const": 3}}}, 3),
        ({"type": "array", "items": {"const": 0}, "minItems": 3}, [0, 0, 0]),
        ({"type": "null"}, None),
        ({"type": "number"}, 4.5),
    ],
)
def test_schemas(kind: Any, value: Any) -> None:
    assert schema.fill(kind, "it costs 4.5") == value


def test_a_schema_of_itself_ends() -> None:
    node = {"type": "array", "items": {"$ref": "#"}}
    assert len(json.dumps(schema.fill(node, "x"))) < 10_000


def test_image_sizes() -> None:
    assert images.size(PIXEL) == images.size(f"data:image/png;base64,{PIXEL}") == (1, 1)
    assert images.size("no picture") == (1024, 1024)
    assert images.openai_tokens("https://example.com/a.png", "low") == 85
