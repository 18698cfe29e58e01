"""OpenLIT: openai, an agent and a tool by its decorator, user and session by its context."""

from pathlib import Path

import asking
import openlit

openlit.init(
    otlp_endpoint=asking.collector(),
    application_name="shop",
    environment="staging",
    pricing_json=str(Path(__file__).with_name("no_prices.json")),  # else it asks GitHub
)
model = asking.client()


@openlit.trace
def get_weather(city: str) -> str:
    return f"sunny in {city}"


@openlit.trace
def weather_agent(question: str) -> str:
    return asking.agent(model, get_weather, question)


asking.ask_all(model)
with openlit.using_attributes({"user.id": "u-1", "session.id": "s-1", "plan": "pro"}):
    weather_agent(asking.QUESTION)
