"""arize-phoenix-otel with OpenInference: openai, an agent, a tool, and what a context adds."""

import asking
from openinference.instrumentation import using_attributes
from openinference.instrumentation.openai import OpenAIInstrumentor
from phoenix.otel import register

provider = register(
    endpoint=f"{asking.collector()}/v1/traces",
    protocol="http/protobuf",
    project_name="shop",
    batch=True,
    verbose=False,
    set_global_tracer_provider=False,
)
OpenAIInstrumentor().instrument(tracer_provider=provider)
tracer = provider.get_tracer("shop")
model = asking.client()


@tracer.tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


@tracer.agent(name="weather-agent")
def weather_agent(question: str) -> str:
    return asking.agent(model, get_weather, question)


asking.ask_all(model)
with using_attributes(session_id="s-1", user_id="u-1", metadata={"plan": "pro"}, tags=["beta"]):
    weather_agent(asking.QUESTION)
provider.force_flush()
provider.shutdown()
