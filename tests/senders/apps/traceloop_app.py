"""traceloop-sdk (OpenLLMetry): openai, a workflow, a tool, association properties."""

import asking
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import agent, tool, workflow

Traceloop.init(app_name="shop", api_endpoint=asking.collector(), api_key="any")
model = asking.client()


@tool(name="get_weather")
def get_weather(city: str) -> str:
    return f"sunny in {city}"


@agent(name="weather-agent")
def weather_agent(question: str) -> str:
    return asking.agent(model, get_weather, question)


@workflow(name="ask the weather")
def ask(question: str) -> str:
    Traceloop.set_association_properties({"user_id": "u-1", "session_id": "s-1", "plan": "pro"})
    return weather_agent(question)


asking.ask_all(model)
ask(asking.QUESTION)
