"""OpenAI responses without an answer: a conversation made shorter, and its tokens counted.

Wire rules: the OpenAI API reference, "Compact a response" and "Get input token counts", and the
types of the `openai` package.
"""

import base64

from .answered import arrived
from .conversation import Json, Reply
from .openai_responses import Memory, reply
from .words import identifier


def compact(body: Json, seed: str, memory: Memory) -> Reply:
    """Keep what the user said, and seal the rest."""
    asked = {**body, "store": False, "stream": False}
    whole = reply(asked, seed, memory)
    assert isinstance(whole.content, dict)
    given = body["input"]
    said = [{"role": "user", "content": given}] if isinstance(given, str) else given
    sealed = base64.b64encode(repr(said).encode()).decode()
    item = {"id": identifier("cmp_", 48, seed), "type": "compaction", "encrypted_content": sealed}
    users = [{"type": "message", **each} for each in said if each.get("role") == "user"]
    content = {
        "id": identifier("resp_", 48, seed),
        "object": "response.compaction",
        "created_at": arrived(),
        "output": [*users, item],
        "usage": whole.content["usage"],
    }
    return Reply(content, whole.usage)


def count(body: Json, seed: str, memory: Memory) -> Reply:
    """The tokens that the request would take in."""
    usage = reply({**body, "store": False, "stream": False}, seed, memory).usage
    return Reply({"object": "response.input_tokens", "input_tokens": usage.prompt}, usage)
