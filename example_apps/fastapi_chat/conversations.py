"""Conversations, in memory; the oldest are forgotten."""

from collections import OrderedDict
from uuid import uuid4

from openai.types.chat import ChatCompletionMessageParam

from llmobs import Tracker

from .assistant import Assistant


class Conversation:
    def __init__(self, conversation_id: str) -> None:
        self.id = conversation_id
        self.title: str | None = None
        self.messages: list[ChatCompletionMessageParam] = []

    def ask(self, message: str) -> list[ChatCompletionMessageParam]:
        """Note the question; returns what the model is to read."""
        self.messages.append({"role": "user", "content": message})
        return list(self.messages)

    def answered(self, text: str) -> None:
        self.messages.append({"role": "assistant", "content": text})

    async def find_title(self, tracker: Tracker, assistant: Assistant) -> None:
        """Let a small model find a title. A background task: it belongs to the request's run."""
        with tracker.agent_step("find a title"):
            reply = await assistant.answer(
                [
                    *self.messages,
                    {"role": "user", "content": "Give this conversation a short title."},
                ],
                model="gpt-4.1-nano",
                max_tokens=12,
            )
        self.title = reply.content


class Conversations:
    """The conversations of this process."""

    def __init__(self, size: int = 1000) -> None:
        self._size = size
        self._known: OrderedDict[str, Conversation] = OrderedDict()

    def open(self, conversation_id: str | None) -> Conversation:
        """The conversation with this id; a new one if there is none."""
        if conversation_id is None or conversation_id not in self._known:
            conversation_id = conversation_id or f"conv-{uuid4().hex[:12]}"
            self._known[conversation_id] = Conversation(conversation_id)
            if len(self._known) > self._size:
                self._known.popitem(last=False)
        self._known.move_to_end(conversation_id)
        return self._known[conversation_id]

    def find(self, conversation_id: str) -> Conversation | None:
        return self._known.get(conversation_id)
