"""What tests of the collector share: bodies on our own wire, and what a store holds of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import httpx2

from llmobs.codec import NATIVE_TYPE, encode
from llmobs.events import Event
from llmobs.store.reader import Reader

HEADERS = {"content-type": NATIVE_TYPE}
NUMBERS = "3456 7890 1234 5678 " * 50
"""A prompt that takes far longer to prepare than to send or to store: a load that calls for a worker."""


def body_of(events: Iterable[Event | bytes]) -> bytes:
    parts = (event if isinstance(event, bytes) else encode(event) for event in events)
    return b'{"events":[' + b",".join(parts) + b"]}"


def post(
    url: str, content: bytes, *, encoding: str | None = None, timeout: float = 30
) -> httpx2.Response:
    headers = {**HEADERS, **({"content-encoding": encoding} if encoding else {})}
    return httpx2.post(f"{url}/v1/events/batch", content=content, headers=headers, timeout=timeout)


def post_as(url: str, events: Iterable[Event], *, key: str | None = None) -> None:
    """Send *events* as somebody with a key, and see that they are on disk."""
    headers = {**HEADERS, **({"authorization": f"Bearer {key}"} if key else {})}
    httpx2.post(
        f"{url}/v1/events/batch", content=body_of(events), headers=headers
    ).raise_for_status()


def stored(path: Path) -> list[Event]:
    with Reader(path) as reader:
        found = [event.decode() for event in reader.events()]
    assert None not in found
    return [event for event in found if event is not None]


def ids(events: Sequence[Event]) -> list[str]:
    return [event.event_id for event in events]
