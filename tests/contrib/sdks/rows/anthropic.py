"""The `anthropic` package: its own client, and that of Vertex."""

from typing import Any

from tests.contrib.sdks.rows import shared
from tests.contrib.sdks.table import Row, Sdk

Q = shared.QUESTION
RULES = [{"type": "text", "text": "Rules. " * 1500, "cache_control": {"type": "ephemeral"}}]
PICTURE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": shared.PNG},
}


class Messages(shared.AsyncScript):
    """``Anthropic`` and ``AsyncAnthropic``."""

    _model = "claude-sonnet-4-6"
    _tools = {"tools": [{"name": "get_weather", "input_schema": shared.CITY}]}

    def __init__(self, url: str) -> None:
        anthropic = shared.sdk("anthropic")

        options: Any = {"base_url": url, "api_key": "any", "max_retries": 0}
        self._client: Any = anthropic.Anthropic(**options)
        self._later: Any = anthropic.AsyncAnthropic(**options)

    def _asked(self, content: Any, fault: str = "", **more: Any) -> dict[str, Any]:
        return super()._asked(content, fault, **({"max_tokens": 2000} | more))

    def _ask(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._client.messages.create(**self._asked(content, fault, **more))

    async def _ask_later(self, content: Any, fault: str = "", **more: Any) -> Any:
        return await self._later.messages.create(**self._asked(content, fault, **more))

    def plain(self) -> Any:
        return self._ask(Q, system="Be kind")

    def reasoning(self) -> Any:
        return self._ask(Q, thinking={"type": "enabled", "budget_tokens": 1024})

    def cached_tokens(self) -> Any:
        return self._ask(shared.LONG, system=RULES)

    def error_5xx(self) -> Any:
        return self._ask(Q, "-fail-529")

    def retry(self) -> Any:
        patient = self._client.with_options(max_retries=2)
        return patient.messages.create(**self._asked(Q, "-fail-500-once"))

    def raw_response(self) -> Any:
        found = self._client.messages.with_raw_response.create(**self._asked(Q))
        return [found.status_code, found.headers["request-id"], found.parse()]

    def helper(self) -> Any:
        """The SDK's own way to put a stream together."""
        with self._client.messages.stream(**self._asked(Q)) as stream:
            return stream.get_final_message()

    def thinking_streamed(self) -> Any:
        return self._ask(Q, thinking={"type": "enabled", "budget_tokens": 1024}, stream=True)

    def refusal(self) -> Any:
        return self._ask("Please refuse")

    def picture(self) -> Any:
        content = [PICTURE, {"type": "text", "text": "What is it?"}]
        return self._ask([{"role": "user", "content": content}])

    def cut_by_max_tokens(self) -> Any:
        return self._ask(Q, max_tokens=5)


class OwnMessages(Messages):
    """`Messages`, and what Anthropic alone has."""

    def count_tokens(self) -> Any:
        count = self._client.messages.count_tokens
        return count(model=self._model, messages=shared.says(Q))

    def batch(self) -> Any:
        batches = self._client.messages.batches
        made = batches.create(requests=_requests("at-once"))
        return [made, list(batches.results(made.id))]

    async def batch_async(self) -> Any:
        batches = self._later.messages.batches
        made = await batches.create(requests=_requests("later"))
        return [made, [each async for each in await batches.results(made.id)]]


def _requests(name: str) -> list[Any]:
    asked = shared.batch_of(name, Messages._model)
    return [{"custom_id": each["custom_id"], "params": each["body"]} for each in asked]


class Vertex(Messages):
    """``AnthropicVertex`` and its async twin: the model is in the path."""

    def __init__(self, url: str) -> None:
        anthropic = shared.sdk("anthropic")

        options: Any = {"base_url": f"{url}/v1", "max_retries": 0, "access_token": "any"}
        self._client = anthropic.AnthropicVertex(region="eu", project_id="p", **options)
        self._later = anthropic.AsyncAnthropicVertex(region="eu", project_id="p", **options)


class Bedrock(Messages):
    """``AnthropicBedrock`` and its async twin: streams are Amazon's, and read by botocore."""

    _model = "eu.anthropic.claude-sonnet-4-6-v1:0"

    def __init__(self, url: str) -> None:
        anthropic = shared.sdk("anthropic")
        options: Any = {"base_url": url, "max_retries": 0, "aws_region": "eu-central-1"}
        keys = {"aws_access_key": "any", "aws_secret_key": "any"}
        self._client = anthropic.AnthropicBedrock(**options, **keys)
        self._later = anthropic.AsyncAnthropicBedrock(**options, **keys)

    def raw_response(self) -> Any:
        found = self._client.messages.with_raw_response.create(**self._asked(Q))
        return [found.status_code, found.headers["x-amzn-requestid"], found.parse()]


ENDINGS = {"stop": "end_turn", "tools": "tool_use", "length": "max_tokens"}
NONE = {"embeddings": "Anthropic has none"}
SDK = Sdk(
    "anthropic",
    versions=(
        ("anthropic==2.14.0", "google-auth", "boto3"),
        ("anthropic==1.17.0", "google-auth", "boto3"),
    ),
    door="llmobs.instrument",
    rows=(
        Row("Anthropic", OwnMessages, provider="anthropic", without=NONE, endings=ENDINGS),
        Row("AnthropicVertex", Vertex, provider="gcp.vertex_ai", without=NONE, endings=ENDINGS),
        Row("AnthropicBedrock", Bedrock, provider="aws.bedrock", without=NONE, endings=ENDINGS),
    ),
)
