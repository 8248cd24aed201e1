"""Both skins of our registry over what the suite pushes, while it pushes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from installer_stub.bundle.content import BundleContent
from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.recorder import Recorder
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.serve.app import RegistryApp
from registry_snapshot.serve.http_server import RegistryServer
from registry_snapshot.serve.messages import Request, Response
from registry_snapshot.store.disk import DiskBlobStore
from tests.conformance.pushes import LoadingDock, Pushed


class Shelf:
    """An app whose content is what was pushed so far, as a site registry over one artifact serves it."""

    def __init__(self, pushed: Pushed) -> None:
        self._pushed = pushed
        self._app = RegistryApp(BundleContent([pushed]))

    def arrived(self, reference: Reference | None = None) -> None:
        del reference
        self._app = RegistryApp(BundleContent([self._pushed]))

    def handle(self, request: Request) -> Response:
        return self._app.handle(request)


class Recording:
    """An app over a recorder whose upstream has what was pushed. Every tag is pulled as it arrives, as a cluster would.

    A recorder freezes a tag at its first answer, and the suite pushes some twice: with each such move a new build begins.
    """

    def __init__(self, pushed: Pushed, upstream: str, registry: str, platforms: tuple[Platform, ...], directory: Path) -> None:
        self._pushed = pushed
        self._mirrors = Mirrors(((registry, upstream),))
        self._platforms = platforms
        self._directory = directory
        self._builds = 0
        self._pulled: set[Reference] = set()
        self._begin()

    def arrived(self, reference: Reference | None) -> None:
        if reference is None or reference.tag is None:
            return
        if reference in self._pulled:
            self.close()
            self._begin()
            for earlier in self._pushed.tags:
                self._pull(earlier)
        else:
            self._pull(reference)

    def handle(self, request: Request) -> Response:
        return self._app.handle(request)

    def close(self) -> None:
        self._recorder.close()

    def _begin(self) -> None:
        self._builds += 1
        directory = self._directory / str(self._builds)
        blobs = DiskBlobStore(directory / "blobs")
        upstreams = Upstreams(self._mirrors, DockerCredentials(), sleep=lambda _seconds: None)
        self._recorder = Recorder(
            directory / "record", blobs, self._mirrors, DockerCredentials(), self._platforms, upstreams=upstreams
        )
        self._app = RegistryApp(self._recorder)
        self._pulled.clear()

    def _pull(self, reference: Reference) -> None:
        self._pulled.add(reference)
        target = f"/v2/{reference.repository}/manifests/{reference.tag}"
        answer = self._app.handle(Request.of("HEAD", target, client="10.0.0.2"))
        assert answer.status == 200, (reference, answer)


@contextmanager
def loading_dock(skin: str, registry: str, platforms: tuple[Platform, ...], directory: Path) -> Iterator[LoadingDock]:
    """Yield where the suite may push, and read from ``skin``: ``site`` or ``recorder``."""
    pushed = Pushed(directory / "pushed")
    shelf = Shelf(pushed)
    with ExitStack() as stack:
        server = stack.enter_context(RegistryServer(shelf, ("127.0.0.1", 0)))
        if skin == "site":
            yield stack.enter_context(LoadingDock(pushed, server.address, shelf.arrived))
            return
        upstream = f"http://127.0.0.1:{server.address[1]}/v2/{registry}"
        recording = Recording(pushed, upstream, registry, platforms, directory / "recorded")
        stack.callback(recording.close)
        front = stack.enter_context(RegistryServer(recording, ("127.0.0.1", 0)))

        def arrived(reference: Reference | None) -> None:
            shelf.arrived()
            recording.arrived(reference)

        yield stack.enter_context(LoadingDock(pushed, front.address, arrived))
