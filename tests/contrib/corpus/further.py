"""Cohere, Mistral beside its chats, rerank, moderations, Hugging Face."""

from typing import Any

from . import HI, JSON, STREAM, USER, Case, answer, call, js, reasoning, sse, text

COHERE = "api.cohere.com"
MISTRAL = "api.mistral.ai"
ROUTER = "router.huggingface.co"
CHAT = "/v2/chat"
BILLED = {
    "billed_units": {"input_tokens": 4.0, "output_tokens": 6.0},
    "tokens": {"input_tokens": 70.0, "output_tokens": 9.0},
    "cached_tokens": 3.0,
}
SPENT: dict[str, Any] = {"tokens_input": 4, "tokens_output": 6, "tokens_cached": 3}
SOURCE = {"type": "document", "id": "d1", "document": {"title": "Towns"}}
CITED = {"start": 0, "end": 5, "text": "Paris", "sources": [SOURCE], "type": "TEXT_CONTENT"}


def said(kind: str, index: int | None = None, **message: Any) -> tuple[str, dict[str, Any]]:
    """One event of Cohere's streams."""
    place = {} if index is None else {"index": index}
    return kind, {"type": kind, **place, "delta": {"message": message}}


def ended(reason: str = "COMPLETE", **more: Any) -> tuple[str, dict[str, Any]]:
    delta = {"finish_reason": reason, "usage": BILLED, **more}
    return "message-end", {"type": "message-end", "delta": delta}


START = (
    "message-start",
    {"type": "message-start", "id": "c1", "delta": said("", role="assistant")[1]["delta"]},
)


def tool_event(kind: str, index: int, **piece: Any) -> tuple[str, dict[str, Any]]:
    return said(kind, index, tool_calls=piece)


def asked(model: str = "command-a-03-2025", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": USER, **more}


def generated(name: str, path: str, request: Any, expect: Any, body: Any, **more: Any) -> Case:
    streamed = isinstance(body, bytes)
    headers = STREAM if streamed else JSON
    return Case(
        name, path, request, expect, body if streamed else js(body), headers=headers, **more
    )


def token(words: str, *, special: bool = False, **more: Any) -> dict[str, Any]:
    about = {"id": 1, "text": words, "logprob": -0.1, "special": special}
    return {"index": 1, "token": about, "generated_text": None, "details": None, **more}


DETAILS = {"finish_reason": "length", "generated_tokens": 2, "input_length": 5, "seed": None}
TALK = {"object": "conversation.response", "conversation_id": "conv_1"}
METER = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 42, "connector_tokens": 30}

CASES = [
    generated(
        "cohere: thoughts, an answer and what it cites",
        CHAT,
        asked(
            thinking={"type": "enabled"},
            documents=["Paris is a town.", {"id": "a", "data": {"text": "So is Rome."}}],
        ),
        {
            "provider": "cohere",
            "operation": "chat",
            "model": "command-a-03-2025",
            "prompt": [
                {
                    "role": "user",
                    "parts": [
                        {"type": "document", "parts": [text("Paris is a town.")]},
                        {"type": "document", "parts": [text("So is Rome.")]},
                    ],
                },
                *HI,
            ],
            "response": [answer(reasoning("Well."), text("Paris"), finish="COMPLETE")],
            "finish_reason": "COMPLETE",
            "response_id": "c1",
            "response_metadata": {"citations": [CITED]},
            "request_params": {"thinking": {"type": "enabled"}},
            "warnings": (),
            **SPENT,
        },
        {
            "id": "c1",
            "finish_reason": "COMPLETE",
            "message": {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Well."},
                    {"type": "text", "text": "Paris"},
                ],
                "citations": [CITED],
            },
            "usage": BILLED,
        },
        host=COHERE,
    ),
    generated(
        "cohere: the same, streamed",
        CHAT,
        asked(stream=True),
        {
            "status": "success",
            "stream": True,
            "response": [answer(reasoning("Well."), text("Paris"), finish="COMPLETE")],
            "response_metadata": {"citations": [CITED]},
            "response_id": "c1",
            "warnings": (),
            **SPENT,
        },
        sse(
            START,
            said("content-start", 0, content={"type": "thinking", "thinking": ""}),
            said("content-delta", 0, content={"thinking": "We"}),
            said("content-delta", 0, content={"thinking": "ll."}),
            ("content-end", {"type": "content-end", "index": 0}),
            said("content-start", 1, content={"type": "text", "text": ""}),
            said("content-delta", 1, content={"text": "Par"}),
            said("content-delta", 1, content={"text": "is"}),
            said("citation-start", 0, citations=CITED),
            ("citation-end", {"type": "citation-end", "index": 0}),
            ("content-end", {"type": "content-end", "index": 1}),
            ended(),
        ),
        host=COHERE,
    ),
    generated(
        "cohere: tools in parallel, streamed, after a plan",
        CHAT,
        asked(stream=True, tools=[{"type": "function", "function": {"name": "f"}}]),
        {
            "status": "success",
            "response": [
                answer(
                    reasoning("I will."),
                    call("t1", "f", a=1),
                    call("t2", "g"),
                    finish="TOOL_CALL",
                )
            ],
            "tool_calls": [
                {"id": "t1", "name": "f", "arguments": {"a": 1}},
                {"id": "t2", "name": "g", "arguments": {}},
            ],
        },
        sse(
            START,
            said("tool-plan-delta", tool_plan="I "),
            said("tool-plan-delta", tool_plan="will."),
            tool_event("tool-call-start", 0, id="t1", function={"name": "f", "arguments": ""}),
            tool_event("tool-call-delta", 0, function={"arguments": '{"a"'}),
            tool_event("tool-call-delta", 0, function={"arguments": ":1}"}),
            ("tool-call-end", {"type": "tool-call-end", "index": 0}),
            tool_event("tool-call-start", 1, id="t2", function={"name": "g", "arguments": "{}"}),
            ("tool-call-end", {"type": "tool-call-end", "index": 1}),
            ended("TOOL_CALL"),
        ),
        host=COHERE,
    ),
    generated(
        "cohere: a place that is none",
        CHAT,
        asked(stream=True),
        {"response": [answer(text("Hello"), finish="COMPLETE")], "warnings": ()},
        sse(
            (
                "content-delta",
                {
                    "type": "content-delta",
                    "index": [0],
                    "delta": {"message": {"content": {"text": "Hello"}}},
                },
            ),
            ended(),
        ),
        host=COHERE,
    ),
    generated(
        "cohere: results of tools, and a host nobody knows",
        CHAT,
        {
            "model": "command-a",
            "messages": [
                {"role": "assistant", "tool_plan": "I will.", "tool_calls": []},
                {"role": "tool", "tool_call_id": "t1", "content": "sunny"},
            ],
        },
        {
            "provider": "cohere",
            "prompt": [
                {"role": "assistant", "parts": [reasoning("I will.")]},
                {
                    "role": "tool",
                    "parts": [{"type": "tool_call_response", "id": "t1", "response": "sunny"}],
                },
            ],
        },
        {"id": "c1", "finish_reason": "COMPLETE", "message": {"role": "assistant", "content": []}},
    ),
    generated(
        "cohere: a stream that fails at its end",
        CHAT,
        asked(stream=True),
        {
            "status": "error",
            "error": {"message": "overloaded", "type": None, "code": None},
            "response": [answer(text("Hel"), finish="ERROR")],
        },
        sse(
            START,
            said("content-delta", 0, content={"text": "Hel"}),
            ended("ERROR", error="overloaded"),
        ),
        host=COHERE,
    ),
    Case(
        "cohere: an error is a message",
        CHAT,
        asked(),
        {
            "status": "error",
            "error": {"message": "invalid api token", "type": "401", "code": None},
            "response": "",
        },
        js({"id": "e1", "message": "invalid api token"}),
        status=401,
        headers=JSON,
        host=COHERE,
    ),
    generated(
        "cohere: embeddings of texts and pictures",
        "/v2/embed",
        {
            "model": "embed-v4.0",
            "input_type": "search_query",
            "inputs": [{"content": [{"type": "text", "text": "Hi"}]}],
        },
        {
            "operation": "embeddings",
            "prompt": HI,
            "response_metadata": {"vectors": 1, "dimensions": 2},
            "tokens_input": 12,
            "usage": {"input_image_tokens": 10},
            "request_params": {"input_type": "search_query"},
        },
        {
            "id": "e1",
            "embeddings": {"float": [[0.1, 0.2]]},
            "meta": {"billed_units": {"input_tokens": 2, "image_tokens": 10, "images": 1}},
        },
        host=COHERE,
    ),
    *(
        generated(
            f"rerank at {host}",
            path,
            {"model": "r", "query": "Where?", "documents": ["Here", {"text": "There"}], "top_n": 1},
            {
                "operation": "retrieval",
                "provider": provider,
                "prompt": [
                    {
                        "role": "user",
                        "parts": [
                            text("Where?"),
                            {"type": "document", "parts": [text("Here")]},
                            {"type": "document", "parts": [text("There")]},
                        ],
                    }
                ],
                "request_params": {"top_n": 1},
                "response_metadata": {"documents": 1, "ranking": [{"index": 1, "score": 0.9}]},
                "warnings": (),
                **spent,
            },
            body,
            host=host,
        )
        for host, path, provider, spent, body in (
            (
                COHERE,
                "/v2/rerank",
                "cohere",
                {"usage": {"rerank_searches": 1}, "response_id": "r1"},
                {
                    "id": "r1",
                    "results": [{"index": 1, "relevance_score": 0.9}],
                    "meta": {"billed_units": {"search_units": 1}},
                },
            ),
            (
                "api.voyageai.com",
                "/v1/rerank",
                "voyage_ai",
                {"tokens_input": 9},
                {
                    "object": "list",
                    "data": [{"index": 1, "relevance_score": 0.9}],
                    "model": "rerank-2",
                    "usage": {"total_tokens": 9},
                },
            ),
            (
                "api.jina.ai",
                "/v1/rerank",
                "jina_ai",
                {"tokens_input": 9},
                {
                    "model": "jina-reranker-v2",
                    "results": [
                        {"index": 1, "relevance_score": 0.9, "document": {"text": "There"}}
                    ],
                    "usage": {"total_tokens": 9},
                },
            ),
            ("tei.example.test", "/rerank", "cohere", {}, [{"index": 1, "score": 0.9}]),
        )
    ),
    generated(
        "jina: texts and pictures embedded",
        "/v1/embeddings",
        {
            "model": "jina-clip-v2",
            "input": [{"text": "Hi"}, {"image": "https://x.test/a.png"}, {"image": "AAAA" * 30}],
        },
        {
            "provider": "jina_ai",
            "prompt": [
                HI[0],
                {
                    "role": "user",
                    "parts": [{"type": "uri", "modality": "image", "uri": "https://x.test/a.png"}],
                },
                {
                    "role": "user",
                    "parts": [{"type": "blob", "modality": "image", "content": "", "size": 90}],
                },
            ],
            "tokens_input": 8,
        },
        {
            "model": "jina-clip-v2",
            "data": [{"embedding": [0.1]}, {"embedding": [0.2]}],
            "usage": {"total_tokens": 8},
        },
        host="api.jina.ai",
    ),
    generated(
        "voyage: chunks of documents embedded",
        "/v1/contextualizedembeddings",
        {"model": "voyage-context-3", "inputs": [["a", "b"], ["c"]]},
        {
            "operation": "embeddings",
            "provider": "voyage_ai",
            "response_metadata": {"vectors": 3, "dimensions": 2},
            "tokens_input": 3,
        },
        {
            "data": [
                {"data": [{"embedding": [0.1, 0.2]}, {"embedding": [0.1, 0.2]}]},
                {"data": [{"embedding": [0.1, 0.2]}]},
            ],
            "model": "voyage-context-3",
            "usage": {"total_tokens": 3},
        },
        host="api.voyageai.com",
    ),
    generated(
        "moderations: what is suspected",
        "/v1/moderations",
        {"input": ["nice", "bad"]},
        {
            "operation": "moderation",
            "provider": "openai",
            "model": "omni-moderation-latest",
            "prompt": ["nice", "bad"],
            "response_metadata": {
                "results": [
                    {"flagged": True, "categories": ["violence"], "scores": {"violence": 0.9}}
                ]
            },
            "tokens_input": None,
        },
        {
            "id": "modr-1",
            "model": "omni-moderation-latest",
            "results": [
                {
                    "flagged": True,
                    "categories": {"violence": True, "hate": False},
                    "category_scores": {"violence": 0.9},
                }
            ],
        },
        host="api.openai.com",
    ),
    generated(
        "mistral: a chat moderated",
        "/v1/chat/moderations",
        {"model": "mistral-moderation-latest", "input": [USER]},
        {
            "provider": "mistral_ai",
            "prompt": HI,
            "response_metadata": {"results": [{"flagged": False, "categories": [], "scores": {}}]},
        },
        {"id": "m", "model": "m", "results": [{"categories": {"pii": False}}]},
        host=MISTRAL,
    ),
    generated(
        "mistral: a conversation with a connector",
        "/v1/conversations",
        {"model": "mistral-large-latest", "inputs": "Hi", "tools": [{"type": "web_search"}]},
        {
            "operation": "chat",
            "provider": "mistral_ai",
            "prompt": HI,
            "response": [
                answer(
                    {
                        "type": "server_tool_call",
                        "name": "web_search",
                        "server_tool_call": {
                            "type": "tool.execution",
                            "name": "web_search",
                            "arguments": "{}",
                        },
                    },
                    text("Hello"),
                    finish="stop",
                )
            ],
            "tokens_input": 35,
            "tokens_output": 7,
            "usage": {"input_tool_tokens": 30, "web_searches": 1},
            "response_metadata": {"conversation": "conv_1"},
            "session_id": "conv_1",
        },
        {
            **TALK,
            "outputs": [
                {"type": "tool.execution", "name": "web_search", "arguments": "{}"},
                {"type": "message.output", "role": "assistant", "content": "Hello"},
            ],
            "usage": {**METER, "connectors": {"web_search": 1}},
        },
        host=MISTRAL,
    ),
    generated(
        "mistral: a conversation goes on, streamed, with an agent's call of a tool",
        "/v1/conversations/conv_1",
        {
            "inputs": [{"type": "function.result", "tool_call_id": "t0", "result": "sunny"}],
            "stream": True,
        },
        {
            "status": "success",
            "stream": True,
            "prompt": [
                {
                    "role": "tool",
                    "parts": [{"type": "tool_call_response", "id": "t0", "response": "sunny"}],
                }
            ],
            "model": "mistral-medium-latest",
            "response": [answer(text("Hello"), call("t1", "f", a=1), finish="tool_calls")],
            "response_metadata": {"conversation": "conv_1", "agent_id": "ag_1"},
            "session_id": "conv_1",
            "tokens_output": 7,
        },
        sse(
            *(
                (data["type"], data)
                for data in (
                    {"type": "conversation.response.started", "conversation_id": "conv_1"},
                    *(
                        {
                            "type": "message.output.delta",
                            "output_index": 0,
                            "id": "m1",
                            "model": "mistral-medium-latest",
                            "agent_id": "ag_1",
                            "content": words,
                        }
                        for words in ("Hel", {"type": "text", "text": "lo"})
                    ),
                    *(
                        {
                            "type": "function.call.delta",
                            "output_index": 1,
                            "id": "f1",
                            "name": "f",
                            "tool_call_id": "t1",
                            "arguments": words,
                        }
                        for words in ('{"a":', "1}")
                    ),
                    {"type": "conversation.response.done", "usage": METER},
                )
            )
        ),
        host=MISTRAL,
    ),
    generated(
        "mistral: a conversation fails in its stream",
        "/v1/conversations",
        {"agent_id": "ag_1", "inputs": "Hi", "stream": True},
        {
            "status": "error",
            "error": {"message": "no", "type": "conversation.response.error", "code": "3"},
        },
        sse(
            (
                "conversation.response.error",
                {"type": "conversation.response.error", "message": "no", "code": 3},
            )
        ),
        host=MISTRAL,
    ),
    generated(
        "mistral: a chat fails in its stream, in no `error`",
        "/v1/chat/completions",
        {"model": "mistral-small", "messages": [{"role": "user", "content": "Hi"}], "stream": True},
        {"status": "error", "error": {"message": "no", "type": "server_error", "code": "500"}},
        sse({"object": "error", "message": "no", "type": "server_error", "code": "500"}),
        host=MISTRAL,
    ),
    generated(
        "mistral: text recognised, charged by the page",
        "/v1/ocr",
        {
            "model": "mistral-ocr-latest",
            "document": {"type": "document_url", "document_url": "https://x.test/a.pdf"},
            "pages": [0, 1],
        },
        {
            "operation": "generate_content",
            "prompt": [
                {
                    "role": "user",
                    "parts": [
                        {"type": "uri", "modality": "document", "uri": "https://x.test/a.pdf"}
                    ],
                }
            ],
            "response": [answer(text("# One"), text("# Two"), finish="stop")],
            "usage": {"input_document_pages": 2},
            "request_params": {"pages": [0, 1]},
        },
        {
            "model": "mistral-ocr-2505",
            "pages": [{"index": 0, "markdown": "# One"}, {"index": 1, "markdown": "# Two"}],
            "usage_info": {"pages_processed": 2, "doc_size_bytes": 9},
        },
        host=MISTRAL,
    ),
    generated(
        "tgi: a text with its details",
        "/generate",
        {"inputs": "Hi", "parameters": {"max_new_tokens": 2, "details": True}},
        {
            "operation": "text_completion",
            "provider": "tgi",
            "prompt": "Hi",
            "response": [answer(text("Hello you"), finish="length")],
            "tokens_input": 5,
            "tokens_output": 2,
            "request_params": {"max_tokens": 2, "details": True},
        },
        {"generated_text": "Hello you", "details": DETAILS},
    ),
    generated(
        "tgi: streamed",
        "/generate_stream",
        {"inputs": "Hi", "parameters": {}},
        {
            "status": "success",
            "stream": True,
            "response": [answer(text("Hello you"), finish="length")],
            "tokens_input": 5,
            "tokens_output": 2,
        },
        sse(token("Hello"), token(" you", generated_text="Hello you", details=DETAILS)),
    ),
    generated(
        "tgi: a stream that fails",
        "/generate_stream",
        {"inputs": "Hi", "parameters": {}},
        {
            "status": "error",
            "error": {"message": "out of memory", "type": None, "code": None},
            "response": [answer(text("Hello"), finish="")],
        },
        sse(token("Hello"), {"error": "out of memory", "error_type": "generation"}),
    ),
    generated(
        "hugging face's router: a list",
        "/hf-inference/models/google/gemma-2",
        {"inputs": "Hi", "parameters": {}},
        {
            "provider": "huggingface",
            "model": "google/gemma-2",
            "response": [answer(text("Hello"), finish="")],
            "tokens_output": None,
        },
        [{"generated_text": "Hello"}],
        host=ROUTER,
    ),
    generated(
        "hugging face's router: features of a text",
        "/hf-inference/models/a/b/pipeline/feature-extraction",
        {"inputs": "Hi"},
        {
            "operation": "embeddings",
            "model": "a/b",
            "response_metadata": {"vectors": 1, "dimensions": 3},
        },
        [0.1, 0.2, 0.3],
        host=ROUTER,
    ),
]
