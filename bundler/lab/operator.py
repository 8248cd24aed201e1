"""Operator: a container without any right, in the lab's network. The artifact runs there, as at the site: over SSH, with a key."""

from __future__ import annotations

import codecs
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from bundler.cluster.exec_channel import ExecChannel
from bundler.cluster.network import TemporaryNetwork
from bundler.engine import Engine, docker_errors
from bundler.errors import ClusterFailed
from bundler.lab.attendant import Attendant
from installer_stub.host.exchange import NO_STATUS

DIRECTORY: Final = "/site"
_CHUNK: Final = 1 << 20
_GRACE: Final = 20  # seconds between SIGTERM and SIGKILL of what takes too long
LATE: Final = 124  # what timeout(1) ends with
_MOST: Final = 4 << 20  # bytes of a line that are kept


class Operator:
    """Runs programs in the container, one at a time. It is gone when the ``with`` ends."""

    def __init__(self, engine: Engine, image: str, network: TemporaryNetwork, files: bytes) -> None:
        self._engine, self._network, self._files = engine, network, files
        self._container = Attendant(engine, image, network, "operator", volumes=[DIRECTORY], leased=not network.keep)

    def __enter__(self) -> Self:
        try:
            with docker_errors("docker cannot start the lab's operator"):
                self._container.start(self._files)
        except BaseException:
            self._container.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if not self._network.stays:
            self._container.remove()

    def bring(self, file: Path, moved: Callable[[int, int], None]) -> str:
        """Copy an executable into the container and return where it is. ``moved`` gets further bytes, and all of them."""
        with docker_errors(f"{file.name} cannot be copied into the lab"):
            self._engine.client.api.put_archive(self._container.id, DIRECTORY, _tar(file, moved))
        return f"{DIRECTORY}/{file.name}"

    def run(self, argv: Sequence[str], line: Callable[[str], None], *, timeout: float) -> int:
        """Run a program, hand over each line of what it says as it comes, and return its exit status; LATE after ``timeout`` s."""
        words = ["env", "-C", DIRECTORY, "HOME=/root", "LANG=C.UTF-8", "timeout", "--signal=TERM", f"--kill-after={_GRACE}", str(int(timeout)), *argv]
        lock = threading.Lock()

        def tell(receive: Callable[[int], bytes]) -> None:
            for text in _lines(iter(lambda: receive(_CHUNK), b"")):
                with lock:
                    line(text)

        with docker_errors(f"docker cannot run {argv[0]} in the lab"):
            channel = ExecChannel(self._engine.client.api, self._container.id, words)
        try:
            channel.shutdown_write()
            errors = threading.Thread(target=tell, args=(channel.recv_stderr,), name="operator-stderr")
            errors.start()
            tell(channel.recv)
            errors.join()
            status = channel.recv_exit_status()
        finally:
            channel.close()
        if status == NO_STATUS:
            raise ClusterFailed(f"{argv[0]} in the lab ended and nobody knows how", "see whether the docker engine was restarted, then build again")
        return status


def _lines(pieces: Iterator[bytes]) -> Iterator[str]:
    decoder, rest = codecs.getincrementaldecoder("utf-8")("replace"), ""
    for piece in pieces:
        *whole, rest = (rest + decoder.decode(piece)).split("\n")
        rest = rest[-_MOST:]
        yield from (each.rstrip("\r") for each in whole)
    if rest:
        yield rest


def _tar(file: Path, moved: Callable[[int, int], None]) -> Iterator[bytes]:
    """Yield a tar of one executable file, piece by piece: it may have gigabytes."""
    size, done = file.stat().st_size, 0
    entry = tarfile.TarInfo(file.name)
    entry.size, entry.mode = size, 0o755
    yield entry.tobuf(tarfile.GNU_FORMAT)
    with file.open("rb") as stream:
        while data := stream.read(min(_CHUNK, size - done)):
            done += len(data)
            moved(len(data), size)
            yield data
    if done != size:
        raise ClusterFailed(f"{file} changed while it was copied into the lab", "let nobody write there, then build again")
    yield b"\0" * (-size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)
