"""
Nothing gets round redaction by way of a collector: canaries over every way in, and no byte of them comes out.

A collector in a process of its own, as a user starts it; looked at are its store with what it keeps
compressed, its backup, every page of the viewer, every answer of the JSON API and of the tools for agents,
what it logs, answers and measures. Fields come from `llmobs.redaction.fields`,
conventions of spans from what everybody's SDK has sent (`tests.senders`).

What Kafka's dead letters hold is what came, by design: see `docs/reference/collector.md`.
"""

import asyncio
import html
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2
import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from llmobs.answers.questions import QUESTIONS
from llmobs.codec import NATIVE_TYPE, AnyEvent, encode
from llmobs.events import PromptCallEvent
from llmobs.pipeline.sink import Batch
from llmobs.redaction.fields import every_field
from llmobs.sinks.http import HTTPSink
from llmobs.store.engine import open_reader
from llmobs.viewer.pages import PAGES
from tests.privacy.canaries import canaries, every_canary, numbers_in
from tests.privacy.doors import filled
from tests.privacy.filled import event_with, value_for
from tests.privacy.net import contents
from tests.senders.replay import names as senders
from tests.senders.replay import requests_of
from tests.server.collecting import body_of
from tests.support.serving import Serving

T = TypeVar("T")

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
KINDS_OF_SPANS = ("kind", "operation.name", "operationId", "type", "level", "role")
"""How attributes end that tell what a span is: with a text in their place, nothing would be read."""


class Seen:
    """A collector, whatever it said, and which number went in where."""

    def __init__(self, running: Serving, directory: Path) -> None:
        self.running = running
        self.url = running.url
        self.directory = directory
        self.store = directory / "llmobs.db"
        self.names: dict[int, str] = {}
        self.answers: list[bytes] = []
        self.stdout: list[str] = []
        self.http = httpx2.Client(base_url=self.url, trust_env=False, timeout=20)

    def text(self, name: str) -> str:
        """Return all canaries of a number of its own."""
        number = len(self.names)
        self.names[number] = name
        return every_canary(number)

    def post(
        self, path: str, content: bytes, kind: str = JSON, *, keep: bool = True, **headers: str
    ) -> httpx2.Response:
        answer = self.http.post(path, content=content, headers={"content-type": kind, **headers})
        if keep:
            self.answers.append(answer.content + repr(dict(answer.headers)).encode())
        return answer

    def leaks(self) -> list[str]:
        """Return what came out, where, by which way in."""
        places = {
            "answers": b"\n".join(self.answers),
            "log": self.running.log.encode(),
            "access log": "\n".join(self.stdout).encode(),
            "metrics": self.http.get("/metrics").content,
            **{path.name: contents(path) for path in self.directory.rglob("*") if path.is_file()},
        }
        assert places["access log"] and places["metrics"]
        return [
            f"{kind} of {self.names[number]} in {where}"
            for where, data in places.items()
            for number, kind in sorted(numbers_in(data, self.names))
        ]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    directory = tmp_path_factory.mktemp("collector")
    with Serving(directory / "llmobs.db", "--access-log", "json") as running:
        it = Seen(running, directory)
        stdout = running.process.stdout
        assert stdout is not None
        reader = threading.Thread(target=lambda: it.stdout.extend(stdout), daemon=True)
        reader.start()
        yield it
        it.http.close()
        running.terminate()
        reader.join(10)


def events_stored(seen: Seen) -> int:
    for line in seen.http.get("/metrics").text.splitlines():
        if line.startswith("llmobs_events_stored_total "):
            return int(float(line.split()[1]))
    raise AssertionError("the collector does not say")


def our_own_wire(seen: Seen) -> None:
    before = events_stored(seen)
    events = []
    for kind in AnyEvent.__args__:
        fields = [name for name in every_field(kind) if value_for(kind, name, "") is not None]
        for name in fields:
            events.append(event_with(kind, name, seen.text(f"{kind.__name__}.{name}")))
        number = len(seen.names)
        seen.names[number] = f"{kind.__name__}, a kind alone in every field"
        for text in canaries(number).values():
            event = event_with(kind, "tags", text)
            for name in fields:
                setattr(event, name, value_for(kind, name, text))
            events.append(event)
    answer = seen.post("/v1/events/batch", body_of(events), NATIVE_TYPE)
    assert answer.json()["refused"] == []
    assert events_stored(seen) - before == len(events)


def watchllms_wire(seen: Seen) -> None:
    sink = HTTPSink(f"{seen.url}/v1", "key", wire="watchllm")
    events = []
    for kind in AnyEvent.__args__:
        for name in every_field(kind):
            if value_for(kind, name, "") is not None:
                events.append(
                    event_with(kind, name, seen.text(f"WatchLLM's {kind.__name__}.{name}"))
                )
    before = events_stored(seen)

    async def send() -> None:
        await sink.open()
        for at in range(0, len(events), 50):
            await sink.send(Batch(events[at : at + 50]))
        await sink.aclose()

    asyncio.run(send())
    assert events_stored(seen) > before


def fill(value: AnyValue, text: str) -> None:
    """Put *text* wherever *value* holds one."""
    which = value.WhichOneof("value")
    if which == "string_value":
        try:
            inside = json.loads(value.string_value)
        except ValueError:
            inside = None
        value.string_value = (
            json.dumps(filled(inside, text)) if inside and type(inside) in (dict, list) else text
        )
    elif which == "array_value":
        for each in value.array_value.values:
            fill(each, text)
    elif which == "kvlist_value":
        for pair in value.kvlist_value.values:
            fill(pair.value, text)


def fill_pairs(pairs: Any, text: str) -> None:
    for pair in pairs:
        if not pair.key.endswith(KINDS_OF_SPANS):
            fill(pair.value, text)
    pairs.add(key=f"odd.{text}", value=AnyValue(string_value=text))
    pairs.add(key="user.id", value=AnyValue(string_value=text))
    pairs.add(key="bytes", value=AnyValue(bytes_value=text.encode()))


def fill_spans(request: ExportTraceServiceRequest, text: str, trace: bytes) -> None:
    for resource in request.resource_spans:
        fill_pairs(resource.resource.attributes, text)
        resource.schema_url = text
        for scope in resource.scope_spans:
            fill_pairs(scope.scope.attributes, text)
            scope.scope.version = scope.schema_url = text
            for span in scope.spans:
                span.trace_id = trace
                span.name, span.trace_state = text, f"a={text}"
                span.status.code, span.status.message = 2, text
                fill_pairs(span.attributes, text)
                for event in span.events:
                    fill_pairs(event.attributes, text)
                odd = span.events.add(name=text, time_unix_nano=span.end_time_unix_nano)
                fill_pairs(odd.attributes, text)
                raised = span.events.add(name="exception")
                for name in ("message", "type", "stacktrace"):
                    raised.attributes.add(
                        key=f"exception.{name}", value=AnyValue(string_value=f"{name} {text}")
                    )
                link = span.links.add(trace_id=trace, span_id=b"12345678", trace_state=text)
                fill_pairs(link.attributes, text)


def fill_logs(request: ExportLogsServiceRequest, text: str, trace: bytes) -> None:
    for resource in request.resource_logs:
        fill_pairs(resource.resource.attributes, text)
        for scope in resource.scope_logs:
            fill_pairs(scope.scope.attributes, text)
            for record in scope.log_records:
                record.trace_id = trace
                record.severity_text = text
                fill(record.body, text)
                fill_pairs(record.attributes, text)


def spans_and_logs(seen: Seen, name: str, form: str) -> None:
    before = events_stored(seen)
    text = seen.text(f"{name} in {form}")
    trace = len(seen.names).to_bytes(16, "big")
    for each in requests_of(name):
        if each.content_type.partition(";")[0] != PROTOBUF:
            continue
        logs = each.path.endswith("logs")
        request: Any = ExportLogsServiceRequest() if logs else ExportTraceServiceRequest()
        if not each.path.endswith(("logs", "traces")):
            continue
        request.ParseFromString(each.body)
        (fill_logs if logs else fill_spans)(request, text, trace)
        body = request.SerializeToString()
        if form == "json":
            body = as_json(request)
        answer = seen.post(each.path, body, PROTOBUF if form == "protobuf" else JSON)
        assert answer.status_code == 200, answer.content
    if name != "vercel-ai":  # it speaks JSON
        assert events_stored(seen) > before, "nothing of it was understood"


def as_json(request: Any) -> bytes:
    """Return OTLP's JSON: ids in hexadecimal."""
    plain = MessageToDict(request)

    def hexed(value: Any) -> Any:
        if isinstance(value, dict):
            import base64

            return {
                k: base64.b64decode(v).hex()
                if k in ("traceId", "spanId", "parentSpanId")
                else hexed(v)
                for k, v in value.items()
            }
        return [hexed(v) for v in value] if isinstance(value, list) else value

    return json.dumps(hexed(plain)).encode()


def what_stands_around_a_body(seen: Seen) -> None:
    for name in (
        "authorization", "x-api-key", "api-key", "x-run-id", "x-request-id", "traceparent", "cookie",
        "user-agent", "origin", "host", "x-forwarded-for", "referer", "content-encoding",
        "content-type", "x-langfuse-public-key", "x-llmobs-redacted",
    ):  # fmt: skip
        text = seen.text(f"header {name}")
        for value in (text, f"Bearer {text}"):
            for path in ("/v1/events/batch", "/v1/traces", "/v1/logs"):
                seen.post(path, b"{}", **{name: value})
    for template in ("/{}", "/v1/projects/{}/events", "/v1/projects/{}/health", "/v1/traces?key={}",
                     "/v1/events/batch?x={}", "/metrics?{}", "/health?{}"):  # fmt: skip
        text = seen.text(f"path {template}")
        url = template.format(httpx2.QueryParams({"": text}).__str__()[1:])
        for method in ("GET", "POST", "DELETE"):
            answer = seen.http.request(method, url, content=b"{}")
            seen.answers.append(answer.content + repr(dict(answer.headers)).encode())
    odd = seen.text("a method")
    seen.answers.append(seen.http.request(odd.split(" ; ")[-1][:40].upper(), "/v1/traces").content)


WRONG: dict[str, Callable[[str], bytes]] = {
    "no JSON": lambda text: text.encode(),
    "JSON cut off": lambda text: b'{"events": [{"event_id": "' + text.encode(),
    "a text": lambda text: json.dumps(text).encode(),
    "an unknown field": lambda text: json.dumps({"events": [{text: text, "event_type": "run"}]}).encode(),
    "of the wrong type": lambda text: json.dumps(
        {"events": [{"event_id": "e", "run_id": "r", "event_type": "prompt_call", "tokens_input": text}]}
    ).encode(),
    "a wrong word": lambda text: json.dumps(
        {"events": [{"event_id": "e", "run_id": "r", "event_type": "prompt_call", "status": text}],
         "projectId": text, text: text}
    ).encode(),
    "an unknown kind": lambda text: json.dumps({"events": [{"event_type": text}]}).encode(),
    "spans of the wrong type": lambda text: json.dumps(
        {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": text, "spanId": text, "kind": text}]}]}]}
    ).encode(),
    "logs of the wrong type": lambda text: json.dumps(
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": text, "body": text}]}]}]}
    ).encode(),
    "protobuf cut off": lambda text: b"\n\xff\x01" + text.encode(),
}  # fmt: skip


def refusals(seen: Seen, what: str) -> None:
    text = seen.text(f"refused: {what}")
    for path in ("/v1/events/batch", "/v1/traces", "/v1/logs", "/v1/metrics"):
        for kind in (NATIVE_TYPE, JSON, PROTOBUF):
            seen.post(path, WRONG[what](text), kind)
        seen.post(path, WRONG[what](text), kind, **{"content-encoding": "gzip"})


def a_senders_word_that_it_redacted(seen: Seen) -> None:
    text = seen.text("redacted already")
    event = event_with(PromptCallEvent, "prompt", f"[REDACTED_EMAIL] {text}")
    event.warnings = ("run_id held what redaction takes out; renamed",)
    event.run_id = f"redacted-{text}"
    event.metadata = {
        "redacted": True,
        "password": "[REDACTED] hunter2-it-is",
        "api_key": "[REDACTED_KEY] hunter2-it-is",
        "secret": "[REDACTED hunter2-it-is]",
        "cookie": "[REDACTED_HUNTER2-it-is]",
    }
    body = body_of([event])[:-1] + b',"redacted":true}'
    answer = seen.post("/v1/events/batch", body, NATIVE_TYPE, **{"x-redacted": "true"})
    assert answer.status_code == 200
    assert b"unter2-it-is" not in contents(seen.store) + contents(Path(f"{seen.store}-wal"))


def names_in(seen: Seen, path: str) -> list[dict[str, str]]:
    """What to put in the place of what a path of a page or a question has in braces."""
    if "{" not in path:
        return [{}]
    with open_reader(seen.store) as reader:
        if "{run_id}" in path:
            return [{"run_id": run.run_id} for run in some(reader.runs(10_000))]
        assert "{event_id}" in path, f"{path}: say what to put there"
        found = [event for one in reader.events() if (event := one.decode()) is not None]
        return [{"event_id": event.event_id} for event in some(found)]


def some(found: list[T]) -> list[T]:
    """Thirty of them, from everywhere: lists and runs tell of all the others."""
    return found[:: max(1, len(found) // 30)]


def follow(seen: Seen, url: str, following: Callable[[httpx2.Response], str | None]) -> int:
    """Keep the answers to *url* and to what goes on behind it; return how many there were."""
    count = 0
    next_url: str | None = url
    while next_url is not None:
        answer = seen.http.get(next_url)
        assert answer.status_code == 200, (next_url, answer.content[:300])
        seen.answers.append(answer.content + repr(dict(answer.headers)).encode())
        next_url = following(answer)
        count += 1
    return count


def what_can_be_looked_at(seen: Seen) -> None:
    """Every page, every answer of the JSON API and of the tools for agents, as far as they go on."""

    def next_page(answer: httpx2.Response) -> str | None:
        found = re.search(r'rel="next" href="([^"]*)"|href="([^"]*)"[^>]* rel="next"', answer.text)
        return html.unescape(found[1] or found[2]) if found else None

    for page in PAGES:
        for names in names_in(seen, page.path):
            url = page.path.format(**{k: quote(v, safe="") for k, v in names.items()})
            assert follow(seen, f"{url}?period=" if page.period else url, next_page)
    for question in QUESTIONS:
        for names in names_in(seen, question.path):
            url = "/api/v1" + question.path.format(
                **{k: quote(v, safe="") for k, v in names.items()}
            )

            def next_answer(answer: httpx2.Response, url: str = url) -> str | None:
                cursor = answer.json().get("next_cursor")
                return cursor and f"{url}?{httpx2.QueryParams({'cursor': cursor})}"

            assert follow(seen, url, next_answer)
            call = {"name": question.name, "arguments": names}
            told = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
            answer = seen.post("/mcp", json.dumps(told).encode())
            assert answer.status_code == 200 and "result" in answer.json(), answer.content


def what_is_asked_for(seen: Seen) -> None:
    """Nothing keeps what somebody asked for, though the answer to them may repeat it."""
    for base, listed in (("", PAGES), ("/api/v1", QUESTIONS)):
        for one in listed:
            text = seen.text(f"asked of {base}{one.path}")
            path = re.sub(r"\{\w+\}", quote(text, safe=""), one.path)
            seen.http.get(f"{base}{path}")
            for name in ("user", "name", "model", "cursor", "since", "error", "odd"):
                seen.http.get(f"{base}{path}", params={name: text})
    for question in QUESTIONS:
        text = seen.text(f"asked of the tool {question.name}")
        for arguments in (dict.fromkeys((*question.names, *question.takes), text), {text: text}):
            for name in (question.name, text):
                params = {"name": name, "arguments": arguments}
                told = {"jsonrpc": "2.0", "id": text, "method": "tools/call", "params": params}
                seen.post("/mcp", json.dumps(told).encode(), keep=False)


def test_no_way_in_lets_anything_out(seen: Seen) -> None:
    our_own_wire(seen)
    watchllms_wire(seen)
    for name in senders():
        for form in ("protobuf", "json"):
            spans_and_logs(seen, name, form)
    what_stands_around_a_body(seen)
    for what in WRONG:
        refusals(seen, what)
    a_senders_word_that_it_redacted(seen)
    llmobs("store", "backup", str(seen.directory / "backup.db"), "--store", str(seen.store))
    assert (seen.directory / "backup.db").stat().st_size > 100_000
    before = len(seen.answers)
    what_can_be_looked_at(seen)
    assert len(seen.answers) - before > 3 * len(QUESTIONS)
    what_is_asked_for(seen)
    assert seen.leaks() == []


def test_the_net_has_no_holes(tmp_path: Path) -> None:
    """Without redaction, what went in is seen in the store and its backup, also what is compressed there."""
    with Serving(tmp_path / "llmobs.db", env={"LLMOBS_REDACT_PII": "false"}) as running:
        message = {"role": "user", "content": f"{every_canary(0)} " + "and so on " * 40}
        event = event_with(PromptCallEvent, "prompt", "")
        event.prompt = [message]
        httpx2.post(
            f"{running.url}/v1/events/batch",
            content=body_of([event]),
            headers={"content-type": NATIVE_TYPE},
        )
        llmobs(
            "store", "backup", str(tmp_path / "backup.db"), "--store", str(tmp_path / "llmobs.db")
        )
        for name in ("llmobs.db", "backup.db"):
            data = contents(tmp_path / name)
            assert len(numbers_in(data, [0])) > 5, name
            assert numbers_in((tmp_path / name).read_bytes(), [0]) < numbers_in(data, [0])


def test_keys_are_nowhere(seen: Seen) -> None:
    made = llmobs("keys", "add", "--project", "shop", "--store", str(seen.store))
    (key,) = [word for word in made.split() if word.startswith("llmobs_")] or made.split()[-1:]
    event = event_with(PromptCallEvent, "prompt", key)
    for headers in (
        {"authorization": f"Bearer {key}"},
        {"x-api-key": key},
        {"x-api-key": key + "x"},
    ):
        seen.post("/v1/events/batch", body_of([event]), NATIVE_TYPE, **headers)
    seen.post(f"/v1/traces?key={key}", key.encode())
    secret = key.encode()
    places = {path.name: contents(path) for path in seen.directory.rglob("*") if path.is_file()}
    places |= {
        "log": seen.running.log.encode(),
        "access log": "".join(seen.stdout).encode(),
        "answers": b"".join(seen.answers),
        "metrics": seen.http.get("/metrics").content,
        "list": llmobs("keys", "list", "--store", str(seen.store)).encode(),
    }
    assert [where for where, data in places.items() if secret in data] == []


def test_a_person_is_erased_and_the_store_scanned_while_it_serves(seen: Seen) -> None:
    def of(user: str, run_id: str) -> bytes:
        event = event_with(PromptCallEvent, "prompt", f"{user} told me")
        event.user_id, event.run_id = user, run_id
        return encode(event)

    seen.post("/v1/events/batch", body_of([of("u-4711", "hers"), of("u-4712", "his")]), NATIVE_TYPE)
    done = json.loads(llmobs("forget", "--user", "u-4711", "--store", str(seen.store), "--json"))
    assert (done["runs"], done["traces_overwritten"]) == (1, True)
    left = {path.name for path in seen.directory.glob("llmobs.db*") if b"u-4711" in contents(path)}
    assert left == set()
    answer = seen.post("/v1/events/batch", body_of([of("u-4711", "late")]), NATIVE_TYPE)
    assert answer.status_code == 200  # it goes on, and what comes later is for the next time
    llmobs("forget", "--user", "u-4711", "--store", str(seen.store))
    found = json.loads(llmobs("scan", "--store", str(seen.store), "--json"))
    assert found["places"][0]["found"] == []
    assert seen.http.get("/health").status_code == 200


def llmobs(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "llmobs", *words], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
