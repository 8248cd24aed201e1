"""FakeUpstream: our own RegistryApp on a real socket, with a record of requests and faults that are set by hand.

Its store is served as docker.io; a path that begins with a registry's name is that registry's, so one server plays many.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.reference import Reference
from registry_snapshot.serve.app import RegistryApp
from registry_snapshot.serve.http_server import RegistryServer
from registry_snapshot.serve.messages import ExtentSlice, Request, Response
from registry_snapshot.store.base import Extent
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.image_set import ImageSet

Fault = Callable[[Request], Response | None]


def plain(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Response:
    """Return a bare answer."""
    return Response(status, (("Content-Length", str(len(body))), *(headers or {}).items()), body)


def cut_short(response: Response, after: int) -> Response:
    """Return ``response`` so that the connection breaks ``after`` bytes into its body."""
    data = response.read()
    descriptor = os.memfd_create("cut")
    os.write(descriptor, data[:after])
    return Response(response.status, response.headers, ExtentSlice(Extent(descriptor, 0, len(data)), 0, len(data)))


class FakeUpstream:
    """A registry on loopback. ``tag`` publishes, ``fault`` may answer instead of the app, ``requests`` remembers."""

    def __init__(self, root: Path, tls: ssl.SSLContext | None = None) -> None:
        self.blobs = DiskBlobStore(root)
        self.requests: list[Request] = []
        self.fault: Fault | None = None
        self.published: list[tuple[Reference, Descriptor]] = []
        self._lock = threading.Lock()
        self._server = RegistryServer(self, ("127.0.0.1", 0), tls)
        self._scheme = "https" if tls else "http"
        self.app = RegistryApp(ImageSet(self.blobs, ()))

    @property
    def host(self) -> str:
        return f"localhost:{self._server.address[1]}"

    @property
    def url(self) -> str:
        return f"{self._scheme}://{self.host}"

    def base_for(self, registry: str) -> str:
        """Return the mirror URL under which this server plays ``registry``."""
        return f"{self.url}/v2/{registry}"

    def tag(self, reference: str, descriptor: Descriptor) -> None:
        """Publish an image, or move its tag."""
        self.published.append((Reference.parse(reference), descriptor))  # what a tag meant before stays, by digest
        self.app = RegistryApp(ImageSet(self.blobs, self.published))

    def handle(self, request: Request) -> Response:
        with self._lock:
            self.requests.append(request)
        answer = self.fault(request) if self.fault else None
        return answer if answer is not None else self.app.handle(request)

    def paths(self, part: str = "") -> list[str]:
        """Return the paths asked for that hold ``part``, in order."""
        return [request.path for request in self.requests if part in request.path]

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.stop()
