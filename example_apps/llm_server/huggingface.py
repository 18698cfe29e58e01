"""Hugging Face: text-generation-inference, and vectors, as the router and dedicated endpoints have them.

Wire rules: TGI's OpenAPI document, and the types of the `huggingface_hub` package. Their chats are
OpenAI's, at OpenAI's path.
"""

from collections.abc import Iterator

from . import openai_other, tokens
from .answers import answer
from .conversation import Answer, Event, Json, Question, Reply, Usage
from .openai_chat import output_tokens

_FINISH = {"length": "length", "stop_sequence": "stop_sequence"}


def generate(body: Json, seed: str) -> Reply:
    """Answer a generation; what is not streamed tells counts only if `details` are asked for."""
    given = body.get("parameters") or {}
    question = Question(
        body["inputs"],
        max_tokens=given.get("max_new_tokens") or 100,
        stop=tuple(given.get("stop") or ()),
    )
    said = answer(question)
    usage = Usage(tokens.count(body["inputs"]), output_tokens(said))
    finish = _FINISH.get(said.ending, "eos_token")
    if body.get("stream"):
        return Reply(list(_events(said, finish, usage)), usage, (said,))
    whole: Json = {"generated_text": said.text}
    if not given.get("details"):
        return Reply(whole, Usage(0, 0), (said,))
    pieces = [_token(place, text) for place, text in enumerate(tokens.pieces(said.text))]
    prefill = [
        {"id": place, "logprob": -1.0, "text": text}
        for place, text in enumerate(tokens.pieces(body["inputs"]))
    ]
    details = {"finish_reason": finish, "generated_tokens": usage.output, "seed": None}
    return Reply(
        {**whole, "details": {**details, "prefill": prefill, "tokens": pieces}}, usage, (said,)
    )


def features(body: Json, seed: str) -> Reply:
    """Answer a feature extraction: a vector for each text, and no count of tokens."""
    found = openai_other.embeddings({"model": "", "input": body["inputs"], "dimensions": 384}, seed)
    assert isinstance(found.content, dict)
    vectors = tuple(each["embedding"] for each in found.content["data"])
    several = isinstance(body["inputs"], list)
    return Reply(vectors if several else tuple(vectors[0]), Usage(0, 0))


def _token(place: int, text: str) -> Json:
    return {"id": place, "text": text, "logprob": -0.5, "special": False}


def _events(said: Answer, finish: str, usage: Usage) -> Iterator[Event]:
    pieces = list(tokens.pieces(said.text))
    details = {
        "finish_reason": finish,
        "generated_tokens": usage.output,
        "seed": None,
        "input_length": usage.prompt,
    }
    for place, text in enumerate(pieces):
        last = place == len(pieces) - 1
        end = {
            "generated_text": said.text if last else None,
            "details": details if last else None,
        }
        token = _token(place, text)
        yield Event({"index": place + 1, "token": token, "top_tokens": [], **end}, is_token=True)
