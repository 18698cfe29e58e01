"""The matrix through what sends for SDKs that have no door of their own, and through MCP: each as its users call it."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import openai
import pytest
import urllib3
from botocore import config
from starlette.testclient import TestClient
from websockets.exceptions import ConnectionClosedError

from llmobs import Client
from llmobs.contrib import aiohttp as aiohttp_door
from llmobs.contrib import botocore as botocore_door
from llmobs.contrib import mcp as mcp_door
from llmobs.contrib import urllib3 as urllib3_door
from llmobs.contrib import websockets as websockets_door
from llmobs.contrib.starlette import LLMObsMiddleware
from tests.contrib.corpus import Case, aws_frame, js
from tests.contrib.corpus.all import CASES
from tests.contrib.corpus.bedrock import EVENTS, converse
from tests.contrib.test_mcp import ask as ask_server
from tests.contrib.test_mcp import open_session
from tests.privacy.canaries import every_canary
from tests.privacy.doors import filled, filled_body
from tests.privacy.net import casting
from tests.privacy.test_matrix import QUIET, leaks
from tests.support.llm_server import llm_server
from tests.support.scripted_server import Reply, ScriptedServer, Seen

__all__ = ["llm_server"]

pytestmark = pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager")

SOME = [case for case in CASES if case.path.startswith("/v1/")][::12]
"""Of those that say what they are at any host."""


class Model:
    """A server that answers a call with a text in all of it; nobody listens behind a broken one."""

    def __init__(self, server: ScriptedServer, text: str) -> None:
        self.url = server.url
        self.text = text
        self.case: Case | None = None
        server.respond = self._respond

    def _respond(self, seen: Seen) -> Reply:
        if seen.path.startswith("/model/"):
            if seen.path.endswith("stream"):
                frames = (aws_frame(name, filled(said, self.text)) for name, said in EVENTS)
                kind = {"content-type": "application/vnd.amazon.eventstream"}
                return Reply(200, b"".join(frames), kind)
            body, status = filled(converse(), self.text), 200
            if "refused" in seen.path:
                body, status = {"message": self.text}, 400
            return Reply(status, js(body), {"content-type": "application/json"})
        case = self.case
        assert case is not None
        plain = self.text.encode("latin-1", "replace").decode("latin-1")
        ours = {"x-request-id": plain, "openai-organization": plain}
        return Reply(case.status, filled_body(case, self.text), {**case.headers, **ours})


def through_urllib3(client: Client, model: Model) -> None:
    urllib3_door.instrument(llmobs_client=client)
    try:
        with urllib3.PoolManager(retries=False) as pool:
            for model.case in SOME:
                answer = pool.request(
                    "POST", model.url + model.case.path,
                    body=js(filled(model.case.request, model.text)),
                    headers={"authorization": f"Bearer {model.text}", "x-of": model.text},
                    preload_content=False,
                )  # fmt: skip
                answer.read()
                answer.release_conn()
            with suppress(urllib3.exceptions.HTTPError):
                pool.request("POST", f"http://127.0.0.1:9/v1/messages?key={model.text}", body=b"{}")
    finally:
        urllib3_door.uninstrument()


def through_aiohttp(client: Client, model: Model) -> None:
    async def ask() -> None:
        async with aiohttp.ClientSession() as session:
            for model.case in SOME:
                request = filled(model.case.request, model.text)
                async with session.post(
                    model.url + model.case.path, json=request, params={"key": model.text},
                    headers={"authorization": f"Bearer {model.text}"},
                ) as answer:  # fmt: skip
                    await answer.read()
            with suppress(aiohttp.ClientError):
                await session.post(f"http://127.0.0.1:9/v1/messages?key={model.text}", json={})

    aiohttp_door.instrument(llmobs_client=client)
    try:
        asyncio.run(ask())
    finally:
        aiohttp_door.uninstrument()


def through_botocore(client: Client, model: Model) -> None:
    bedrock: Any = boto3.client(
        "bedrock-runtime", region_name="eu-west-1", endpoint_url=model.url, aws_access_key_id="k",
        aws_secret_access_key=model.text, config=config.Config(retries={"max_attempts": 0}),
    )  # fmt: skip
    text = model.text
    said: dict[str, Any] = {
        "messages": [{"role": "user", "content": [{"text": text}]}],
        "system": [{"text": text}],
        "additionalModelRequestFields": {text: [text]},
        "requestMetadata": {"of": "us"},
    }
    botocore_door.instrument(bedrock, llmobs_client=client)
    try:
        bedrock.converse(modelId="m", **said)
        list(bedrock.converse_stream(modelId="m", **said)["stream"])
        with suppress(bedrock.exceptions.ClientError):
            bedrock.converse(modelId="refused", **said)
        bedrock.invoke_model(modelId="m", body=js({"prompt": text, "messages": text}))[
            "body"
        ].read()
    finally:
        botocore_door.uninstrument(bedrock)
        bedrock.close()


def through_websockets(client: Client, url: str, text: str) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    tool = {"type": "function", "name": "f", "description": text, "parameters": {"about": text}}
    websockets_door.instrument(llmobs_client=client)
    try:
        with (
            suppress(ConnectionClosedError),  # it has no answer to the last one
            openai.OpenAI(base_url=f"{url}/v1", api_key=text.split(" ;")[0], max_retries=0) as sdk,
            sdk.realtime.connect(model="gpt-realtime") as connection,
        ):
            connection.session.update(
                session={
                    "type": "realtime",
                    "output_modalities": ["text"],
                    "instructions": text,
                    "tools": [tool],
                }  # type: ignore[typeddict-item]
            )
            for more in ({"instructions": text, "metadata": {"of": text}}, {"tools": text}):
                connection.conversation.item.create(item=item)  # type: ignore[arg-type]
                connection.response.create(response=more)  # type: ignore[arg-type]
                for event in connection:
                    if event.type in ("response.done", "error"):
                        break
    finally:
        websockets_door.uninstrument()


def through_mcp(client: Client, text: str) -> None:
    mcpserver = pytest.importorskip("mcp.server.mcpserver")
    server = mcpserver.MCPServer(text)

    @server.tool(description=text)  # type: ignore[untyped-decorator]
    async def find(query: str) -> str:
        if query.startswith("fail"):
            raise ValueError(query)
        return query

    mcp_door.instrument(llmobs_client=client)
    try:
        app = LLMObsMiddleware(server.streamable_http_app(), client=client)
        with TestClient(app, base_url="http://127.0.0.1:8000") as http:
            _, session = open_session(http)
            for name, query in (("find", text), ("find", f"fail {text}"), (text, text)):
                ask_server(
                    http, "tools/call", session, name=name, arguments={"query": query, text: text}
                )
            ask_server(http, "prompts/get", session, name=text, arguments={text: text})
            ask_server(http, "resources/read", session, uri=f"file:///{text}")
    finally:
        mcp_door.uninstrument()


WAYS: dict[str, Callable[[Client, Model], None]] = {
    "urllib3": through_urllib3,
    "aiohttp": through_aiohttp,
    "botocore": through_botocore,
}


@pytest.mark.parametrize("redacts", [True, False])
def test_no_transport_lets_anything_out(redacts: bool, tmp_path: Path, llm_server: str) -> None:
    names: dict[int, str] = {}
    settings = QUIET if redacts else {**QUIET, "redact_pii": False}
    with casting(tmp_path, **settings) as (net, client), ScriptedServer() as server:

        def through(name: str, go: Callable[[str], None], least: int) -> None:
            names[len(names)] = name
            before = client.statistics().accepted
            go(every_canary(len(names) - 1))
            assert client.statistics().accepted - before >= least, name

        for name, way in WAYS.items():
            through(name, lambda text, way=way: way(client, Model(server, text)), 4)  # type: ignore[misc]
        through("websockets", lambda text: through_websockets(client, llm_server, text), 1)
        through("mcp", lambda text: through_mcp(client, text), 3)
        client.flush(60)
        net.other["statistics"] = json.dumps(repr(client.statistics()))
    found = leaks(net, names)
    if redacts:
        assert found == []
    else:
        assert {
            name for name in names.values() if any(f" of {name} in " in one for one in found)
        } == {*names.values()}
