"""What the agent can do besides talking: look up the weather, and calculate."""

import ast
import operator
from collections.abc import Callable
from typing import Any

from openai.types.chat import ChatCompletionToolParam

_OPERATORS: dict[type, Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
}
_SKIES = ("sunny", "cloudy", "light rain", "a clear sky", "fog in the morning")


async def get_weather(city: str) -> dict[str, Any]:
    """The weather in a city. (Made up, but always the same for the same city.)"""
    number = sum(city.encode())
    return {"city": city, "sky": _SKIES[number % len(_SKIES)], "celsius": number % 25 + 3}


async def calculate(expression: str) -> float:
    """The value of an arithmetic expression.

    Raises `ValueError` for anything but numbers, + - * / % and parentheses, and
    `ZeroDivisionError`.
    """
    return _value(ast.parse(expression.strip(), mode="eval").body)


def _value(node: ast.AST) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.BinOp(left, op, right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left), _value(right))
        case ast.UnaryOp(op, operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(operand))
    raise ValueError("only numbers, + - * / % and parentheses")


TOOLS: dict[str, Callable[..., Any]] = {"get_weather": get_weather, "calculate": calculate}


def _described(name: str, description: str, parameter: str) -> ChatCompletionToolParam:
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {
                "type": "object",
                "properties": {parameter: {"type": "string"}},
                "required": [parameter],
            },
        },
    }


DESCRIPTIONS = [
    _described("get_weather", "Current weather in a city.", "city"),
    _described("calculate", "Calculate an arithmetic expression.", "expression"),
]
"""The tools as the model is told about them."""
