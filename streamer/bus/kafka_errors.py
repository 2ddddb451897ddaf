"""What aiokafka raises, in the words of this project. Called by the Kafka half of the bus alone."""

from __future__ import annotations

from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    ConsumerStoppedError,
    GroupAuthorizationFailedError,
    IllegalOperation,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)

from streamer.errors import BusError, BusRefused, BusUnreachable

KAFKA_FAILURES = (KafkaError, IllegalOperation, ConsumerStoppedError, TimeoutError, OSError, AssertionError)
"""Everything by which aiokafka says that something went wrong; it guards its states with assert."""

_REFUSALS = (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)


def translated(error: BaseException, doing: str) -> BusError:
    """The error to raise instead of one of ``KAFKA_FAILURES``.

    Args:
        error: what aiokafka raised.
        doing: what was being done, as the beginning of a sentence.
    """
    text = str(error) if isinstance(error, KafkaError) else f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, _REFUSALS):
        return BusRefused(
            f"{doing} was refused by Kafka ({text}).",
            "Check the kafka section's user and password, and the ACLs: read, write, describe and create on the "
            "topics, write and describe on the transactional ids.",
        )
    if isinstance(error, KafkaConnectionError):
        text = "no broker answers, or none accepts the security protocol and the credential"
    return BusUnreachable(f"{doing} failed ({text}).", "Check kafka.bootstrap_servers and the brokers.")
