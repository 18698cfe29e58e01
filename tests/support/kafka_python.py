"""kafka-python without two habits of 3.0.12 that fail a test run where warnings are errors.

Its schema loader warns at import, and a refused connection leaves its socket to the collector.
"""

import socket
import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka import KafkaConsumer, KafkaProducer
    from kafka.admin import (
        ACL,
        ACLOperation,
        ACLPermissionType,
        KafkaAdminClient,
        ResourcePattern,
        ResourceType,
        ScramMechanism,
        UserScramCredentialUpsertion,
    )
    from kafka.errors import KafkaError, TopicAuthorizationFailedError
    from kafka.net.inet import KafkaNetSocket

__all__ = [
    "ACL",
    "ACLOperation",
    "ACLPermissionType",
    "KafkaAdminClient",
    "KafkaConsumer",
    "KafkaError",
    "KafkaProducer",
    "ResourcePattern",
    "ResourceType",
    "ScramMechanism",
    "TopicAuthorizationFailedError",
    "UserScramCredentialUpsertion",
]

_connect = KafkaNetSocket.sock_connect


async def _connect_or_close(
    self: Any, net: Any, sock: socket.socket, address: Any, timeout_at: float | None = None
) -> Any:
    try:
        return await _connect(self, net, sock, address, timeout_at=timeout_at)
    except BaseException:
        sock.close()
        raise


KafkaNetSocket.sock_connect = _connect_or_close
