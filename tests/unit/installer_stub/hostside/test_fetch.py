"""Cluster files reach a host whole, from a disk or over the site registry, and only what is not right is touched."""

from __future__ import annotations

import json
import os
import ssl
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from installer_stub.bundle.content import BundleContent
from installer_stub.bundle.reader import Bundle
from installer_stub.cli import main
from installer_stub.errors import BundleError, InstallerError
from installer_stub.hostside import sources
from installer_stub.hostside.fetch import fetch, outdated
from installer_stub.hostside.sources import BundleSource, RegistrySource
from registry_snapshot.oci.reference import Repository
from registry_snapshot.serve.app import RegistryApp
from registry_snapshot.serve.http_server import RegistryServer
from registry_snapshot.serve.login import Credential, LoginRequired
from registry_snapshot.serve.messages import Request, Response
from tests.unit.installer_stub.bundle.sealed import FILES, Ingredients, ingredients

Run = Callable[..., tuple[int, dict[str, int]]]


@pytest.fixture
def run(bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run ``host <word>`` as a phase would and return its exit code and summary."""

    def run(word: str, *source: str | Path, extra: Sequence[str] = ()) -> tuple[int, dict[str, int]]:
        fixed = ["--reference", str(bundle.info.cluster_reference), "--manifest", str(bundle.info.cluster.digest)]
        into = ["--into", str(tmp_path / "opt" / "shop-1"), "--link", f"bin={tmp_path}/local/bin", "--link", f"cni={tmp_path}/cni/bin"]
        code = main(["host", word, *map(str, source), *fixed, *into, *extra])
        printed = capfd.readouterr().out
        return code, json.loads(printed) if printed else {}

    return run


def assert_complete(root: Path) -> None:
    for path, (content, mode) in FILES.items():
        found = root / "opt" / "shop-1" / path
        assert found.read_bytes() == content
        assert stat.S_IMODE(found.stat().st_mode) == mode
    assert (root / "local/bin/kubeadm").read_bytes() == FILES["bin/kubeadm"][0]
    assert (root / "cni/bin/bridge").readlink() == root / "opt/shop-1/cni/bridge"
    assert not list(root.rglob("*.airseal-part"))


def test_files_come_from_an_artifact_and_the_second_run_does_nothing(run: Run, bundle: Bundle, tmp_path: Path) -> None:
    assert run("check-files", "--bundle", bundle.path)[0] == 10
    code, summary = run("fetch-files", "--bundle", bundle.path)
    assert (code, summary["changed"], summary["links"]) == (0, len(FILES) + 3, 3)
    assert_complete(tmp_path)
    assert run("check-files", "--bundle", bundle.path) == (0, {"needed": 0, "files": len(FILES), "bytes": 0})
    assert run("fetch-files", "--bundle", bundle.path)[1]["changed"] == 0


def test_files_come_from_the_site_registry_over_tls(run: Run, registry: str, authority: Path, tmp_path: Path) -> None:
    source = ("--registry", f"https://127.0.0.1:1,{registry}", "--ca", authority / "ca.crt")
    assert run("fetch-files", *source)[1]["changed"] == len(FILES) + 3
    assert_complete(tmp_path)
    (tmp_path / "opt/shop-1/bin/kubectl").write_bytes(b"#!kubectL\n")
    (tmp_path / "opt/shop-1/etc/empty").chmod(0o644)
    (tmp_path / "local/bin/kubectl").unlink()
    assert run("check-files", *source) == (10, {"needed": 3, "files": len(FILES), "bytes": 10})
    assert run("fetch-files", *source)[1] == {"changed": 3, "files": len(FILES), "bytes": 10, "links": 1}
    assert_complete(tmp_path)


@pytest.fixture
def login(tmp_path: Path) -> Path:
    """The file of a login, for its owner alone."""
    path = tmp_path / "login"
    path.touch(0o600)
    path.write_text("airseal:hunter2\n")
    return path


@pytest.fixture
def closed(bundle: Bundle, tls: ssl.SSLContext, authority: Path) -> Iterator[tuple[str | Path, ...]]:
    """Options that name a site registry which wants that login."""
    app = LoginRequired(RegistryApp(BundleContent([bundle])), Credential("airseal", "hunter2"))
    with RegistryServer(app, ("127.0.0.1", 0), tls) as server:
        yield ("--registry", f"https://127.0.0.1:{server.address[1]}", "--ca", authority / "ca.crt")


def test_a_registry_that_wants_a_login_gives_its_files_to_who_has_it(run: Run, closed: tuple[str | Path, ...], login: Path, tmp_path: Path) -> None:
    assert run("fetch-files", *closed, "--credential", login)[1]["changed"] == len(FILES) + 3
    assert run("check-files", *closed, "--credential", login)[1]["needed"] == 0
    assert_complete(tmp_path)


@pytest.mark.parametrize("given", [None, "airseal:hunter3"])
def test_a_login_that_is_missing_or_wrong_is_named_and_not_shown(
    run: Run, closed: tuple[str | Path, ...], login: Path, given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "PAUSE", 0)
    said: list[str] = []
    monkeypatch.setattr("sys.stderr.write", said.append)
    login.write_text(f"{given}\n")
    assert run("fetch-files", *closed, *(("--credential", login) if given else ()))[0] == 1
    assert "status 401: it wants another login than it was given" in "".join(said)
    assert "hunter" not in "".join(said)


def test_a_login_is_not_sent_in_cleartext_beyond_this_machine(run: Run, login: Path) -> None:
    assert run("check-files", "--registry", "https://10.0.0.2:5443,http://10.0.0.3:5443", "--credential", login)[0] == 2
    repository = Repository.of("airseal.internal", "cluster/shop")
    RegistrySource(["http://127.0.0.1:1", "http://[::1]:1"], repository, credential=Credential("a", "b"))


def test_a_registry_with_another_authority_is_not_believed(
    run: Run, registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "PAUSE", 0)
    assert run("fetch-files", "--registry", registry)[0] == 1
    assert not (tmp_path / "opt").exists()


def test_foreign_names_are_left_alone_and_nothing_else_is_begun(
    run: Run, bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    foreign = tmp_path / "local/bin/kubectl"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("theirs")
    fixed = ["--reference", "airseal.internal/cluster/shop:1", "--manifest", str(bundle.info.cluster.digest)]
    into = ["--into", str(tmp_path / "opt/shop-1"), "--link", f"bin={foreign.parent}"]
    assert main(["host", "fetch-files", "--bundle", str(bundle.path), *fixed, *into]) == 1
    said = capfd.readouterr().err
    assert f"  - {foreign}\n" in said
    assert f"mv {foreign} {foreign}.before-airseal" in said
    assert foreign.read_text() == "theirs"
    assert not (tmp_path / "opt").exists()
    foreign.unlink()
    foreign.symlink_to("/usr/bin/theirs")
    assert run("fetch-files", "--bundle", bundle.path)[0] == 1
    foreign.unlink()
    foreign.symlink_to(tmp_path / "opt/shop-0/bin/kubectl")  # an older version of ours
    assert run("fetch-files", "--bundle", bundle.path)[0] == 0
    assert_complete(tmp_path)


class Tampering:
    """An app before another one: shortens, alters or refuses blobs, as broken masters do."""

    def __init__(self, app: RegistryApp, change: Callable[[bytes, int], bytes | None]) -> None:
        self.app = app
        self.change = change
        self.ranges: list[str] = []

    def handle(self, request: Request) -> Response:
        response = self.app.handle(request)
        if "/blobs/" not in request.path or response.status >= 300:
            return response
        self.ranges.append(request.headers.get("Range") or "")
        body = response.body
        assert not isinstance(body, bytes)
        raw = body.extent.read(body.size, body.start)
        body.extent.close()
        changed = self.change(raw, len(self.ranges))
        if changed is None:
            return Response(503, (("Content-Length", "0"),), b"")
        return Response(response.status, response.headers, changed)


def test_a_broken_connection_is_resumed_where_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = 4 * sources.PIECE
    monkeypatch.setattr(sources, "PAUSE", 0)
    made = ingredients(tmp_path, files={"bin/large": (os.urandom(large), 0o755)}, images={})
    with Bundle.open(made.seal(tmp_path / "x.run")) as bundle:
        app = RegistryApp(BundleContent([bundle]))
        tampering = Tampering(app, lambda raw, number: raw[: len(raw) // 2] if number < 3 else raw)
        with RegistryServer(tampering, ("127.0.0.1", 0)) as server:
            source = RegistrySource([f"http://127.0.0.1:{server.address[1]}"], bundle.info.cluster_reference.repository)
            assert fetch(bundle.cluster_files(), tmp_path / "into", source).bytes == large
    assert tampering.ranges[0] == ""
    assert all(asked.startswith("bytes=") for asked in tampering.ranges[1:])
    assert outdated(made.files, tmp_path / "into") == ()


def serve_tampered(bundle: Bundle, change: Callable[[bytes, int], bytes | None]) -> RegistryServer:
    return RegistryServer(Tampering(RegistryApp(BundleContent([bundle])), change), ("127.0.0.1", 0))


def test_wrong_bytes_are_fetched_from_another_master_and_never_kept(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "PAUSE", 0)
    files = bundle.cluster_files()
    repository = bundle.info.cluster_reference.repository

    def flip(raw: bytes, number: int) -> bytes:
        del number
        return bytes([raw[0] ^ 1]) + raw[1:] if raw else raw

    good = RegistryServer(RegistryApp(BundleContent([bundle])), ("127.0.0.1", 0))
    with serve_tampered(bundle, flip) as bad, good:
        bad_url, good_url = (f"http://127.0.0.1:{server.address[1]}" for server in (bad, good))
        with pytest.raises(BundleError, match="could not be fetched whole"):
            fetch(files, tmp_path / "only-bad", RegistrySource([bad_url], repository))
        kept = {path.name for path in (tmp_path / "only-bad").rglob("*") if path.is_file()}
        assert kept <= {"empty"}
        fetch(files, tmp_path / "both", RegistrySource([bad_url, good_url], repository))
        assert outdated(files, tmp_path / "both") == ()


def test_masters_that_refuse_are_all_named(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PAUSE", 0)
    repository = bundle.info.cluster_reference.repository
    with serve_tampered(bundle, lambda raw, number: None) as server:
        urls = [f"http://127.0.0.1:{server.address[1]}", "http://127.0.0.1:1"]
        with pytest.raises(InstallerError) as caught:
            fetch(bundle.cluster_files(), tmp_path / "x", RegistrySource(urls, repository))
    assert "status 503" in caught.value.problem
    assert "Connection refused" in caught.value.problem


def test_the_files_of_another_bundle_are_not_there(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PAUSE", 0)
    other = Repository.of("airseal.internal", "cluster/other")
    with RegistryServer(RegistryApp(BundleContent([bundle])), ("127.0.0.1", 0)) as server:
        source = RegistrySource([f"http://127.0.0.1:{server.address[1]}"], other)
        with pytest.raises(InstallerError, match="status 404"):
            source.manifest(bundle.info.cluster.digest)


def test_a_directory_in_the_way_is_named(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "into/bin/kubeadm").mkdir(parents=True)
    with pytest.raises(InstallerError, match="Is a directory"):
        fetch(bundle.cluster_files(), tmp_path / "into", BundleSource(bundle))


def test_a_full_disk_is_found_before_anything_is_written(made: Ingredients, tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(tmp_path)
    monkeypatch.setattr("installer_stub.hostside.fetch.os.statvfs", lambda _: os.statvfs_result((*real[:4], 1, *real[5:])))
    needed = sum(file.size for file in made.files)
    with pytest.raises(InstallerError, match=f"needs {needed} more bytes"):
        fetch(bundle.cluster_files(), tmp_path / "into", BundleSource(bundle))


@pytest.mark.parametrize("url", ["ftp://x", "10.0.0.2:5443", "https://", "https://u:p@h", "https://h:x"])
def test_a_url_that_is_none_is_refused(url: str, run: Run) -> None:
    assert run("fetch-files", "--registry", url)[0] == 2
