"""LangSmith's SDK in its OpenTelemetry mode: openai wrapped, `@traceable`, metadata and tags."""

import os

import asking

os.environ |= {
    "LANGSMITH_TRACING": "true",
    "LANGSMITH_OTEL_ENABLED": "true",
    "LANGSMITH_OTEL_ONLY": "true",
    "LANGSMITH_ENDPOINT": asking.collector(),
    "LANGSMITH_API_KEY": "any",
    "LANGSMITH_PROJECT": "shop",
}

from langsmith import Client, traceable
from langsmith.wrappers import wrap_openai

client = Client()
model = wrap_openai(asking.client())


@traceable(run_type="tool", client=client)
def get_weather(city: str) -> str:
    return f"sunny in {city}"


@traceable(name="weather-agent", client=client)
def weather_agent(question: str) -> str:
    return asking.agent(model, get_weather, question)


asking.ask_all(model)
extra = {"metadata": {"plan": "pro", "user_id": "u-1", "session_id": "s-1"}, "tags": ["beta"]}
weather_agent(asking.QUESTION, langsmith_extra=extra)
client.flush()
