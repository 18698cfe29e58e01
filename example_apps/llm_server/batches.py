"""Batches: requests that are answered together, from a file or from where the batch is made; and the files.

Wire rules: OpenAI's API reference ("Files", "Batch"), Anthropic's ("Message Batches"), Mistral's ("Batch") and
the Gemini API's ("Batch API"), with the types of their SDKs. A batch is over when it is looked at for the first time.
"""

import json
from collections.abc import Callable, Iterator
from email import message_from_bytes
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import anthropic_messages, faults, gemini, mistral, openai_chat, openai_other
from .answered import Answered, arrived
from .conversation import Json, Reply
from .errors import Dialect, WireError
from .words import identifier

_Endpoint = Callable[[Request], Any]
_OPENAI: dict[str, Callable[[Json, str], Reply]] = {
    "/v1/chat/completions": openai_chat.reply,
    "/v1/embeddings": openai_other.embeddings,
}
_MISTRAL: dict[str, Callable[[Json, str], Reply]] = {
    "/v1/chat/completions": mistral.chat,
    "/v1/embeddings": mistral.embeddings,
}


class Batches:
    """The files and batches of one server."""

    def __init__(self, answered: Answered) -> None:
        self._answered = answered
        self._files: dict[str, bytes] = {}
        self._made: dict[str, Json] = {}

    def routes(self) -> Iterator[Route]:
        """Yield every path of files and batches."""
        for method, path, endpoint in (
            ("POST", "/v1/files", self._upload),
            ("POST", "/mistral/v1/files", self._upload),
            ("GET", "/v1/files/{id}/content", self._download),
            ("GET", "/mistral/v1/files/{id}/content", self._download),
            ("POST", "/v1/batches", self._make_openai),
            ("GET", "/v1/batches/{id}", self._look),
            ("POST", "/mistral/v1/batch/jobs", self._make_mistral),
            ("GET", "/mistral/v1/batch/jobs/{id}", self._look),
            ("POST", "/v1/messages/batches", self._make_anthropic),
            ("GET", "/v1/messages/batches/{id}", self._look),
            ("GET", "/v1/messages/batches/{id}/results", self._download),
            ("POST", "/{version}/models/{model}:batchGenerateContent", self._make_gemini),
            ("GET", "/{version}/batches/{id}", self._look),
        ):
            yield Route(path, self._guarded(endpoint), methods=[method])

    def _guarded(self, endpoint: _Endpoint) -> _Endpoint:
        async def answer(request: Request) -> Response:
            self._answered.arrive(0, 0.0)
            dialect = Dialect.ANTHROPIC if "/messages/" in request.url.path else Dialect.OPENAI
            try:
                return await endpoint(request)  # type: ignore[no-any-return]
            except WireError as error:
                return JSONResponse(error.body(dialect, "req"), error.status)
            except (KeyError, TypeError, ValueError, AttributeError) as problem:
                words = f"A part of the request is missing or of the wrong type: {problem}"
                return JSONResponse(WireError(400, words).body(dialect, "req"), 400)

        return answer

    # Files, and what is known of a batch.

    async def _upload(self, request: Request) -> Response:
        body = await request.body()
        kind = request.headers.get("content-type", "")
        form = message_from_bytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + body)
        parts = {
            part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
            for part in form.walk()
        }
        found = parts.get("file")
        if not isinstance(found, bytes):
            raise WireError(400, "file: Field required", param="file")
        purpose = parts.get("purpose")
        return JSONResponse(
            {
                "id": self._keep(found),
                "object": "file",
                "bytes": len(found),
                "created_at": arrived(),
                "filename": "requests.jsonl",
                "purpose": purpose.decode() if isinstance(purpose, bytes) else "batch",
                "status": "processed",
                "sample_type": "batch_request",
                "source": "upload",
            }
        )

    def _keep(self, content: bytes) -> str:
        name = identifier("file-", 24, content)
        self._files[name] = content
        return name

    async def _download(self, request: Request) -> Response:
        found = self._known(self._files, request.path_params["id"])
        kind = "octet-stream" if "/mistral/" in request.url.path else "jsonl"  # its SDK looks
        return Response(found, media_type=f"application/{kind}")

    async def _look(self, request: Request) -> Response:
        return JSONResponse(self._known(self._made, request.path_params["id"]))

    def _known(self, where: dict[str, Any], name: str) -> Any:
        if name not in where:
            raise WireError(404)
        return where[name]

    # Each provider's way to make one.

    async def _make_openai(self, request: Request) -> Response:
        asked = await request.json()
        source = asked["input_file_id"]
        name = identifier("batch_", 24, source)
        written, failed = self._lines_of(self._lines_in(source), _OPENAI, Dialect.OPENAI)
        batch = {
            "id": name,
            "object": "batch",
            "endpoint": asked["endpoint"],
            "input_file_id": source,
            "completion_window": "24h",
            "created_at": arrived(),
            "status": "completed",
            "output_file_id": self._keep(written) if written else None,
            "error_file_id": self._keep(failed) if failed else None,
        }
        self._made[name] = batch
        return JSONResponse(
            {**batch, "status": "validating", "output_file_id": None, "error_file_id": None}
        )

    async def _make_mistral(self, request: Request) -> Response:
        asked = await request.json()
        sources = asked.get("input_files") or []
        requests = asked.get("requests") or [
            line for source in sources for line in self._lines_in(source)
        ]
        told = {"url": asked["endpoint"]}
        head = {"model": asked.get("model")}
        lines = [{**told, **line, "body": head | line["body"]} for line in requests]
        written, failed = self._lines_of(lines, _MISTRAL, Dialect.MISTRAL)
        name = identifier("", 32, json.dumps(asked))
        job = {
            "id": name,
            "object": "batch",
            "input_files": sources,
            "endpoint": asked["endpoint"],
            "model": asked.get("model"),
            "errors": [],
            "created_at": arrived(),
            "total_requests": len(lines),
            "completed_requests": len(lines),
            "succeeded_requests": written.count(b"\n"),
            "failed_requests": failed.count(b"\n"),
            "status": "SUCCESS",
        }
        if sources:
            job["output_file"] = self._keep(written)
            job["error_file"] = self._keep(failed) if failed else None
        else:
            job["outputs"] = [json.loads(line) for line in (written + failed).splitlines()]
        self._made[name] = job
        return JSONResponse({**job, "status": "QUEUED", "outputs": None, "output_file": None})

    async def _make_anthropic(self, request: Request) -> Response:
        asked = await request.json()
        name = identifier("msgbatch_", 24, json.dumps(asked))
        results = []
        for each in asked["requests"]:
            status, body = self._answer(
                anthropic_messages.reply, each["params"], Dialect.ANTHROPIC, name
            )
            good = {"type": "succeeded", "message": body}
            result = good if status == 200 else {"type": "errored", "error": body}
            results.append({"custom_id": each["custom_id"], "result": result})
        self._files[name] = _lines(results)
        time = "2026-01-01T00:00:00Z"
        self._made[name] = {
            "id": name,
            "type": "message_batch",
            "processing_status": "ended",
            "request_counts": dict.fromkeys(
                ("processing", "succeeded", "errored", "canceled", "expired"), 0
            ),
            "created_at": time,
            "expires_at": time,
            "ended_at": time,
            "results_url": str(request.url.replace(path=f"/v1/messages/batches/{name}/results")),
        }
        return JSONResponse(
            {**self._made[name], "processing_status": "in_progress", "results_url": None}
        )

    async def _make_gemini(self, request: Request) -> Response:
        asked = await request.json()
        model = request.path_params["model"]
        requests = asked["batch"]["inputConfig"]["requests"]["requests"]
        name = "batches/" + identifier("", 24, json.dumps(asked))
        answers = []
        for each in requests:
            content = each["request"] | {"model": model}
            status, body = self._answer(gemini.generate, content, Dialect.GOOGLE, name)
            answers.append({"response": body} if status == 200 else {"error": body["error"]})
        metadata = {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
            "model": f"models/{model}",
            "state": "BATCH_STATE_SUCCEEDED",
            "name": name,
        }
        output = {"inlinedResponses": {"inlinedResponses": answers}}
        self._made[name.rpartition("/")[2]] = {
            "name": name,
            "metadata": {**metadata, "output": output},
            "done": True,
            "response": output,
        }
        return JSONResponse(
            {"name": name, "metadata": {**metadata, "state": "BATCH_STATE_PENDING"}}
        )

    # The answers.

    def _lines_in(self, file: str) -> list[Json]:
        return [json.loads(line) for line in self._known(self._files, file).splitlines()]

    def _lines_of(
        self,
        lines: list[Json],
        answering: dict[str, Callable[[Json, str], Reply]],
        dialect: Dialect,
    ) -> tuple[bytes, bytes]:
        """Answer lines of OpenAI's kind; return those of the output, and those of the errors."""
        good, bad = [], []
        for line in lines:
            asked = line["custom_id"]
            status, body = self._answer(answering[line["url"]], line["body"], dialect, asked)
            response = {"status_code": status, "request_id": f"req_{asked}", "body": body}
            told = {
                "id": identifier("batch_req_", 24, asked),
                "custom_id": asked,
                "response": response,
                "error": None,
            }
            (good if status == 200 else bad).append(told)
        return _lines(good), _lines(bad)

    def _answer(
        self, answering: Callable[[Json, str], Reply], content: Json, dialect: Dialect, seed: str
    ) -> tuple[int, Json]:
        path = "a batch"
        try:
            if status := faults.requested("", content["model"]).status:
                raise WireError(status)
            reply = answering(content, seed + json.dumps(content))
        except WireError as error:
            self._answered.note_error(path, content, error)
            return error.status, error.body(dialect, "req")
        assert isinstance(reply.content, dict)
        self._answered.note(path, content, reply)
        return 200, reply.content


def _lines(items: list[Json]) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)
