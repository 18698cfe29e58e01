"""
The other SDKs, each in an environment of its own and each with the same verbs.

A peer is a module here named as in `PINS`, with ``HOW`` (one sentence: how it is driven) and
``make(url) -> Peer``. It is installed on demand, below ``.cache/benchmarks``; neither its packages
can shadow ours nor ours its. Nothing of a peer is imported before `make`.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from benchmarks import CACHE, ROOT

PINS: dict[str, tuple[str, ...]] = {
    "opentelemetry": (
        "opentelemetry-sdk==1.45.2",
        "opentelemetry-exporter-otlp-proto-http==1.45.2",
    ),
    "langsmith": ("langsmith==0.15.0",),
    "langfuse": ("langfuse==5.0.4",),
    "logfire": ("logfire==5.2.0",),
}
"""What to install for each; what they need in turn comes as in ``constraints.txt``, if it is there."""
NAMES = tuple(PINS)

_WITH_THEM = ("uvicorn",)
"""What rows need beside a peer, in the version of ``constraints.txt``."""

_BESIDE_OURS: dict[str, tuple[str, ...]] = {
    "asgi-correlation-id": ("asgi-correlation-id==5.0.1",),
    "django-structlog": (
        "django-structlog==11.0.0", "structlog==26.1.0", "django-ipware==8.0.0",
        "python-ipware==4.1.1",
    ),
    "opentelemetry-instrumentation-django": (
        "opentelemetry-instrumentation-django==0.66b2",
        "opentelemetry-instrumentation-wsgi==0.66b2",
    ),
    "sentry-sdk": ("sentry-sdk==2.75.0",),
}  # fmt: skip
"""Peers that share a process with us, and what they need: of a middleware, microseconds count."""


class Peer(Protocol):
    """A client at its defaults, ready to send to the collector. All of it is synchronous."""

    def log(
        self, run_id: str, prompt: str, model: str, response: str, tokens_input: int,
        tokens_output: int, latency_ms: float, *, cost_usd: float, metadata: dict[str, Any],
        tags: list[str],
    ) -> None: ...  # fmt: skip

    def flush(self) -> None:
        """Whatever it has for waiting until all is delivered."""

    def close(self) -> None:
        """Whatever it has for the end."""


class NotInstalledError(RuntimeError):
    """A peer could not be installed here."""


def make(name: str, url: str) -> Peer:
    """Make the client of peer *name*; to be called with the interpreter `python` returned for it."""
    peer: Peer = importlib.import_module(f"benchmarks.peers.{name}").make(url)
    return peer


def python(name: str) -> str:
    """
    Return the interpreter of the environment of peer *name*, made now if need be.

    Raises:
        NotInstalledError: It could not be; the message says why.
    """
    return str(environment(name, (*PINS[name], *_WITH_THEM)))


def environment(name: str, wanted: Sequence[str], *, as_ours: bool = True) -> Path:
    """
    Return the interpreter of the environment *name*, made now if need be, with *wanted* in it.

    Args:
        name: Names its folder.
        wanted: What pip would be asked for.
        as_ours: With the versions that ours has of what both need. A server, which shares nothing
            with us but the wire, takes what it likes.

    Raises:
        NotInstalledError: It could not be made; the message says why.
    """
    home = CACHE / "peers" / name
    interpreter = home / "bin" / "python"
    if not _is_current(home, wanted):
        _uv("venv", "--clear", "--python", sys.executable, str(home))
        constraint = ("--constraint", "constraints.txt") if as_ours else ()
        _uv("pip", "install", *constraint, "--compile-bytecode",
            "--python", str(interpreter), *wanted)  # fmt: skip
        _note(home, wanted)
    return interpreter


def beside_ours(name: str) -> None:
    """Make one peer importable in this process, after all of ours."""
    target, wanted = CACHE / "beside" / name, _BESIDE_OURS[name]
    if not _is_current(target, wanted):
        _uv("pip", "install", "--no-deps", "--target", str(target), "--python", sys.executable,
            *wanted)  # fmt: skip
        _note(target, wanted)
    sys.path.append(str(target))


def notes(variants: Iterable[str], ours: Iterable[str] = ("llmobs",)) -> str:
    """Which versions were measured, and how the peers among *variants* were driven."""
    told = [f"{name} {version(name)}" for name in ours]
    for name in variants:
        if name in PINS:
            pins = " and ".join(pin.replace("==", " ") for pin in PINS[name])
            how = importlib.import_module(f"benchmarks.peers.{name}").HOW
            told.append(f"{pins}: {how}")
    return (
        f"Versions: {'; '.join(told)}. Peers run with their defaults in environments of their own."
    )


def _is_current(home: Path, pins: Iterable[str]) -> bool:
    noted = home / ".pins"
    return noted.exists() and json.loads(noted.read_text()) == list(pins)


def _note(home: Path, pins: Iterable[str]) -> None:
    (home / ".pins").write_text(json.dumps(list(pins)))


def _uv(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uv", *arguments, "--quiet"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode != 0:
        raise NotInstalledError((done.stderr.strip().splitlines() or ["no reason given"])[-1])
