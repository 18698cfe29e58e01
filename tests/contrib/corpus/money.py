"""What calls used and what they cost, in every provider's words."""

from typing import Any

from . import JSON, STREAM, USER, Case, js, sse
from .openai_chat import PATH, ask, chunk

MESSAGES = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": USER}
RESPONSES = {"model": "gpt-5", "input": "Hi"}
NOTHING = {"tokens_cached": None, "tokens_cache_write": None, "tokens_reasoning": None}


def chat(name: str, usage: Any, expect: dict[str, Any], host: str, model: str = "m") -> list[Case]:
    """The same usage in an answer and in the last chunk of a stream."""
    body = {"id": "1", "model": model, "choices": [{"index": 0, "message": {"content": "x"}}]}
    last = {**body, "choices": [], "usage": usage}
    stream = [
        {**chunk({"content": "x"}), "model": model},
        {**chunk({}, "stop"), "model": model},
        last,
    ]
    asked = {**ask(), "model": model}
    expect = {"warnings": (), **expect}
    return [
        Case(name, PATH, asked, expect, js({**body, "usage": usage}), headers=JSON, host=host),
        Case(
            f"{name}, streamed",
            PATH,
            {**asked, "stream": True},
            expect,
            sse(*stream, "[DONE]"),
            headers=STREAM,
            host=host,
        ),
    ]


def message(
    name: str, usage: Any, expect: dict[str, Any], path: str = "/v1/messages"
) -> list[Case]:
    """The same usage in an answer and over a stream, where the last event brings it up to date."""
    body = {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5"}
    body |= {"content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn"}
    early = {**usage, "output_tokens": 1}
    late = {"output_tokens": usage["output_tokens"]}
    for key in ("iterations", "server_tool_use"):
        if key in early:
            late[key] = early.pop(key)
    stream = [
        {"type": "message_start", "message": {**body, "content": [], "usage": early}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": late},
        {"type": "message_stop"},
    ]
    return [
        Case(name, path, MESSAGES, expect, js({**body, "usage": usage}), headers=JSON),
        Case(
            f"{name}, streamed",
            path,
            {**MESSAGES, "stream": True},
            expect,
            sse(*((event["type"], event) for event in stream)),
            headers=STREAM,
        ),
    ]


def responses(name: str, output: list[Any], expect: dict[str, Any], **more: Any) -> list[Case]:
    usage = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120, **more.pop("usage", {})}
    body = {"id": "r", "object": "response", "status": "completed", "model": "gpt-5"}
    body |= {"output": output, "usage": usage, **more}
    stream = [
        {"type": "response.created", "response": {**body, "output": [], "usage": None}},
        {"type": "response.completed", "response": body},
    ]
    expect = {"tokens_input": 100, "tokens_output": 20, **expect}
    path = "/v1/responses"
    return [
        Case(name, path, RESPONSES, expect, js(body), headers=JSON),
        Case(
            f"{name}, streamed",
            path,
            {**RESPONSES, "stream": True},
            expect,
            sse(*((event["type"], event) for event in stream)),
            headers=STREAM,
        ),
    ]


def media(name: str, path: str, asked: Any, told: Any, expect: dict[str, Any]) -> Case:
    return Case(name, f"/v1{path}", asked, expect, js(told), headers=JSON, host="api.openai.com")


PLAIN = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
SEARCH = {"type": "web_search_call", "id": "w", "status": "completed"}

CASES = [
    *chat(
        "sound in and out",
        {
            **PLAIN,
            "prompt_tokens_details": {"audio_tokens": 90, "text_tokens": 10, "cached_tokens": 0},
            "completion_tokens_details": {"audio_tokens": 18, "text_tokens": 2},
        },
        {
            "provider": "openai",
            "usage": {
                "input_audio_tokens": 90,
                "input_text_tokens": 10,
                "output_audio_tokens": 18,
                "output_text_tokens": 2,
            },
        },
        "api.openai.com",
    ),
    *chat(
        "what was charged, written as text",
        {**PLAIN, "cost": "0.00125"},
        {"provider": "openrouter", "cost_usd": 0.00125, "cost_source": "provider"},
        "openrouter.ai",
    ),
    *chat(
        "OpenRouter: what it charged",
        {**PLAIN, "cost": 0.00125, "cost_details": {"upstream_inference_cost": None}},
        {"provider": "openrouter", "cost_usd": 0.00125, "cost_source": "provider"},
        "openrouter.ai",
    ),
    *chat(
        "OpenRouter: with the caller's key its fee and the other bill",
        {
            **PLAIN,
            "cost": 0.0005,
            "is_byok": True,
            "cost_details": {"upstream_inference_cost": 0.01},
        },
        {"provider": "openrouter", "cost_usd": 0.0105, "cost_source": "provider"},
        "openrouter.ai",
    ),
    *chat(
        "OpenRouter: with the caller's key, and the other bill unknown",
        {**PLAIN, "cost": 0.0005, "is_byok": True},
        {"provider": "openrouter", "cost_usd": None, "cost_source": None},
        "openrouter.ai",
    ),
    *chat(
        "OpenRouter: searches",
        {**PLAIN, "server_tool_use": {"web_search_requests": 2}},
        {"provider": "openrouter", "usage": {"web_searches": 2}},
        "openrouter.ai",
    ),
    *chat(
        "Perplexity: what it charged",
        {
            **PLAIN,
            "search_context_size": "low",
            "cost": {"input_tokens_cost": 0.0001, "request_cost": 0.005, "total_cost": 0.0052},
        },
        {"provider": "perplexity", "cost_usd": 0.0052, "cost_source": "provider"},
        "api.perplexity.ai",
    ),
    *chat(
        "Perplexity: thinking and citations beside the output",
        {
            "prompt_tokens": 33,
            "completion_tokens": 7163,
            "total_tokens": 7196,
            "citation_tokens": 20016,
            "num_search_queries": 18,
            "reasoning_tokens": 73997,
        },
        {
            "provider": "perplexity",
            "tokens_input": 33,
            "tokens_output": 7163 + 20016 + 73997,
            "tokens_reasoning": 73997,
            "usage": {"output_citation_tokens": 20016, "web_searches": 18},
        },
        "api.perplexity.ai",
    ),
    *chat(
        "xAI: what it charged, and its tools",
        {
            **PLAIN,
            "cost_in_usd_ticks": 37756000,
            "server_side_tool_usage_details": {"web_search_calls": 1, "x_search_calls": 3},
        },
        {
            "provider": "x_ai",
            "cost_usd": 0.0037756,
            "cost_source": "provider",
            "usage": {"web_searches": 1, "social_searches": 3},
        },
        "api.x.ai",
    ),
    *chat(
        "DeepInfra: what it charged",
        {**PLAIN, "estimated_cost": 0.0000268},
        {"provider": "deepinfra", "cost_usd": 0.0000268, "cost_source": "provider"},
        "api.deepinfra.com",
    ),
    *chat(
        "what is no cost is not believed",
        {**PLAIN, "cost": "free", "cost_in_usd_ticks": -1, "estimated_cost": True},
        {"cost_usd": None, "cost_source": None, "tokens_input": 100},
        "gateway.example.test",
    ),
    *chat(
        "Gemini: thinking in the total alone",
        {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 1120},
        {"provider": "gcp.gemini", "tokens_output": 1020, "tokens_reasoning": 1000},
        "generativelanguage.googleapis.com",
        "models/gemini-2.5-pro",
    ),
    *chat(
        "LiteLLM: Anthropic's counts in OpenAI's words",
        {
            "prompt_tokens": 3000,
            "completion_tokens": 20,
            "total_tokens": 3020,
            "cache_read_input_tokens": 500,
            "cache_creation_input_tokens": 1500,
            "prompt_tokens_details": {
                "cached_tokens": 500,
                "cache_creation_tokens": 1500,
                "cache_creation_token_details": {
                    "ephemeral_5m_input_tokens": 500,
                    "ephemeral_1h_input_tokens": 1000,
                },
            },
        },
        {
            "tokens_input": 3000,
            "tokens_cached": 500,
            "tokens_cache_write": 1500,
            "usage": {"cache_write_5m_tokens": 500, "cache_write_1h_tokens": 1000},
        },
        "gateway.example.test",
    ),
    *chat(
        "OpenAI: models that search in each call",
        PLAIN,
        {"usage": {"web_searches": 1}},
        "api.openai.com",
        "gpt-4o-search-preview-2025-03-11",
    ),
    *chat("Mistral: seconds of sound", {**PLAIN, "prompt_audio_seconds": 30},
          {"provider": "mistral_ai", "usage": {"audio_seconds": 30}}, "api.mistral.ai"),
    *(
        case
        for host, name in (
            ("api.together.xyz", "together"),
            ("api.fireworks.ai", "fireworks"),
            ("api.cerebras.ai", "cerebras"),
            ("router.huggingface.co", "huggingface"),
            ("api.z.ai", "z_ai"),
            ("api.groq.com", "groq"),
            ("api.deepseek.com", "deepseek"),
            ("vllm.example.test", "openai"),
        )
        for case in chat(f"who serves at {host}", PLAIN, {"provider": name}, host)
    ),
    *message(
        "a cache kept for an hour",
        {
            "input_tokens": 1000,
            "output_tokens": 20,
            "cache_read_input_tokens": 500,
            "cache_creation_input_tokens": 1500,
            "cache_creation": {
                "ephemeral_5m_input_tokens": 500,
                "ephemeral_1h_input_tokens": 1000,
            },
        },
        {
            "tokens_input": 3000,
            "tokens_output": 20,
            "tokens_cached": 500,
            "tokens_cache_write": 1500,
            "usage": {"cache_write_5m_tokens": 500, "cache_write_1h_tokens": 1000},
        },
    ),
    *message(
        "searches of the server",
        {
            "input_tokens": 1000,
            "output_tokens": 20,
            "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 2},
        },
        {"tokens_input": 1000, "tokens_output": 20, "usage": {"web_searches": 3}},
    ),
    *message(
        "a compaction is on the bill and not in the totals",
        {
            "input_tokens": 23_000,
            "output_tokens": 1_000,
            "iterations": [
                {
                    "type": "compaction",
                    "input_tokens": 180_000,
                    "output_tokens": 3_500,
                    "cache_read_input_tokens": 0,
                    "cache_creation_input_tokens": 0,
                },
                {"type": "message", "input_tokens": 23_000, "output_tokens": 1_000},
            ],
        },
        {"tokens_input": 203_000, "tokens_output": 4_500},
    ),
    *message(
        "an advisor has another model's price",
        {
            "input_tokens": 100,
            "output_tokens": 20,
            "iterations": [
                {"type": "message", "input_tokens": 100, "output_tokens": 20},
                {
                    "type": "advisor_message",
                    "model": "claude-opus-4-6",
                    "input_tokens": 800,
                    "output_tokens": 90,
                    "cache_read_input_tokens": 7,
                    "cache_creation_input_tokens": 0,
                },
            ],
        },
        {
            "tokens_input": 100,
            "tokens_output": 20,
            "usage": {"advisor_input_tokens": 807, "advisor_output_tokens": 90},
        },
    ),
    *message(
        "fast mode is a tier",
        {"input_tokens": 100, "output_tokens": 20, "service_tier": "standard", "speed": "fast"},
        {"service_tier": "fast"},
    ),
    *responses(
        "searches: what was opened costs nothing",
        [
            {**SEARCH, "action": {"type": "search", "query": "x"}},
            {**SEARCH, "action": {"type": "open_page", "url": "https://example.test"}},
            {**SEARCH, "action": {"type": "find_in_page", "pattern": "x"}},
            {**SEARCH, "action": {"type": "search", "query": "y"}},
        ],
        {"usage": {"web_searches": 2}},
    ),
    *responses(
        "searches: what was billed wins",
        [{**SEARCH, "action": {"type": "search", "query": "x"}}] * 3,
        {"usage": {"web_searches": 1}},
        tool_usage={"web_search": {"num_requests": 1}},
    ),
    *responses(
        "hosted tools",
        [
            {"type": "file_search_call", "id": "f", "queries": ["x"]},
            {"type": "code_interpreter_call", "id": "c", "code": "1"},
            {"type": "image_generation_call", "id": "i"},
        ],
        {"usage": {"storage_searches": 1, "code_executions": 1, "image_generations": 1}},
    ),
    *responses(
        "the cache of responses",
        [],
        {"tokens_cached": 60, "tokens_cache_write": 10, "tokens_reasoning": 5, "usage": None},
        usage={
            "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
            "output_tokens_details": {"reasoning_tokens": 5},
        },
    ),
    media(
        "pictures by the token",
        "/images/edits",
        {"model": "gpt-image-1", "prompt": "a cat"},
        {
            "data": [{"b64_json": "AA"}],
            "usage": {
                "input_tokens": 400,
                "output_tokens": 1000,
                "total_tokens": 1400,
                "input_tokens_details": {"text_tokens": 50, "image_tokens": 350},
                "output_tokens_details": {"text_tokens": 0, "image_tokens": 1000},
            },
        },
        {
            "model": "gpt-image-1",
            "tokens_input": 400,
            "tokens_output": 1000,
            "usage": {
                "input_text_tokens": 50,
                "input_image_tokens": 350,
                "output_image_tokens": 1000,
            },
        },
    ),
    media(
        "a transcription by the token",
        "/audio/transcriptions",
        {"model": "gpt-4o-transcribe"},
        {
            "text": "x",
            "usage": {
                "type": "tokens",
                "input_tokens": 300,
                "output_tokens": 40,
                "total_tokens": 340,
                "input_token_details": {"audio_tokens": 280, "text_tokens": 20},
            },
        },
        {
            "tokens_input": 300,
            "tokens_output": 40,
            "usage": {"input_audio_tokens": 280, "input_text_tokens": 20},
        },
    ),
    media(
        "a transcription by the second",
        "/audio/transcriptions",
        {"model": "whisper-1"},
        {"text": "x", "usage": {"type": "duration", "seconds": 61}},
        {"tokens_input": None, "tokens_output": None, "usage": {"audio_seconds": 61}},
    ),
    media(
        "a transcription that tells its length",
        "/audio/transcriptions",
        {"model": "whisper-1"},
        {"text": "x", "duration": 8.470000267028809, "language": "english"},
        {"usage": {"audio_seconds": 8}},
    ),
    Case(
        "speech by the character",
        "/v1/audio/speech",
        {"model": "tts-1", "input": "Hello there", "voice": "alloy"},
        {"model": "tts-1", "usage": {"input_characters": 11}},
        b"ID3",
        headers={"content-type": "audio/mpeg"},
        host="api.openai.com",
    ),
    Case(
        "speech that was refused is not used",
        "/v1/audio/speech",
        {"model": "tts-1", "input": "Hello there", "voice": "alloy"},
        {"model": "tts-1", "usage": None, "status": "error"},
        js({"error": {"message": "no", "type": "x"}}),
        429,
        headers=JSON,
        host="api.openai.com",
    ),
    Case(
        "embeddings of which only the total is told",
        "/v1/embeddings",
        {"model": "voyage-3", "input": "Hi"},
        {"provider": "voyage_ai", "tokens_input": 10, "warnings": ()},
        js({"data": [{"embedding": [0.5]}], "model": "voyage-3", "usage": {"total_tokens": 10}}),
        headers=JSON,
        host="api.voyageai.com",
    ),
]  # fmt: skip
