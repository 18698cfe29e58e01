"""The agent: streams what the model says, runs the tools it wants, and goes on until it is done."""

import asyncio
import json
from collections.abc import AsyncIterator

from anthropic import AsyncAnthropic
from anthropic.types import MessageParam, ToolResultBlockParam, ToolUseBlock

from llmobs import Status, StepType, Tracker

from .notes import DESCRIPTIONS, TOOLS

MAX_TURNS = 6
SYSTEM = "You answer for a small shop. Search its notes for facts; calculate, do not guess."


class Agent:
    """Answers questions with Claude. Calls of the model are recorded by the client itself."""

    def __init__(self, client: AsyncAnthropic, model: str = "claude-sonnet-4-6") -> None:
        self._client = client
        self._model = model

    async def answer(self, tracker: Tracker, question: str) -> AsyncIterator[str]:
        """Yield the answer piece by piece, as the model writes it."""
        messages: list[MessageParam] = [{"role": "user", "content": question}]
        for _ in range(MAX_TURNS):
            async with self._client.messages.stream(
                model=self._model,
                max_tokens=1024,
                system=SYSTEM,
                messages=messages,
                tools=DESCRIPTIONS,
            ) as stream:
                async for piece in stream.text_stream:
                    yield piece
                reply = await stream.get_final_message()
            wanted = [block for block in reply.content if isinstance(block, ToolUseBlock)]
            if not wanted:
                return
            with tracker.agent_step("use tools", StepType.TOOL_CALL) as step:
                step.input_data = [block.name for block in wanted]
                results = await asyncio.gather(*(_use(tracker, block) for block in wanted))
            messages += [
                {"role": "assistant", "content": reply.content},
                {"role": "user", "content": results},
            ]
        tracker.log_assertion_failed("agent_finishes", expected=f"{MAX_TURNS} turns", actual="more")
        yield "I could not find an answer."


async def _use(tracker: Tracker, wanted: ToolUseBlock) -> ToolResultBlockParam:
    """Run one tool; what goes wrong is told to the model, which may try something else."""
    with tracker.tool_call(wanted.name, input=wanted.input, tool_id=wanted.id) as tool:
        try:
            tool.output = await TOOLS[wanted.name](**wanted.input)
        except (ArithmeticError, KeyError, SyntaxError, TypeError, ValueError) as error:
            tool.status = Status.ERROR
            tool.output = f"{type(error).__name__}: {error}"
    return {
        "type": "tool_result",
        "tool_use_id": wanted.id,
        "content": json.dumps(tool.output),
        "is_error": tool.status is Status.ERROR,
    }
