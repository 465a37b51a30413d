"""A network that fails on command: a small TCP proxy on loopback, to stand before Kafka, a node or Redis.

    with FlakyProxy(settings.port("dn1")) as proxy:
        client = connect_to(proxy.port)
        proxy.cut()         # packets vanish: nothing passes, nothing is refused, connecting hangs too
        proxy.heal()        # what was on its way arrives after all, as TCP would bring it
        proxy.delay(0.5)    # each answer and each request takes so long on its way
        proxy.throttle(20_000)  # bytes a second, each way and connection
        proxy.lose_answers()    # requests arrive, answers do not: the outcome is unknown to the client
        proxy.half_close()  # the server says on every connection that it sends no more (FIN)
        proxy.sever()       # every connection is reset, and new ones are until it is healed

Each is its own command and ``heal`` ends all of them. They may be called from any thread and hold from the
next piece of data on. Kafka tells its clients where to go on, so a broker behind a proxy must advertise the
proxy's port, see ``tests/own_broker.py``. Nodes and Redis need nothing more than another port in the client's
settings.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

PIECE = 1 << 16
_RESET = struct.pack("ii", 1, 0)


class FlakyProxy:
    """Forwards ``host:port`` to ``host:target_port``; ``port`` 0 takes a free one.

    Attributes:
        port: where clients connect. accepted: connections so far. forwarded: bytes so far, both ways.
    """

    def __init__(self, target_port: int, *, port: int = 0, host: str = "127.0.0.1") -> None:
        self._target, self._host = (host, target_port), host
        self.port = port
        self.accepted = self.forwarded = 0
        self._delay = 0.0
        self._rate: float | None = None
        self._severed = self._answers_lost = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="flaky proxy", daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self._now(self._passes.clear)

    def heal(self) -> None:
        """The network is as it should be. Connections that were reset or half closed stay so."""
        self._delay, self._rate = 0.0, None
        self._severed = self._answers_lost = False
        self._now(self._passes.set)

    def delay(self, seconds: float) -> None:
        """Each piece of data takes this long on its way, one behind the other."""
        self._delay = seconds

    def throttle(self, bytes_per_second: float) -> None:
        """No more than this passes each way of each connection."""
        self._rate = bytes_per_second

    def lose_answers(self) -> None:
        """What the server says is thrown away; what the clients say arrives."""
        self._answers_lost = True

    def half_close(self) -> None:
        """Ends the server's side of each connection that is open now."""
        self._now(self._end_of_answers)

    def sever(self) -> None:
        """Resets each connection, and each new one until it is healed."""
        self._severed = True
        self._now(self._reset_all)

    def _do(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    def _now(self, act: object) -> None:
        async def call() -> None:
            act()  # type: ignore[operator]

        self._do(call())

    async def _open(self) -> None:
        self._passes = asyncio.Event()
        self._passes.set()
        self._server = await asyncio.start_server(self._serve, self._host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server:
            self._server.close()
        self._reset_all()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end_of_answers(self) -> None:
        for client in self._clients:
            with suppress(OSError):
                client.write_eof()

    def _reset_all(self) -> None:
        for writer in list(self._writers):
            _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._severed:
            _reset(client)
            return
        await self._passes.wait()
        try:
            from_server, server = await asyncio.open_connection(*self._target)
        except OSError:
            _reset(client)
            return
        self._writers |= {client, server}
        self._clients.add(client)
        try:
            await asyncio.gather(
                self._carry(reader, server, answers=False), self._carry(from_server, client, answers=True)
            )
        except asyncio.CancelledError:
            pass  # the proxy is being closed; as a cancelled task it would be told of as an error
        finally:
            self._clients.discard(client)
            for writer in (client, server):
                self._writers.discard(writer)
                writer.close()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        """One way of one connection, to its end."""
        with suppress(OSError):
            while data := await reader.read(PIECE if not self._rate else max(1, int(self._rate / 10))):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._passes.wait()
                if answers and self._answers_lost:
                    continue
                if self._rate:
                    await asyncio.sleep(len(data) / self._rate)
                    await self._passes.wait()
                self.forwarded += len(data)
                writer.write(data)
                await writer.drain()
            await self._passes.wait()
            if writer.can_write_eof():
                writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection as a broken one ends: with a reset, and without what was still to be sent."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
