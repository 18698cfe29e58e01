"""How a test broker is told to use TLS, SASL and access rules, and how a client answers."""

import ssl
from pathlib import Path
from typing import Any, Literal

from tests.support.certificates import Certificates, make_certificates

Protocol = Literal["SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

USERS = {"alice": "alice-secret", "mallory": "mallory-secret"}
"""Users every SASL cluster knows, by PLAIN and both SCRAM mechanisms. The names mean nothing:
`KafkaCluster.deny` takes rights away from one of them."""

SCRAM_ITERATIONS = 4096
_MODULES = "org.apache.kafka.common.security"


class Security:
    """The protected CLIENT listener of a cluster: files, broker properties, client options."""

    def __init__(self, protocol: Protocol, directory: Path) -> None:
        self.protocol: Protocol = protocol
        self.certificates: Certificates | None = None
        self._keystore = directory / "server-keystore.pem"
        if protocol.endswith("SSL"):
            self.certificates = made = make_certificates(directory)
            self._keystore.write_text(made.server_key.read_text() + made.server.read_text())

    def broker_properties(self) -> dict[str, str]:
        """Return what the broker needs beside its listeners."""
        # Administration comes in by the INTERNAL plaintext listener, as ANONYMOUS.
        properties = {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "allow.everyone.if.no.acl.found": "true",
        }
        if self.certificates is not None:
            properties |= {
                "listener.name.client.ssl.keystore.type": "PEM",
                "listener.name.client.ssl.keystore.location": str(self._keystore),
                "listener.name.client.ssl.truststore.type": "PEM",
                "listener.name.client.ssl.truststore.location": str(self.certificates.ca),
                "listener.name.client.ssl.client.auth": (
                    "required" if self.protocol == "SSL" else "none"
                ),
            }
        if self.protocol.startswith("SASL"):
            known = " ".join(f'user_{name}="{password}"' for name, password in USERS.items())
            scram = f"{_MODULES}.scram.ScramLoginModule required;"
            properties |= {
                "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
                "listener.name.client.plain.sasl.jaas.config": (
                    f"{_MODULES}.plain.PlainLoginModule required {known};"
                ),
                "listener.name.client.scram-sha-256.sasl.jaas.config": scram,
                "listener.name.client.scram-sha-512.sasl.jaas.config": scram,
            }
        return properties

    def client_options(
        self, user: str = "alice", mechanism: Mechanism = "PLAIN", password: str | None = None
    ) -> dict[str, Any]:
        """Return keywords that both kafka-python and aiokafka take."""
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.certificates is not None:
            options["ssl_context"] = self.ssl_context()
        if self.protocol.startswith("SASL"):
            options |= {
                "sasl_mechanism": mechanism,
                "sasl_plain_username": user,
                "sasl_plain_password": USERS.get(user, "") if password is None else password,
            }
        return options

    def ssl_context(self) -> ssl.SSLContext:
        """Return a client's context (with `CN=alice`'s certificate where the broker wants one)."""
        if self.certificates is None:
            raise RuntimeError(f"{self.protocol} has no certificates")
        return self.certificates.client_context(with_certificate=self.protocol == "SSL")
