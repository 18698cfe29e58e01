"""What the agent can look up and work out."""

from collections.abc import Awaitable, Callable
from typing import Any

from anthropic.types import ToolParam

from example_apps.fastapi_chat.tools import calculate

NOTES = {
    "refunds": "Refunds are paid within 14 days, to the card the order was paid with.",
    "shipping": "Shipping is 4.90 within the country and free above 60.",
    "opening hours": "The shop is open from 9 to 18, on Saturdays until 14.",
    "gift cards": "Gift cards are valid for three years and cannot be paid out.",
}


async def search_notes(query: str) -> list[dict[str, str]]:
    """Return the notes that share a word with *query*, best first."""
    asked = {word.strip("s") for word in query.lower().split()}
    found = []
    for title, text in NOTES.items():
        words = {word.strip(".,s") for word in f"{title} {text}".lower().split()}
        if shared := len(asked & words):
            found.append((shared, {"title": title, "text": text}))
    return [note for _, note in sorted(found, key=lambda each: -each[0])]


async def calculate_price(expression: str) -> float:
    """Return the value of an arithmetic expression, rounded to cents; `ValueError` for anything else."""
    return round(await calculate(expression), 2)


TOOLS: dict[str, Callable[..., Awaitable[Any]]] = {
    "search_notes": search_notes,
    "calculate_price": calculate_price,
}


def _described(name: str, description: str, parameter: str) -> ToolParam:
    return {
        "name": name,
        "description": description,
        "input_schema": {
            "type": "object",
            "properties": {parameter: {"type": "string"}},
            "required": [parameter],
        },
    }


DESCRIPTIONS = [
    _described("search_notes", "Search what the shop has written down.", "query"),
    _described("calculate_price", "Calculate an arithmetic expression.", "expression"),
]
"""The tools as the model is told about them."""
