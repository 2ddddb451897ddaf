"""Proxies on loopback that do to connections what networks do: delay, stall, cut, hold back one message.

``HttpProxy`` stands before the API, ``KafkaProxy`` before a broker. They live in the event loop of the test.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Self

HOST = "127.0.0.1"
PIECE_BYTES = 65_536
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: closing sends RST, and what is under way is lost."""


class Side(Enum):
    """Which way a message goes."""

    REQUEST = "to the server"
    ANSWER = "to the client"


@dataclass(eq=False)
class Link:
    """One connection of a client, and the one behind it to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    answered_bytes: int = 0
    asked: dict[int, tuple[int, Trap | None]] = field(default_factory=dict)

    def reset(self) -> None:
        """Cut both connections at once."""
        for writer in (self.client, self.server):
            raw = writer.get_extra_info("socket")
            if raw is not None and not writer.is_closing():
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()


class Proxy:
    """A door to a server, open as long as the context; everything passes until told otherwise.

    Args:
        target_port: of the server on loopback; it may come and go.

    Attributes:
        port: of the door.
        delay_s: how long every piece of data is under way.
    """

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.delay_s = 0.0
        self._target_port = target_port
        self._links: set[Link] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    def stall(self) -> None:
        """Become a black hole: connections stand, and nothing passes until ``flow``; it is late then, not lost."""
        self._flowing.clear()

    def flow(self) -> None:
        """Let everything pass again."""
        self._flowing.set()

    def cut(self) -> int:
        """Reset all connections; return how many."""
        links = list(self._links)
        for link in links:
            link.reset()
        return len(links)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            answers, server = await asyncio.open_connection(HOST, self._target_port)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, server)
        self._links.add(link)
        try:
            await asyncio.gather(
                self._pump(link, Side.REQUEST, reader, server), self._pump(link, Side.ANSWER, answers, writer)
            )
        except asyncio.CancelledError:
            pass  # the door closes; asyncio would complain of a handler that was cancelled
        finally:
            self._links.discard(link)
            link.reset()

    async def _pump(self, link: Link, side: Side, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes; when it ends, so does the far end, once what was sent before has arrived."""
        try:
            async for piece in self._pieces(reader):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._flowing.wait()
                passed = await self._treated(link, side, piece)
                writer.write(passed)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            if side is Side.ANSWER:
                writer.close()
            elif not writer.is_closing():
                writer.write_eof()  # half of it: what was asked last is still answered

    async def _pieces(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        while piece := await reader.read(PIECE_BYTES):
            yield piece

    async def _treated(self, link: Link, side: Side, piece: bytes) -> bytes:
        """What passes of a piece. Raises ConnectionError when the connection is to end here."""
        return piece


class HttpProxy(Proxy):
    """Before the API. ``cut_after_bytes`` cuts each answer that is longer in its middle."""

    cut_after_bytes: int | None = None

    async def _treated(self, link: Link, side: Side, piece: bytes) -> bytes:
        if side is Side.REQUEST:
            link.answered_bytes = 0
            return piece
        link.answered_bytes += len(piece)
        if self.cut_after_bytes is None or link.answered_bytes <= self.cut_after_bytes:
            return piece
        link.client.write(piece[: self.cut_after_bytes - link.answered_bytes])
        await link.client.drain()
        link.client.close()
        raise ConnectionAbortedError


class Api(IntEnum):
    """The requests of Kafka's protocol that tests speak of."""

    PRODUCE = 0
    FETCH = 1
    METADATA = 3
    FIND_COORDINATOR = 10
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    END_TXN = 26


_NAME_BROKERS = {Api.METADATA, Api.FIND_COORDINATOR}


class Trap:
    """Catches one message. What is behind it on its connection waits, as behind a lost packet.

    Attributes:
        caught: set when the message is held.
        answer: what the broker answered to a caught request, correlation id and header included.
    """

    def __init__(self, api: Api, side: Side) -> None:
        self.api, self.side = api, side
        self.caught = asyncio.Event()
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._decided = asyncio.Event()
        self._is_cut = False

    def release(self) -> None:
        """Let the message go on, even if its sender has hung up since."""
        self._decided.set()

    def cut(self) -> None:
        """Lose the message, and the connection with it."""
        self._is_cut = True
        self._decided.set()

    async def hold(self) -> None:
        """Wait for the decision. Raises ConnectionError when the message is lost."""
        self.caught.set()
        await self._decided.wait()
        if self._is_cut:
            raise ConnectionAbortedError


class KafkaProxy(Proxy):
    """Before a broker on loopback, whose own address it replaces by its own where the broker names it."""

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port)
        self._set: list[Trap] = []

    def trap(self, api: Api, side: Side = Side.REQUEST) -> Trap:
        """Hold the next message of a kind, until the trap is told what to do with it."""
        trap = Trap(api, side)
        self._set.append(trap)
        return trap

    def spring(self) -> None:
        """Take all traps away that have caught nothing, and release what the others hold."""
        for trap in self._set:
            trap.release()
        self._set = [trap for trap in self._set if trap.caught.is_set()]

    async def _pieces(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        while True:
            yield await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))

    async def _treated(self, link: Link, side: Side, piece: bytes) -> bytes:
        if side is Side.REQUEST:
            api, _version, correlation = struct.unpack_from(">hhi", piece)
            trap = await self._caught(link, api, side)
            link.asked[correlation] = api, trap
        else:
            api, asked_by = link.asked.pop(int.from_bytes(piece[:4], "big"))
            if asked_by is not None:
                asked_by.answer.set_result(piece)
            await self._caught(link, api, side)
            if api in _NAME_BROKERS:
                piece = piece.replace(_address(self._target_port), _address(self.port))
        return len(piece).to_bytes(4, "big") + piece

    async def _caught(self, link: Link, api: int, side: Side) -> Trap | None:
        waiting = (trap for trap in self._set if not trap.caught.is_set())
        trap = next((trap for trap in waiting if (trap.api, trap.side) == (api, side)), None)
        if trap is not None:
            try:
                await trap.hold()
            except ConnectionAbortedError:
                link.reset()
                raise
            finally:
                self._set.remove(trap)
        return trap


def _address(port: int) -> bytes:
    """How answers write an address of loopback: its text, then the port."""
    return HOST.encode() + port.to_bytes(4, "big")
