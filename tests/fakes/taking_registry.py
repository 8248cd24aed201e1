"""A registry that takes pushes, on a bare socket, and misbehaves as a test wants it.

It keeps blobs and manifests in memory, hashes what it is given, resumes uploads, and knows referrers if it is told to.
A fault is asked before each request is answered: it may answer itself, let only a part of a body in and break the connection, or say nothing.

Source: OCI distribution-spec, "Push".
"""

from __future__ import annotations

import json
import re
import secrets
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from registry_snapshot.oci.digest import Digest

_UPLOAD = re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<upload>[0-9a-f]*)")
_BLOB = re.compile(r"/v2/(?P<name>.+)/blobs/(?P<digest>[^/]+)")
_REFERRERS = re.compile(r"/v2/(?P<name>.+)/referrers/(?P<digest>[^/]+)")
_MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<target>[^/]+)")


@dataclass(frozen=True)
class Said:
    """An answer of a fault. The body of the request is read first, unless ``unread``."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    message: str = ""
    unread: bool = False


@dataclass(frozen=True)
class Cut:
    """The connection breaks after so many bytes of the request's body; ``kept`` tells whether what came is kept."""

    after: int
    kept: bool = True


@dataclass(frozen=True)
class Deaf:
    """The request is done as it should be, and the connection breaks before the answer."""


@dataclass(frozen=True)
class Asked:
    """A request. ``turn`` counts those of the same method, from 1."""

    method: str
    path: str
    length: int
    content_range: str
    turn: int


Fault = Callable[[Asked], Said | Cut | Deaf | None]


class TakingRegistry:
    """Takes pushes between ``with`` and its end. ``told`` may change what it says that a digest is; ``lists`` is the referrers API."""

    def __init__(self, *, lists: bool = False) -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.types: dict[str, str] = {}
        self.uploads: dict[str, bytearray] = {}
        self.asked: list[Asked] = []
        self.connections = 0
        self.fault: Fault | None = None
        self.told: Callable[[str], str] = str
        self.location: Callable[[str], str] = str
        self.minimum = 0
        self.lists = lists
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"registry": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def note(self, method: str, path: str, length: int, content_range: str) -> Asked:
        with self._lock:
            asked = Asked(method, path, length, content_range, 1 + sum(each.method == method for each in self.asked))
            self.asked.append(asked)
        return asked

    def connected(self) -> None:
        with self._lock:
            self.connections += 1

    def referrers(self, repository: str, subject: str) -> bytes:
        """Return the list of what refers to a manifest, as the API has it."""
        listed = []
        for (name, target), raw in self.manifests.items():
            value = json.loads(raw)
            if name == repository and ":" in target and value.get("subject", {}).get("digest") == subject:
                found = {"mediaType": self.types[target], "digest": target, "size": len(raw), "annotations": value.get("annotations", {})}
                listed.append({**found, "artifactType": value.get("artifactType") or value["config"]["mediaType"]})
        return json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": listed}).encode()

    def count(self, method: str) -> int:
        return sum(each.method == method for each in self.asked)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _BrokenError(Exception):
    """The connection is to be broken."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: TakingRegistry

    def setup(self) -> None:
        super().setup()
        self.registry.connected()

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (_BrokenError, ConnectionError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True

    def do_HEAD(self) -> None:
        self._answered()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD  # noqa: N815 - http.server's names

    def _answered(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        asked = self.registry.note(self.command, self.path, length, self.headers.get("Content-Range", ""))
        fault = self.registry.fault(asked) if self.registry.fault else None
        if isinstance(fault, Said):
            if not fault.unread:
                self.rfile.read(length)
            body = json.dumps({"errors": [{"code": "TEST", "message": fault.message}]}).encode() if fault.message else b""
            self.close_connection = fault.unread
            self._say(fault.status, body=body, **fault.headers)
        elif isinstance(fault, Cut):
            part = self.rfile.read(fault.after)
            upload = _UPLOAD.fullmatch(urlsplit(self.path).path)
            if fault.kept and upload:
                self.registry.uploads[upload["upload"]] += part
            raise _BrokenError
        else:
            self._done(self.rfile.read(length), deaf=isinstance(fault, Deaf))

    def _done(self, data: bytes, *, deaf: bool) -> None:
        path, query = urlsplit(self.path).path, {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        status, headers, body = self._right(path, query, data)
        if deaf:
            raise _BrokenError
        self._say(status, body=body, **headers)

    def _right(self, path: str, query: dict[str, str], data: bytes) -> tuple[int, dict[str, str], bytes]:
        registry = self.registry
        if match := _UPLOAD.fullmatch(path):
            return self._upload(match["name"], match["upload"], query, data)
        if match := _MANIFEST.fullmatch(path):
            return self._manifest(match["name"], match["target"], data)
        if (match := _REFERRERS.fullmatch(path)) and registry.lists:
            return 200, {"Content_Type": "application/vnd.oci.image.index.v1+json"}, registry.referrers(match["name"], match["digest"])
        if match := _BLOB.fullmatch(path):
            found = registry.blobs.get((match["name"], match["digest"]))
            return (404, {}, b"") if found is None else (200, {"Content_Length": str(len(found))}, found)
        return 404, {}, b""

    def _upload(self, name: str, upload: str, query: dict[str, str], data: bytes) -> tuple[int, dict[str, str], bytes]:
        registry = self.registry
        if self.command == "POST":
            return self._begun(name, query)
        if upload not in registry.uploads:
            return 404, {}, b""
        start = self.headers.get("Content-Range", "").partition("-")[0]
        if start and int(start) != len(registry.uploads[upload]):
            return 416, self._place(name, upload), b""
        registry.uploads[upload] += data
        if self.command in {"GET", "PATCH"}:
            return 204 if self.command == "GET" else 202, self._place(name, upload), b""
        whole = bytes(registry.uploads.pop(upload))
        if str(Digest.of(whole)) != query["digest"]:
            return 400, {}, b'{"errors": [{"message": "provided digest did not match"}]}'
        registry.blobs[name, query["digest"]] = whole
        return 201, {"Docker_Content_Digest": registry.told(query["digest"])}, b""

    def _begun(self, name: str, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        registry = self.registry
        source = (query.get("from", ""), query.get("mount", ""))
        if source in registry.blobs:
            registry.blobs[name, source[1]] = registry.blobs[source]
            return 201, {"Docker_Content_Digest": registry.told(source[1])}, b""
        upload = secrets.token_hex(8)
        registry.uploads[upload] = bytearray()
        minimum = {"OCI_Chunk_Min_Length": str(registry.minimum)} if registry.minimum else {}
        return 202, {**self._place(name, upload), **minimum}, b""

    def _place(self, name: str, upload: str) -> dict[str, str]:
        end = max(len(self.registry.uploads[upload]) - 1, 0)
        return {"Location": self.registry.location(f"/v2/{name}/blobs/uploads/{upload}?state=a%2Bb"), "Range": f"0-{end}"}

    def _manifest(self, name: str, target: str, data: bytes) -> tuple[int, dict[str, str], bytes]:
        registry = self.registry
        if self.command == "PUT":
            digest = str(Digest.of(data))
            value = json.loads(data)
            for part in (*value.get("layers", ()), *((value["config"],) if "config" in value else ())):
                if (name, part["digest"]) not in registry.blobs:
                    return 404, {}, b'{"errors": [{"message": "blob unknown to registry"}]}'
            if any((name, each["digest"]) not in registry.manifests for each in value.get("manifests", ())) and not target.startswith("sha256-"):
                return 404, {}, b'{"errors": [{"message": "manifest unknown to registry"}]}'
            registry.manifests[name, digest] = registry.manifests[name, target] = data
            registry.types[digest] = self.headers["Content-Type"]
            subject = {"OCI_Subject": value["subject"]["digest"]} if registry.lists and "subject" in value else {}
            return 201, {"Docker_Content_Digest": registry.told(digest), **subject}, b""
        found = registry.manifests.get((name, target))
        if found is None:
            return 404, {}, b""
        digest = str(Digest.of(found))
        return 200, {"Docker_Content_Digest": digest, "Content_Type": registry.types[digest], "Content_Length": str(len(found))}, found

    def _say(self, status: int, *, body: bytes = b"", **headers: str) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status != 204 and "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""
