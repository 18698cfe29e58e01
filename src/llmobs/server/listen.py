"""Where the collector listens, and who else does when it cannot."""

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from llmobs.errors import ConfigurationError
from llmobs.recorded.printable import brief

__all__ = ["LOOPBACK", "listen"]

LOOPBACK: Final = "localhost"
"""Both 127.0.0.1 and ::1: SDKs ask for the name, and take what it resolves to first."""
BACKLOG: Final = 1024


def listen(host: str, port: int) -> list[socket.socket]:
    """
    Return sockets that listen on *host*; for `LOOPBACK`, on both its addresses where both exist.

    Raises:
        ConfigurationError: Somebody else listens there, it may not be listened on, or there is no
            such address; says who, as far as that can be seen, and what to do.
    """
    if host != LOOPBACK:
        return [_listen(host, port)]
    sockets = [_listen("127.0.0.1", port)]
    try:
        # Asked for any port, the same one on both.
        sockets.append(_listen("::1", port or sockets[0].getsockname()[1]))
    except _NoSuchAddressError:  # a machine without IPv6
        pass
    except ConfigurationError:
        sockets[0].close()
        raise
    return sockets


class _NoSuchAddressError(ConfigurationError):
    pass


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
    except OSError as error:  # socket.gaierror is one
        raise _NoSuchAddressError(f"--host {host}: {error.strerror or error}") from None
    try:
        # A server that just ended leaves connections behind that would block its port for a minute.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        found.bind(address)
        found.listen(BACKLOG)
        found.setblocking(False)
    except OSError as error:
        found.close()
        if error.errno == errno.EADDRINUSE:
            holder = _holder(port)
            raise ConfigurationError(
                f"port {port} on {host} is taken, by {holder}: end that, or name another port with --port"
            ) from None
        if error.errno == errno.EACCES:
            raise ConfigurationError(
                f"port {port} may not be listened on by this user; name one above 1023 with --port"
            ) from None
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            raise _NoSuchAddressError(
                f"--host {host}: this machine has no such address ({error.strerror})"
            ) from None
        raise ConfigurationError(f"cannot listen on {host} port {port}: {error}") from None
    return found


def _holder(port: int) -> str:
    """Name who listens on *port*: the process, where Linux tells; else who usually does."""
    with suppress(OSError, ValueError):
        inodes = _listeners(port)
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and _has_one_of(process, inodes):
                words = (
                    (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
                return f"process {process.name} ({brief(words, 120)})"
    return (
        "a process of another user; on this port that is often an OpenTelemetry collector, "
        "or another llmobs serve"
        if port == 4318
        else "a process of another user"
    )


def _listeners(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(FileNotFoundError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                # 0A: listening.
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{fields[9]}]")
    return found


def _has_one_of(process: Path, inodes: set[str]) -> bool:
    with suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                if os.readlink(descriptor) in inodes:
                    return True
    return False
