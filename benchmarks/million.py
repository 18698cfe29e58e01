"""
A store of as many realistic events as one likes: ``python -m benchmarks.million STORE [EVENTS]``.

Written through the store's own writer; interrupted, it goes on where it was. The same numbers give
the same events, but for their times, which end now.
"""

from __future__ import annotations

import random
import sys
import time
from bisect import bisect
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate
from pathlib import Path

from llmobs.events import (
    AgentStepEvent,
    ErrorInfo,
    EvaluationEvent,
    Event,
    PromptCallEvent,
    RunEvent,
    ToolCallEvent,
)
from llmobs.store.reader import Reader
from llmobs.store.writer import Writer

EVENTS_OF_A_RUN = 5
BATCH_RUNS = 400
LENGTH = timedelta(days=30)
LONG_RUN = "run-of-10000-events"
RARE = "zyxomma"
"""A word in one of 50,000 events."""
COMMON = "the"
"""A word in every call."""

MODELS = ("gpt-5-mini", "gpt-5", "claude-sonnet-5", "mistral-large-3")
PROVIDERS = ("openai", "openai", "anthropic", "mistral")
ROUTES = tuple(f"POST /{name}" for name in (
    "chat", "search", "summaries", "tickets/{id}/answer", "translate", "agents/run", "classify",
    "extract", "mail/draft", "reports", "speech", "embeddings",
))  # fmt: skip
PROJECTS = ("shop", "support", "lab")
PROJECT_SHARES = (0.7, 0.95, 1.0)
USERS = 5_000
ERRORS = (
    ("RateLimitError", "429: rate limit reached for requests per minute, retry in 2 s"),
    ("APITimeoutError", "request timed out after 60 s"),
    ("BadRequestError", "this model's maximum context length is 128000 tokens"),
)
RATED = 4
"""One run in so many is rated."""
RATINGS = (("thumbs", "user"), ("helpful", "model"), ("grounded", "model"))
HANZI = "".join(map(chr, range(0x4E00, 0x4E00 + 600)))


@cache
def _words() -> tuple[list[str], list[float]]:
    rng = random.Random(7)
    letters, starts = "etaoinshrdlucmfwypvbgk", "tasbcdfmprwl"
    words = [COMMON, "of", "and", "to", "refund", "order", "customer", "parcel", "price", "model"]
    known = set(words)
    while len(words) < 30_000:
        word = rng.choice(starts) + "".join(rng.choices(letters, k=rng.randint(2, 8)))
        if word not in known:
            known.add(word)
            words.append(word)
    return words, list(accumulate(1 / (rank + 3) for rank in range(len(words))))


@cache
def _sentences() -> list[str]:
    """A stock of sentences: texts are put together of them, else making them took longer than writing."""
    rng = random.Random(11)
    words, shares = _words()
    made = []
    for number in range(20_000):
        if number % 20 == 0:
            made.append("".join(rng.choices(HANZI, k=rng.randint(12, 30))) + "。")
        else:
            some = [
                words[bisect(shares, rng.random() * shares[-1])] for _ in range(rng.randint(6, 16))
            ]
            made.append(" ".join(some).capitalize() + ".")
    return made


@cache
def _prompts() -> list[dict[str, str]]:
    rng = random.Random(13)
    return [
        {"role": "system", "content": f"You are assistant {n} of the shop. {_text(rng, 14)}"}
        for n in range(12)
    ]


def _text(rng: random.Random, sentences: int) -> str:
    return " ".join(rng.choices(_sentences(), k=sentences))


def events_of(number: int, began: datetime) -> Iterator[Event]:
    """Yield the events of the run with this number, which began then."""
    rng = random.Random(number)
    run_id = f"run-{number:09d}"
    model = min(int(rng.expovariate(1.0)), 3)
    route = min(int(rng.expovariate(0.4)), len(ROUTES) - 1)
    user = min(int(rng.expovariate(6 / USERS)), USERS - 1)
    project = PROJECTS[bisect(PROJECT_SHARES, rng.random() * 0.999999)]
    shared = {
        "run_id": run_id, "project_id": project, "user_id": f"user-{user}",
        "session_id": f"session-{number // 3}", "service_name": project, "environment": "production",
        "release": f"v{1 + number // 50_000}",
    }  # fmt: skip
    word = f"marker{number}"
    if number % 10_000 == 17:
        word += f" {RARE}"
    question = f"{word} {COMMON} {_text(rng, 3)}"
    is_failed = rng.random() < 0.01
    error = (
        ErrorInfo(type=(found := rng.choice(ERRORS))[0], message=found[1]) if is_failed else None
    )
    messages: list[dict[str, str]] = [_prompts()[route], {"role": "user", "content": question}]
    at = began
    took = 0.0
    for turn in range(2):
        latency = rng.lognormvariate(7, 0.7)
        failed = error if turn else None
        answer = "" if failed else f"{COMMON} {_text(rng, 4)}"
        yield PromptCallEvent(
            event_id=f"{run_id}-{turn}", timestamp=at, model=MODELS[model], provider=PROVIDERS[model],
            prompt=list(messages), response=answer, latency_ms=latency,
            time_to_first_token_ms=latency / 4, tokens_input=300 + 90 * turn,
            tokens_output=None if failed else 90, cost_usd=None if failed else 0.0004 * (model + 1),
            status="error" if failed else "success", error=failed, **shared,
        )  # fmt: skip
        at += timedelta(milliseconds=latency)
        took += latency
        messages += [
            {"role": "assistant", "content": answer},
            {"role": "user", "content": _text(rng, 2)},
        ]
        if not turn:
            yield ToolCallEvent(
                event_id=f"{run_id}-t", timestamp=at, tool_name="search_orders",
                input={"query": _text(rng, 1)}, output={"found": [_text(rng, 1)]}, latency_ms=35.0, **shared,
            )  # fmt: skip
    yield AgentStepEvent(
        event_id=f"{run_id}-s", timestamp=at, step_name="decide", step_type="decision",
        input_data={"question": word}, output_data={"next": _text(rng, 1)}, latency_ms=4.0, **shared,
    )  # fmt: skip
    yield RunEvent(
        event_id=f"{run_id}-r", timestamp=began, name=ROUTES[route], kind="http",
        status="error" if is_failed else "success", http_status=500 if is_failed else 200,
        latency_ms=took + 40, tags=("prod", "eu-west"), **shared,
    )  # fmt: skip


def rating_of(number: int, run: Event) -> EvaluationEvent:
    """Return what somebody said of the run with this number, a day later."""
    rng = random.Random(-1 - number)
    name, source = rng.choice(RATINGS)
    score = float(rng.random() < 0.8) if source == "user" else round(rng.random(), 2)
    return EvaluationEvent(
        event_id=f"{run.run_id}-e", run_id=run.run_id, timestamp=run.timestamp + timedelta(days=1),
        name=name, score=score, label="good" if score > 0.5 else "bad", source=source,
        project_id=run.project_id, standalone=True,
    )  # fmt: skip


def long_run(began: datetime, events: int = 10_000) -> Iterator[Event]:
    """Yield a run of so many events."""
    rng = random.Random(17)
    shared = {"run_id": LONG_RUN, "project_id": "shop", "user_id": "user-0", "session_id": "long"}
    for number in range(events - 1):
        yield AgentStepEvent(
            event_id=f"long-{number}", timestamp=began + timedelta(milliseconds=250 * number),
            step_name=f"step {number % 40}", step_type="decision", step_number=number,
            input_data={"question": _text(rng, 1)}, output_data={"next": _text(rng, 1)},
            latency_ms=200.0, **shared,
        )  # fmt: skip
    yield RunEvent(
        event_id="long-r", timestamp=began, name="POST /agents/run", kind="http", status="success",
        http_status=200, latency_ms=250.0 * events, **shared,
    )  # fmt: skip


def fill(path: Path, events: int, *, say: bool = False) -> None:
    """Bring the store at *path* to *events* events, and a run of 10,000 where there are that many."""
    runs = events // EVENTS_OF_A_RUN
    writer = Writer(path)
    try:
        with Reader(path) as reader:
            done = reader.count_runs()
            ended = datetime.now(UTC)
            first = reader.info().oldest
        began = first or ended - LENGTH
        apart = LENGTH / max(runs, 1)
        number = done
        at = time.monotonic()
        while number < runs:
            batch: list[Event] = []
            for one in range(number, min(number + BATCH_RUNS, runs)):
                batch += events_of(one, began + apart * one)
                if one % RATED == 0:
                    batch.append(rating_of(one, batch[-1]))
            writer.write(batch)
            number = min(number + BATCH_RUNS, runs)
            if say and number % (25 * BATCH_RUNS) == 0:
                rate = (number - done) * EVENTS_OF_A_RUN / (time.monotonic() - at)
                print(f"{number * EVENTS_OF_A_RUN:,} events, {rate:,.0f}/s", flush=True)
        if events >= 100_000 and done <= runs:
            writer.write(list(long_run(began + LENGTH - timedelta(hours=2))))
    finally:
        writer.close()


if __name__ == "__main__":
    fill(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000, say=True)
