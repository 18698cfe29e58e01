"""Loopback ports that stay usable while their server is down."""

import random
import socket

# Below the ephemeral range (32768 and up on Linux): a port from inside it may be handed to any
# outgoing connection while a broker is stopped, and a client that keeps dialling it can even
# connect to itself.
_RANGE = range(10_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Return `count` different loopback ports that nobody listens on right now."""
    held: list[socket.socket] = []
    try:
        while len(held) < count:
            candidate = socket.socket()
            try:
                candidate.bind(("127.0.0.1", random.choice(_RANGE)))
            except OSError:
                candidate.close()
            else:
                held.append(candidate)
        return [bound.getsockname()[1] for bound in held]
    finally:
        for bound in held:
            bound.close()
