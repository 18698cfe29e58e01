"""One spelling per provider, and counts that are counts: what sums over calls are made of."""

import re
from typing import Any, Final

from llmobs.events import PromptCallEvent
from llmobs.recorded.aside import set_aside
from llmobs.recorded.providers import provider_name

__all__ = ["mend_figures"]

_MAX_KINDS: Final = 64
_MAX_COUNT: Final = 2**63 - 1  # as in `sanitise`
_LONGEST_NAME: Final = 128
_LONGEST_HOST: Final = 512
_KIND: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


def mend_figures(event: PromptCallEvent) -> None:
    """Mend ``provider`` and ``usage`` of *event* in place; what is no count is said in ``warnings``."""
    provider, host = event.provider, event.server_address
    if host is not None and len(host) > _LONGEST_HOST:
        host = None
    if (host or provider is not None) and len(provider or "") <= _LONGEST_NAME:
        event.provider = provider_name(provider or "", host) or None
    given: Any = event.usage
    if given is None:
        return
    if type(given) is not dict:  # capture makes plain ones of all others that are mappings
        event.usage = None
        set_aside(event, "usage", given, "does not map kinds to counts")
        return
    usage: dict[str, int] = {}
    wrong: dict[Any, Any] = {}
    for kind, value in given.items():
        count = _count(value)
        if count is None or type(kind) is not str or _KIND.fullmatch(kind) is None:
            wrong[kind] = value
        elif len(usage) < _MAX_KINDS:
            usage[kind] = count
        else:
            wrong[kind] = value
    event.usage = usage or None
    if wrong:
        set_aside(event, "usage", wrong, "has what is not a count, or too many")


def _count(value: Any) -> int | None:
    if type(value) is not int:
        if type(value) not in (float, str):
            return None
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        if not 0 <= number <= _MAX_COUNT:
            return None
        value = round(number)
    return value if 0 <= value <= _MAX_COUNT else None
