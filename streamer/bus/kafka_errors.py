"""What aiokafka raises, in the words of this project. Called by the Kafka half of the bus alone."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import tenacity
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    ConsumerStoppedError,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    IllegalOperation,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    NotCoordinatorError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)

from streamer.bus.kafka_rights import Right, lacking
from streamer.errors import BusError, BusRefused, BusUnreachable

KAFKA_FAILURES = (KafkaError, IllegalOperation, ConsumerStoppedError, TimeoutError, OSError, AssertionError)
"""Everything by which aiokafka says that something went wrong; it guards its states with assert."""

asking_a_coordinator = tenacity.retry(
    retry=tenacity.retry_if_exception_type(
        (CoordinatorNotAvailableError, CoordinatorLoadInProgressError, NotCoordinatorError)
    ),
    wait=tenacity.wait_fixed(0.1),
)
"""Asks again while the coordinator is not there: a cluster makes its topic when somebody asks for the first time."""

GRANT = "Grant it; docs/kafka.md lists every right."

_RESOURCES = {
    TopicAuthorizationFailedError: "topic",
    GroupAuthorizationFailedError: "group",
    TransactionalIdAuthorizationFailed: "transactional id",
    ClusterAuthorizationFailedError: "topic",
}
"""What was refused, by the error. The cluster refuses the creation of topics only, which a right on each allows too."""

_NO_LOGIN = (AuthenticationFailedError, SaslAuthenticationFailed)
_NO_MECHANISM = (AuthenticationMethodNotSupported, UnsupportedSaslMechanismError, IllegalSaslStateError)


def missing(error: BaseException, wanted: Sequence[Right]) -> list[Right]:
    """Those of the rights that were wanted which the error says are missing; none when it is about something else."""
    resource = next((name for kind, name in _RESOURCES.items() if isinstance(error, kind)), None)
    refused = [right for right in wanted if right.resource == resource]
    if not refused:
        return []
    said = error.args[0] if error.args else ()
    names = {said} if isinstance(said, str) else set(said)
    return [right for right in refused if right.name in names] or refused


def translated(error: BaseException, doing: str, wanted: Sequence[Right] = ()) -> BusError:
    """The error to raise instead of one of ``KAFKA_FAILURES``.

    Args:
        error: what aiokafka raised.
        doing: what was being done, as the beginning of a sentence.
        wanted: the rights that it needs.
    """
    rights = missing(error, wanted)
    if rights:
        return BusRefused(f"{doing} was refused by Kafka: {lacking(rights)}.", GRANT)
    if isinstance(error, _NO_LOGIN):
        return BusRefused(
            f"{doing} was refused by Kafka: it does not accept the user and the password.",
            "Check kafka.sasl_username, the password and kafka.sasl_mechanism.",
        )
    if isinstance(error, _NO_MECHANISM):
        return BusRefused(
            f"{doing} was refused by Kafka: the listener does not offer the SASL mechanism.",
            "Check kafka.sasl_mechanism, and that kafka.bootstrap_servers names a SASL listener.",
        )
    return BusUnreachable(f"{doing} failed ({_reason(error)}).", _remedy(error))


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate cannot be verified: {error.verify_message}"
    if isinstance(error, (ssl.SSLError, ConnectionResetError)):
        return "the broker does not speak TLS as it should"
    if isinstance(error, KafkaConnectionError):
        return "no broker answers, or none speaks the security protocol"
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return f"no broker answers: {error.strerror or error}"
    return str(error) if isinstance(error, KafkaError) else f"{type(error).__name__}: {error}".rstrip(": ")


def _remedy(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "Check kafka.ssl_ca_file, and that the certificate names the host in kafka.bootstrap_servers."
    if isinstance(error, (ssl.SSLError, ConnectionResetError, KafkaConnectionError)):
        return "Check kafka.bootstrap_servers, kafka.security_protocol and the brokers."
    return "Check kafka.bootstrap_servers and the brokers."


@contextmanager
def explained(doing: str, wanted: Sequence[Right] = ()) -> Iterator[None]:
    """Everything that aiokafka raises inside, in the words of this project; arguments as of ``translated``."""
    try:
        yield
    except KAFKA_FAILURES as exc:
        raise translated(exc, doing, wanted) from exc
