"""Amazon's `boto3`: the client of Bedrock's runtime."""

import json
from typing import Any

from tests.contrib.sdks.rows import shared
from tests.contrib.sdks.table import Row, Sdk

Q = shared.QUESTION
TOOLS = {"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": shared.CITY}}}]}
RULES = [{"text": "Rules. " * 1500}, {"cachePoint": {"type": "default"}}]
LONG = [{"role": each["role"], "content": [{"text": each["content"]}]} for each in shared.LONG]


def _client(url: str, attempts: int = 1) -> Any:
    return shared.sdk("boto3").client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=url,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=shared.sdk("botocore.config").Config(
            retries={"total_max_attempts": attempts, "mode": "standard"}, max_pool_connections=20
        ),
    )


class Converse(shared.Script):
    """``converse`` and ``converse_stream``."""

    _tools = {"toolConfig": TOOLS}

    def __init__(self, url: str) -> None:
        self._client = _client(url)
        self._patient = _client(url, 2)

    def _asked(self, content: Any, fault: str = "", **more: Any) -> dict[str, Any]:
        if not isinstance(content, list):
            content = [{"role": "user", "content": [{"text": content}]}]
        return {"modelId": f"eu.amazon.nova-lite-v1:0{fault}", "messages": content, **more}

    def _ask(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._client.converse(**self._asked(content, fault, **more))

    def _stream(self, content: Any, fault: str = "", **more: Any) -> Any:
        return self._client.converse_stream(**self._asked(content, fault, **more))["stream"]

    def plain(self) -> Any:
        return self._ask(Q, system=[{"text": "Be kind"}])

    def reasoning(self) -> Any:
        return self._ask(Q, **_THINKS)

    def reasoning_streamed(self) -> Any:
        return self._stream(Q, **_THINKS)

    def cached_tokens(self) -> Any:
        return self._ask(LONG, system=RULES)

    def retry(self) -> Any:
        return self._patient.converse(**self._asked(Q, "-fail-500-once"))

    def cut_by_max_tokens(self) -> Any:
        return self._ask(Q, inferenceConfig={"maxTokens": 5})


_THINKS: Any = {"additionalModelRequestFields": {"thinking": {"type": "enabled"}}}


class Invoke(shared.Script):
    """``invoke_model`` and its stream: Claude, Llama, Titan's embeddings."""

    _tools = {"tools": [{"name": "get_weather", "input_schema": shared.CITY}]}

    def __init__(self, url: str) -> None:
        self._client = _client(url)
        self._patient = _client(url, 2)

    def _asked(self, content: Any, fault: str = "", **more: Any) -> dict[str, Any]:
        messages = content if isinstance(content, list) else shared.says(content)
        version = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 2000}
        body = json.dumps({**version, "messages": messages, **more})
        return {"modelId": f"anthropic.claude-sonnet-4-6{fault}", "body": body}

    def _ask(self, content: Any, fault: str = "", **more: Any) -> Any:
        found = self._client.invoke_model(**self._asked(content, fault, **more))
        return [found["ResponseMetadata"]["HTTPStatusCode"], found["body"].read()]

    def _stream(self, content: Any, fault: str = "", **more: Any) -> Any:
        ask = self._client.invoke_model_with_response_stream
        return ask(**self._asked(content, fault, **more))["body"]

    def plain(self) -> Any:
        return self._ask(Q, system="Be kind")

    def reasoning(self) -> Any:
        return self._ask(Q, thinking={"type": "enabled", "budget_tokens": 1024})

    def cached_tokens(self) -> Any:
        rules = {"type": "text", "text": "Rules. " * 1500, "cache_control": {"type": "ephemeral"}}
        return self._ask(shared.LONG, system=[rules])

    def embeddings(self) -> Any:
        body = json.dumps({"inputText": "tea"})
        found = self._client.invoke_model(modelId="amazon.titan-embed-text-v2:0", body=body)
        return found["body"].read()

    def error_4xx(self) -> Any:
        return self._ask(Q, "-fail-403")

    def error_5xx(self) -> Any:
        return self._ask(Q, "-fail-500")

    def retry(self) -> Any:
        found = self._patient.invoke_model(**self._asked(Q, "-fail-500-once"))
        return found["body"].read()

    def raw_response(self) -> Any:
        """The body in pieces, as botocore hands it on."""
        found = self._client.invoke_model(**self._asked(Q))
        return list(found["body"].iter_chunks(100))

    def llama(self) -> Any:
        model = "meta.llama3-1-8b-instruct-v1:0"
        return self._client.invoke_model(modelId=model, body=json.dumps({"prompt": Q}))[
            "body"
        ].read()

    def llama_streamed(self) -> Any:
        ask = self._client.invoke_model_with_response_stream
        return ask(modelId="meta.llama3-1-8b-instruct-v1:0", body=json.dumps({"prompt": Q}))["body"]


_SYNC = {"cancel": "boto3 knows no asyncio", "gather": "boto3 knows no asyncio"}
_HOST = "bedrock-runtime.eu-central-1.amazonaws.com"
SDK = Sdk(
    "boto3",
    versions=(("boto3==1.44.8",), ("boto3==1.38.0",)),
    only="The major before, 0.x, ended in 2015: a release of April 2025 stands for it.",
    door="llmobs.instrument",
    rows=(
        Row(
            "bedrock-runtime, Converse and ConverseStream",
            Converse,
            provider="aws.bedrock",
            host=_HOST,
            without={
                **_SYNC,
                "embeddings": "they are of InvokeModel",
                "raw_response": "answers hold their headers",
            },
            untold=frozenset({"reasoning"}),
            endings={"stop": "end_turn", "tools": "tool_use", "length": "max_tokens"},
        ),
        Row(
            "bedrock-runtime, InvokeModel and its stream",
            Invoke,
            provider="aws.bedrock",
            host=_HOST,
            without=_SYNC,
            endings={"tools": "tool_use", "length": "max_tokens"},
            not_captured="InvokeModelWithBidirectionalStream (HTTP/2, not in boto3), batches.",
        ),
    ),
)
