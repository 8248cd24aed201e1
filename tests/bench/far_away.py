"""A TCP relay that makes its target far away: every byte is delivered later, none is held back for the others' sake."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Self

_PIECE = 256 * 1024
_AHEAD = 512  # pieces on their way in one direction: far more than a window, so distance costs time and not throughput


class FarAway:
    """Listens on loopback and passes on to ``target``, with ``seconds`` of round trip between the two."""

    def __init__(self, target: tuple[str, int], seconds: float) -> None:
        self._target = target
        self._one_way = seconds / 2
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="far away", daemon=True)
        self.address = ("", 0)

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        self._server = starting.result(10)
        self.address = self._server.sockets[0].getsockname()[:2]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.sleep(self._one_way * 2)  # the handshake is a round trip too
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_AHEAD)
        await asyncio.gather(self._take(reader, pieces), self._deliver(pieces, writer))

    async def _take(self, reader: asyncio.StreamReader, pieces: asyncio.Queue[tuple[float, bytes]]) -> None:
        data = b"x"
        while data:
            try:
                data = await reader.read(_PIECE)
            except OSError:
                data = b""
            await pieces.put((self._loop.time() + self._one_way, data))

    async def _deliver(self, pieces: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                due, data = await pieces.get()
                await asyncio.sleep(max(due - self._loop.time(), 0))
                if not data:
                    return
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()
