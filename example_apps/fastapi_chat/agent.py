"""The agent: asks the model, runs the tools it wants, and asks again, until it has an answer."""

import asyncio
import json

from openai.types.chat import ChatCompletionMessageFunctionToolCall, ChatCompletionMessageParam

from llmobs import Status, StepType, Tracker

from .assistant import Assistant
from .tools import DESCRIPTIONS, TOOLS

MAX_TURNS = 6


async def run(tracker: Tracker, assistant: Assistant, question: str, model: str) -> str:
    """Answer `question`; each turn is a step of the run, with its calls and tools inside."""
    messages: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": "You are a helpful assistant. Use the tools for facts."},
        {"role": "user", "content": question},
    ]
    for _ in range(MAX_TURNS):
        with tracker.agent_step("think", StepType.REASONING) as step:
            reply = await assistant.answer(messages, model=model, tools=DESCRIPTIONS)
            wanted = reply.tool_calls or []
            step.output_data = {"tools": len(wanted)} if wanted else {"answer": reply.content}
        if not wanted:
            return reply.content or ""
        messages.append(reply.model_dump(exclude_none=True))  # type: ignore[arg-type]
        with tracker.agent_step("use tools", StepType.TOOL_CALL):
            calls = (_use(tracker, call) for call in wanted if call.type == "function")
            messages += await asyncio.gather(*calls)
    tracker.log_assertion_failed("agent_finishes", expected=f"{MAX_TURNS} turns", actual="more")
    return "I could not find an answer."


async def _use(
    tracker: Tracker, wanted: ChatCompletionMessageFunctionToolCall
) -> ChatCompletionMessageParam:
    """Run one tool; what goes wrong is told to the model, which may try something else."""
    name = wanted.function.name
    arguments = json.loads(wanted.function.arguments)
    with tracker.tool_call(name, input=arguments, tool_id=wanted.id) as tool:
        try:
            tool.output = await TOOLS[name](**arguments)
        except (ArithmeticError, KeyError, SyntaxError, TypeError, ValueError) as error:
            tool.status = Status.ERROR
            tool.output = {"error": f"{type(error).__name__}: {error}"}
    return {"role": "tool", "tool_call_id": wanted.id, "content": json.dumps(tool.output)}
