"""
A process that reads and prepares bodies for the collector's, and files their events:
``python -P -m llmobs.server.worker``.

It takes jobs from its standard input and answers on its standard output, one after the other, and
ends when its input does: when the collector wants, and when the collector is no more. Each message is
its length in eight bytes, and MessagePack.
"""

from __future__ import annotations

import gc
import os
import signal
import struct
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, BinaryIO, Final

import msgspec

from llmobs.server.bodies import RefusedError
from llmobs.server.preparing import Preparation, ReadsBody
from llmobs.settings import Settings
from llmobs.store.filed import Filed, file

__all__ = ["Done", "Job", "Refusal", "Start", "frame", "main", "name_of", "receive"]

_READERS: Final = (
    "llmobs.server.kafka.records",
    "llmobs.server.native",
    "llmobs.server.otlp.json_",
    "llmobs.server.otlp.protobuf",
    "llmobs.server.watchllm.reading",
)
"""Loaded before the first job; any other is found when it is asked for."""
_LENGTH: Final = struct.Struct("!Q")


class Start(msgspec.Struct):
    """The first message to it."""

    key: bytes
    """What identifiers are renamed by, as the collector does."""


class Job(msgspec.Struct):
    """A body."""

    read: str
    """The function that reads it, ``module:name``."""
    project: str | None
    """Whose its events are; None: as they say."""
    salt: bytes
    """Of the store they are for."""
    body: bytes


class Refusal(msgspec.Struct):
    """What a `RefusedError` says."""

    status: int
    message: str
    field: str | None
    retry_after: float | None


class Done(msgspec.Struct):
    """What became of a job."""

    result: bytes = b""
    """
    What was read, without its events; empty where it was refused, or something failed that is for
    the collector to see.
    """
    filed: list[Filed] = []
    """The events."""
    refusal: Refusal | None = None
    failures: int = 0
    """Of redaction, with this job."""


_encoder = msgspec.msgpack.Encoder()


def frame(message: Start | Job | Done) -> bytearray:
    """Return *message* as it is sent."""
    buffer = bytearray(_LENGTH.size)
    _encoder.encode_into(message, buffer, _LENGTH.size)  # bodies are large: not copied once more
    _LENGTH.pack_into(buffer, 0, len(buffer) - _LENGTH.size)
    return buffer


def receive(source: BinaryIO) -> bytes:
    """
    Return the next message that comes from *source*.

    Raises:
        EOFError: None comes any more.
    """
    head = source.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    length = _LENGTH.unpack(head)[0]
    data = source.read(length)
    if len(data) < length:
        raise EOFError
    return data


def name_of(read: ReadsBody[Any]) -> str:
    """Return the name of *read*, by which another process finds it."""
    return f"{read.__module__}:{read.__qualname__}"


def _found(name: str) -> ReadsBody[Any]:
    module, _, function = name.partition(":")
    found: ReadsBody[Any] = getattr(import_module(module), function)
    return found


def _done(preparation: Preparation, job: Job) -> Done:
    before = preparation.failures
    done = Done()
    try:
        found = preparation.read(_found(job.read), job.body, job.project)
        filed = [file(event, job.salt) for event in found.events]
        found.events = []
        done.result, done.filed = _encoder.encode(found), filed
    except RefusedError as error:
        done.refusal = Refusal(error.status, error.message, error.field, error.retry_after)
    except Exception:  # noqa: BLE001, S110 - the collector does it again, and reports it as its own
        pass
    done.failures = preparation.failures - before
    return done


def main() -> None:
    """Work until the input ends."""
    # The terminal's Ctrl-C and a supervisor's SIGTERM reach it, too: what is under way goes on. (Blocked
    # since it was started, where there are masks; now nothing of that waits.)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anybody prints is no message
    decode = msgspec.msgpack.Decoder(Job).decode
    try:
        start = msgspec.msgpack.decode(receive(source), type=Start)
        preparation = Preparation(Settings(), key=start.key)
        preparation.warm_up()
        for module in _READERS:
            with suppress(ImportError):  # what is not installed sends no jobs
                import_module(module)
        gc.freeze()  # as in `llmobs.server.command`
        target.write(frame(Done()))
        target.flush()
        while True:
            target.write(frame(_done(preparation, decode(receive(source)))))
            target.flush()
    except (EOFError, BrokenPipeError):
        os._exit(0)  # nothing here is worth a word: the collector is gone, or wants no more


if __name__ == "__main__":
    main()
