"""What Azure adds to chat completions: content filter results, first in a chunk without choices."""

from dataclasses import replace

from .conversation import Event, Json, Reply

_SAFE = {
    kind: {"filtered": False, "severity": "safe"}
    for kind in ("hate", "self_harm", "sexual", "violence")
}
_PROMPT = [{"prompt_index": 0, "content_filter_results": _SAFE}]


def with_filter_results(reply: Reply) -> Reply:
    """The same reply as Azure sends it."""
    if isinstance(reply.content, list):
        first = {
            "id": "",
            "object": "",
            "created": 0,
            "model": "",
            "choices": [],
            "prompt_filter_results": _PROMPT,
        }
        return replace(reply, content=[Event(first), *reply.content])
    choices: list[Json] = [
        {**item, "content_filter_results": _SAFE} for item in reply.content.get("choices", ())
    ]
    content = {**reply.content, "choices": choices, "prompt_filter_results": _PROMPT}
    return replace(reply, content=content)
