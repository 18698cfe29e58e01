"""
What tells a wire by its bytes, where neither host nor path does: many a host has an ``/api/chat`` of its own.

At a host that no provider is known by, a call is recorded if its request has the members that every such
request must have, and its answer one that every such answer has. Only names in quotes are looked for, in the
beginning and the end of what passed: within a text the quotes would be escaped.
"""

import re
from typing import Final, NamedTuple

__all__ = ["Shape"]


class Shape(NamedTuple):
    """What requests of a wire, and their answers, hold."""

    asks: tuple[bytes, ...]
    """Each is in every request."""
    tells: tuple[re.Pattern[bytes], ...]
    """Each is in every answer, and in the first events of a stream."""

    def shows(self, answer: bytes) -> bool:
        """Whether *answer*, some of its beginning and end, is one of this wire."""
        return all(pattern.search(answer) for pattern in self.tells)


def _shape(asks: str, *tells: str) -> Shape:
    """*asks*: names of members; *tells*: patterns, in which a blank stands for any."""
    names = tuple(f'"{name}"'.encode() for name in asks.split())
    patterns = (tell.replace(" ", r"\s{0,64}").encode() for tell in tells)
    return Shape(names, tuple(re.compile(pattern) for pattern in patterns))


CHAT: Final = _shape("model messages", '"choices" :')
COMPLETIONS: Final = _shape("model prompt", '"choices" :')
RESPONSES: Final = _shape("model", '"object" : "response(?:\\.|")|"type" : "response\\.')
INPUT_TOKENS: Final = _shape("model", '"input_tokens" :')
EMBEDDINGS: Final = _shape("model input", '"embedding" :')
MODERATIONS: Final = _shape("input", '"flagged" :|"category_scores" :')
MEDIA: Final = _shape("model")
MESSAGES: Final = _shape(
    "messages max_tokens", '"type" : "(?:message|message_start)"|"stop_reason" :'
)
COUNT_TOKENS: Final = _shape("model messages", '"input_tokens" :')
OLLAMA_CHAT: Final = _shape("model messages", '"created_at" :', '"message" :', '"done" :')
OLLAMA_GENERATE: Final = _shape("model", '"created_at" :', '"response" :', '"done" :')
OLLAMA_EMBEDDINGS: Final = _shape("model", '"embeddings?" : \\[')
COHERE_CHAT: Final = _shape("model messages", '"type" : "message-start"|"finish_reason" :')
COHERE_V1: Final = _shape("message", '"generation_id" :')
COHERE_EMBED: Final = _shape("model", '"embeddings" :')
RERANK: Final = _shape("query", '"(?:relevance_)?score" :')
CHUNKS: Final = _shape("model inputs", '"embedding" :')
CONVERSATIONS: Final = _shape("inputs", '"conversation\\.response|"conversation_id" :')
OCR: Final = _shape("model document", '"pages" :', '"markdown" :')
GENERATE: Final = _shape("inputs", '"generated_text" :')
FEATURES: Final = _shape("inputs", "^ \\[")
FETCHED: Final = _shape("")
"""Of requests without a body: only SDKs are believed."""
