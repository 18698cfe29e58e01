"""Faults of an HTTP collector, and what each must do to the events."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from tests.support.faults import Fault
from tests.support.watchllm_server import WatchLLMServer

EVENTS = 40
BATCH = 10
TIMEOUT = 0.5
"""Seconds a request may take; servers that hang or dawdle take longer."""


def named_in_400(*indices: int) -> bytes:
    """What the server says of a batch with bad events."""
    issues = ", ".join(f"events.{index}.prompt: Required" for index in indices)
    return json.dumps({"error": f"Batch validation failed: {issues}"}).encode()


def http_date() -> str:
    """A moment between one and two seconds from now."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)


@dataclass(frozen=True)
class Case:
    """A fault and its outcome."""

    name: str
    make: Callable[[], Fault]
    dropped: dict[str, int] = field(default_factory=dict)
    doubled: int = 0
    """Batches that may arrive twice, because the server kept them and did not say so."""
    patient: float = 0.0
    """Seconds that must lie between the fault and the next request."""
    lasts: bool = False
    """The fault stays until the test takes it away."""

    def __str__(self) -> str:
        return self.name


def answer(status: int, **more: Any) -> Callable[[], Fault]:
    """A fault that answers this status once."""
    return lambda: Fault.answer(status, **more)


CASES = [
    Case("200", lambda: Fault.slow(0.0)),
    Case("202 and nothing more", answer(202)),
    Case("400 naming two events", answer(400, body=named_in_400(1, 7)), {"rejected": 2}),
    Case("400 naming nobody", answer(400, body=b"no"), {"rejected": BATCH}),
    Case("401", answer(401)),
    Case("403", answer(403, body=b'{"error":"wrong project"}')),
    Case("404", answer(404)),
    Case("408", answer(408, times=2)),
    Case("413", answer(413, times=2)),
    Case("429", answer(429, times=3)),
    Case("429 with seconds", answer(429, retry_after=1), patient=0.95),
    Case("503 with a date", lambda: Fault.answer(503, retry_after=http_date()), patient=0.9),
    Case("500", answer(500, body=b"<html>" + b"x" * 100_000, times=2)),
    Case("503", answer(503, times=3)),
    Case("slow, in time", lambda: Fault.slow(TIMEOUT / 2)),
    Case("slow, too late", lambda: Fault.slow(TIMEOUT * 2), doubled=1),
    Case("half open", lambda: Fault.half_open()),
    Case("reset in the body", lambda: Fault.reset(times=2)),
    Case("closed before", lambda: Fault.close(times=2)),
    Case("stored, not answered", lambda: Fault.swallow(times=2), doubled=2),
    Case("wrong JSON", lambda: Fault.wrong_json(times=2)),
    Case("JSON of something else", lambda: Fault.wrong_json(b"[1]")),
    Case("endless headers", lambda: Fault.endless_headers()),
    Case("redirect loop", lambda: Fault.redirect_loop(), lasts=True),
    Case("redirect elsewhere", answer(307, headers={"location": "http://127.0.0.1:9/x"})),
    Case("not a redirect for a body", answer(302, headers={"location": "/v1/events/batch"})),
]


def arrived(server: WatchLLMServer) -> Counter[str]:
    """How often each event was kept: stored, or taken by a 202."""
    kept = [event["event_id"] for event in server.events]
    for request in server.requests:
        if request.status == 202:
            kept += [event["event_id"] for event in json.loads(request.body)["events"]]
    return Counter(kept)


def check_arrivals(case: Case, ids: list[str], server: WatchLLMServer) -> None:
    """All that was not dropped is there; nothing came twice that could have come once."""
    counts = arrived(server)
    assert set(counts) <= set(ids)
    assert len(ids) - len(counts) == sum(case.dropped.values())
    assert max(counts.values()) <= 1 + case.doubled
    assert sum(counts.values()) - len(counts) <= case.doubled * BATCH
    gaps = [b.time - a.time for a, b in zip(server.requests, server.requests[1:], strict=False)]
    assert not case.patient or max(gaps) >= case.patient, gaps
