"""kafka-python, imported without the warning its schema loader gives at import (3.0.12)."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
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
    "TopicPartition",
    "UserScramCredentialUpsertion",
]
