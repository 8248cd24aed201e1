"""A registry and download site on loopback whose answers do not end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from bundler.bases.download import Downloader
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.destinations import Destinations
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.upstream import Upstream
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.bundler.reporter import Remembering

REFERENCE: Final = Reference.parse("docker.io/team/app:1")
_DIGEST: Final = Digest.of(b"x")
_BLOB: Final = 1 << 20


class _Handler(BaseHTTPRequestHandler):
    what = ""

    def do_GET(self) -> None:
        what = self.path.rpartition("/")[2] if self.path.startswith("/files/") else self.what
        challenged = what == "token" and not self.path.startswith("/token")
        refused = what == "refusal"
        self.send_response(401 if challenged else 404 if refused else 200)
        if challenged:
            self.send_header("WWW-Authenticate", f'Bearer realm="http://{self.headers["Host"]}/token"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if what == "challenge":
            self.wfile.write(b"HTTP/1.0 401 x\r\n")
            self._for_ever(b"WWW-Authenticate: " + b"x" * 60_000 + b"\r\n")
        self.send_header("Content-Type", media_types.OCI_INDEX)
        self.end_headers()
        self._for_ever(b'{"errors":[' + bytes(1 << 16))

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _for_ever(self, data: bytes) -> None:
        try:
            while True:
                self.wfile.write(data)
        except OSError:
            self.close_connection = True


@contextmanager
def _endless(what: str) -> Iterator[str]:
    handler = type("Handler", (_Handler,), {"what": what})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def _manifest(remote: Upstream, root: Path) -> object:
    del root
    return remote.manifest(REFERENCE.repository, "1")


def _referrers(remote: Upstream, root: Path) -> object:
    del root
    return remote.referrers(REFERENCE.repository, _DIGEST)


def _blob(remote: Upstream, root: Path) -> object:
    with DiskBlobStore(root).ingest(_DIGEST) as writer:
        return remote.blob(REFERENCE.repository, Descriptor(media_types.OCI_LAYER, _DIGEST, _BLOB), writer)


_ASK: Final[dict[str, Callable[[Upstream, Path], object]]] = {
    "manifest": _manifest,
    "token": _manifest,
    "challenge": _manifest,
    "refusal": _manifest,
    "referrers": _referrers,
    "blob": _blob,
}
ANSWERS: Final = (*_ASK, "checksum file")


def ask(root: Path, what: str) -> object:
    with _endless(what) as url:
        if what == "checksum file":
            here = Destinations(private=("127.0.0.1",))
            text = Downloader(root, Remembering(), destinations=here, tries=1).text(f"{url}/files/x")
            assert len(text) <= 1 << 20
            return None
        mirrors = Mirrors((("docker.io", url),))
        with Upstreams(mirrors, DockerCredentials(), sleep=lambda _: None, proxies={}) as upstreams:
            return _ASK[what](upstreams.for_registry("docker.io"), root)
