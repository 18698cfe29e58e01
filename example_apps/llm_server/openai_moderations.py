"""OpenAI's moderations: what the model refuses is flagged."""

from .answers import answer
from .conversation import Json, Question, Reply, Usage
from .openai_chat import text_of
from .words import identifier, number

_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


def moderate(body: Json, seed: str) -> Reply:
    """Answer `POST /v1/moderations`, for one text, several, or a list of parts; no tokens are told."""
    given = body["input"]
    parts = isinstance(given, list) and given and isinstance(given[0], dict)
    texts = [text_of(given)] if parts else [given] if isinstance(given, str) else given
    results = [_result(text) for text in texts]
    head = {"id": identifier("modr-", 32, seed), "model": body["model"]}
    return Reply({**head, "results": results}, Usage(0, 0))


def _result(text: str) -> Json:
    flagged = answer(Question(text)).ending == "refusal"
    suspected = {name: flagged and name.startswith("illicit") for name in _CATEGORIES}
    return {
        "flagged": flagged,
        "categories": suspected,
        "category_scores": {
            name: 0.9 if found else number(text, name) % 1000 / 1e5
            for name, found in suspected.items()
        },
        "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
    }
