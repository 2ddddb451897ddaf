"""A broker that wants to know who asks: TLS, SASL by PLAIN and SCRAM, and rights of each user.

Who sets it up comes in by the plain listener, anonymous, and may do everything; ``SASL_SSL`` is what is under test, and
``SASL_PLAINTEXT`` offers PLAIN only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trustme
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, CreateAclsRequest_v1
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.support.documented_rights import DocumentedRight
from tests.support.kafka_broker import ALONE, Broker, free_port
from tests.support.kafka_jars import check_java

PASSWORD = "sesame-opens-the-gate"
SCRAM_USER = "streamer"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

_RESOURCES = {"topic": 2, "group": 3, "transactional id": 5}
_OPERATIONS = {"Read": 3, "Write": 4, "Alter": 7, "Describe": 8, "DescribeConfigs": 10}
_LITERAL, _PREFIXED = 3, 4
_ALLOW = 3

_LOGIN = "org.apache.kafka.common.security"


class SecuredKafka(Broker):
    """The broker.

    Args:
        directory: for all that it needs.
        users: those who come in by PLAIN besides ``SCRAM_USER``, who may use any mechanism; all with ``PASSWORD``.
    """

    def __init__(self, directory: Path, users: Iterable[str]) -> None:
        self.secure_port, self.login_port = free_port(), free_port()
        plain_port, controller_port = free_port(), free_port()
        self.ca_file = directory / "ca.pem"
        store = directory / "broker.pem"
        _issue(self.ca_file, store)
        listeners = (
            f"PLAINTEXT://127.0.0.1:{plain_port},SASL_SSL://127.0.0.1:{self.secure_port},"
            f"SASL_PLAINTEXT://127.0.0.1:{self.login_port}"
        )
        known = " ".join(f'user_{user}="{PASSWORD}"' for user in (SCRAM_USER, *users))
        plain = f"{_LOGIN}.plain.PlainLoginModule required {known};"
        scram = {
            f"listener.name.sasl_ssl.{mechanism.lower()}.sasl.jaas.config": (
                f"{_LOGIN}.scram.ScramLoginModule required;"
            )
            for mechanism in MECHANISMS[1:]
        }
        super().__init__(
            directory,
            {
                **ALONE,
                "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller_port}",
                "advertised.listeners": listeners,
                "listener.security.protocol.map": (
                    "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT"
                ),
                "inter.broker.listener.name": "PLAINTEXT",
                "sasl.enabled.mechanisms": ",".join(MECHANISMS),
                "listener.name.sasl_plaintext.sasl.enabled.mechanisms": "PLAIN",
                "listener.name.sasl_plaintext.plain.sasl.jaas.config": plain,
                "listener.name.sasl_ssl.plain.sasl.jaas.config": plain,
                **scram,
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(store),
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
            },
            voters={1: controller_port},
            formatted=[
                argument
                for mechanism in MECHANISMS[1:]
                for argument in ("--add-scram", f"{mechanism}=[name={SCRAM_USER},password={PASSWORD}]")
            ],
        )
        self.port = plain_port

    def section(self, user: str = SCRAM_USER, mechanism: str = "PLAIN", password: str = PASSWORD) -> dict[str, Any]:
        """The ``kafka`` section of who comes in by the secured listener."""
        return {
            "bootstrap_servers": [f"127.0.0.1:{self.secure_port}"],
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": mechanism,
            "sasl_username": user,
            "sasl_password": password,
            "ssl_ca_file": str(self.ca_file),
        }

    async def grant(self, rights: Iterable[tuple[str, DocumentedRight]]) -> None:
        """Grant rights to users, all in one request."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        try:
            answer = await admin._send_request(_Grants([_row(user, right) for user, right in rights]))
        finally:
            await admin.close()
        refused = [message for code, message in answer.creation_responses if code]
        assert not refused, refused


class _Grants(CreateAclsRequest):  # type: ignore[misc]  # aiokafka is untyped
    """Many at once; the library's own holds one."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = rows

    def build(self, _: object) -> CreateAclsRequest_v1:
        return CreateAclsRequest_v1(self._rows)


def _row(user: str, right: DocumentedRight) -> tuple[Any, ...]:
    """A right as the broker stores it."""
    pattern = _PREFIXED if right.name.endswith("*") else _LITERAL
    resource = (_RESOURCES[right.resource], right.name.removesuffix("*"), pattern)
    return *resource, f"User:{user}", "*", _OPERATIONS[right.operation], _ALLOW


def _issue(ca_file: Path, store: Path) -> None:
    """An authority of its own, and what the broker shows of itself: key and chain in PEM, the key as PKCS #8."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(ca_file)
    issued = authority.issue_cert("127.0.0.1")
    key = load_pem_private_key(issued.private_key_pem.bytes(), password=None)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    store.write_bytes(text + b"".join(certificate.bytes() for certificate in issued.cert_chain_pems))


@contextmanager
def secured_kafka(users: Iterable[str]) -> Iterator[SecuredKafka]:
    """A secured broker of Maven's jars. Raises NoKafka."""
    check_java()
    with tempfile.TemporaryDirectory(prefix="kafka-") as directory:
        kafka = SecuredKafka(Path(directory), users)
        kafka.start()
        try:
            yield kafka
        finally:
            kafka.stop()
