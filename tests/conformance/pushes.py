"""A loading dock: what the suite pushes goes to a store, everything that it reads is answered by the registry under test.

Our registries take no pushes, and of what it did not push itself the suite reads neither bodies nor headers. So pushes
end here, as far as the suite needs them, and every GET and HEAD of content is passed on, byte for byte, to the server
that is asked about. What is under test holds what was pushed: see ``skins``.

Source: OCI distribution-spec, "Push", end-4 to end-7 and end-11.
"""

from __future__ import annotations

import http.client
import json
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

from registry_snapshot.errors import DigestInvalid, DigestMismatch
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import parse_manifest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.disk import DiskBlobStore

_UPLOAD = re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<upload>[0-9a-f]*)")
_MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<target>[^/]+)")


@dataclass
class Pushed:
    """Everything that was pushed: Sealed, as an artifact is. Safe for threads."""

    directory: Path
    blobs: DiskBlobStore = field(init=False)
    _named: dict[Reference, Descriptor] = field(default_factory=dict)
    _loose: dict[str, dict[Digest, Descriptor]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.blobs = DiskBlobStore(self.directory)

    @property
    def roots(self) -> tuple[tuple[Reference, Descriptor], ...]:
        """Return every manifest by name. Blobs that no manifest lists hang on one made for them: all content is an image's."""
        with self._lock:
            return (*self._named.items(), *(self._crate(name, blobs) for name, blobs in self._loose.items()))

    @property
    def tags(self) -> tuple[Reference, ...]:
        with self._lock:
            return tuple(reference for reference in self._named if reference.tag is not None)

    def holds(self, name: str, digest: Digest) -> bool:
        with self._lock:
            return digest in self._loose.get(name, {})

    def take_blob(self, name: str, data: bytes, digest: Digest) -> None:
        """Keep a blob. Raises DigestMismatch."""
        self._keep(data, digest)
        with self._lock:
            self._loose.setdefault(name, {})[digest] = Descriptor(media_types.OCTETS, digest, len(data))

    def take_manifest(self, reference: Reference, data: bytes, media_type: str) -> Descriptor:
        """Keep a manifest under a tag or its digest. Raises DigestMismatch."""
        digest = reference.digest or Digest.of(data)
        self._keep(data, digest)
        descriptor = Descriptor(media_type, digest, len(data))
        with self._lock:
            self._named[reference] = descriptor
        return descriptor

    def _keep(self, data: bytes, digest: Digest) -> None:
        with self.blobs.ingest(digest) as writer:
            writer.write(data)
            writer.commit()

    def _crate(self, name: str, blobs: dict[Digest, Descriptor]) -> tuple[Reference, Descriptor]:
        config = Descriptor(media_types.OCI_EMPTY, self.blobs.put(b"{}"), 2)
        layers = [blob.to_json() for blob in blobs.values()]
        value = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": config.to_json(), "layers": layers}
        raw = json.dumps(value).encode()
        digest = self.blobs.put(raw)
        return Reference.parse(f"{name}@{digest}"), Descriptor(media_types.OCI_MANIFEST, digest, len(raw))


class LoadingDock:
    """Takes pushes at ``address`` into ``pushed`` and passes reads on to ``reads``; says ``arrived`` after each push."""

    def __init__(self, pushed: Pushed, reads: tuple[str, int], arrived: Callable[[Reference | None], None]) -> None:
        self.pushed = pushed
        self.reads = reads
        self.arrived = arrived
        self.uploads: dict[str, bytes] = {}
        handler = type("Handler", (_Handler,), {"dock": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self._server.server_address[1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    dock: LoadingDock

    def do_POST(self) -> None:
        data, match = self._body(), _UPLOAD.fullmatch(self._path)
        if match is None:
            return self._answer(405)
        name, query = match["name"], self._query
        if "digest" in query:
            return self._take_blob(name, data, query["digest"])
        source = f"{query.get('from', '')}"
        if "mount" in query and source and self.dock.pushed.holds(source, digest := Digest.parse(query["mount"])):
            return self._take_blob(name, self.dock.pushed.blobs.read(digest, limit=1 << 30), str(digest))
        upload = secrets.token_hex(8)
        self.dock.uploads[upload] = b""
        return self._answer(202, Location=f"/v2/{name}/blobs/uploads/{upload}")

    def do_PATCH(self) -> None:
        data, match = self._body(), _UPLOAD.fullmatch(self._path)
        if match is None or match["upload"] not in self.dock.uploads:
            return self._answer(404)
        return self._answer(202 if self._append(match["upload"], data) else 416, **self._progress(match["upload"]))

    def do_PUT(self) -> None:
        data = self._body()
        if match := _MANIFEST.fullmatch(self._path):
            return self._take_manifest(match["name"], match["target"], data)
        match = _UPLOAD.fullmatch(self._path)
        if match is None or match["upload"] not in self.dock.uploads:
            return self._answer(404)
        if not self._append(match["upload"], data):
            return self._answer(416, **self._progress(match["upload"]))
        return self._take_blob(match["name"], self.dock.uploads.pop(match["upload"]), self._query.get("digest", ""))

    def do_DELETE(self) -> None:
        match = _UPLOAD.fullmatch(self._path)
        known = match is not None and self.dock.uploads.pop(match["upload"], None) is not None
        self._answer(204 if known else 405)

    def do_GET(self) -> None:
        match = _UPLOAD.fullmatch(self._path)
        if match is not None and match["upload"] in self.dock.uploads:
            return self._answer(204, **self._progress(match["upload"]))
        return self._pass_on()

    do_HEAD = do_GET  # noqa: N815 - the name is http.server's

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing: the suite keeps its own record of every exchange."""

    @property
    def _path(self) -> str:
        return unquote(urlsplit(self.path).path)

    @property
    def _query(self) -> dict[str, str]:
        return {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _append(self, upload: str, data: bytes) -> bool:
        """Add a chunk, unless its Content-Range says that it belongs elsewhere."""
        start = self.headers.get("Content-Range", "").partition("-")[0]
        if start and int(start) != len(self.dock.uploads[upload]):
            return False
        self.dock.uploads[upload] += data
        return True

    def _progress(self, upload: str) -> dict[str, str]:
        last = max(len(self.dock.uploads[upload]) - 1, 0)
        return {"Location": self._path, "Range": f"0-{last}"}

    def _take_blob(self, name: str, data: bytes, text: str) -> None:
        try:
            digest = Digest.parse(text)
            self.dock.pushed.take_blob(name, data, digest)
        except (DigestInvalid, DigestMismatch):
            return self._answer(400)
        self.dock.arrived(None)
        return self._answer(201, Location=f"/v2/{name}/blobs/{digest}", Docker_Content_Digest=str(digest))

    def _take_manifest(self, name: str, target: str, data: bytes) -> None:
        try:
            reference = Reference.parse(f"{name}{'@' if ':' in target else ':'}{target}")
            descriptor = self.dock.pushed.take_manifest(reference, data, self.headers["Content-Type"])
        except (DigestInvalid, DigestMismatch):
            return self._answer(400)
        self.dock.arrived(reference)
        headers = {"Location": f"/v2/{name}/manifests/{target}", "Docker-Content-Digest": str(descriptor.digest)}
        if subject := parse_manifest(data, descriptor.media_type).subject:
            headers["OCI-Subject"] = str(subject.digest)
        return self._answer(201, **headers)

    def _pass_on(self) -> None:
        connection = http.client.HTTPConnection(*self.dock.reads, timeout=30)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()
