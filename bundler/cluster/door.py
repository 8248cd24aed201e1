"""The door of a build's recorder: TLS, and a login that the temporary host alone is given.

Docker's bridge is reached by every local user and every container of the machine. Who could ask there would pull with the
build's logins, decide what is recorded, and fail the build. So the recorder is guarded as a site's registry is (ADR 0009),
by a CA, a certificate and a login that are made for this one recording and are gone with it.
"""

from __future__ import annotations

import datetime as dt
import io
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from installer_stub.hostside.service import server_tls, server_url
from installer_stub.pki import authority
from installer_stub.pki.registry import RegistryFiles, issue
from installer_stub.plan.model import CREDENTIAL, REGISTRY_CA, ImageSource
from registry_snapshot.serve.http_server import App, RegistryServer
from registry_snapshot.serve.login import Credential, LoginRequired

USER: Final = "airseal"
_RANDOM: Final = 32  # bytes of the password
_LIFE: Final = dt.timedelta(days=7)  # a kept cluster is looked at for days, not longer


class Files(Protocol):
    """The part of a Connection that takes files."""

    def put(self, source: BinaryIO, target: str, *, size: int, mode: int = 0o644) -> None:
        """Write ``size`` bytes to ``target``."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where the recorder is asked, and what a client needs for it."""

    address: tuple[str, int]
    listens: tuple[str, int]  # on this machine
    images: ImageSource
    ca: bytes
    credential: Credential = field(repr=False)

    def give(self, host: Files) -> None:
        """Give a host the CA and the login, in the files that its plan names."""
        login = f"{self.credential.user}:{self.credential.password}\n".encode()
        for data, path, mode in ((self.ca, REGISTRY_CA, 0o644), (login, CREDENTIAL, 0o600)):
            host.put(io.BytesIO(data), path, size=len(data), mode=mode)


@contextmanager
def door(app: App, address: str, reached: tuple[str, int] | None = None) -> Iterator[Door]:
    """Serve ``app`` on a free port of ``address`` while the ``with`` block lasts. Raises StoreError where it cannot listen.

    ``reached`` is the address and port at which hosts ask for it, where that is another one.
    """
    credential = Credential(USER, secrets.token_urlsafe(_RANDOM))
    with tempfile.TemporaryDirectory(prefix="airseal-") as name:  # 0700; TLS has read all of it when it is gone
        files = RegistryFiles(Path(name) / "authority", Path(name) / "registry.crt", Path(name) / "registry.key")
        now = dt.datetime.now(dt.UTC)
        authority.make(files.authority, now)
        issue(files, [reached[0] if reached else address], [], _LIFE, now)
        ca = (files.authority / authority.CERTIFICATE).read_bytes()
        tls = server_tls(files.certificate, files.key)
    with RegistryServer(LoginRequired(app, credential), (address, 0), tls) as server:
        asked = reached or server.address
        images = ImageSource((server_url(asked, tls),), REGISTRY_CA, CREDENTIAL)
        yield Door(asked, server.address, images, ca, credential)
