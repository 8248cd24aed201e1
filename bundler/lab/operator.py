"""Operator: a container without any right, in the lab's network. The artifact runs there, as at the site: over SSH, with a key."""

from __future__ import annotations

import codecs
import secrets
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from bundler.cluster.container import TemporaryNetwork, uninterrupted
from bundler.cluster.exec_channel import ExecChannel
from bundler.cluster.lease import until_its_end
from bundler.engine import Engine, docker_errors
from bundler.errors import ClusterFailed
from installer_stub.host.exchange import NO_STATUS

DIRECTORY: Final = "/site"
_CHUNK: Final = 1 << 20
_GRACE: Final = 20  # seconds between SIGTERM and SIGKILL of what takes too long
LATE: Final = 124  # what timeout(1) ends with
_MOST: Final = 4 << 20  # bytes of a line that are kept


class Operator:
    """Runs programs in the container, one at a time. It is gone when the ``with`` ends."""

    def __init__(self, engine: Engine, image: str, network: TemporaryNetwork, files: bytes) -> None:
        self._engine, self._image, self._network, self._files = engine, image, network, files
        self.name = f"{network.name}-operator-{secrets.token_hex(2)}"
        self._id = ""

    def __enter__(self) -> Self:
        api = self._engine.client.api
        try:
            with docker_errors("docker cannot start the lab's operator"):
                endpoint = api.create_networking_config({self._network.name: api.create_endpoint_config()})  # type: ignore[arg-type]
                stays = "exec sleep infinity" if self._network.keep else until_its_end()
                made: dict[str, Any] = api.create_container(
                    self._image, command=["/bin/sh", "-c", stays], name=self.name, hostname="operator", labels=self._network.labels,
                    volumes=[DIRECTORY], host_config=api.create_host_config(init=True), networking_config=endpoint,
                )  # fmt: skip
                self._id = made["Id"]
                api.put_archive(self._id, "/", self._files)
                api.start(self._id)
            if not self._network.keep:
                self._network.lease.hold(self._id)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if not self._network.keep:
            self._remove()

    def bring(self, file: Path, moved: Callable[[int, int], None]) -> str:
        """Copy an executable into the container and return where it is. ``moved`` gets further bytes, and all of them."""
        with docker_errors(f"{file.name} cannot be copied into the lab"):
            self._engine.client.api.put_archive(self._id, DIRECTORY, _tar(file, moved))
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
            channel = ExecChannel(self._engine.client.api, self._id, words)
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

    def _remove(self) -> None:
        import docker.errors

        if self._id:
            self._network.lease.drop(self._id)
            with uninterrupted(), suppress(docker.errors.APIError):
                self._engine.client.api.remove_container(self._id, force=True, v=True)
            self._id = ""


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
