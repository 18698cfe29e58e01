"""What the middleware is told beside its client's settings, checked before the first request."""

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from llmobs.errors import ConfigurationError
from llmobs.recorded.printable import quoted

__all__ = ["Exclusions", "Trust", "header_of", "is_async", "switch_of", "trust_of"]

Trust = bool | Callable[[Any], bool]

# RFC 9110 §5.6.2: a field name is a token.
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)

# What answers or requests need for themselves: with a run's id in it they break, or mislead.
_TAKEN: Final = frozenset(
    {
        "accept", "age", "allow", "alt-svc", "authorization", "cache-control", "clear-site-data",
        "connection", "cookie", "date", "etag", "expect", "expires", "forwarded", "host", "keep-alive",
        "last-modified", "link", "location", "origin", "pragma", "range", "referer", "refresh",
        "retry-after", "server", "set-cookie", "strict-transport-security", "te", "traceparent",
        "tracestate", "baggage", "trailer", "transfer-encoding", "upgrade", "user-agent", "vary", "via",
        "www-authenticate",
    }
)  # fmt: skip
_TAKEN_PREFIXES: Final = (
    "accept-", "access-control-", "content-", "cross-origin-", "if-", "proxy-", "sec-", "x-forwarded-",
)  # fmt: skip


def header_of(name: str | None) -> str | None:
    """
    Return a header's name in lower case.

    Raises:
        ConfigurationError: It is no name of a header.
    """
    if name is None:
        return None
    if not isinstance(name, str) or _TOKEN.fullmatch(name) is None:
        raise ConfigurationError(
            f"header_name: {quoted(name)} is no name of an HTTP header; letters, digits and hyphens "
            "make one, for instance 'x-run-id', and None means no header at all"
        )
    lower = name.lower()
    if lower in _TAKEN or lower.startswith(_TAKEN_PREFIXES):
        raise ConfigurationError(
            f"header_name: {quoted(name)} means something else already, to servers, proxies or browsers; "
            "take one of your own, for instance 'x-run-id', or None for no header at all"
        )
    return lower


def switch_of(name: str, value: bool) -> bool:
    """
    Return *value*, which the option *name* has.

    Raises:
        ConfigurationError: It is neither True nor False.
    """
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}: {quoted(value)} is not True or False")
    return value


def trust_of(value: Trust, of: str) -> Trust:
    """
    Return *value* if it can tell whom to trust.

    Args:
        value: The option ``trust_run_id``.
        of: What a function is given: ``the scope``.

    Raises:
        ConfigurationError: It cannot. A text like ``"false"`` would be true, and so would a coroutine.
    """
    if isinstance(value, bool):
        return value
    if not callable(value) or is_async(value):
        raise ConfigurationError(
            f"trust_run_id: {quoted(value)} is neither True nor False, nor a plain function that takes "
            f"{of} and returns one of them"
        )
    return value


def is_async(function: Any) -> bool:
    """Tell whether *function*, or the object that is called like one, returns a coroutine."""
    call = getattr(function, "__call__", None)  # noqa: B004 - the method, to look at
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


class Exclusions:
    """
    Paths that get no run.

    Args:
        paths: Exact ones, or prefixes if they end in ``*``; None for none.

    Raises:
        ConfigurationError: Something else than paths was given.
    """

    def __init__(self, paths: Iterable[str] | None) -> None:
        if isinstance(paths, str | bytes):
            raise ConfigurationError(
                f"exclude: a list of paths is needed, for instance [{quoted(paths)}]"
            )
        try:
            listed = () if paths is None else tuple(paths)
        except TypeError:
            raise ConfigurationError(
                f"exclude: a list of paths is needed, for instance ['/health'], not {quoted(paths)}"
            ) from None
        for path in listed:
            if not isinstance(path, str) or not path.startswith(("/", "*")):
                raise ConfigurationError(
                    f"exclude: {quoted(path)} is no path; paths begin with a slash: '/health', '/static/*'"
                )
        self._exact = frozenset(path for path in listed if not path.endswith("*"))
        self._prefixes = tuple(path[:-1] for path in listed if path.endswith("*"))

    def __bool__(self) -> bool:
        return bool(self._exact or self._prefixes)

    def hold(self, path: Any, root: Any) -> bool:
        """Tell whether a request is one of them, by its path with or without what it is mounted under."""
        if not isinstance(path, str):
            return False
        if self._has(path):
            return True
        # Servers that know where a proxy has put the application prefix every path with it.
        return bool(root) and path.startswith(f"{root}/") and self._has(path[len(root) :])

    def _has(self, path: str) -> bool:
        return path in self._exact or (bool(self._prefixes) and path.startswith(self._prefixes))
