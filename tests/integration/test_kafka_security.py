"""A Kafka with TLS, logins and rights: the documented ones suffice, one that is missing is named.

Whoever is not let in is told why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError

from streamer.bus.kafka import KafkaBus
from streamer.bus.kafka_group import describe
from streamer.config import KafkaSettings, TopicSettings
from streamer.errors import EXIT_REFUSED, EXIT_UNREACHABLE, BusError, BusRefused
from streamer.simulator.server import Simulator
from tests.support.documented_rights import DocumentedRight, documented_rights
from tests.support.program import Command, Site, simulated, wait_for
from tests.support.required import required
from tests.support.secured_kafka import MECHANISMS, PASSWORD, SCRAM_USER, SecuredKafka, secured_kafka

pytestmark = pytest.mark.kafka

RIGHTS = documented_rights()
OF_RUN = [right for right in RIGHTS if "run" in right.commands]
PREFIX = "powerp"
WRONG_PASSWORD = "mellon-opens-nothing"
COORDINATED_WITHIN_S = 20.0
WAITING = [
    right
    for right in OF_RUN
    if str(right).replace("powerp.", "")
    in {
        "Write on topic samples",
        "Write on topic gaps",
        "Write on transactional id state-*",
        "Read on group state.owners",
    }
]
"""Rights that ``run`` is without at first: each stops it somewhere else."""


def lacks(right: DocumentedRight) -> str:
    """The user who has all rights of ``run`` but one."""
    return f"lacks-{OF_RUN.index(right)}"


def waits(right: DocumentedRight) -> str:
    """The user who is given the last right of ``run`` while it runs, and the prefix of its topics."""
    return f"waits{OF_RUN.index(right)}"


def granted() -> list[tuple[str, DocumentedRight]]:
    """The rights of every user."""
    rights = [(SCRAM_USER, right) for right in OF_RUN]
    rights += [(user, right) for user in ("rebuild", "reshard") for right in RIGHTS if right.commands & {"run", user}]
    rights += [(user, right) for user in ("tail", "status") for right in RIGHTS if user in right.commands]
    rights += [(lacks(missing), right) for missing in OF_RUN for right in OF_RUN if right != missing]
    rights += [
        (waits(missing), right.under(waits(missing))) for missing in WAITING for right in OF_RUN if right != missing
    ]
    return rights


async def set_up(broker: SecuredKafka) -> None:
    """The topics of every user, and the rights of all."""
    for prefix in (PREFIX, *map(waits, WAITING)):
        settings = KafkaSettings.model_validate(
            {"bootstrap_servers": [broker.bootstrap_servers], "topics": TopicSettings.under(prefix)}
        )
        await KafkaBus(settings, shards=1, partitions=1).open()
    await broker.grant(granted())
    await until_coordinated(broker, f"{PREFIX}.state.owners")


async def until_coordinated(broker: SecuredKafka, group: str) -> None:
    """Asked for a group for the first time, a broker makes the topic of all groups, and refuses until it has it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    try:
        async with asyncio.timeout(COORDINATED_WITHIN_S):
            while True:
                with suppress(GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError):
                    await describe(admin, group)
                    return
                await asyncio.sleep(0.1)
    finally:
        await admin.close()


@pytest.fixture(scope="module")
def kafka() -> Iterator[SecuredKafka]:
    users = [*map(lacks, OF_RUN), *map(waits, WAITING), "tail", "status", "rebuild", "reshard", "nobody"]
    for broker in required(secured_kafka(users)):
        asyncio.run(set_up(broker))
        yield broker


@pytest.fixture(scope="module")
def api() -> Iterator[Simulator]:
    with simulated() as simulator:
        yield simulator


def site(directory: Path, api: Simulator, section: dict[str, Any]) -> Site:
    directory.mkdir(exist_ok=True)
    return Site(directory, api.url, bus={"kind": "kafka", "shards": 1}, kafka=section)


async def found_by(kafka: SecuredKafka, user: str, topic: str) -> int:
    """How many records of a topic a user finds."""
    bus = KafkaBus(KafkaSettings.model_validate(kafka.section(user)), shards=1, partitions=1)
    return len([record async for record in bus.read(topic, last=None, follow=False)])


def test_the_documented_rights_suffice(tmp_path: Path, api: Simulator, kafka: SecuredKafka) -> None:
    runs = site(tmp_path / "run", api, kafka.section(SCRAM_USER, "SCRAM-SHA-512"))
    code, out, err = runs.ended("check")
    assert code == 0, out + err
    tails = site(tmp_path / "tail", api, kafka.section("tail"))
    with runs.started("run") as daemon:
        wait_for(lambda: bool(daemon.logged("ledger.restored")))
        with tails.started("tail", "--topic", "completeness", "--follow", "--limit", "1") as follower:
            assert follower.process.wait(30) == 0
        assert daemon.stop() == 0
    assert asyncio.run(found_by(kafka, "tail", "gaps")) == 0
    for topic in ("samples", "completeness", "signals"):
        assert asyncio.run(found_by(kafka, "tail", topic)) > 0, topic
    code, out, err = site(tmp_path / "status", api, kafka.section("status")).ended("status")
    assert code == 0, err
    code, out, err = site(tmp_path / "rebuild", api, kafka.section("rebuild")).ended("rebuild", "--force", "--yes")
    assert code == 0, err
    code, out, err = site(tmp_path / "reshard", api, kafka.section("reshard")).ended("reshard")
    assert code == 0, err


@pytest.mark.parametrize("right", OF_RUN, ids=str)
async def test_a_right_that_is_missing_is_named(right: DocumentedRight, kafka: SecuredKafka) -> None:
    user = lacks(right)
    bus = KafkaBus(KafkaSettings.model_validate(kafka.section(user)), shards=1, partitions=1)
    with pytest.raises(BusRefused) as refused:
        await bus.check()
    assert f": User:{user} lacks {right}." in refused.value.what


@pytest.mark.parametrize("right", [right for right in RIGHTS if right.commands & {"tail", "status"}], ids=str)
async def test_a_reader_without_a_right_is_told_which(right: DocumentedRight, kafka: SecuredKafka) -> None:
    bus = KafkaBus(KafkaSettings.model_validate(kafka.section("nobody")), shards=1, partitions=1)
    if "status" in right.commands:
        reading: Awaitable[Any] = bus.read_state(0)
    else:
        reading = anext(bus.read(right.name.removeprefix("powerp."), last=None, follow=False))
    with pytest.raises(BusRefused, match=f"User:nobody lacks {right}"):
        await reading


async def test_who_may_run_may_ask_who_owns_the_shards_and_a_stranger_may_not(kafka: SecuredKafka) -> None:
    bus = KafkaBus(KafkaSettings.model_validate(kafka.section()), shards=1, partitions=1)
    await bus.check()  # waits for the group's coordinator, which a new broker makes when it is first asked for
    assert await bus.owners() is not None
    stranger = KafkaBus(KafkaSettings.model_validate(kafka.section("nobody")), shards=1, partitions=1)
    with pytest.raises(BusRefused, match=r"User:nobody lacks Read on group powerp\.state\.owners"):
        await stranger.owners()


async def test_a_reshard_without_the_right_to_alter_is_told_so(kafka: SecuredKafka) -> None:
    """It is refused at the first topic, and changes nothing."""
    bus = KafkaBus(KafkaSettings.model_validate(kafka.section()), shards=2, partitions=2)
    with pytest.raises(BusRefused, match=f"User:{SCRAM_USER} lacks Alter on topic powerp.samples"):
        await bus.open_to_reshape()


def test_all_rights_that_are_missing_are_named_at_once(tmp_path: Path, api: Simulator, kafka: SecuredKafka) -> None:
    code, out, err = site(tmp_path, api, kafka.section("nobody")).ended("check")
    assert code == EXIT_REFUSED
    for name in ("samples", "completeness", "gaps", "signals", "state"):
        assert f"Write on topic powerp.{name}" in " ".join((out + err).split())


def test_run_waits_for_a_right_and_says_which(tmp_path: Path, api: Simulator, kafka: SecuredKafka) -> None:
    with ExitStack() as stack:
        daemons: dict[DocumentedRight, Command] = {}
        for right in WAITING:
            user = waits(right)
            section = kafka.section(user) | {"topics": TopicSettings.under(user).model_dump()}
            daemons[right] = stack.enter_context(site(tmp_path / user, api, section).started("run"))
        for right, daemon in daemons.items():
            user = waits(right)
            # The writer of shard 0 knows its own transactional id.
            named = f"User:{user} lacks {right.under(user)}".replace("*", "0")
            wait_for(lambda daemon=daemon, named=named: named in daemon.stderr)  # type: ignore[misc]
            assert daemon.process.poll() is None
            assert not daemon.logged("bus.commit_recovered")
        asyncio.run(kafka.grant([(waits(right), right.under(waits(right))) for right in WAITING]))
        for daemon in daemons.values():
            wait_for(lambda daemon=daemon: bool(daemon.logged("ledger.restored")))  # type: ignore[misc]
            assert daemon.stop() == 0


def not_let_in(kafka: SecuredKafka, directory: Path) -> dict[str, tuple[dict[str, Any], int, str]]:
    """Ways of not getting in: the section, the exit code, and what is said."""
    stranger = directory / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(stranger)
    plain = {"bootstrap_servers": [f"127.0.0.1:{kafka.secure_port}"]}
    login = {
        **{key: value for key, value in kafka.section().items() if not key.startswith("ssl")},
        "security_protocol": "SASL_PLAINTEXT",
    }
    login_servers = [f"127.0.0.1:{kafka.login_port}"]
    wrong = {
        f"a wrong password by {mechanism}": (
            kafka.section(SCRAM_USER, mechanism, WRONG_PASSWORD),
            EXIT_REFUSED,
            "does not accept the user and the password",
        )
        for mechanism in MECHANISMS
    }
    return wrong | {
        "a strange authority": (
            kafka.section() | {"ssl_ca_file": str(stranger)},
            EXIT_UNREACHABLE,
            "certificate cannot be verified",
        ),
        "TLS where none is spoken": (
            kafka.section() | {"bootstrap_servers": [kafka.bootstrap_servers]},
            EXIT_UNREACHABLE,
            "does not speak TLS",
        ),
        "no TLS where it is spoken": (plain, EXIT_UNREACHABLE, "none speaks the security protocol"),
        "a mechanism that is not offered": (
            login | {"bootstrap_servers": login_servers, "sasl_mechanism": "SCRAM-SHA-256"},
            EXIT_REFUSED,
            "does not offer the SASL mechanism",
        ),
        "a login where none is known": (
            login | {"bootstrap_servers": [kafka.bootstrap_servers]},
            EXIT_REFUSED,
            "does not offer the SASL mechanism",
        ),
    }


async def test_who_is_not_let_in_is_told_why(tmp_path: Path, kafka: SecuredKafka) -> None:
    for way, (section, code, said) in not_let_in(kafka, tmp_path).items():
        with pytest.raises(BusError) as refused:
            await KafkaBus(KafkaSettings.model_validate(section), shards=1, partitions=1).open()
        assert (way, refused.value.exit_code) == (way, code)
        assert said in refused.value.what, way
        assert PASSWORD not in str(refused.value)
        assert WRONG_PASSWORD not in str(refused.value)


def test_who_is_not_let_in_sees_one_line_without_the_password(
    tmp_path: Path, api: Simulator, kafka: SecuredKafka
) -> None:
    section = kafka.section(SCRAM_USER, "SCRAM-SHA-512", WRONG_PASSWORD)
    code, out, err = site(tmp_path, api, section).ended("status")
    assert (code, out, len(err.splitlines())) == (EXIT_REFUSED, "", 1)
    assert "does not accept the user and the password" in err
    assert WRONG_PASSWORD not in err
