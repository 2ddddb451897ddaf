"""What Kafka refuses, and which right that is; and the table of rights in docs/kafka.md."""

from __future__ import annotations

import ssl

import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)

from streamer.bus.kafka_errors import KAFKA_FAILURES, missing, translated
from streamer.bus.kafka_rights import Right, Rights, lacking
from streamer.config import KafkaSettings
from streamer.errors import BusRefused, BusUnreachable
from tests.support.documented_rights import documented_rights

RIGHTS = Rights(KafkaSettings())
GROUP = Right("this client", "Read", "group", "powerp.state.owners")


def unverified() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError()
    error.verify_message = "self-signed"
    return error


def test_the_documented_rights_of_run_are_those_that_it_is_checked_for() -> None:
    documented = {tuple(right)[:3] for right in documented_rights() if "run" in right.commands}
    assert documented == {right[1:] for right in RIGHTS.of_run()}


def test_a_topic_by_its_name_is_the_one_that_is_refused() -> None:
    error = TopicAuthorizationFailedError({"powerp.gaps", "powerp.state"})
    wanted = RIGHTS.to_write("powerp.state-0")
    assert missing(error, wanted) == [RIGHTS.on("Write", "gaps"), RIGHTS.on("Write", "state")]


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (TopicAuthorizationFailedError("powerp.shards"), RIGHTS.on("Read", "shards")),
        (TopicAuthorizationFailedError(), RIGHTS.on("Read", "shards")),
        (GroupAuthorizationFailedError("powerp.state.owners"), GROUP),
        (GroupAuthorizationFailedError(), GROUP),
    ],
)
def test_what_the_broker_does_not_say_is_known_from_what_was_wanted(error: Exception, named: Right) -> None:
    assert missing(error, RIGHTS.to_join()) == [named]


def test_a_cluster_that_refuses_lacks_the_right_to_create() -> None:
    assert missing(ClusterAuthorizationFailedError(), RIGHTS.to_create()) == RIGHTS.to_create()


def test_another_failure_is_about_no_right() -> None:
    for error in (OSError(111, "refused"), KafkaConnectionError("closed"), SaslAuthenticationFailed("no")):
        assert missing(error, RIGHTS.of_run()) == []


def test_the_user_is_named_where_it_is_known() -> None:
    settings = KafkaSettings(
        security_protocol="SASL_SSL",
        sasl_username="plant",
        sasl_password="sesame",
    )
    wanted = Rights(settings).to_write("powerp.state-3")
    error = translated(TransactionalIdAuthorizationFailed("powerp.state-3"), "It", wanted)
    assert isinstance(error, BusRefused)
    assert error.what == "It was refused by Kafka: User:plant lacks Write on transactional id powerp.state-3."
    assert lacking([GROUP]) == "this client lacks Read on group powerp.state.owners"


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (SaslAuthenticationFailed("for alice: sesame"), BusRefused, "the user and the password"),
        (UnsupportedSaslMechanismError("<conn>"), BusRefused, "the SASL mechanism"),
        (unverified(), BusUnreachable, "certificate cannot be verified: self-signed"),
        (ssl.SSLError("wrong version"), BusUnreachable, "does not speak TLS"),
        (KafkaConnectionError("closed"), BusUnreachable, "speaks the security protocol"),
        (OSError(111, "Connect call failed ('::1', 9)"), BusUnreachable, "no broker answers: Connect call failed"),
        (OSError("Multiple exceptions: two"), BusUnreachable, "no broker answers: Multiple exceptions: two"),
    ],
)
def test_each_way_of_not_getting_in_has_words_of_its_own(error: Exception, kind: type[Exception], said: str) -> None:
    assert isinstance(error, KAFKA_FAILURES)
    told = translated(error, "Connecting")
    assert type(told) is kind
    assert said in told.what
    assert "sesame" not in str(told)
