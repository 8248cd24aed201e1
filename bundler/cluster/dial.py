"""Connections to the engine that the environment names: docker's client over TLS or SSH, as over a socket of this machine.

Each connection is a plain socket, whose two directions end apart. The SDK's own ways have not that: its TLS ends as a whole, and
its SSH shares one connection, of which sshd gives ten sessions (MaxSessions), and a build wants more.
"""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import docker
import urllib3
from docker.tls import TLSConfig
from docker.transport.basehttpadapter import BaseHTTPAdapter
from docker.utils import kwargs_from_env

from bundler.cluster.tls import tunnel
from bundler.errors import DockerMissing

Dial = Callable[[], socket.socket]

_BASE: Final = "http+docker://tunnel"  # a scheme of the SDK's for what is no host to look up, and no proxy's matter
_TLS_PORT: Final = 2376
_SSH: Final = ("ssh", "-o", "ConnectTimeout=20", "-T")


def connect(timeout: float) -> docker.DockerClient:
    """Return a client of the engine that the environment names. ``timeout``: seconds without an answer.

    Raises DockerMissing where TLS is asked for and nothing says whom to trust, or where there is no ssh for an ssh:// engine; and what docker's
    and requests' clients raise.
    """
    settings: dict[str, Any] = {**kwargs_from_env()}
    url, given = str(settings.get("base_url", "")), settings.get("tls")
    if url.startswith("ssh://"):
        return _client(timeout, by_ssh(url))
    if given is None or url.startswith("unix://"):
        return docker.from_env(timeout=int(timeout))
    if not given.verify:
        raise DockerMissing("DOCKER_HOST speaks TLS, and nobody says whom to trust", "set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to where ca.pem, cert.pem and key.pem are")
    return _client(timeout, by_tls(url, given))


def by_tls(url: str, given: TLSConfig) -> Dial:
    """Return what connects to ``tcp://HOST:PORT`` with the files that ``given`` names. Raises OSError where they cannot be read."""
    context = ssl.create_default_context(cafile=given.ca_cert)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if given.cert:
        context.load_cert_chain(*given.cert)
    parts = urlsplit(url)
    return lambda: tunnel((parts.hostname or "", parts.port or _TLS_PORT), context)


def by_ssh(url: str) -> Dial:
    """Return what connects to ``ssh://[USER@]HOST[:PORT]`` as docker's own command does: its ``system dial-stdio`` over there. Raises DockerMissing."""
    parts = urlsplit(url)
    if not parts.hostname or shutil.which(_SSH[0]) is None:
        raise DockerMissing(f"DOCKER_HOST={url} cannot be reached", "write ssh://USER@HOST, and install ssh (openssh-client)")
    words = [*_SSH, *(("-l", parts.username) if parts.username else ()), *(("-p", str(parts.port)) if parts.port else ()), "--", parts.hostname, "docker", "system", "dial-stdio"]
    return lambda: through(words)


def through(words: list[str]) -> socket.socket:
    """Return a socket to a program's input and output; its errors are shown as they come. Raises OSError."""
    ours, inner = socket.socketpair()
    with inner:
        try:
            program = subprocess.Popen(words, stdin=inner.fileno(), stdout=inner.fileno())
        except BaseException:
            ours.close()
            raise
    threading.Thread(target=program.wait, name="engine-ssh", daemon=True).start()
    return ours


def _client(timeout: float, dial: Dial) -> docker.DockerClient:
    client = docker.DockerClient(base_url="tcp://tunnel:1", timeout=int(timeout), tls=_Tunnelled(dial))
    client.api.base_url = _BASE  # as for a socket of this machine, which it is for the SDK
    return client


class _Tunnelled(TLSConfig):
    """What the SDK asks to prepare a client, before it speaks to the engine for the first time."""

    def __init__(self, dial: Dial) -> None:
        super().__init__(verify=True)
        self._dial = dial

    def configure_client(self, client: Any) -> None:
        adapter = _Adapter(self._dial, client.timeout)
        client.mount("https://", adapter)
        client.mount(_BASE, adapter)


class _Adapter(BaseHTTPAdapter):
    def __init__(self, dial: Dial, timeout: float) -> None:
        self._pool = _Pool(dial, timeout)
        super().__init__()

    def get_connection(self, url: Any, proxies: Any = None) -> Any:
        del url, proxies  # an engine is one; docker's own client takes no proxy to it either
        return self._pool

    def request_url(self, request: Any, proxies: Any) -> str:
        del proxies
        return str(request.path_url)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave it to the tunnel, whatever CA bundle the environment names for the world's web sites."""


class _Pool(urllib3.HTTPConnectionPool):
    def __init__(self, dial: Dial, timeout: float) -> None:
        super().__init__("docker", timeout=timeout, maxsize=10)
        self._dial = dial

    def _new_conn(self) -> Any:
        return _Connection(self._dial)


class _Connection(urllib3.connection.HTTPConnection):
    def __init__(self, dial: Dial) -> None:
        super().__init__("docker")
        self._dial = dial

    def connect(self) -> None:
        """Raises OSError, ssl.SSLError among them."""
        self.sock = self._dial()
