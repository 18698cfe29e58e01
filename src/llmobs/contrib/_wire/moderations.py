"""
Moderations, of OpenAI and Mistral (API reference of both, "Moderations"): what a text is suspected of.

No tokens are told, and OpenAI charges none.
"""

from llmobs.contrib._wire.openai_chat import common_response
from llmobs.contrib._wire.params import request_params
from llmobs.contrib._wire.wire import Fields, Wire
from llmobs.recorded.jsontext import Json, as_list, as_object, as_text
from llmobs.recorded.messages import messages_of

__all__ = ["WIRE"]


def _request(body: Json) -> Fields:
    given = body.get("input")
    texts = type(given) is str or all(type(item) is str for item in as_list(given))
    return {
        "model": as_text(body.get("model")),
        "prompt": given if texts else messages_of(given),
        "request_params": request_params(body),
    }


def _response(body: Json) -> Fields:
    results = []
    for result in map(as_object, as_list(body.get("results"))):
        found = as_object(result.get("categories"))
        suspected = sorted(name for name, value in found.items() if value is True)
        flagged = result.get("flagged")
        results.append(
            {
                "flagged": bool(suspected) if flagged is None else flagged,
                "categories": suspected,
                "scores": as_object(result.get("category_scores")),
            }
        )
    return {**common_response(body), "response_metadata": {"results": results}}


WIRE = Wire(_request, _response)
