"""Pydantic AI's own spans: plain, streamed, a tool, a failure, agents inside each other."""

import os
from contextlib import suppress

import asking
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic_ai import Agent, Embedder
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = asking.collector()
resource = Resource.create({"service.name": "shop", "deployment.environment.name": "staging"})
exported = TracerProvider(resource=resource)
exported.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(exported)
Agent.instrument_all()
Embedder.instrument_all()
provider = OpenAIProvider(base_url=os.environ["MODEL_URL"] + "/v1", api_key="sk-any")


def agent(name: str, model: str = "gpt-4o", **options: object) -> Agent:
    return Agent(
        OpenAIChatModel(model, provider=provider), name=name, instructions="Be brief.", **options
    )


weather = agent("weather-agent", metadata={"plan": "pro"})


@weather.tool_plain
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


desk = agent("desk")


@desk.tool_plain
async def find_weather(text: str) -> str:
    """Look up the weather; asks the weather agent."""
    return (await weather.run(asking.QUESTION, conversation_id="s-1")).output


agent("plain").run_sync("What is tea?", model_settings={"temperature": 0.3})
with agent("streamed").run_stream_sync("What is a stream?") as streamed:
    for _ in streamed.stream_text():
        pass
agent("thinking", "o4-mini").run_sync("Why is the sky blue?")
with suppress(ModelHTTPError):
    agent("broken", "gpt-4o-fail-429").run_sync("What breaks?")
embeddings = OpenAIEmbeddingModel("text-embedding-3-small", provider=provider)
Embedder(embeddings).embed_documents_sync(["tea", "coffee"])
with trace.get_tracer("shop").start_as_current_span("ask the weather"):
    desk.run_sync("What is the weather in Paris?")
exported.shutdown()
