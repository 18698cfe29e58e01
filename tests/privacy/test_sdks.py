"""The matrix once more, through the real SDKs, against the local model server: what nobody has made up."""

import operator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anthropic
import openai
from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from llmobs import Client
from llmobs.contrib import anthropic as anthropic_door
from llmobs.contrib import openai as openai_door
from llmobs.contrib.langchain import LLMObsCallbackHandler
from tests.contrib.capture.scenarios import ANTHROPIC, OPENAI
from tests.privacy.canaries import every_canary
from tests.privacy.doors import filled
from tests.privacy.net import casting
from tests.privacy.test_matrix import QUIET, leaks
from tests.support.llm_server import llm_server

__all__ = ["llm_server"]

KEPT = ("model", "n", "max_tokens", "max_completion_tokens", "stream")


def ask(sdk: Any, path: str, request: dict[str, Any], text: str) -> None:
    """Make the call with *text* in it, whole and streamed, and once so that it fails."""
    call = operator.attrgetter(path)(sdk)
    full = {**filled(request, text), **{k: v for k, v in request.items() if k in KEPT}}
    for given in (full, {**request, "user": text}, {**full, "model": text}):
        for stream in (False, True):
            # Some of it no SDK and no server takes: that is a failure, which is recorded too.
            with suppress(Exception):
                answer = call(**given, **({"stream": True} if stream else {}))
                if stream:
                    list(answer)


def through_openai(client: Client, url: str, text: str, call: tuple[str, dict[str, Any]]) -> None:
    with openai.OpenAI(
        base_url=f"{url}/v1", api_key=text, max_retries=0, default_headers={"x-of": text}
    ) as sdk:
        openai_door.instrument(sdk, llmobs_client=client)
        ask(sdk, *call, text)


def through_anthropic(
    client: Client, url: str, text: str, call: tuple[str, dict[str, Any]]
) -> None:
    with anthropic.Anthropic(base_url=url, api_key=text, max_retries=0) as sdk:
        anthropic_door.instrument(sdk, llmobs_client=client)
        ask(sdk, *call, text)


@tool
def look_up(what: str) -> str:
    """Look something up."""
    raise ValueError(what)


def through_langchain(client: Client, url: str, text: str, model: Any) -> None:
    config: Any = {
        "callbacks": [LLMObsCallbackHandler(client)],
        "run_name": text,
        "tags": [text],
        "metadata": {"user_id": text, "of": text},
    }
    for each in (model, model.bind_tools([look_up])):
        with suppress(Exception):
            each.invoke([("system", text), ("user", text)], config)
        with suppress(Exception):
            list(each.stream(text, config))
    with suppress(ValueError):
        look_up.invoke({"what": text}, config)


def test_no_sdk_lets_anything_out(tmp_path: Path, llm_server: str) -> None:
    names: dict[int, str] = {}
    with casting(tmp_path, **QUIET) as (net, client):

        def text_for(name: str) -> str:
            names[len(names)] = name
            return every_canary(len(names) - 1)

        for sdk, calls, through in (
            ("OpenAI", OPENAI, through_openai),
            ("Anthropic", ANTHROPIC, through_anthropic),
        ):
            for name, call in calls.items():
                before = client.statistics().accepted
                through(client, llm_server, text_for(f"{sdk}: {name}"), call)
                assert client.statistics().accepted - before >= 3, f"{sdk}: {name}"
        for model in (
            ChatOpenAI(model="gpt-4o", base_url=f"{llm_server}/v1", api_key="k", max_retries=0),  # type: ignore[arg-type]
            ChatAnthropic(
                model="claude-sonnet-4-6", base_url=llm_server, api_key="k", max_retries=0
            ),  # type: ignore[call-arg,arg-type]
        ):
            before = client.statistics().accepted
            text = text_for(f"LangChain: {type(model).__name__}")
            through_langchain(client, llm_server, text, model)
            assert client.statistics().accepted - before >= 4
        client.flush(60)
        net.other["statistics"] = repr(client.statistics())
        net.other["command line"] = net.command_line().decode()
    assert leaks(net, names) == []
