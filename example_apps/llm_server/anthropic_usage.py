"""Counts an Anthropic prompt, and what of it the prompt cache takes.

The cache keeps no state, so that one request always costs the same: whatever is marked with
`cache_control` (directly, or by coming before a mark) counts as *read* when an assistant turn comes
after it, for then somebody sent it before, and as *created* otherwise. As in the real API, marked
prefixes below 1,024 tokens are not cached.
"""

import json
from collections.abc import Iterator
from typing import Any

from . import images, tokens
from .conversation import Json, Usage
from .openai_chat import CACHE_FLOOR


def prompt_usage(body: Json) -> Usage:
    """The prompt side of the usage of a messages request."""
    total = marked = said_before = 0
    for size, is_marked, is_assistant in _blocks(body):
        total += size
        if is_marked:
            marked = total
        if is_assistant:
            said_before = total
    total += 3
    if body.get("cache_control"):
        marked = total
    if marked < CACHE_FLOOR:
        return Usage(total, 0)
    read = min(marked, said_before)
    read = read if read >= CACHE_FLOOR else 0
    return Usage(total, 0, cache_read=read, cache_write=marked - read)


def _blocks(body: Json) -> Iterator[tuple[int, bool, bool]]:
    """Size in tokens, cache mark, and whether the assistant said it; in the order of the cache."""
    for tool in body.get("tools") or ():
        offered = {key: value for key, value in tool.items() if key != "cache_control"}
        yield tokens.count(json.dumps(offered)), "cache_control" in tool, False
    for block in _as_blocks(body.get("system")):
        yield _size(block), bool(block.get("cache_control")), False
    for message in body["messages"]:
        is_assistant = message.get("role") == "assistant"
        yield 3, False, is_assistant
        for block in _as_blocks(message.get("content")):
            yield _size(block), bool(block.get("cache_control")), is_assistant


def _as_blocks(content: Any) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content or []


def _size(block: Json) -> int:
    kind = block.get("type")
    if kind == "image":
        return images.anthropic_tokens(block.get("source") or {})
    if kind == "tool_use":
        return tokens.count(block.get("name", "")) + tokens.count(
            json.dumps(block.get("input", {}))
        )
    if kind == "tool_result":
        return sum(_size(part) for part in _as_blocks(block.get("content")))
    return tokens.count(block.get("text") or block.get("thinking") or "")
