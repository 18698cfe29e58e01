"""What an application decides about its events: stages of its own, and which runs to keep."""

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct

from llmobs.events import Event, PromptCallEvent, RunEvent

__all__ = ["Drop", "Judge", "Rules", "Stage"]


class Drop(Struct, frozen=True):
    """What a stage returns to drop an event."""

    reason: str = "stage"
    """Why, in a word or two of a small set: it is counted under this in ``statistics().dropped``."""


class Stage(Struct, frozen=True):
    """
    One entry of the setting ``stages``, where more than a function is to be said.

    The function takes an event, a copy of its own, and returns it, changed or not, or another event,
    or `Drop`; None stands for the event it was given. It is called in a thread, one event after the
    other; if it raises, or a batch takes it more than two seconds, events go on without its change
    (``statistics().stage_failures`` counts them). It must not record events itself.
    """

    function: Callable[[Event], Event | Drop | None]
    """What to call."""
    after_redaction: bool = False
    """Call it after redaction and pricing; what it changes is redacted again."""

    @classmethod
    def of(cls, value: Any) -> "Stage":
        """
        Return *value*, or the stage that calls it.

        Raises:
            ValueError: It is neither a stage nor a function that can be called and not awaited.
        """
        stage = value if isinstance(value, cls) else cls(value)
        function: Any = stage.function
        if not callable(function):
            raise ValueError(f"a stage is a function of one event, not {type(function).__name__}")
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - of an object, its method
        ):
            raise ValueError("a stage is a plain function, not an `async` one")
        return stage


Judge = Callable[[Sequence[Event]], bool | float]
"""Takes a run's events; returns whether to keep it, or the share of runs like it to keep."""

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}
_TERM: Final = re.compile(
    r"(?P<errors>errors)|slow\s*>\s*(?P<slow>[\d.]+)\s*(?P<unit>ms|s|m)"
    r"|cost\s*>\s*\$?(?P<cost>[\d.]+)|rate\s*=\s*(?P<rate>[\d.]+)"
)


class Rules(Struct, frozen=True, kw_only=True):
    """Which runs to keep: those that any rule names, and a share of the rest."""

    errors: bool = False
    """Those in which something failed."""
    slow: float | None = None
    """Those that took more seconds than this, or had a call that did."""
    cost: float | None = None
    """Those that cost more US dollars."""
    rate: float = 0.0
    """Share of the others, 0 to 1."""

    @classmethod
    def parse(cls, text: str) -> "Rules":
        """
        Read ``errors,slow>5s,cost>0.05,rate=0.1``: any of these, in any order.

        Raises:
            ValueError: It is something else; the message says what is expected.
        """
        found: dict[str, Any] = {}
        for term in text.lower().split(","):
            match = _TERM.fullmatch(term.strip())
            try:
                if match is None:
                    raise ValueError
                value: Any
                if match["errors"]:
                    name, value = "errors", True
                elif match["slow"]:
                    name, value = "slow", float(match["slow"]) * _SECONDS[match["unit"]]
                elif match["cost"]:
                    name, value = "cost", float(match["cost"])
                else:
                    name, value = "rate", float(match["rate"])
                if name in found or (name == "rate" and value > 1):
                    raise ValueError
            except ValueError:
                raise ValueError(
                    f"cannot read {term.strip()!r}: use any of errors, slow>5s (ms, s, m), cost>0.05 "
                    "(US dollars) and rate=0.1 (0 to 1), each once, separated by commas"
                ) from None
            found[name] = value
        return cls(**found)

    def __call__(self, events: Sequence[Event]) -> float:
        """Return the share of runs like this to keep: 1 if a rule names it."""
        if self.errors and any(event.failed for event in events):
            return 1.0
        if self.slow is not None:
            longest = max((_number(event, "latency_ms") for event in events), default=0.0)
            if longest > self.slow * 1000:
                return 1.0
        if self.cost is not None:
            calls = sum(_number(e, "cost_usd") for e in events if type(e) is PromptCallEvent)
            total = max((_number(e, "cost_usd") for e in events if type(e) is RunEvent), default=0)
            if max(calls, total) > self.cost:
                return 1.0
        return self.rate


def _number(event: Event, name: str) -> float:
    value = getattr(event, name, None)
    return value if isinstance(value, (int, float)) else 0.0
