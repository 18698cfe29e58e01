"""A backup of a store that a collector fills: what was acknowledged before it is in it, and it can be served."""

import json
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from llmobs.codec import NATIVE_TYPE, encode
from llmobs.store.reader import Reader
from tests.support.polling import eventually
from tests.support.serving import Serving
from tests.support.stores import call

PER_BATCH = 50


def post(url: str, events: list[object]) -> None:
    body = b'{"events": [%s]}' % b",".join(encode(event) for event in events)
    request = urllib.request.Request(f"{url}/v1/events/batch", body, {"content-type": NATIVE_TYPE})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["stored"] == len(events)


def ids_in(store: Path) -> set[str]:
    with Reader(store) as reader:
        return {event.event_id for stored in reader.events() if (event := stored.decode())}


def test_backup_under_load_and_restore(tmp_path: Path) -> None:
    store = tmp_path / "llmobs.db"
    acknowledged: list[str] = []
    slowest = 0.0
    ended = threading.Event()
    with Serving(store, "--access-log", "off") as server:

        def send(number: int) -> None:
            nonlocal slowest
            while not ended.is_set():
                events = [call(f"run-{number}", prompt="p" * 2_000) for _ in range(PER_BATCH)]
                begun = time.monotonic()
                post(server.url, list(events))
                slowest = max(slowest, time.monotonic() - begun)
                acknowledged.extend(event.event_id for event in events)

        senders = [threading.Thread(target=send, args=(n,)) for n in range(2)]
        for sender in senders:
            sender.start()
        try:
            copies = []
            for number in range(2):
                eventually(lambda: len(acknowledged) >= 500 * (number + 1), timeout=60)  # noqa: B023
                before = set(acknowledged)
                copy = tmp_path / f"copy-{number}.db"
                subprocess.run(
                    [sys.executable, "-m", "llmobs", "store", "backup", str(copy), "--store", str(store)],
                    check=True, capture_output=True, timeout=120,
                )  # fmt: skip
                copies.append((copy, before, set(acknowledged)))
        finally:
            ended.set()
            for sender in senders:
                sender.join(60)
    assert slowest < 8
    for copy, before, _ in copies:
        found = ids_in(copy)
        assert before <= found <= set(acknowledged) | found
        assert len(found) % PER_BATCH == 0, "whole batches: it is of one moment"
    (last, before, _) = copies[-1]
    last.rename(store)  # as docs/how-to/serve.md restores
    for ending in ("-wal", "-shm"):
        store.with_name(f"{store.name}{ending}").unlink(missing_ok=True)
    with Serving(store, "--access-log", "off") as server:
        post(server.url, [call("after the restore", event_id="after")])
    assert before | {"after"} <= ids_in(store)
