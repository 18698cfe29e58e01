"""
What tells a wire by its bytes, where neither host nor path does: many a host has an ``/api/chat`` of its own.

At a host that no provider is known by, a call is recorded if its request has the members that every such
request must have, and its answer one that every such answer has. Only names in quotes are looked for, in the
beginning and the end of what passed: within a text the quotes would be escaped.

A failure has no answer to look at. It is believed there if the request has a member that nothing but a model
takes, if the port is the one such servers listen at, or if the failure is told in the wire's own words: those
of OpenAI, vLLM and Mistral (`error` with more than a message), Anthropic (``type: error``), text-generation-inference
(``error_type``) and Ollama (a text, of a kind: its source, "server/routes.go"). Applications answer otherwise.
"""

import re
from typing import Any, Final, NamedTuple

__all__ = ["Shape"]


class Shape(NamedTuple):
    """What requests of a wire, and their answers, hold."""

    asks: tuple[bytes, ...]
    """Each is in every request."""
    tells: tuple[re.Pattern[bytes], ...]
    """Each is in every answer, and in the first events of a stream."""
    proof: re.Pattern[bytes] | None = None
    """What is in a request to nothing but a model; many a request has none."""
    fails: tuple[re.Pattern[bytes], ...] = ()
    """Each is in a failure that such a server tells; none if that looks like anybody's."""
    port: str = ""
    """Where such a server listens if it was not told otherwise."""

    def shows(self, answer: bytes) -> bool:
        """Whether *answer*, some of its beginning and end, is one of this wire."""
        return _all_in(answer, self.tells)

    def shows_failure(self, asked: bytes, port: str, answer: bytes) -> bool:
        """
        Whether a request that failed was one of this wire.

        Args:
            asked: Some of the request's beginning and end, which has what each such request has.
            port: Where it went, or empty if that is the scheme's.
            answer: As *asked*; empty if none came.
        """
        if self.port and port == self.port:
            return True
        if self.proof is not None and self.proof.search(asked):
            return True
        return bool(self.fails) and _all_in(answer, self.fails)


def _all_in(text: bytes, patterns: tuple[re.Pattern[bytes], ...]) -> bool:
    return all(pattern.search(text) for pattern in patterns)


def _pattern(text: str) -> re.Pattern[bytes]:
    """*text*: a pattern, in which a blank stands for any."""
    return re.compile(text.replace(" ", r"\s{0,64}").encode())


def _members(names: str) -> str:
    return f'"(?:{names.replace(" ", "|")})" :'


def _shape(
    asks: str, *tells: str, proof: str = "", fails: tuple[str, ...] = (), port: str = ""
) -> Shape:
    """*asks*: names of members; *tells*, *proof* and *fails*: see `_pattern`."""
    return Shape(
        tuple(f'"{name}"'.encode() for name in asks.split()),
        tuple(map(_pattern, tells)),
        _pattern(proof) if proof else None,
        tuple(map(_pattern, fails)),
        port,
    )


_SAID: Final = '"role" : "(?:user|assistant|system|developer|tool)"'
_TUNED: Final = _members(
    "max_tokens temperature top_p stream_options logprobs logit_bias frequency_penalty presence_penalty"
)
_OPENAI: Final = ('"error" : \\{|"object" : "error"', '"message" :', _members("type code param"))
_ANTHROPIC: Final = ('"type" : "error"', '"error" : \\{')
_TGI: Final = ('"error" :', '"error_type" :')
_OLLAMA_ERROR: Final = (
    '^ \\{ "error" : "(?:model (?:[\'\\\\]|is.required|requires)|llama.runner|registry\\.ollama'
    '|(?:[^"\\\\]|\\\\.){0,300}does.not.support.(?:tools|thinking|chat|generate|insert))'
)
_OLLAMA: Final[dict[str, Any]] = {
    "proof": _members("keep_alive num_ctx num_predict num_gpu"),
    "fails": (_OLLAMA_ERROR,),
    "port": "11434",
}

CHAT: Final = _shape("model messages", '"choices" :', proof=_SAID, fails=_OPENAI)
COMPLETIONS: Final = _shape("model prompt", '"choices" :', proof=_TUNED, fails=_OPENAI)
RESPONSES: Final = _shape(
    "model",
    '"object" : "response(?:\\.|")|"type" : "response\\.',
    proof=f"{_SAID}|{_members('max_output_tokens previous_response_id parallel_tool_calls top_p')}",
    fails=_OPENAI,
)
INPUT_TOKENS: Final = _shape("model", '"input_tokens" :', proof='"input" :', fails=_OPENAI)
EMBEDDINGS: Final = _shape(
    "model input",
    '"embedding" :',
    proof=_members("encoding_format dimensions input_type output_dimension output_dtype"),
    fails=_OPENAI,
)
MODERATIONS: Final = _shape("input", '"flagged" :|"category_scores" :', fails=_OPENAI)
MEDIA: Final = _shape("model", proof=_members("voice response_format"), fails=_OPENAI)
MESSAGES: Final = _shape(
    "messages max_tokens",
    '"type" : "(?:message|message_start)"|"stop_reason" :',
    proof=_SAID,
    fails=_ANTHROPIC,
)
COUNT_TOKENS: Final = _shape("model messages", '"input_tokens" :', proof=_SAID, fails=_ANTHROPIC)
OLLAMA_CHAT: Final = _shape(
    "model messages", '"created_at" :', '"message" :', '"done" :', **_OLLAMA
)
OLLAMA_GENERATE: Final = _shape("model", '"created_at" :', '"response" :', '"done" :', **_OLLAMA)
OLLAMA_EMBEDDINGS: Final = _shape("model", '"embeddings?" : \\[', **_OLLAMA)
COHERE_CHAT: Final = _shape(
    "model messages",
    '"type" : "message-start"|"finish_reason" :',
    proof=_members("safety_mode strict_tools citation_options"),
)
COHERE_V1: Final = _shape(
    "message", '"generation_id" :', proof=_members("preamble prompt_truncation citation_quality")
)
COHERE_EMBED: Final = _shape(
    "model", '"embeddings" :', proof=_members("input_type embedding_types")
)
RERANK: Final = _shape("query", '"(?:relevance_)?score" :', proof='"(?:documents|texts)" : \\[')
CHUNKS: Final = _shape("model inputs", '"embedding" :', proof='"inputs" : \\[')
CONVERSATIONS: Final = _shape(
    "inputs",
    '"conversation\\.response|"conversation_id" :',
    proof=_members("completion_args handoff_execution"),
)
INTERACTIONS: Final = _shape(
    "input",
    '"steps" :|"event_type" : "interaction\\.',
    proof=_members("generation_config previous_interaction_id system_instruction"),
)
LLAMA_CPP: Final = _shape(
    "prompt",
    '"content" :',
    '"stop" : (?:true|false)',
    proof=_members("n_predict cache_prompt id_slot n_probs"),
)
OCR: Final = _shape(
    "model document",
    '"pages" :',
    '"markdown" :',
    proof=f'"type" : "document_url"|{_members("include_image_base64")}',
)
GENERATE: Final = _shape(
    "inputs",
    '"generated_text" :',
    proof=_members("max_new_tokens do_sample return_full_text"),
    fails=_TGI,
)
FEATURES: Final = _shape("inputs", "^ \\[", proof='"inputs" :')
FETCHED: Final = Shape((b"\0",), ())
"""Of requests that tell nothing, many without a body: only SDKs are believed."""
