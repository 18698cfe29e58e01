"""aiobotocore's calls of Bedrock, without llmobs and with it: ``python -m … URL``; prints what both saw."""

import asyncio
import json
import sys
from importlib import import_module
from typing import Any

import llmobs
from llmobs import PromptCallEvent
from llmobs.contrib import botocore
from llmobs.testing import capture_events

HI: Any = [{"role": "user", "content": [{"text": "Hi"}]}]
PROMPT = json.dumps({"prompt": "Hi"})


async def play(url: str) -> list[Any]:
    session = import_module("aiobotocore.session").get_session()
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    async with session.create_client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=url, **keys
    ) as client:
        whole = await client.converse(modelId="nova", messages=HI)
        whole.pop("ResponseMetadata")
        seen = [whole]
        stream = (await client.converse_stream(modelId="nova", messages=HI))["stream"]
        seen.append([event async for event in stream])
        early = (await client.converse_stream(modelId="nova", messages=HI))["stream"]
        async for event in early:
            seen.append(event)
            break
        early.close()
        body = (await client.invoke_model(modelId="llama", body=PROMPT))["body"]
        seen.append((await body.read()).decode())
        asked = await client.invoke_model_with_response_stream(modelId="llama", body=PROMPT)
        seen.append([repr(event) async for event in asked["body"]])
        try:
            await client.converse(modelId="bad", messages=HI)
        except client.exceptions.ValidationException as error:
            seen.append(str(error))
        try:
            botocore.instrument(client)
        except TypeError as error:
            seen.append(str(error))
    return seen


def main(url: str) -> None:
    without = asyncio.run(play(url))
    llmobs.instrument()
    with capture_events() as events:
        seen = asyncio.run(play(url))
    calls = [
        (call.model, call.status, call.tokens_input, call.tokens_output, bool(call.stream))
        for call in events.of(PromptCallEvent)
    ]
    json.dump({"without": without, "seen": seen, "calls": calls}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
