"""What peers' SDKs ask beside sending spans: answered, kept where there is a place for it, or refused in words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from llmobs import EvaluationEvent
from llmobs.store.spans import event_id_of
from tests.server.collecting import stored
from tests.support.serving import Serving

TRACE = "7000" * 8
SPAN = "80a3" * 4
SCORE = {"id": "s1", "traceId": TRACE, "observationId": SPAN, "name": "helpful", "value": 0.9}


@pytest.fixture(scope="module")
def http(collector: Serving) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=collector.url) as client:
        yield client


def evaluations(store: Path, name: str) -> list[EvaluationEvent]:
    found = [each for each in stored(store) if isinstance(each, EvaluationEvent)]
    return [each for each in found if each.name == name]


def test_langfuse_is_told_that_its_keys_are_right(http: httpx2.Client) -> None:
    [project] = http.get("/api/public/projects", auth=("pk-lf-1", "sk-lf-1")).json()["data"]
    assert project.keys() >= {"id", "name", "organization", "metadata"}
    assert http.get("/api/public/health").json()["status"] == "OK"


def test_logfire_and_langsmith_are_told_who_is_there(http: httpx2.Client) -> None:
    assert http.get("/v1/info").json().keys() >= {"project_name", "project_url"}
    assert http.get("/info").json()["version"]


def test_scores_are_evaluations(http: httpx2.Client, store: Path) -> None:
    word = {**SCORE, "id": "s2", "value": "good", "comment": "why not", "metadata": {"by": "me"}}
    for _ in range(2):  # sent again, they are the same
        answer = http.post("/api/public/scores", json=[SCORE, word])
        assert (answer.status_code, answer.json()) == (202, {"message": "Accepted"})
    number, label = sorted(evaluations(store, "helpful"), key=lambda each: each.score is None)
    assert (number.score, number.label, number.run_id) == (0.9, None, TRACE)
    assert number.parent_id == label.parent_id == event_id_of(TRACE, SPAN)
    assert (label.score, label.label, label.explanation) == (None, "good", "why not")
    assert label.metadata == {"by": "me"}


def test_one_score_alone(http: httpx2.Client, store: Path) -> None:
    alone = {"traceId": TRACE, "name": "alone", "value": True, "timestamp": "2026-01-02T03:04:05"}
    assert http.post("/api/public/scores", json=alone).status_code == 200
    [kept] = evaluations(store, "alone")
    assert (kept.score, kept.parent_id, kept.timestamp.year) == (1.0, None, 2026)


def test_scores_of_older_sdks(http: httpx2.Client, store: Path) -> None:
    batch = [
        {"id": "e1", "type": "score-create", "body": {**SCORE, "id": "s3", "name": "older"}},
        {"id": "e2", "type": "trace-create", "body": {"id": TRACE}},
        {"id": "e3", "type": "score-create", "body": {"name": "older", "value": 1}},
    ]
    answer = http.post("/api/public/ingestion", json={"batch": batch})
    assert answer.status_code == 207
    assert answer.json()["successes"] == [{"id": "e1", "status": 201}]
    words = {each["id"]: each["message"] for each in answer.json()["errors"]}
    assert words.keys() == {"e2", "e3"}
    assert "version 3" in words["e2"]
    assert "traceId" in words["e3"]
    assert len(evaluations(store, "older")) == 1


@pytest.mark.parametrize(
    "bad", [{"name": "x", "value": 1}, {**SCORE, "name": 7}, {**SCORE, "value": None}, 7, "x", None]
)
def test_what_is_no_score_is_refused_alone(http: httpx2.Client, store: Path, bad: Any) -> None:
    good = {**SCORE, "id": f"beside {bad}", "name": f"beside {bad}"}
    answer = http.post("/api/public/scores", json=[bad, good])
    assert answer.status_code == 207
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (1, 1)
    assert len(evaluations(store, f"beside {bad}")) == 1
    assert http.post("/api/public/scores", json=bad).status_code == 400


@pytest.mark.parametrize("path", ["scores", "ingestion", "media"])
@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 100_000, b'{"batch": 7}'])
def test_bodies_that_are_none(http: httpx2.Client, path: str, body: bytes) -> None:
    answer = http.post(f"/api/public/{path}", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_no_media_is_wanted(http: httpx2.Client) -> None:
    answer = http.post("/api/public/media", json={"sha256Hash": "ab+/" * 11, "contentType": "x/y"})
    assert answer.status_code == 201
    assert answer.json() == {"mediaId": "ab-_ab-_ab-_ab-_ab-_ab", "uploadUrl": None}
