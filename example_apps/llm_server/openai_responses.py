"""OpenAI responses: request to question, answer to a response object. Its stream is next door.

Wire rules: the OpenAI API reference, "Responses", and the types of the `openai` package.
"""

import json
from collections import OrderedDict
from typing import Any

from . import images, tokens
from .answered import arrived
from .answers import answer
from .conversation import Answer, Json, Question, Reply, Tool, Usage
from .errors import WireError
from .openai_chat import cached, output_tokens, text_of, thinks
from .openai_responses_stream import events
from .words import identifier


class Memory:
    """The conversations `previous_response_id` can go on with; the oldest are forgotten."""

    def __init__(self, size: int = 1000) -> None:
        self._items: OrderedDict[str, list[Json]] = OrderedDict()
        self._jobs: OrderedDict[str, tuple[Json, int]] = OrderedDict()
        self._size = size

    def recall(self, response_id: str | None) -> list[Json]:
        """The items up to that response; raises `WireError` 400 for an unknown id."""
        if response_id is None:
            return []
        if response_id not in self._items:
            message = f"Previous response with id '{response_id}' not found."
            raise WireError(
                400, message, param="previous_response_id", code="previous_response_not_found"
            )
        return self._items[response_id]

    def start(self, response: Json) -> Json:
        """Work on *response* in the background; returns what the caller is told meanwhile."""
        self._jobs[response["id"]] = (response, 0)
        while len(self._jobs) > self._size:
            self._jobs.popitem(last=False)
        return _unfinished(response, "queued")

    def retrieve(self, response_id: str, *, wait: bool = False) -> Json:
        """
        The response as it is now: `in_progress` when first asked for, then done.

        Raises `WireError` 404 for an unknown id. `wait` is for streams, which tell it to the end.
        """
        response, asked = self._job(response_id)
        self._jobs[response_id] = (response, asked + 1)
        return response if asked or wait else _unfinished(response, "in_progress")

    def cancel(self, response_id: str) -> Json:
        """Call off what is worked on."""
        response, _ = self._job(response_id)
        cancelled = _unfinished(response, "cancelled")
        self._jobs[response_id] = (cancelled, 1)
        return cancelled

    def _job(self, response_id: str) -> tuple[Json, int]:
        if response_id not in self._jobs:
            raise WireError(404, f"Response with id '{response_id}' not found.")
        return self._jobs[response_id]

    def keep(self, response_id: str, items: list[Json]) -> None:
        """Remember the whole conversation under the id of its last response."""
        self._items[response_id] = items
        while len(self._items) > self._size:
            self._items.popitem(last=False)


def reply(body: Json, seed: str, memory: Memory) -> Reply:
    """Answer a responses request; `seed` makes the ids of this answer."""
    given = body.get("input")
    if not given:
        raise WireError(
            400,
            "Missing required parameter: 'input'.",
            param="input",
            code="missing_required_parameter",
        )
    said = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
    items = memory.recall(body.get("previous_response_id")) + said
    said_now = answer(to_question(body, items))
    usage = _usage(body, items, said_now)
    output = _output(said_now, body, seed)
    response = _response(body, seed, output, said_now, usage)
    if body.get("store") is not False:
        memory.keep(response["id"], items + output)
    queued = memory.start(response) if body.get("background") else response
    if body.get("stream"):
        return Reply(list(events(response)), usage, (said_now,))
    return Reply(queued, usage, (said_now,))


def _unfinished(response: Json, status: str) -> Json:
    return {**response, "status": status, "output": [], "usage": None, "completed_at": None}


def to_question(body: Json, items: list[Json]) -> Question:
    """Read a request whose conversation is `items`."""
    last_user = max((at for at, item in enumerate(items) if item.get("role") == "user"), default=0)
    content = items[last_user].get("content")
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        choice = choice.get("name", "*")
    offered = (
        ()
        if choice == "none"
        else (item for item in body.get("tools") or () if item["type"] == "function")
    )
    form = (body.get("text") or {}).get("format") or {}
    return Question(
        text=text_of(content),
        tools=tuple(
            Tool(item["name"], item.get("description") or "", item.get("parameters") or {})
            for item in offered
        ),
        must_call={"auto": None, "none": None, None: None, "required": "*"}.get(choice, choice),
        parallel=body.get("parallel_tool_calls") is not False,
        results=tuple(
            text_of(item.get("output"))
            for item in items[last_user:]
            if item.get("type") == "function_call_output"
        ),
        images=sum(1 for part in _parts(content) if part.get("type") == "input_image"),
        schema=form.get("schema") if form.get("type") == "json_schema" else None,
        max_tokens=body.get("max_output_tokens"),
        thinks=thinks(body["model"], (body.get("reasoning") or {}).get("effort")),
    )


def _parts(content: Any) -> list[Json]:
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _item_tokens(item: Json) -> int:
    texts = [text_of(item.get(key)) for key in ("content", "output", "summary")]
    texts += [item.get("name") or "", item.get("arguments") or ""]
    pictures = (part for part in _parts(item.get("content")) if part.get("type") == "input_image")
    seen = sum(
        images.openai_tokens(part.get("image_url") or "", part.get("detail", "auto"))
        for part in pictures
    )
    return 4 + sum(map(tokens.count, texts)) + seen


def _usage(body: Json, items: list[Json], said: Answer) -> Usage:
    counts = [_item_tokens(item) for item in items]
    offered = tokens.count(json.dumps(body["tools"])) if body.get("tools") else 0
    prompt = sum(counts) + offered + tokens.count(text_of(body.get("instructions"))) + 3
    return Usage(
        prompt,
        output_tokens(said),
        tokens.count(said.thinking),
        cached(prompt, prompt - counts[-1]),
    )


def _output(said: Answer, body: Json, seed: str) -> list[Json]:
    items: list[Json] = []
    if said.thinking:
        shown = (body.get("reasoning") or {}).get("summary")
        summary = [{"type": "summary_text", "text": said.thinking}] if shown else []
        items.append({"id": identifier("rs_", 48, seed), "type": "reasoning", "summary": summary})
    for place, call in enumerate(said.calls):
        items.append(
            {
                "id": identifier("fc_", 48, seed, place),
                "type": "function_call",
                "status": "completed",
                "call_id": identifier("call_", 24, seed, place),
                "name": call.name,
                "arguments": json.dumps(call.arguments),
            }
        )
    if said.text or not items:
        part: Json = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
        if said.ending == "refusal":
            part = {"type": "refusal", "refusal": said.text}
        status = "incomplete" if said.ending == "length" else "completed"
        message = {"id": identifier("msg_", 48, seed), "type": "message", "role": "assistant"}
        items.append({**message, "status": status, "content": [part]})
    return items


def _response(body: Json, seed: str, output: list[Json], said: Answer, usage: Usage) -> Json:
    cut = said.ending == "length"
    now = arrived()
    return {
        "id": identifier("resp_", 48, seed),
        "object": "response",
        "created_at": now,
        "status": "incomplete" if cut else "completed",
        "background": body.get("background") is True,
        "completed_at": None if cut else now,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": body["model"],
        "output": output,
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None, **(body.get("reasoning") or {})},
        "service_tier": "default",
        "store": body.get("store") is not False,
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": {
            "input_tokens": usage.prompt,
            "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": 0},
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": usage.thinking},
            "total_tokens": usage.prompt + usage.output,
        },
        "user": body.get("user"),
        "metadata": body.get("metadata") or {},
    }
