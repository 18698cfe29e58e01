"""Topics, users and rights of a broker, through kafka-python's administrator."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any

from tests.support.kafka_python import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    KafkaError,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from tests.support.kafka_security import SCRAM_ITERATIONS, USERS
from tests.support.polling import eventually

_NO_LEADER = -1
_SCRAM = (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)


class Administration(ABC):
    """What can be done to any broker one has an administrator for."""

    @abstractmethod
    def admin(self) -> AbstractContextManager[KafkaAdminClient]:
        """Yield an administrator that is closed afterwards."""

    def create_topic(
        self,
        name: str,
        partitions: int = 1,
        replication: int = 1,
        config: dict[str, str] | None = None,
    ) -> None:
        """Create a topic and wait until every partition has a leader."""
        with self.admin() as admin:
            admin.create_topics(
                {
                    name: {
                        "num_partitions": partitions,
                        "replication_factor": replication,
                        "configs": config or {},
                    }
                }
            )
            eventually(lambda: len(_leaders(admin, name)) == partitions, what=f"leaders for {name}")

    def leader_of(self, topic: str, partition: int = 0, *, other_than: int | None = None) -> int:
        """Return the node that leads a partition; wait for an election if there is none.

        Args:
            topic: the topic's name.
            partition: its partition.
            other_than: wait until somebody else than this node leads.
        """

        def found() -> int | None:
            try:
                with self.admin() as admin:
                    leader = _leaders(admin, topic).get(partition)
            except KafkaError:  # the administrator may have asked the node that just died
                return None
            return None if leader == other_than else leader

        leader = eventually(found, timeout=30, interval=0.1, what=f"a leader of {topic}")
        assert leader is not None
        return leader

    def deny(self, user: str, topic: str) -> None:
        """Forbid one user to write to a topic; everybody else may."""
        pattern = ResourcePattern(ResourceType.TOPIC, topic)
        rules = [
            # With any rule on a topic, nobody may who is not allowed by name.
            ACL("User:*", "*", ACLOperation.ALL, ACLPermissionType.ALLOW, pattern),
            ACL(f"User:{user}", "*", ACLOperation.WRITE, ACLPermissionType.DENY, pattern),
        ]
        with self.admin() as admin:
            result = admin.create_acls(rules)
        if result["failed"]:
            raise RuntimeError(f"the broker refused the rules: {result['failed']}")

    def add_scram_users(self) -> None:
        """Give every test user its SCRAM credentials and wait until the broker knows them."""
        with self.admin() as admin:
            # A user may occur once in a request, so each mechanism has its own.
            for mechanism in _SCRAM:
                answer = admin.alter_user_scram_credentials(
                    [
                        UserScramCredentialUpsertion(
                            name, mechanism, password=password, iterations=SCRAM_ITERATIONS
                        )
                        for name, password in USERS.items()
                    ]
                )
                if refused := {user: why for user, why in answer.items() if why}:
                    raise RuntimeError(f"the broker refused the users: {refused}")

            wanted = len(USERS) * len(_SCRAM)

            def known() -> bool:
                found: dict[str, dict[str, Any]] = admin.describe_user_scram_credentials()
                return sum(len(user["credential_infos"]) for user in found.values()) == wanted

            eventually(known, what="the users' credentials")


def _leaders(admin: KafkaAdminClient, topic: str) -> dict[int, int]:
    """Return partition -> leading node, leaderless partitions left out."""
    return {
        partition["partition_index"]: partition["leader_id"]
        for found in admin.describe_topics([topic])
        for partition in found["partitions"]
        if partition["leader_id"] != _NO_LEADER
    }
