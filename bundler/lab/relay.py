"""Relay: a container without rights in a lab's network, where hosts ask for images. Each connection comes out in this process.

It runs sshd on the two ends of docker's exec, and sshd listens (RFC 4254, section 7). So no port is open anywhere else, it works
wherever the engine is, and windows, many connections at once and their ends are the work of a well-kept library. What travels is
the hosts' own TLS: the relay has neither the recorder's key nor its login, and no blob stays in it.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, Self

from bundler.cluster.exec_channel import ExecChannel
from bundler.cluster.network import TemporaryNetwork
from bundler.engine import Engine, docker_errors
from bundler.errors import ClusterFailed
from bundler.lab.attendant import Attendant
from bundler.lab.keys import KeyPair, host_files
from installer_stub.errors import InstallerError
from installer_stub.host.exchange import Channel
from installer_stub.host.login import Login, Reached, authenticate, greet, load_identities
from installer_stub.host.model import Host, Role

PORT: Final = 5443  # in the relay's own network namespace
_KEEPALIVE: Final = 30  # seconds: what lies between may forget a connection that says nothing for minutes
_MOST: Final = 512  # connections at once; containerd opens one for each layer that it pulls
_CHUNK: Final = 128 * 1024
_CONNECT: Final = 10.0  # seconds
_LINGER: Final = 5.0  # seconds for a host to close what the recorder has closed
_TAIL: Final = 5  # lines of sshd that an error shows
_SSHD: Final = """\
mkdir -p /run/sshd && chmod 700 /root/.ssh && exec "$(command -v sshd || echo /usr/sbin/sshd)" -i -e -o UsePAM=no -o UseDNS=no -o LogLevel=ERROR \
-o PermitRootLogin=prohibit-password -o AllowTcpForwarding=remote -o GatewayPorts=yes -o X11Forwarding=no"""


class Relay:
    """Up while the ``with`` lasts. ``address`` is where hosts of the network reach it."""

    def __init__(self, engine: Engine, image: str, network: TemporaryNetwork) -> None:
        self._engine = engine
        self._container = Attendant(engine, image, network, "recorder")  # always leased: it never outlives its build
        self._keys = KeyPair.make(), KeyPair.make()  # the host's own, and ours
        self._places = threading.BoundedSemaphore(_MOST)
        self._reached: Reached | None = None
        self._wire: _Wire | None = None
        self._target = ("", 0)

    @property
    def address(self) -> str:
        """Where hosts of the network reach it; empty until it is up."""
        return self._container.address

    @property
    def alive(self) -> bool:
        """Whether connections still come through."""
        return self._reached is not None and self._reached.alive

    def __enter__(self) -> Self:
        """Raises DockerError, ClusterFailed; nothing is left then."""
        try:
            with docker_errors("docker cannot start the relay to the recorder"):
                self._container.start(host_files(*self._keys))
        except BaseException:
            self._container.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._reached is not None:
            self._reached.close()
        if self._wire is not None:
            self._wire.close()
        self._container.remove()

    def forward(self, target: tuple[str, int]) -> None:
        """Let what hosts connect to ``address``, PORT, come out as connections to ``target`` of this machine. Raises ClusterFailed."""
        self._target = target
        with docker_errors("docker cannot run the relay's sshd"):
            self._wire = _Wire(ExecChannel(self._engine.client.api, self._container.id, ["/bin/sh", "-c", _SSHD]))
        try:
            self._reached = greet(Host(self.address, Role.MASTER), self._wire)
            key = self._reached.key
            if f"{key.kind} {key.blob}" != self._keys[0].public:
                raise ClusterFailed("the relay's sshd has another key than it was given", "report this")
            self._log_in(self._reached)
            self._reached.transport.set_keepalive(_KEEPALIVE)
            self._reached.listen(PORT, self._take)
        except InstallerError as error:
            said = "; ".join(self._wire.said) or "it said nothing"
            hint = "an image given as --build-host-image needs sshd, for the rehearsal too; or build where the engine is, with --recorder direct"
            raise ClusterFailed(f"the relay to the recorder does not start: {error.problem} ({said})", hint) from None

    def _log_in(self, reached: Reached) -> None:
        with tempfile.TemporaryDirectory(prefix="airseal-") as directory:  # 0700
            file = Path(directory) / "identity"
            file.write_bytes(self._keys[1].private)
            login = Login((str(file),), agent=False)
            authenticate(reached, login, load_identities(login))

    def _take(self, channel: Channel) -> None:
        if not self._places.acquire(blocking=False):
            channel.close()
            return
        threading.Thread(target=self._carry, args=(channel,), name="relay", daemon=True).start()

    def _carry(self, channel: Channel) -> None:
        try:
            with closing(channel), suppress(OSError), socket.create_connection(self._target, _CONNECT) as sock:
                sock.settimeout(None)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                asks = threading.Thread(target=_pump, args=(channel.recv, sock.sendall, lambda: sock.shutdown(socket.SHUT_WR)), daemon=True)
                asks.start()
                _pump(sock.recv, channel.sendall, channel.shutdown_write)
                asks.join(_LINGER)
        finally:
            self._places.release()


def _pump(receive: Callable[[int], bytes], send: Callable[[bytes], None], end: Callable[[], None]) -> None:
    """Carry what comes until its end, or until nobody takes it."""
    with suppress(OSError, EOFError):
        while data := receive(_CHUNK):
            send(data)
    with suppress(OSError, EOFError):
        end()


class _Wire:
    """A command's two ends as the socket that an SSH transport wants. ``said``: the last of its stderr."""

    def __init__(self, channel: ExecChannel) -> None:
        self._channel = channel
        self._rest = b""
        self._patience = 0.1
        self._closed = False  # paramiko asks a socket for it by this name
        self.said = deque[str](maxlen=_TAIL)
        threading.Thread(target=self._listen, name="relay-said", daemon=True).start()

    def settimeout(self, seconds: float) -> None:
        """Set how long ``recv`` waits."""
        self._patience = seconds

    def recv(self, size: int) -> bytes:
        """Return some bytes, empty at the end. Raises TimeoutError."""
        if not self._rest:
            data = self._channel.poll(self._patience)
            if data is None:
                raise TimeoutError
            self._rest = data
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def send(self, data: bytes) -> int:
        """Send all of it. Raises OSError."""
        self._channel.sendall(data)
        return len(data)

    def close(self) -> None:
        """End the command."""
        self._closed = True
        self._channel.close()

    def _listen(self) -> None:
        while data := self._channel.recv_stderr(_CHUNK):
            self.said.extend(line.strip()[:300] for line in data.decode(errors="replace").splitlines() if line.strip())
