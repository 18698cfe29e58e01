"""
What capture costs on the request path: per unstreamed call, and per chunk of a stream.

Over a transport without a network, so that nothing but work is measured. First at the transport, where
the cost arises; then through the packages of OpenAI, Anthropic and Google, as what is added to a call of
the plain package, beside the instrumentations of OpenTelemetry, OpenInference and OpenLLMetry. Nobody
exports: what is recorded is queued and thrown away, and the peers get a span processor that only counts.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import Any

import httpx2

from benchmarks.capture import capturing
from benchmarks.capture.answers import ANSWERS, CHUNKS, Answers, ask_openai, play
from benchmarks.capture.sdks import PACKAGES
from benchmarks.capture.timing import Pair, added
from benchmarks.harness import Budget, Result, Samples, interleave

TITLE = (
    "Capture of a model's call: µs of the caller's processor, added per call and per streamed chunk"
)
PEERS = tuple(name for name in capturing.PINS if name != "llmobs")
SHARE = 1 / 3
"""Of what the best peer adds through an SDK."""


def recorder() -> tuple[Any, Any]:
    """
    Return a client that queues and never delivers, and what throws away what it has queued.

    One event stays: the first in an empty queue wakes who delivers, once per batch in an application, and
    would after each call here, where nobody is there to be woken.
    """
    from llmobs import AsyncClient

    client = AsyncClient(sink="memory:", max_queue_bytes=2**33, max_queue_events=10**7)
    client.log_error("first", "in the queue")

    def forget() -> None:
        pipeline = client._pipeline
        assert pipeline is not None and pipeline.intake.last_seq > 1, "nothing was recorded"
        pipeline.intake.reset()
        client.log_error("first", "in the queue")

    return client, forget


def at_the_transport(rounds: int) -> dict[str, float]:
    """The cost where it arises, and what a request to somebody else pays."""
    from llmobs.contrib.httpx import RecordingTransport

    client, forget = recorder()
    plain = Answers("openai")
    recording = RecordingTransport(plain, llmobs_client=client)
    figures: dict[str, float] = {}
    for kind, times, size in (("call", 100, 1), ("chunk", 20, len(ANSWERS["openai"][1]))):
        asked = ask_openai(stream=kind == "chunk")
        with client.run():
            pair = Pair(partial(play, plain, asked), partial(play, recording, asked), forget=forget)
            before, more = added(pair, times=times, rounds=rounds)
        if kind == "chunk":
            more -= figures["transport/call"]
        figures[f"transport/plain/{kind}"], figures[f"transport/{kind}"] = (
            before / size,
            more / size,
        )
    asked = httpx2.Request("POST", "https://shop.example/orders/17", json={"item": "tea"})
    pair = Pair(partial(play, plain, asked), partial(play, recording, asked))
    _, figures["elsewhere/call"] = added(pair, times=200, rounds=rounds)
    return figures


def through_the_sdks(capture: capturing.Capture, rounds: int) -> dict[str, float]:
    """
    What is added to a call of each SDK, in µs and as a share of the plain call beside it.

    Of two processes, one after the other, the shares can be compared: both sides of one are of one moment.
    """
    figures: dict[str, float] = {}
    for sdk, (_, chunks) in ANSWERS.items():
        with capture(sdk, False) as pair:
            call, more = added(pair, times=1, rounds=150 * rounds)
        with capture(sdk, True) as pair:
            stream, all_of_it = added(pair, times=1, rounds=20 * rounds)
        figures[f"{sdk}/plain/call"], figures[f"{sdk}/call"] = call, more
        figures[f"{sdk}/share/call"] = more / call
        figures[f"{sdk}/plain/chunk"] = stream / len(chunks)
        figures[f"{sdk}/chunk"] = (all_of_it - more) / len(chunks)
        figures[f"{sdk}/share/chunk"] = (all_of_it - more) / stream
    return figures


def sample(variant: str, quick: bool) -> dict[str, float]:
    """One who captures: all SDKs, with and without by turns."""
    rounds = 2 if quick else 3
    load = {"load": os.getloadavg()[0]}
    if variant != "llmobs":
        return load | through_the_sdks(capturing.of_peer(), rounds)
    logging.getLogger("llmobs").disabled = True  # that the client never runs is on purpose
    transport = at_the_transport(25 * rounds)
    return load | transport | through_the_sdks(capturing.of_llmobs(*recorder()), rounds)


def _budgets(found: Samples) -> list[Budget]:
    def of(name: str, metric: str) -> float:
        figure = found.median(name, metric)
        assert figure is not None, (name, metric)
        return figure

    budgets = [
        Budget("at the transport, per call", of("llmobs", "transport/call"), 15, "µs"),
        Budget("at the transport, per chunk", of("llmobs", "transport/chunk"), 0.3, "µs"),
        Budget("a request to another host", of("llmobs", "elsewhere/call"), 1, "µs"),
    ]
    peers = [name for name in PEERS if name in found.values]
    for sdk in ANSWERS if peers else ():
        for kind in ("call", "chunk"):
            metric = f"{sdk}/share/{kind}"
            best = min(peers, key=lambda name: of(name, metric))
            share = of("llmobs", metric) / of(best, metric)
            budgets.append(Budget(f"{sdk}, per {kind}, of what {best} adds", share, SHARE))
    return budgets


def run(quick: bool) -> Result:
    """CPU time of the calling thread."""
    names = ("llmobs", *PEERS)
    found = interleave(
        "capture",
        names,
        rounds=1 if quick else 3,
        quick=quick,
        python=capturing.python,
        others=PEERS,
    )

    def row(told: str, name: str, where: str) -> tuple[str, float | None, float | None]:
        return told, found.median(name, f"{where}/call"), found.median(name, f"{where}/chunk")

    rows = [
        row("transport alone: takes", "llmobs", "transport/plain"),
        row("llmobs, at the transport", "llmobs", "transport"),
        row("llmobs, a request to another host", "llmobs", "elsewhere"),
    ]
    for sdk in ANSWERS:
        rows.append(row(f"{sdk} alone: takes", "llmobs", f"{sdk}/plain"))
        rows += [row(f"{sdk}: {name}", name, sdk) for name in found.variants]
    loads = [load for name in found.variants for load in found.values[name]["load"]]
    pins = [pin for name in PEERS if name in found.values for pin in capturing.PINS[name]]
    versions = ", ".join(sorted({pin.replace("==", " ") for pin in (*PACKAGES, *pins)}))
    return Result(
        TITLE,
        ("who captures", "per unstreamed call", f"per chunk of {CHUNKS}"),
        rows,
        _budgets(found),
        "CPU time of the calling thread over a transport without a network, by turns with the plain package in "
        "the same process; what is recorded is thrown away, and peers, who capture contents as we do, get a "
        f"span processor that only counts. Load of the machine meanwhile: {min(loads):.1f} to "
        f"{max(loads):.1f}. Versions: {versions}.",
    )
