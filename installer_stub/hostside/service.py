"""The site registry as a service: artifacts and OCI layouts on this disk, served until the process is told to end."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import ssl
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from installer_stub.bundle.content import BundleContent, Sealed
from installer_stub.bundle.names import INDEX, OCI_LAYOUT
from installer_stub.bundle.reader import Bundle
from installer_stub.errors import BundleError, UsageError
from installer_stub.hostside.privileges import drop_privileges
from installer_stub.scrub.damage import known_damage
from installer_stub.scrub.sound import Sound
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.manifest import MAX_MANIFEST_BYTES
from registry_snapshot.oci.reference import Reference
from registry_snapshot.serve.app import RegistryApp
from registry_snapshot.serve.http_server import App, RegistryServer
from registry_snapshot.serve.limits import raise_file_limit
from registry_snapshot.serve.login import Credential, LoginRequired
from registry_snapshot.serve.metrics import Metrics, WithMetrics
from registry_snapshot.store.bounded import read_file
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.layout_index import parse_layout_index

_log = logging.getLogger(__name__)


class LayoutDirectory:
    """An OCI image layout on disk, as ``extract`` or ``unzip`` leave it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.blobs = DiskBlobStore(root)

    @cached_property
    def roots(self) -> tuple[tuple[Reference, Descriptor], ...]:
        """Every name of its ``index.json``. Raises BundleError."""
        path = self._root / INDEX
        try:
            return parse_layout_index(read_file(path, MAX_MANIFEST_BYTES))
        except OSError as error:
            raise BundleError(f"{path} cannot be read: {error.strerror}", "name a directory made by extract") from None
        except RegistryError as error:
            raise BundleError(f"{path} is malformed: {error.problem}", "name a directory made by extract") from None


def sealed_in(directory: Path) -> tuple[Sealed, ...]:
    """Return what ``directory`` holds: itself, if it is an OCI layout; else its artifacts, the newest first.

    An artifact that is torn is passed over with a line in the log, so that it does not take the others down, and so is what
    is known to be damaged in one. Raises BundleError when nothing is left.
    """
    if (directory / OCI_LAYOUT).is_file():
        return (LayoutDirectory(directory),)
    try:
        files = sorted(directory.glob("*.run"), key=lambda path: (-path.stat().st_mtime_ns, path.name))
    except OSError as error:
        raise BundleError(f"{directory} cannot be read: {error.strerror}", "name a directory with artifacts (*.run)") from None
    bundles: list[Sealed] = []
    for path in files:
        try:
            bundles.append(_opened(path))
        except BundleError as error:
            _log.error("not served: %s", error.problem)
    if not bundles:
        raise BundleError(f"there is no artifact that can be served in {directory}", "copy one there, or extract one there")
    return tuple(bundles)


def _opened(path: Path) -> Sealed:
    """Return an artifact that can be served. Raises BundleError: also its list of images may be torn."""
    bundle = Bundle.open(path)
    try:
        _ = bundle.roots
    except BundleError:
        bundle.close()
        raise
    return _sound(bundle)


def _sound(bundle: Bundle) -> Sealed:
    """Return the artifact without what is known to be damaged in it."""
    try:
        damage = known_damage(bundle.path)
    except (OSError, ValueError, RegistryError) as error:
        _log.error("%s: what is damaged in it cannot be read: %s", bundle.path, error)
        return bundle
    if damage is None:
        return bundle
    _log.error("%s: %s; they are not served", bundle.path, damage)
    return Sound(bundle, damage.digests)


def serve(
    sealed: Sequence[Sealed],
    address: tuple[str, int],
    tls: ssl.SSLContext | None,
    credential: Credential | None = None,
    *,
    become: int | None = None,
    json_events: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT, then let running answers end. Says where on stdout, and tells systemd when it is ready.

    With a credential only clients that log in with it are answered. ``become`` is a user, and the group of the same
    number, that serves from when everything is open; the images are to be artifacts then, which are open as a whole.

    Raises UsageError if this process may not become that user, StoreError when the address is taken, BundleError for images that cannot be read.
    """
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopped.set())
    content = BundleContent(sealed)
    metrics = Metrics()
    app: App = WithMetrics(RegistryApp(content, registries=content.registries), metrics)
    if credential is not None:
        app = LoginRequired(app, credential)
    raise_file_limit()
    server = RegistryServer(app, address, tls, metrics=metrics, inline=True)
    if become is not None:
        drop_privileges(become)
    server.start()
    url, images = server_url(server.address, tls), sum(len(item.roots) for item in sealed)
    print(json.dumps({"event": "serving", "url": url, "images": images}) if json_events else f"serving {images} images at {url}", flush=True)
    notify("READY=1")
    stopped.wait()
    notify("STOPPING=1")
    server.stop()


def server_url(address: tuple[str, int], tls: ssl.SSLContext | None) -> str:
    """Return what clients ask: ``https://10.0.0.2:5443``."""
    host, port = address
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def notify(state: str) -> None:
    """Tell systemd, if it is listening (sd_notify(3): one datagram to $NOTIFY_SOCKET; a leading @ is abstract)."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = f"\0{path[1:]}" if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(state.encode(), address)
    except OSError as error:
        _log.warning("systemd could not be told %s: %s", state, error)


def server_tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return the TLS settings for a server, None if neither file is given. Raises UsageError."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UsageError("--tls-cert and --tls-key need one another", "give both, or neither")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")  # of TLS 1.2 what is as good as 1.3's, so that clients may choose:
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE  # they know whether AES is cheap for them; to Go it is, with 128 bits
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{certificate} and {key} cannot be used for TLS: {reason}", "name a certificate and its key in PEM") from None
    return context
