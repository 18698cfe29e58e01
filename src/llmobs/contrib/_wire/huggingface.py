"""
Hugging Face's text generation: text-generation-inference's ``/generate`` and ``/generate_stream``, and
the same behind the router and dedicated endpoints (TGI's OpenAPI, the types of `huggingface_hub`).

Without ``details`` an answer is the text alone; a stream's last event always holds them.
"""

from llmobs.contrib._wire.openai_other import vector_figures
from llmobs.contrib._wire.params import request_params
from llmobs.contrib._wire.wire import Fields, StreamEvent, Wire
from llmobs.recorded.jsontext import Json, as_count, as_list, as_object, as_text
from llmobs.recorded.messages import message, text_part
from llmobs.runtime.time_slices import Steps, now_and_then

__all__ = ["EMBEDDINGS", "GENERATE"]


def _request(body: Json) -> Fields:
    more = {k: v for k, v in body.items() if k not in ("inputs", "parameters", "stream", "model")}
    given = body.get("inputs")
    return {
        "model": as_text(body.get("model")),
        "stream": True if body.get("stream") is True else None,
        "prompt": given if type(given) is str else as_list(given),
        "request_params": request_params({**as_object(body.get("parameters")), **more}),
    }


def _response(body: Json) -> Fields:
    listed = [as_object(item) for item in as_list(body.get("data"))] or [body]
    answers = []
    taken: list[int] = []
    given: list[int] = []
    finish = None
    for item in listed:
        details = as_object(item.get("details"))
        reason = as_text(details.get("finish_reason"))
        finish = finish or reason
        sequences = [item, *map(as_object, as_list(details.get("best_of_sequences")))]
        for said in sequences:
            text = as_text(said.get("generated_text"))
            if text is not None:
                end = as_text(said.get("finish_reason")) or reason or ""
                answers.append(message("assistant", [text_part(text)], finish_reason=end))
        figures = [details, *sequences[1:]]
        given += [
            n for each in figures if (n := as_count(each.get("generated_tokens"))) is not None
        ]
        read = as_count(details.get("input_length"))
        if read is None and (prefill := as_list(details.get("prefill"))):
            read = len(prefill)
        taken += [] if read is None else [read]
    return {
        "response": answers,
        "finish_reason": finish,
        "tokens_input": sum(taken) if taken else None,
        "tokens_output": sum(given) if given else None,
    }


def _is_content(data: Json) -> bool:
    return bool(as_text(as_object(data.get("token")).get("text")))


def _assemble(events: list[StreamEvent]) -> Steps[tuple[Json, bool]]:
    pieces: list[str] = []
    body: Json = {}
    for number, data in enumerate(event.data for event in events):
        yield from now_and_then(number)
        token = as_object(data.get("token"))
        if token.get("special") is not True:
            pieces.append(as_text(token.get("text")) or "")
        if type(data.get("generated_text")) is str or data.get("details"):
            body = {"generated_text": data.get("generated_text"), "details": data.get("details")}
    text = body.get("generated_text")
    if type(text) is not str and pieces:
        text = "".join(pieces)
    return {**body, "generated_text": text}, bool(body)


def _embedding_response(body: Json) -> Fields:
    vectors = as_list(body.get("data"))
    if vectors and type(vectors[0]) in (int, float):  # of one text
        vectors = [vectors]
    return {"response_metadata": vector_figures(vectors)}


GENERATE = Wire(_request, _response, _assemble, _is_content, mark=b'"inputs"')
EMBEDDINGS = Wire(_request, _embedding_response, mark=b'"inputs"')
