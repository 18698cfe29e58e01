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
SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
LONG = [
    {"role": "user", "content": "Explain queues. " * 700},
    {"role": "assistant", "content": "They queue."},
    {"role": "user", "content": "More, please"},
]
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
    "structured output": chat(
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "a", "strict": True, "schema": SCHEMA},
        }
    ),
    "refusal": chat(messages=says("Please refuse")),
    "reasoning": chat(model="o3-mini"),
    "cached": chat(messages=LONG),
    "image": chat(
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                ],
            }
        ]
    ),
    "several choices": chat(n=2, messages=says("Explain queues")),
    "cut by max_tokens": chat(max_completion_tokens=5),
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
    "completions": ("completions.create", {"model": "gpt-3.5-turbo-instruct", "prompt": "Hi"}),
    "embeddings": ("embeddings.create", {"model": "text-embedding-3-small", "input": ["a", "b"]}),
}

ANTHROPIC: dict[str, tuple[str, dict[str, Any]]] = {
    "text": messages(messages=says("Explain queues"), system="Be kind"),
    "tools in parallel": messages(tools=[{"name": "get_weather", "input_schema": PARAMETERS}]),
    "thinking": messages(thinking={"type": "enabled", "budget_tokens": 1024}),
    "refusal": messages(messages=says("Please refuse")),
    "cached": messages(
        messages=LONG,
        system=[{"type": "text", "text": "Rules. " * 1500, "cache_control": {"type": "ephemeral"}}],
    ),
    "image": messages(
        messages=[
            {
                "role": "user",
                "content": [
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": PNG},
                    },
                    {"type": "text", "text": "What is it?"},
                ],
            }
        ]
    ),
    "cut by max_tokens": messages(max_tokens=5),
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
