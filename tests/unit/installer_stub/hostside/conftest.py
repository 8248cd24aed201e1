from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from installer_stub.bundle.content import BundleContent
from installer_stub.bundle.reader import Bundle
from installer_stub.hostside.service import server_tls
from installer_stub.pki.authority import make
from installer_stub.pki.registry import RegistryFiles, issue
from registry_snapshot.serve.app import RegistryApp
from registry_snapshot.serve.http_server import RegistryServer
from tests.unit.installer_stub.bundle.sealed import Ingredients, ingredients


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Ingredients:
    """What the module's artifact is made of."""
    return ingredients(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def bundle(made: Ingredients, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    """An artifact, open."""
    with Bundle.open(made.seal(tmp_path_factory.mktemp("run") / "shop.run")) as opened:
        yield opened


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a site registry's ca.crt and ca.key, and a server's registry.crt and registry.key made from them."""
    directory = tmp_path_factory.mktemp("pki")
    now = dt.datetime.now(dt.UTC)
    make(directory, now)
    files = RegistryFiles(directory, directory / "registry.crt", directory / "registry.key")
    issue(files, ["127.0.0.1"], ["localhost"], dt.timedelta(days=30), now)
    return directory


@pytest.fixture(scope="module")
def tls(authority: Path) -> ssl.SSLContext:
    context = server_tls(authority / "registry.crt", authority / "registry.key")
    assert context is not None
    return context


@pytest.fixture
def registry(bundle: Bundle, tls: ssl.SSLContext) -> Iterator[str]:
    """The URL of a site registry over TLS on loopback, serving the artifact."""
    with RegistryServer(RegistryApp(BundleContent([bundle])), ("127.0.0.1", 0), tls) as server:
        yield f"https://127.0.0.1:{server.address[1]}"
