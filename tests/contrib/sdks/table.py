"""What a row of the table says: an SDK, its versions, how it is recorded, and what it cannot do."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.contrib.sdks import rows

SCENARIOS: Mapping[str, str] = {
    "plain": "a whole answer",
    "stream": "a streamed one, with its usage where that has to be asked for",
    "tools": "a tool called",
    "parallel_tools": "two tools called at once",
    "reasoning": "an answer that was thought about",
    "cached_tokens": "a prompt whose beginning the provider knew",
    "embeddings": "vectors of texts",
    "error_4xx": "the provider refuses",
    "error_5xx": "the provider fails",
    "error_in_stream": "the provider fails in the middle of a stream",
    "early_close": "the host leaves a stream after its first piece",
    "cancel": "the task that reads a stream is cancelled",
    "retry": "the SDK asks again after an error",
    "raw_response": "the SDK's way to the response as it came",
    "gather": "20 calls at once, each in a run of its own",
    "threads": "the same from threads",
}
"""What every row does, or says why it cannot."""


UNTOLD: Mapping[str, str] = {
    "thinking": "the text of the reasoning",
    "reasoning": "how many tokens were thought",
    "cache_read": "which tokens the provider knew",
    "cache_write": "which tokens it keeps",
    "http_status": "the status of an answer (101, which made a WebSocket of the request)",
    "why": "why an attempt failed that is made again (the package throws its answer away unread)",
    "attempt": "that a request is a second attempt (each counts as a first)",
}
"""What a row may leave out because nobody says it, and how the page calls that."""


@dataclass(frozen=True)
class Row:
    """One way to ask with an SDK."""

    name: str
    """As the page calls it: the client or the method."""
    script: Callable[[str], Any]
    """Makes its scenarios, given the server's address: see the package's docstring."""
    provider: str
    host: str = ""
    """Where the provider answers, if that tells who it is: there the script's address leads to the server."""
    without: Mapping[str, str] = field(default_factory=dict)
    """Scenarios that it has not, and why."""
    untold: frozenset[str] = frozenset()
    """What neither the wire nor the SDK tells: names in `UNTOLD`."""
    endings: Mapping[str, str] = field(
        default_factory=lambda: {"stop": "stop", "tools": "tool_calls", "length": "length"}
    )
    """The provider's words for how an answer ended; what is not here is not compared."""
    made_up: str = r"(?!)"
    """What the SDK itself makes up anew each time (ids, times): a pattern, not compared."""
    not_captured: str = ""
    """What is not recorded of it, and why; a sentence for the page."""


@dataclass(frozen=True)
class Sdk:
    """One package, in the versions that are tried."""

    package: str
    versions: tuple[tuple[str, ...], ...]
    """What is installed for each, newest first; the first of each is the package itself."""
    door: str
    """The function, called without arguments, that has it recorded."""
    rows: tuple[Row, ...]
    only: str = ""
    """Why there is no previous major version among them, a sentence for the page; empty if there is."""


@dataclass(frozen=True)
class Trial:
    """One version of one SDK."""

    module: str
    sdk: Sdk
    packages: tuple[str, ...]

    @property
    def version(self) -> str:
        return self.packages[0].rpartition("==")[2]

    def __str__(self) -> str:
        return f"{self.sdk.package}-{self.version}"


def sdk_of(module: str) -> Sdk:
    """Return what a module of `rows` says."""
    found: Sdk = importlib.import_module(f"{rows.__name__}.{module}").SDK
    return found


def trials() -> list[Trial]:
    """Return every version of every SDK."""
    modules = sorted(each.name for each in pkgutil.iter_modules(rows.__path__))
    modules.remove("shared")
    return [
        Trial(module, sdk, packages)
        for module in modules
        for sdk in (sdk_of(module),)
        for packages in sdk.versions
    ]
