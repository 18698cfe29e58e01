"""
What an application under test recorded, counted outside llmobs.

A file opened with O_APPEND survives whatever ends the process. A module of its own: applications
start without pytest.
"""

import os
from typing import Any

COST: Any = {} if "TEST_LOOKS_FOR_PRICES" in os.environ else {"cost_usd": 0.01}
"""Said with calls of a model: looking for a price takes each process half a second."""


class Ledger:
    """The application's own note of what it recorded; safe across threads and processes."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, event_id: str) -> None:
        os.write(self._file, f"{event_id}\n".encode())
