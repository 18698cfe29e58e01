"""What is said of a run leaves through every sink, none left out, in the words of each."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

import llmobs
from llmobs.codec import decode
from llmobs.events import EvaluationEvent
from llmobs.store.reader import Reader
from tests.sinks.test_otlp import PROTOBUF, attributes, logs_of
from tests.support.kafka_handle import Kafka
from tests.support.scripted_server import Reply, ScriptedServer
from tests.support.serving import Serving
from tests.support.watchllm_server import WatchLLMServer

RUN = "4f1f2a0e-6d55-4c47-9a6b-0d3c8d6f1c11"


class Said(NamedTuple):
    name: str
    score: float | None
    label: str | None
    explanation: str | None
    source: str
    run_id: str = RUN


SAID = [
    Said("helpful", 0.75, None, "says when", "user"),
    Said("tone", None, "kind", None, "model"),
    Said("is_json", 0.0, "failed", None, "code"),
]
Found = Callable[[], Iterable[Said]]


def of_event(data: bytes | str) -> Said:
    event = decode(data)
    assert isinstance(event, EvaluationEvent)
    said = (event.name, event.score, event.label, event.explanation, str(event.source))
    return Said(*said, event.run_id)


def of_store(path: Path) -> list[Said]:
    with Reader(path) as reader:
        return [
            Said(str(e.name), e.score, e.label, e.explanation, str(e.source), e.run_id)
            for e in reader.evaluations()
        ]


def of_step(body: dict[str, Any]) -> Said:
    """WatchLLM's document knows no evaluations: a step, which says what it is."""
    context = body["context"]
    assert (body["event_type"], context["event_type"]) == ("agent_step", "evaluation")
    score, label, why = map(context.get, ("score", "label", "explanation"))
    return Said(body["step_name"], score, label, why, context["source"], body["run_id"])


def of_log(record: Any) -> Said:
    """OpenTelemetry's convention."""
    assert record.event_name == "gen_ai.evaluation.result"
    said = attributes(record)
    score, label, why = (
        said.get(f"gen_ai.evaluation.{key}")
        for key in ("score.value", "score.label", "explanation")
    )
    source, run_id = said["llmobs.evaluation.source"], said["llmobs.run.id"]
    return Said(said["gen_ai.evaluation.name"], score, label, why, source, run_id)


@contextmanager
def sqlite(folder: Path) -> Iterator[tuple[str, Found]]:
    path = folder / "x.db"
    yield f"sqlite:///{path}", lambda: of_store(path)


@contextmanager
def jsonl(folder: Path) -> Iterator[tuple[str, Found]]:
    path = folder / "x.jsonl"
    yield f"jsonl:///{path}", lambda: map(of_event, path.read_text().splitlines())


@contextmanager
def http_native(folder: Path) -> Iterator[tuple[str, Found]]:
    with ScriptedServer() as server:
        yield (
            f"{server.url}?wire=native&compression=none",
            lambda: [
                of_event(json.dumps(event))
                for seen in server.requests
                for event in json.loads(seen.body)["events"]
            ],
        )


@contextmanager
def http_watchllm(folder: Path) -> Iterator[tuple[str, Found]]:
    with WatchLLMServer({"key": {"shop"}}) as server:
        yield server.base_url, lambda: map(of_step, server.events)


@contextmanager
def otlp(folder: Path) -> Iterator[tuple[str, Found]]:
    with ScriptedServer() as server:
        server.otherwise = Reply(200, b"", PROTOBUF)
        yield f"otlp+{server.url}", lambda: map(of_log, logs_of(server))


SINKS = [sqlite, jsonl, http_native, http_watchllm, otlp]


def tell(sink: str, run_id: str = RUN) -> None:
    """Say all of it through a client with this sink; every word of it is delivered."""
    with llmobs.Client(sink=sink, api_key="key", project_id="shop") as client:
        for said in SAID:
            client.log_evaluation(
                run_id, said.name, score=said.score, label=said.label, explanation=said.explanation,
                source=said.source,
            )  # fmt: skip
        report = client.flush()
    assert (report.delivered, report.dropped) == (len(SAID), {})


@pytest.mark.parametrize("sink", SINKS, ids=lambda sink: sink.__name__)
def test_every_sink_carries_them(tmp_path: Path, sink: Any) -> None:
    with sink(tmp_path) as (url, found):
        tell(url)
        assert list(found()) == SAID


def test_the_collector_reads_them_from_every_wire(tmp_path: Path) -> None:
    """What left in another document's words comes back as what it was; of a trace, its run is its id."""
    store = tmp_path / "x.db"
    with Serving(store) as server:
        for wire in ("{}/v1?wire=native", "{}/v1?wire=watchllm", "otlp+{}"):
            run_id = str(uuid4())
            tell(wire.format(server.url), run_id)
            kept = run_id.replace("-", "") if wire.startswith("otlp") else run_id
            found = [said for said in of_store(store) if said.run_id == kept]
            assert found == [said._replace(run_id=kept) for said in SAID], wire


@pytest.mark.kafka
@pytest.mark.parametrize("wire", ["native", "sentinel"])
def test_kafka_carries_them(kafka: Kafka, wire: str) -> None:
    """Sentinel's document knows calls alone: all else has a topic of its own."""
    topic = kafka.new_topic()
    events = topic if wire == "native" else kafka.new_topic()
    own = "" if wire == "native" else f"&events_topic={events}"
    tell(f"kafka://{','.join(kafka.bootstrap)}/{topic}?wire={wire}{own}")
    records = kafka.read(events, len(SAID))
    assert [of_event(record.value or b"") for record in records] == SAID
    assert wire == "native" or kafka.read(topic) == []
