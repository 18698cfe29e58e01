"""What a mounted viewer writes, apart from any request: the index of texts, and what people say of runs."""

import os
import threading
import time
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Final

from llmobs.client.sync_client import Client
from llmobs.errors import LLMObsError
from llmobs.events import EvaluationEvent
from llmobs.runtime.forks import ForkLock
from llmobs.runtime.troubles import Troubles
from llmobs.settings import Settings
from llmobs.sinks.sqlite import SQLiteSink
from llmobs.store.engine import open_reader
from llmobs.viewer.feedback import FormError, evaluation_of, subject_of
from llmobs.viewer.page import Page, Site, trouble

__all__ = ["index_behind", "not_taken", "rate"]

MOST_SECONDS: Final = 10.0
"""That are spent at most on indexing after one look; the next look goes on."""
REST: Final = 2
"""Times as long as a step took: the application's requests need the processor more."""
PAUSE_SECONDS: Final = 2.0
"""Between two looks for what is not indexed: nobody's every click costs one."""
STORE_SECONDS: Final = 10.0
"""In which an evaluation is stored, or its sender told that it is not."""

_troubles = Troubles()
_lock = ForkLock()
_ended: dict[tuple[int, Path], float] = {}
"""When this process ended indexing a store; infinite while it goes on, which it does not in a forked child."""


def index_behind(store: Path) -> None:
    """
    Have what is new in *store* indexed, so that the next search finds it; returns at once.

    In a thread of its own, one per store, in steps of some ten milliseconds between which it rests for longer.
    A collector on the same store may do the same at the same time.
    """
    key = os.getpid(), store
    now = time.monotonic()
    with _lock:
        if key in _ended and now < _ended[key] + PAUSE_SECONDS:
            return
        _ended[key] = inf
    thread = threading.Thread(target=_index, args=key, name="llmobs-index", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the process ends, or has too many
        _ended[key] = now


def _index(process: int, store: Path) -> None:
    until = time.monotonic() + MOST_SECONDS
    try:
        with open_reader(store) as reader:
            while time.monotonic() < until and threading.main_thread().is_alive():
                begun = time.monotonic()
                if not reader.index_texts().events:
                    break
                time.sleep(REST * (time.monotonic() - begun))
    except LLMObsError as error:
        _troubles.log("texts", "llmobs: texts cannot be indexed: %s", error)
    except Exception as error:  # noqa: BLE001 - the thread is nobody's
        _troubles.log("texts", "llmobs: texts cannot be indexed: %r", error)
    finally:
        _ended[process, store] = time.monotonic()


def rate(store: Path, form: Mapping[str, str], project: str | None, settings: Settings) -> None:
    """
    Store what a form of the viewer says; blocking.

    Args:
        store: The one that is shown.
        form: Its fields.
        project: The one project whose runs may be seen; None: any.
        settings: Of the application's client.

    Raises:
        FormError: It is about nothing that is there, or says nothing.
        LLMObsError: The store cannot be read, or the evaluation not be stored in time.
    """
    with open_reader(store) as reader:
        subject = subject_of(reader, form, project)
    _store_evaluation(store, evaluation_of(form, subject), settings)


def not_taken(site: Site, error: FormError | LLMObsError) -> Page:
    """Return the page that says why a form was not taken; what only its owner can mend is logged."""
    if isinstance(error, FormError):
        return trouble(site, error.status, "This was not taken", str(error))
    _troubles.log("rating", "llmobs: an evaluation cannot be stored: %s", error)
    words = "The store cannot be written now; the log of whoever serves this page says why."
    return trouble(site, 503, "This was not taken", words)


def _store_evaluation(store: Path, event: EvaluationEvent, settings: Settings) -> None:
    """
    Put what somebody said of a run into *store*, redacted as the settings say; blocking.

    Args:
        store: The one that is shown, which need not be the one that the application writes to.
        event: What was said.
        settings: Of the application's client.

    Raises:
        DeliveryError: It could not be stored in time.
    """
    own = {
        "sink": SQLiteSink(store),
        "redact_pii": settings.redact_pii,
        "redactor": settings.redactor,
        "redaction": settings.redaction,
        "capture_content": "full",  # who writes a comment wants it to be read
        "sample_rate": 1.0,
        "tail_sampling": None,
        "spool_dir": None,
        "stages": (),
        "enabled": True,
        "shutdown_timeout": STORE_SECONDS,
    }
    with Client(**own) as client:
        client.send(event, STORE_SECONDS)
