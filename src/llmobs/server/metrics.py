"""``GET /metrics``: what Prometheus asks for."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol

import anyio
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llmobs.errors import LLMObsError
from llmobs.server.access import access_of, require
from llmobs.server.collector import Collector
from llmobs.store.engine import ReadsStore
from llmobs.store.records import Waiting
from llmobs.store.rollups import Histogram as Times
from llmobs.store.rollups import Sums

__all__ = ["Metrics", "Requests"]

MODELS: Final = 200
"""Models that have figures of their own; calls of all others are counted as ``other``."""
FRESH_SECONDS: Final = 5.0
"""How long what the store says is told again: several may ask, and it reads all its sums."""
SECONDS: Final = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
"""Bounds that OpenTelemetry's conventions advise for how long calls take."""
TOKENS: Final = {
    "input": "tokens_input",
    "output": "tokens_output",
    "cached": "tokens_cached",
    "cache_write": "tokens_cache_write",
    "reasoning": "tokens_reasoning",
}
OTHER: Final = "other"


class Intake(Protocol):
    """What is read from elsewhere: `llmobs.server.kafka.intake.KafkaIntake`."""

    @property
    def state(self) -> str:
        """How it fares, in a word."""
        ...

    @property
    def stored(self) -> int:
        """Records that are in the store."""
        ...

    @property
    def dead(self) -> int:
        """Records that nobody could read."""
        ...

    @property
    def lag(self) -> int:
        """Records known to wait."""
        ...


class Requests:
    """Counts requests: how many, how long they took, and those refused before anybody looked at them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "llmobs_request_duration_seconds",
            "How long requests took.",
            ("method", "route"),
            registry=registry,
        )
        self._answers = Counter(
            "llmobs_requests", "Requests, by how they were answered.", ("method", "route", "status"),
            registry=registry,
        )  # fmt: skip
        self._refused = Counter(
            "llmobs_requests_refused",
            "Requests refused at the door.",
            ("reason",),
            registry=registry,
        )

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one that was answered; *method* and *route* are of those that the server knows."""
        self._seconds.labels(method, route).observe(seconds)
        self._answers.labels(method, route, str(status)).inc()

    def refuse(self, reason: str) -> None:
        """Count one that was refused for *reason*, a word of ours."""
        self._refused.labels(reason).inc()


class Metrics:
    """
    What there is to measure, for one server.

    The figures of models come from the sums that the store keeps by the hour. So they hold what every
    process wrote there, once, however often it was sent, and go on after a restart.

    Args:
        collector: What takes events.
        open_store: Opens the store for reading. Called in a thread.
        intakes: What reads from elsewhere.
        waiting: Returns how far the index of texts is; None for not known.
    """

    def __init__(
        self,
        collector: Collector,
        open_store: Callable[[], ReadsStore],
        intakes: Sequence[Intake] = (),
        waiting: Callable[[], Waiting | None] = lambda: None,
    ) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.requests = Requests(self.registry)
        self._collector = collector
        self._open_store = open_store
        self._intakes = intakes
        self._waiting = waiting
        self._lock = anyio.Lock()
        self._models: set[str] = set()
        self._sums: Mapping[str, Sums] = {}
        self._size: tuple[int, int] | None = None
        self._read_at = -FRESH_SECONDS
        self.registry.register(self)

    def routes(self) -> list[Route]:
        """Return ``GET /metrics``: for keys that read all projects, since it tells of all."""

        async def metrics(request: Request) -> Response:
            require(access_of(request), "read", every_project=True)
            async with self._lock:
                text = await anyio.to_thread.run_sync(self._text)
            return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

        return [Route("/metrics", metrics, methods=["GET"])]

    def _text(self) -> bytes:
        if time.monotonic() - self._read_at > FRESH_SECONDS:
            try:
                with self._open_store() as reader:
                    self._size = reader.size()
                    self._sums = self._bounded(reader.sums_by_model())
            except LLMObsError:
                self._size = None  # the sums stay: counters do not go back to nothing
            self._read_at = time.monotonic()
        return generate_latest(self.registry)

    def _bounded(self, found: Mapping[str | None, Sums]) -> Mapping[str, Sums]:
        """Return *found* with no more names than there may be; who has a name keeps it."""
        bounded: dict[str, Sums] = {}
        for key, sums in sorted(found.items(), key=lambda item: -item[1]["calls"]):
            name = (key or "unknown")[:200]
            if name not in self._models and len(self._models) >= MODELS:
                name = OTHER
            self._models.add(name)
            bounded.setdefault(name, Sums()).merge(sums)
        return bounded

    def collect(self) -> Iterator[Metric]:
        """Yield what is not counted as it happens; see prometheus_client."""
        yield from self._of_collector()
        if self._size is not None:
            size, free = self._size
            yield GaugeMetricFamily("llmobs_store_bytes", "Size of the store.", size)
            yield GaugeMetricFamily("llmobs_store_free_bytes", "Of it not in use.", free)
        yield from self._of_models()

    def _of_collector(self) -> Iterator[Metric]:
        collector = self._collector
        yield CounterMetricFamily(
            "llmobs_events_stored", "Events acknowledged since the start.", collector.stored
        )
        refused = CounterMetricFamily(
            "llmobs_events_refused", "Events taken by nobody.", labels=("reason",)
        )
        refused.add_metric(("unstorable",), collector.refused)
        yield refused
        yield CounterMetricFamily(
            "llmobs_redaction_failures",
            "Values, or events, left out since a redactor failed or took too long.",
            collector.redaction_failures,
        )
        yield GaugeMetricFamily("llmobs_queue_events", "Events under way.", collector.room.events)
        yield GaugeMetricFamily("llmobs_queue_bytes", "Of these.", collector.room.bytes)
        yield GaugeMetricFamily(
            "llmobs_store_up", "1: the store can be used.", int(collector.trouble is None)
        )

        if (waiting := self._waiting()) is not None:
            yield GaugeMetricFamily(
                "llmobs_texts_waiting", "Events whose texts are not indexed yet.", waiting.events
            )
        if self._intakes:
            records = CounterMetricFamily(
                "llmobs_kafka_records", "Records read from Kafka.", labels=("outcome",)
            )
            records.add_metric(("stored",), sum(intake.stored for intake in self._intakes))
            records.add_metric(("dead",), sum(intake.dead for intake in self._intakes))
            yield records
            yield GaugeMetricFamily(
                "llmobs_kafka_lag", "Records known to wait.", sum(i.lag for i in self._intakes)
            )
            yield GaugeMetricFamily(
                "llmobs_kafka_up", "1: all that is read from Kafka is stored as it comes.",
                int(all(intake.state == "reading" for intake in self._intakes)),
            )  # fmt: skip

    def _of_models(self) -> Iterator[Metric]:
        calls = CounterMetricFamily(
            "llmobs_calls", "Calls of models.", labels=("gen_ai_request_model", "outcome")
        )
        tokens = SummaryMetricFamily(
            "gen_ai_client_token_usage",
            "Tokens; cached and cache_write are part of input, reasoning of output.",
            labels=("gen_ai_request_model", "gen_ai_token_type"),
        )
        cost = CounterMetricFamily(
            "llmobs_cost_usd", "Known costs, US dollars.", labels=("gen_ai_request_model",)
        )
        unpriced = CounterMetricFamily(
            "llmobs_calls_unpriced", "Answered calls without a known cost.",
            labels=("gen_ai_request_model",),
        )  # fmt: skip
        durations = HistogramMetricFamily(
            "gen_ai_client_operation_duration_seconds",
            "How long calls that did not fail took.",
            labels=("gen_ai_request_model",),
        )
        first = HistogramMetricFamily(
            "gen_ai_client_operation_time_to_first_chunk_seconds",
            "How long streamed answers took to begin.",
            labels=("gen_ai_request_model",),
        )
        for model, sums in sorted(self._sums.items()):
            calls.add_metric((model, "failed"), sums["failed"])
            calls.add_metric((model, "ok"), sums["calls"] - sums["failed"])
            for kind, name in TOKENS.items():
                tokens.add_metric((model, kind), sums["calls"], sums[name])
            cost.add_metric((model,), sums["cost_nano"] / 1e9)
            unpriced.add_metric((model,), sums["unpriced"])
            durations.add_metric((model,), _buckets(sums.latencies), sums["latency_micro"] / 1e6)
            first.add_metric((model,), _buckets(sums.first_tokens), None)
        yield from (calls, tokens, cost, unpriced, durations, first)


def _buckets(times: Times) -> list[tuple[str, float]]:
    counts = times.up_to([1000 * bound for bound in SECONDS])
    found: list[tuple[str, float]] = [
        (str(bound), count) for bound, count in zip(SECONDS, counts, strict=True)
    ]
    return [*found, ("+Inf", len(times))]
