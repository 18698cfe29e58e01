"""Calls of the real SDKs, written once and made by sync and async clients, and what the host sees."""

import contextlib
import inspect
import operator
from typing import Any

USER: Any = [{"role": "user", "content": "What is the weather in Paris and Rome?"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "weather", "parameters": PARAMETERS},
}
CHAT = "chat.completions.create"
MESSAGES = "messages.create"


def chat(**more: Any) -> tuple[str, dict[str, Any]]:
    return CHAT, {"model": "gpt-4o", "messages": USER, **more}


def messages(**more: Any) -> tuple[str, dict[str, Any]]:
    return MESSAGES, {
        "model": "claude-sonnet-4-6",
        "max_tokens": 500,
        "messages": USER,
        **more,
    }


def says(text: str) -> Any:
    return [{"role": "user", "content": text}]


OPENAI: dict[str, tuple[str, dict[str, Any]]] = {
    "text": chat(messages=says("Explain queues")),
    "tools in parallel": chat(tools=[TOOL]),
    "responses": ("responses.create", {"model": "gpt-4o", "input": "Explain queues"}),
    "responses with tools": (
        "responses.create",
        {
            "model": "gpt-4o",
            "input": USER,
            "instructions": "Be kind",
            "tools": [{"type": "function", "name": "get_weather", "parameters": PARAMETERS}],
        },
    ),
}

ANTHROPIC: dict[str, tuple[str, dict[str, Any]]] = {
    "text": messages(messages=says("Explain queues"), system="Be kind"),
    "tools in parallel": messages(tools=[{"name": "get_weather", "input_schema": PARAMETERS}]),
}

_CHANGING = frozenset(
    {
        "id",
        "created",
        "created_at",
        "completed_at",
        "item_id",
        "call_id",
        "signature",
        "response_id",
    }
    | {"system_fingerprint", "_request_id", "request_id"}
)


def stable(value: Any) -> Any:
    """The value without what differs between two calls: ids and times."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json", warnings=False)
    if isinstance(value, dict):
        return {k: stable(v) for k, v in value.items() if k not in _CHANGING}
    if isinstance(value, list | tuple):
        return [stable(item) for item in value]
    return value


def told(error: Exception) -> Any:
    """What an exception tells the host."""
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        body = stable(body)
        return type(error).__name__, getattr(error, "status_code", None), body
    return type(error).__name__, getattr(error, "status_code", None)


def see(client: Any, call: tuple[str, dict[str, Any]], stop_after: int | None = None) -> list[Any]:
    """Make a call; return what the host sees of it, the exception at its end included."""
    path, arguments = call
    seen: list[Any] = []
    try:
        answer = operator.attrgetter(path)(client)(**arguments)
        if arguments.get("stream"):
            with contextlib.closing(answer):
                for item in answer:
                    seen.append(stable(item))
                    if len(seen) == stop_after:
                        break
        else:
            seen.append(stable(answer))
    except Exception as error:
        seen.append(told(error))
    return seen


async def see_async(
    client: Any, call: tuple[str, dict[str, Any]], stop_after: int | None = None
) -> list[Any]:
    """`see`, for async clients."""
    path, arguments = call
    seen: list[Any] = []
    try:
        answer = operator.attrgetter(path)(client)(**arguments)
        if inspect.isawaitable(answer):
            answer = await answer
        if arguments.get("stream"):
            try:
                async for item in answer:
                    seen.append(stable(item))
                    if len(seen) == stop_after:
                        break
            finally:
                await answer.close()
        else:
            seen.append(stable(answer))
    except Exception as error:
        seen.append(told(error))
    return seen


def streamed(call: tuple[str, dict[str, Any]], **more: Any) -> tuple[str, dict[str, Any]]:
    return call[0], {**call[1], "stream": True, **more}
