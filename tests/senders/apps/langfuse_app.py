"""Langfuse's own SDK: its drop-in `openai`, `@observe`, propagated attributes, and a score."""

import asking
from langfuse import Langfuse, observe, propagate_attributes
from langfuse.openai import OpenAI

langfuse = Langfuse(
    public_key="pk-lf-any",
    secret_key="sk-lf-any",
    base_url=asking.collector(),
    environment="staging",
    release="1.2.3",
)
model = asking.client(OpenAI)


@observe(as_type="tool")
def get_weather(city: str) -> str:
    return f"sunny in {city}"


@observe(name="weather-agent", as_type="agent")
def weather_agent(question: str) -> str:
    return asking.agent(model, get_weather, question)


print("auth", langfuse.auth_check())
asking.ask_all(model)
with propagate_attributes(
    user_id="u-1",
    session_id="s-1",
    tags=["beta"],
    metadata={"plan": "pro"},
    trace_name="ask the weather",
):
    weather_agent(asking.QUESTION)
    with langfuse.start_as_current_observation(name="judged", as_type="evaluator") as span:
        span.score(name="helpful", value=0.9, comment="good")
langfuse.flush()
langfuse.shutdown()
