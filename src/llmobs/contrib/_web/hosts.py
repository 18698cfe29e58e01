"""
Which names a server answers to, and from which pages a browser may send to it. Pure.

A page of a stranger may point a name of its own at 127.0.0.1 and then read from there what it likes
("DNS rebinding"): the browser sees one origin. But it says that name in ``Host``.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple, Self

from llmobs.errors import ConfigurationError

__all__ = ["Authority", "Hosts"]

_AUTHORITY: Final = re.compile(
    r"(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9_](?:[a-z0-9_.-]{0,252})))(?::(\d{1,5}))?",
    re.ASCII | re.IGNORECASE,
)
LONGEST: Final = 320
"""Characters of a ``Host`` header: names have up to 253. What is parsed is remembered."""
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Authority(NamedTuple):
    """A host, and the port that goes with it."""

    name: str
    """In lower case, without a dot at the end; an IPv6 address in its one short form, without brackets."""
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read the value of a ``Host`` header; None if it is none."""
        found = _parsed(text) if len(text) <= LONGEST else None
        return None if found is None else cls(*found)

    @property
    def is_address(self) -> bool:
        """Whether it is an IP address: these no stranger can point elsewhere."""
        if ":" in self.name:
            return True
        try:
            IPv4Address(self.name)
        except ValueError:
            return False
        return True

    @property
    def is_this_machine(self) -> bool:
        """Whether it is a name of this machine, for this machine."""
        return self.name == "localhost" or self.name.endswith(".localhost")


@lru_cache(maxsize=512)
def _parsed(text: str) -> tuple[str, int | None] | None:
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    address, name, digits = match.groups()
    port = None if digits is None else int(digits)
    if port is not None and port > 65_535:
        return None
    if address is not None:
        try:
            return str(IPv6Address(address)), port
        except ValueError:
            return None
    name = name.lower()
    name = name[:-1] if name.endswith(".") else name
    return (name, port) if name and ".." not in name else None


class Hosts:
    """
    The names a server answers to: IP addresses, ``localhost``, and those it is told.

    Args:
        allowed: Names; ``*.example.com`` stands for all below it, ``*`` for any at all.

    Raises:
        ConfigurationError: One of them is no name.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._any = False
        self._names: set[str] = set()
        self._below: list[str] = []
        for text in allowed:
            if text == "*":
                self._any = True
                continue
            found = Authority.parse(text.removeprefix("*."))
            if found is None or found.port is not None:
                raise ConfigurationError(
                    f"--allow-host: {text!r} is no name of a host: write collector.example.com, "
                    "*.example.com, or * for any; without https:// and without a port"
                )
            if text.startswith("*."):
                self._below.append(f".{found.name}")
            else:
                self._names.add(found.name)

    @property
    def has_names(self) -> bool:
        """Whether it was told any, so that others than this machine are meant to come."""
        return self._any or bool(self._names or self._below)

    def knows(self, host: Authority) -> bool:
        """Whether the server answers to this name."""
        return (
            self._any
            or host.name in self._names
            or host.is_this_machine
            or host.is_address
            or host.name.endswith(tuple(self._below))
        )

    def is_own_page(self, origin: str, host: Authority) -> bool:
        """Whether a request for *host* comes from a page of this server, by its ``Origin``."""
        scheme, mark, rest = origin.partition("://")
        page = Authority.parse(rest)
        default = _DEFAULT_PORTS.get(scheme.lower())
        if not mark or page is None or default is None:
            return False
        # A proxy that ends TLS is asked without a port; so are we, by it.
        ours = default if host.port is None else host.port
        return page.name == host.name and (page.port or default) == ours
