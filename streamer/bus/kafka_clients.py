"""How clients of aiokafka are made: connection, security, and the two kinds of consumers and the producer in use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.errors import KafkaConnectionError
from aiokafka.helpers import create_ssl_context
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.structs import TopicPartition

from streamer.bus.kafka_errors import KAFKA_FAILURES
from streamer.bus.kafka_hanging import Forgotten
from streamer.config import KafkaSettings
from streamer.errors import ConfigurationError

CLIENT_ID = "powerp-streamer"

TRANSACTION_TIMEOUT_MS = 10_000
"""After this the broker aborts a transaction that nobody ends; twice the deadline of a commit."""

REQUEST_TIMEOUT_MS = 10_000

MAX_BATCH_BYTES = 512 * 1024
"""Half of the broker's usual limit of a batch (1 MB)."""

SESSION_TIMEOUT_S = 6.0
"""A member of the group that is silent for so long has lost its shards: the least that brokers take by default."""

HEARTBEAT_S = 1.0
"""How soon a member learns that another has come or gone."""

ABANDON_S = 1.0
"""How long a producer that is let go of may take to notice."""


class KafkaClients:
    """Makes clients for one cluster. Must be used inside a running event loop.

    Args:
        settings: the ``kafka`` section.
        replica: what this process is called among the members of the group.
    """

    def __init__(self, settings: KafkaSettings, replica: str = CLIENT_ID) -> None:
        self._settings = settings
        self._replica = replica

    async def start(self, client: Admin | Consumer) -> None:
        """Start one of those below.

        Raises:
            KafkaError, OSError: what the last broker says that was asked; aiokafka tells it to its log only.
        """
        try:
            await client.start()
        except KafkaConnectionError:
            await self._knock()
            raise

    async def _knock(self) -> None:
        """Connect to each broker that is configured; raise what the last one says unless one lets us in."""
        options = self._connection()
        servers = options.pop("bootstrap_servers")
        del options["metadata_max_age_ms"]
        refused: BaseException | None = None
        for host, port, _ in collect_hosts(servers):
            try:
                (await create_conn(host, port, **options)).close()
            except KAFKA_FAILURES as exc:
                refused = exc
            else:
                return
        if refused is not None:
            raise refused

    def admin(self) -> Admin:
        """A client for topics, not started."""
        return Admin(**self._connection())

    @asynccontextmanager
    async def raw(self) -> AsyncIterator[AIOKafkaClient]:
        """A client for single requests."""
        client = AIOKafkaClient(**self._connection())
        try:
            await client.bootstrap()
            yield client
        finally:
            await closed(client.close())

    def consumer(self, *, is_committed_only: bool = True) -> Consumer:
        """A consumer without a group, not started; partitions are assigned by hand."""
        return Consumer(
            **self._connection(),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed" if is_committed_only else "read_uncommitted",
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=8 * 1024 * 1024,
        )

    def member(self, assignor: type[AbstractPartitionAssignor]) -> Consumer:
        """A consumer that holds a membership in the group and reads nothing, not started.

        Its client id names the replica: that is what the group tells everyone of a member. Exactly one assignor:
        aiokafka joins once for each that it is given.
        """
        return Consumer(
            **self._connection() | {"client_id": self._replica},
            group_id=self._settings.owners,
            partition_assignment_strategy=[assignor],
            session_timeout_ms=int(SESSION_TIMEOUT_S * 1000),
            heartbeat_interval_ms=int(HEARTBEAT_S * 1000),
            enable_auto_commit=False,
            auto_offset_reset="latest",
        )

    def producer(
        self, transactional_id: str, *, transaction_timeout_ms: int = TRANSACTION_TIMEOUT_MS
    ) -> TransactionalProducer:
        """A transactional producer, not started."""
        compression = self._settings.compression
        return TransactionalProducer(
            **self._connection(),
            transactional_id=transactional_id,
            transaction_timeout_ms=transaction_timeout_ms,
            compression_type=None if compression == "none" else compression,
            max_batch_size=MAX_BATCH_BYTES,
        )

    def _connection(self) -> dict[str, Any]:
        settings = self._settings
        options: dict[str, Any] = {
            "bootstrap_servers": list(settings.bootstrap_servers),
            "client_id": CLIENT_ID,
            "security_protocol": settings.security_protocol,
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            "metadata_max_age_ms": 60_000,
        }
        if settings.security_protocol.endswith("SSL"):
            options["ssl_context"] = self._ssl_context()
        if settings.security_protocol.startswith("SASL"):
            password = settings.read_sasl_password()
            options |= {
                "sasl_mechanism": settings.sasl_mechanism,
                "sasl_plain_username": settings.sasl_username,
                "sasl_plain_password": password.get_secret_value() if password else None,
            }
        return options

    def _ssl_context(self) -> Any:
        settings = self._settings
        password = settings.ssl_key_password
        try:
            context = create_ssl_context(
                cafile=settings.ssl_ca_file,
                certfile=settings.ssl_cert_file,
                keyfile=settings.ssl_key_file,
                password=password.get_secret_value() if password else None,
            )
        except OSError as exc:  # an ssl.SSLError is one
            files = (settings.ssl_ca_file, settings.ssl_cert_file, settings.ssl_key_file)
            named = ", ".join(str(file) for file in files if file is not None)
            problem = f"{named} cannot be read as certificates and key in PEM ({exc.strerror or type(exc).__name__})"
            raise ConfigurationError([("kafka.ssl_*", problem)]) from None
        context.check_hostname = settings.ssl_check_hostname
        return context


class Admin(AIOKafkaAdminClient):  # type: ignore[misc]  # aiokafka is untyped
    """A client that creates no topic by asking about it, whatever the brokers are configured to do."""

    async def _get_cluster_metadata(self, topics: list[str] | None = None) -> Any:
        return await self._send_request(MetadataRequest(topics, allow_auto_topic_creation=False))


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka is untyped
    """A consumer that notices when it may not see a topic."""

    async def see(self, *topics: str) -> None:
        """Raise TopicAuthorizationFailedError when a topic is hidden: aiokafka would ask for it without a pause."""
        for topic in topics:  # all of them are asked for at once
            self._client.add_topic(topic)
        for topic in topics:
            await self._client._wait_on_metadata(topic)


class TransactionalProducer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka is untyped
    """A producer that can be let go of at any time, whatever it is doing."""

    _closed: bool

    async def end(self, forgotten: Forgotten) -> None:
        """End what is open of an earlier producer of the transactional id.

        A transaction of no records: the marker of its end in a partition ends whatever the producer's id has open
        there.
        """
        await self.begin_transaction()
        for partition in forgotten.partitions:
            self._txn_manager.maybe_add_partition_to_txn(TopicPartition(*partition))
        await (self.commit_transaction() if forgotten.is_commit else self.abort_transaction())

    async def abandon(self) -> None:
        """End its task and connections without sending what is pending; never raises, never takes long.

        ``stop`` would first wait for every pending batch, as long as the brokers like. An open transaction is
        aborted by the next producer of the same transactional id, or by the broker after its timeout.
        """
        if self._closed:
            return
        self._closed = True
        sender = self._sender.sender_task
        if sender is not None:
            sender.cancel()
        await _within(ABANDON_S, self.client.close())
        if sender is not None:
            await asyncio.wait([sender], timeout=ABANDON_S)
            sender.cancel()  # what it still waits for by then, it waits for in vain
            await asyncio.wait([sender], timeout=ABANDON_S)
            await _within(ABANDON_S, self.client.close())
        for future in self._futures():
            if future.done() and not future.cancelled():
                future.exception()  # seen: asyncio would complain about an exception that nobody looked at

    def _futures(self) -> Iterator[asyncio.Future[Any]]:
        """What aiokafka fails beside the futures that it hands out."""
        if self._txn_manager._transaction_waiter is not None:
            yield self._txn_manager._transaction_waiter
        accumulator = self._message_accumulator
        for batches in (*accumulator._batches.values(), accumulator._pending_batches):
            for batch in batches:
                yield from (batch.future, batch._drain_waiter)


async def closed(closing: Awaitable[None]) -> None:
    """Wait until a client is closed, and be cancelled all the same.

    aiokafka 0.14 swallows a cancellation that comes while its client ends its task (``AIOKafkaClient.close``): whoever
    was told to end would go on.
    """
    await closing
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _within(seconds: float, step: Any) -> None:
    try:
        async with asyncio.timeout(seconds):
            await step
    except KAFKA_FAILURES:
        pass
