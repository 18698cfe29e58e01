"""Amazon Bedrock: Converse, and what InvokeModel's families send."""

from typing import Any

from . import HI, JSON, Case, answer, aws_frame, call, js, reasoning, text
from .anthropic import frame

HOST = "bedrock-runtime.us-east-1.amazonaws.com"
FRAMES = {"content-type": "application/vnd.amazon.eventstream"}
NOVA = "/model/us.amazon.nova-lite-v1%3A0"
ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.amazon.nova-pro-v1:0"
USER: Any = [{"role": "user", "content": [{"text": "Hi"}]}]
USAGE = {
    "inputTokens": 10,
    "outputTokens": 50,
    "totalTokens": 1160,
    "cacheReadInputTokens": 1000,
    "cacheWriteInputTokens": 100,
}
COUNTS: dict[str, Any] = {
    "tokens_input": 1110,
    "tokens_output": 50,
    "tokens_cached": 1000,
    "tokens_cache_write": 100,
}
CONTENT: Any = [
    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "xyz"}}},
    {"text": "Hello"},
    {"toolUse": {"toolUseId": "a", "name": "f", "input": {"x": 1}}},
    {"toolUse": {"toolUseId": "b", "name": "g", "input": {}}},
]
PARTS = (reasoning("hm"), text("Hello"), call("a", "f", x=1), call("b", "g"))
SAID = answer(*PARTS, finish="tool_use")
CALLED = [
    {"id": "a", "name": "f", "arguments": {"x": 1}},
    {"id": "b", "name": "g", "arguments": {}},
]


def converse(content: Any = CONTENT, stop: str = "tool_use", **more: Any) -> dict[str, Any]:
    said = {"message": {"role": "assistant", "content": content}}
    return {
        "output": said,
        "stopReason": stop,
        "usage": USAGE,
        "metrics": {"latencyMs": 12},
        **more,
    }


def delta(index: int, **delta: Any) -> tuple[str, Any]:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": delta, "p": "abcd"}


def tool(index: int, id: str, name: str) -> tuple[str, Any]:
    start = {"toolUse": {"toolUseId": id, "name": name}}
    return "contentBlockStart", {"contentBlockIndex": index, "start": start}


EVENTS: list[tuple[str, Any]] = [
    ("messageStart", {"role": "assistant", "p": "ab"}),
    delta(0, reasoningContent={"text": "h"}),
    delta(0, reasoningContent={"text": "m"}),
    delta(0, reasoningContent={"signature": "xyz"}),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    delta(1, text="Hel"),
    delta(1, text="lo"),
    ("contentBlockStop", {"contentBlockIndex": 1}),
    tool(2, "a", "f"),
    delta(2, toolUse={"input": '{"x":'}),
    tool(3, "b", "g"),
    delta(2, toolUse={"input": " 1}"}),
    delta(3, toolUse={"input": ""}),
    ("contentBlockStop", {"contentBlockIndex": 2}),
    ("messageStop", {"stopReason": "tool_use"}),
    ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 12}}),
]
WHOLE = b"".join(aws_frame(*event) for event in EVENTS)
THROTTLED = aws_frame("throttlingException", {"message": "Too many requests"}, "exception")
STREAMED: dict[str, Any] = {"response": [SAID], "tool_calls": CALLED, "stream": True}


def case(name: str, verb: str, request: Any, expect: Any, body: Any, **more: Any) -> Case:
    path = more.pop("path", f"/model/m/{verb}")
    is_stream = isinstance(body, bytes)
    headers = more.pop("headers", FRAMES if is_stream else JSON)
    return Case(
        f"Bedrock: {name}",
        path,
        request,
        {"provider": "aws.bedrock", **expect},
        body if is_stream else js(body),
        headers=headers,
        host=HOST,
        **more,
    )


def family(name: str, request: Any, said: Any, expect: Any, *chunks: Any) -> list[Case]:
    """One family of InvokeModel: an answer with Bedrock's count in its headers, and a stream."""
    counted = {
        **JSON,
        "x-amzn-bedrock-input-token-count": "7",
        "x-amzn-bedrock-output-token-count": "3",
        "x-amzn-bedrock-service-tier": "flex",
    }
    last = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 7, "outputTokenCount": 3}}
    expect = {"tokens_input": 7, "tokens_output": 3, "status": "success", "warnings": (), **expect}
    told = {**expect, "service_tier": "flex"}
    cases = [case(name, "invoke", request, told, said, headers=counted)]
    if chunks:
        frames = b"".join(frame(chunk) for chunk in (*chunks[:-1], {**chunks[-1], **last}))
        verb = "invoke-with-response-stream"
        cases.append(case(f"{name}, streamed", verb, request, expect, frames))
    return cases


PNG = "iVBORw0KGgo="
HELLO = [answer(text("Hello"), finish="stop")]
CHAT = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}


def blob(modality: str, **more: Any) -> Any:
    return {"type": "blob", "modality": modality, "content": "", "size": 8, **more}


def chunk(delta: Any, **more: Any) -> Any:
    return {"choices": [{"index": 0, "delta": delta, **more}]}


CITED = {"title": "T", "location": {"web": {"url": "https://e.example"}}}
SEARCHED = [
    ("messageStart", {"role": "assistant"}),
    (
        "contentBlockStart",
        {
            "contentBlockIndex": 0,
            "start": {"toolUse": {"toolUseId": "s", "name": "search", "type": "server_tool_use"}},
        },
    ),
    delta(0, toolUse={"input": '{"q":"x"}'}),
    (
        "contentBlockStart",
        {"contentBlockIndex": 1, "start": {"toolResult": {"toolUseId": "s", "status": "success"}}},
    ),
    delta(1, toolResult=[{"text": "fo"}]),
    delta(1, toolResult=[{"text": "und"}]),
    delta(2, text="Hel"),
    delta(2, citation=CITED),
    delta(2, text="lo"),
    ("contentBlockStart", {"contentBlockIndex": 3, "start": {"image": {"format": "png"}}}),
    delta(3, image={"source": {"bytes": "AAAA"}}),
    ("messageStop", {"stopReason": "end_turn"}),
    (
        "metadata",
        {
            "usage": {
                **USAGE,
                "cacheDetails": [
                    {"ttl": "1h", "inputTokens": 70},
                    {"ttl": "5m", "inputTokens": 30},
                ],
            }
        },
    ),
]
FOUND: dict[str, Any] = {
    "response": [
        answer(
            call("s", "search", q="x"),
            {"type": "tool_call_response", "id": "s", "response": "found"},
            text("Hello"),
            {
                "type": "blob",
                "modality": "image",
                "mime_type": "image/png",
                "content": "",
                "size": 3,
            },
            finish="end_turn",
        )
    ],
    "response_metadata": {"citations": [CITED]},
    "usage": {"cache_write_5m_tokens": 30, "cache_write_1h_tokens": 70},
    "status": "success",
    "warnings": (),
    **COUNTS,
}
CASES = [
    case(
        "counting tokens",
        "count-tokens",
        {"input": {"converse": {"messages": USER}}},
        {
            "operation": "count_tokens",
            "prompt": HI,
            "tokens_input": None,
            "response_metadata": {"input_tokens": 9},
            "status": "success",
        },
        {"inputTokens": 9},
    ),
    case(
        "a search of its own, cited, and a picture, streamed",
        "converse-stream",
        {"messages": USER},
        FOUND,
        b"".join(aws_frame(*event) for event in SEARCHED),
    ),
    case(
        "converse: reasoning, text, tools in parallel",
        "converse",
        {
            "messages": [
                *USER,
                {
                    "role": "assistant",
                    "content": [{"toolUse": {"toolUseId": "z", "name": "f", "input": {}}}],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "toolResult": {
                                "toolUseId": "z",
                                "content": [{"json": {"x": 2}}],
                                "status": "error",
                            }
                        },
                        {"image": {"format": "png", "source": {"bytes": "AAAA"}}},
                        {"cachePoint": {"type": "default"}},
                    ],
                },
            ],
            "system": [{"text": "Be kind"}],
            "inferenceConfig": {"maxTokens": 9},
        },
        {
            "model": "us.amazon.nova-lite-v1:0",
            "prompt": [
                {"role": "system", "parts": [text("Be kind")]},
                *HI,
                {"role": "assistant", "parts": [call("z", "f")]},
                {
                    "role": "user",
                    "parts": [
                        {
                            "type": "tool_call_response",
                            "id": "z",
                            "response": {"x": 2},
                            "is_error": True,
                        },
                        {
                            "type": "blob",
                            "modality": "image",
                            "content": "",
                            "mime_type": "image/png",
                            "size": 3,
                        },
                    ],
                },
            ],
            "request_params": {"max_tokens": 9},
            "response": [SAID],
            "tool_calls": CALLED,
            "finish_reason": "tool_use",
            "response_metadata": {"metrics": {"latencyMs": 12}},
            "request_id": "amzn-1",
            "warnings": (),
            **COUNTS,
        },
        converse(),
        path=f"{NOVA}/converse",
        headers={**JSON, "x-amzn-requestid": "amzn-1"},
    ),
    case(
        "converse-stream: whole; the model is an ARN",
        "converse-stream",
        {"messages": USER},
        {**STREAMED, "model": ARN, "status": "success", "warnings": (), **COUNTS},
        WHOLE,
        path=f"/model/{ARN.replace(':', '%3A').replace('/', '%2F')}/converse-stream",
    ),
    case(
        "converse-stream: throttled in the middle",
        "converse-stream",
        {"messages": USER},
        {
            "status": "error",
            "error": {"message": "Too many requests", "type": "throttlingException", "code": None},
            "response": [answer(reasoning("hm"), text("Hel"), finish="")],
            "tokens_input": None,
        },
        b"".join(aws_frame(*event) for event in EVENTS[:6]) + THROTTLED,
        closed=True,
    ),
    case(
        "converse-stream: closed early",
        "converse-stream",
        {"messages": USER},
        {"status": "cancelled", "tokens_output": None},
        b"".join(aws_frame(*event) for event in EVENTS[:6]) + aws_frame(*EVENTS[6])[:30],
        closed=True,
    ),
    case(
        "converse-stream: cut off",
        "converse-stream",
        {"messages": USER},
        {
            "status": "error",
            "error": {
                "message": "the stream ended before the answer did",
                "type": "incomplete_stream",
                "code": None,
            },
        },
        WHOLE[:600],
    ),
    case(
        "converse-stream: a frame is damaged, whatever follows it",
        "converse-stream",
        {"messages": USER},
        {
            "status": "error",
            "error": {
                "message": "the stream holds what is no event",
                "type": "invalid_response",
                "code": None,
            },
            "response": [answer(reasoning("hm"), finish="")],
            "warnings": ("response: an event is not JSON; left out",),
        },
        WHOLE.replace(b'"Hel"', b'"Hal"'),
        closed=True,
    ),
    case(
        "converse: refused",
        "converse",
        {"messages": USER},
        {
            "status": "error",
            "error": {"message": "Malformed input", "type": "ValidationException", "code": None},
        },
        {"message": "Malformed input"},
        status=400,
        headers={**JSON, "x-amzn-errortype": "ValidationException:http://internal.amazon.com/"},
    ),
    *family(
        "Nova",
        {"schemaVersion": "messages-v1", "messages": USER, "inferenceConfig": {"maxTokens": 9}},
        {
            "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 7, "outputTokens": 3},
        },
        {"prompt": HI, "response": [answer(text("Hello"), finish="end_turn")], "operation": "chat"},
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"delta": {"text": "Hel"}, "contentBlockIndex": 0}},
        {"contentBlockDelta": {"delta": {"text": "lo"}, "contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": {"inputTokens": 7, "outputTokens": 3}}},
    ),
    *family(
        "Titan's texts",
        {"inputText": "Hi", "textGenerationConfig": {"maxTokenCount": 9}},
        {
            "inputTextTokenCount": 7,
            "results": [{"tokenCount": 3, "outputText": "Hello", "completionReason": "FINISH"}],
        },
        {
            "prompt": "Hi",
            "operation": "text_completion",
            "response": [answer(text("Hello"), finish="FINISH")],
        },
        {"outputText": "Hel", "index": 0, "completionReason": None, "inputTextTokenCount": 7},
        {"outputText": "lo", "index": 0, "completionReason": "FINISH"},
    ),
    *family(
        "Titan's texts, without settings",
        {"inputText": "Hi"},
        {
            "inputTextTokenCount": 7,
            "results": [{"tokenCount": 3, "outputText": "Hello", "completionReason": "FINISHED"}],
        },
        {
            "prompt": "Hi",
            "operation": "text_completion",
            "response": [answer(text("Hello"), finish="FINISHED")],
        },
        {"outputText": "Hel", "index": 0, "completionReason": None, "inputTextTokenCount": 7},
        {"outputText": "lo", "index": 0, "completionReason": "FINISHED"},
    ),
    *family(
        "Titan's embeddings",
        {"inputText": "Hi", "dimensions": 256},
        {"embedding": [0.1, 0.2], "inputTextTokenCount": 7},
        {
            "operation": "embeddings",
            "prompt": "Hi",
            "tokens_output": 3,
            "response_metadata": {"vectors": 1, "dimensions": 2},
        },
    ),
    *family(
        "Titan's embeddings of pictures",
        {"inputText": "Hi", "inputImage": PNG, "embeddingConfig": {"outputEmbeddingLength": 256}},
        {"embedding": [0.1, 0.2], "inputTextTokenCount": 7, "message": None},
        {
            "operation": "embeddings",
            "prompt": [{"role": "user", "parts": [text("Hi"), blob("image")]}],
            "request_params": {"embeddingConfig": {"outputEmbeddingLength": 256}},
            "response_metadata": {"vectors": 1, "dimensions": 2},
        },
    ),
    *family(
        "Titan's embeddings by type",
        {"inputText": "Hi", "embeddingTypes": ["binary"]},
        {"embeddingsByType": {"binary": [1, 0, 1]}, "inputTextTokenCount": 7},
        {"operation": "embeddings", "response_metadata": {"vectors": 1, "dimensions": 3}},
    ),
    *family(
        "Nova's embeddings",
        {
            "schemaVersion": "nova-multimodal-embed-v1",
            "taskType": "SINGLE_EMBEDDING",
            "singleEmbeddingParams": {
                "embeddingPurpose": "GENERIC_INDEX",
                "text": {"truncationMode": "END", "value": "Hi"},
                "image": {"format": "png", "source": {"bytes": PNG}},
            },
        },
        {"embeddings": [{"embeddingType": "TEXT", "embedding": [0.1, 0.2]}]},
        {
            "operation": "embeddings",
            "prompt": [
                {"role": "user", "parts": [text("Hi"), blob("image", mime_type="image/png")]}
            ],
            "response_metadata": {"vectors": 1, "dimensions": 2},
        },
    ),
    *family(
        "Marengo's embeddings",
        {"inputType": "text", "text": {"inputText": "Hi"}},
        {"data": [{"embedding": [0.1, 0.2]}]},
        {
            "operation": "embeddings",
            "prompt": "Hi",
            "response_metadata": {"vectors": 1, "dimensions": 2},
        },
    ),
    *family(
        "Pegasus",
        {
            "inputPrompt": "Hi",
            "mediaSource": {"s3Location": {"uri": "s3://films/a.mp4"}},
            "maxOutputTokens": 9,
        },
        {"message": "Hello", "finishReason": "stop"},
        {
            "operation": "text_completion",
            "prompt": [
                {
                    "role": "user",
                    "parts": [
                        text("Hi"),
                        {"type": "uri", "modality": "video", "uri": "s3://films/a.mp4"},
                    ],
                }
            ],
            "request_params": {"max_tokens": 9},
            "response": HELLO,
        },
    ),
    *family(
        "Titan's and Nova's pictures",
        {
            "taskType": "IMAGE_VARIATION",
            "imageVariationParams": {"text": "Hi", "images": [PNG]},
            "imageGenerationConfig": {"numberOfImages": 2},
        },
        {"images": [PNG, PNG], "error": None},
        {
            "operation": "generate_content",
            "prompt": [{"role": "user", "parts": [text("Hi"), blob("image")]}],
            "request_params": {
                "taskType": "IMAGE_VARIATION",
                "imageGenerationConfig": {"numberOfImages": 2},
            },
            "response_metadata": {"images": 2},
        },
    ),
    *family(
        "Stability's pictures",
        {"prompt": "Hi", "mode": "text-to-image", "aspect_ratio": "1:1"},
        {"seeds": [1], "finish_reasons": ["Filter reason: prompt"], "images": [None]},
        {
            "operation": "generate_content",
            "prompt": "Hi",
            "finish_reason": "Filter reason: prompt",
            "response_metadata": {"images": 1},
        },
    ),
    *family(
        "Stability's first pictures",
        {"text_prompts": [{"text": "Hi", "weight": 1}], "cfg_scale": 10},
        {
            "result": "success",
            "artifacts": [{"seed": 1, "base64": PNG, "finishReason": "SUCCESS"}],
        },
        {
            "operation": "generate_content",
            "prompt": "Hi",
            "request_params": {"cfg_scale": 10},
            "finish_reason": "SUCCESS",
            "response_metadata": {"images": 1},
        },
    ),
    *family(
        "Llama, shown pictures",
        {"prompt": "Hi", "images": [PNG], "max_gen_len": 9},
        {
            "generation": "Hello",
            "prompt_token_count": 7,
            "generation_token_count": 3,
            "stop_reason": "stop",
        },
        {
            "prompt": [{"role": "user", "parts": [text("Hi"), blob("image")]}],
            "request_params": {"max_tokens": 9},
            "response": HELLO,
        },
    ),
    *family(
        "Llama",
        {"prompt": "Hi", "max_gen_len": 9},
        {
            "generation": "Hello",
            "prompt_token_count": 7,
            "generation_token_count": 3,
            "stop_reason": "stop",
        },
        {"prompt": "Hi", "response": HELLO, "operation": "text_completion"},
        {"generation": "Hel", "prompt_token_count": 7, "generation_token_count": 1},
        {"generation": "lo", "generation_token_count": 3, "stop_reason": "stop"},
    ),
    *family(
        "Mistral's texts",
        {"prompt": "<s>[INST] Hi [/INST]", "max_tokens": 9},
        {"outputs": [{"text": "Hello", "stop_reason": "stop"}]},
        {"response": HELLO, "request_params": {"max_tokens": 9}},
        {"outputs": [{"text": "Hel", "stop_reason": None}]},
        {"outputs": [{"text": "lo", "stop_reason": "stop"}]},
    ),
    *family(
        "Mistral's and AI21's chat",
        CHAT,
        {
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "Hello"},
                    "stop_reason": "stop",
                }
            ]
        },
        {"prompt": HI, "response": HELLO, "operation": "chat"},
        {"choices": [{"index": 0, "message": {"content": "Hel"}, "stop_reason": None}]},
        {"choices": [{"index": 0, "message": {"content": "lo"}, "stop_reason": "stop"}]},
    ),
    *family(
        "DeepSeek's and Qwen's chat",
        {**CHAT, "model": "another"},
        {"choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}]},
        {"model": "m", "prompt": HI, "response": HELLO},
        chunk({"role": "assistant", "content": "Hel"}),
        chunk({"content": "lo"}, finish_reason="stop"),
    ),
    *family(
        "DeepSeek's texts",
        {"prompt": "Hi", "max_tokens": 9},
        {"choices": [{"text": "Hello", "stop_reason": "stop"}]},
        {"response": HELLO},
        {"choices": [{"text": "Hel", "stop_reason": None}]},
        {"choices": [{"text": "lo", "stop_reason": "stop"}]},
    ),
    *family(
        "Cohere's chat",
        {"message": "Hi", "chat_history": [{"role": "CHATBOT", "message": "Yes?"}]},
        {"text": "Hello", "finish_reason": "stop", "generation_id": "g"},
        {
            "prompt": [{"role": "assistant", "parts": [text("Yes?")]}, *HI],
            "operation": "chat",
            "response": HELLO,
        },
        {"event_type": "text-generation", "text": "Hel", "is_finished": False},
        {"event_type": "text-generation", "text": "lo", "is_finished": False},
        {"event_type": "stream-end", "is_finished": True, "finish_reason": "stop"},
    ),
    *family(
        "Cohere's embeddings",
        {"texts": ["Hi"], "input_type": "search_query"},
        {"embeddings": [[0.1]], "id": "e", "response_type": "embeddings_floats"},
        {
            "operation": "embeddings",
            "prompt": ["Hi"],
            "response_id": "e",
            "response_metadata": {"vectors": 1, "dimensions": 1},
        },
    ),
    *family(
        "AI21's texts",
        {"prompt": "Hi", "maxTokens": 9},
        {"completions": [{"data": {"text": "Hello"}, "finishReason": {"reason": "stop"}}]},
        {"response": HELLO},
    ),
    *family(
        "Cohere's chat with tools",
        {"message": "Hi", "tools": [{"name": "f", "description": "", "parameter_definitions": {}}]},
        {
            "text": "I look.",
            "generation_id": "g",
            "finish_reason": "COMPLETE",
            "tool_calls": [{"name": "f", "parameters": {"x": 1}}],
        },
        {
            "prompt": HI,
            "operation": "chat",
            "response": [
                answer(
                    text("I look."),
                    {"type": "tool_call", "name": "f", "arguments": {"x": 1}},
                    finish="COMPLETE",
                )
            ],
        },
        {"event_type": "stream-start", "generation_id": "g", "is_finished": False},
        {"event_type": "text-generation", "text": "I look.", "is_finished": False},
        {
            "event_type": "tool-calls-generation",
            "tool_calls": [{"name": "f", "parameters": {"x": 1}}],
            "is_finished": False,
        },
        {"event_type": "stream-end", "is_finished": True, "finish_reason": "COMPLETE"},
    ),
    *family(
        "Cohere's and Amazon's rerank",
        {"query": "Hi", "documents": ["a", "b"], "top_n": 1},
        {"results": [{"index": 1, "relevance_score": 0.9}]},
        {
            "operation": "retrieval",
            "response_metadata": {"documents": 1, "ranking": [{"index": 1, "score": 0.9}]},
        },
    ),
    *family(
        "Claude's first completions",
        {"prompt": "Human: Hi Assistant:", "max_tokens_to_sample": 9},
        {"type": "completion", "completion": "Hello", "stop_reason": "stop", "stop": "Human:"},
        {"prompt": "Human: Hi Assistant:", "response": HELLO},
        {"type": "completion", "completion": "Hel", "stop_reason": None},
        {"type": "completion", "completion": "lo", "stop_reason": "stop"},
    ),
]
