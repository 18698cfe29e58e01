"""Plays DSPy, which calls models through LiteLLM, where three doors see each call, or by an engine of its own."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from typing import Any

import dspy

import llmobs
from llmobs.contrib import dspy as door
from tests.contrib.agents.driving import Player, main


def get_weather(city: str) -> str:
    """Tell the weather."""
    llmobs.current_tracker().agent_step("inside").start().end()
    return f"sunny in {city}"


class Question(dspy.Signature):
    """Answer."""

    question: str = dspy.InputField()
    answer: str = dspy.OutputField()


async def drive(player: Player) -> None:
    player.open(door)

    def model(name: str = "gpt-4o", cache: bool = False, **more: Any) -> Any:
        options: dict[str, Any] = {"api_base": f"{player.url}/v1", "api_key": "any"}
        more = more or {"engine": "litellm"}
        return dspy.LM(f"openai/{name}", num_retries=0, cache=cache, **options, **more)

    def ask(name: str = "gpt-4o") -> None:
        with dspy.context(lm=model(name)):
            # The server knows nothing of DSPy's format, so that reading its answer may fail.
            dspy.Predict(Question)(question="Explain queues")

    await player.once("lm", lambda: model()("Explain queues"))
    await player.once("predict", ask)
    await player.once("fails", lambda: ask("gpt-4o-fail-400"))
    await player.once("tool", lambda: dspy.Tool(get_weather)(city="Paris"))

    async def later() -> None:
        await model().acall("Explain queues")

    await player.once("later", later)

    async def many(i: int) -> None:
        await model().acall("Explain queues")

    for kind in ("chat", "responses"):
        own = model(model_type=kind)
        await player.once(f"own {kind}", lambda own=own: own("Explain queues"))
    dspy.configure_cache(enable_disk_cache=False)
    model(cache=True, model_type="chat")("Explain queues")
    await player.once("cached", lambda: model(cache=True, model_type="chat")("Explain queues"))
    await player.many(many)
    await player.many(lambda i: model()("Explain queues"))
    llmobs.uninstrument()
    door.uninstrument()
    await player.once("off", lambda: model()("Explain queues"), runs=0)


if __name__ == "__main__":
    main(drive)
