"""Who else than this machine may come to a server, by how it was started."""

import socket
from collections.abc import Iterable, Sequence
from ipaddress import ip_address, ip_network

from llmobs.contrib._web.hosts import Hosts
from llmobs.errors import ConfigurationError

__all__ = ["networks_of", "who_else_comes"]


def networks_of(texts: Iterable[str]) -> list[str]:
    """
    Return the addresses and networks that *texts* name.

    Raises:
        ConfigurationError: One of them is neither.
    """
    found = []
    for text in texts:
        try:
            network = ip_network(text.strip(), strict=False)
        except ValueError:
            raise ConfigurationError(
                f"--trust-proxy: {text!r} is no address and no network: write 127.0.0.1, ::1 or 10.0.0.0/8"
            ) from None
        found.append(str(network))
    return found


def who_else_comes(
    sockets: Sequence[socket.socket], hosts: Hosts, proxies: Sequence[str]
) -> str | None:
    """Return in words what lets others in than this machine; None if nothing does."""
    for one in sockets:
        address = str(one.getsockname()[0])
        if not ip_address(address.partition("%")[0]).is_loopback:
            return f"listening on {address} lets others in"
    if hosts.has_names:
        return "--allow-host lets others in"
    if proxies:
        return "--trust-proxy lets others in"
    return None
