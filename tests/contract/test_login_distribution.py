"""``airseal login`` against the real distribution: a login that it takes is kept, one that it refuses is not, and pushes use it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from bundler.cli import run
from registry_snapshot.push.pusher import Parcel
from registry_snapshot.record.credentials import Credentials, DockerCredentials
from registry_snapshot.store.disk import DiskBlobStore
from tests.conformance.distribution import PASSWORD, USER, basic
from tests.conformance.token_server import TokenServer
from tests.contract.test_push_distribution import Start, app, program, push, start

__all__ = ["program", "start"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "docker" / "config.json"


def login(registry: str, password: str, config: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(password))
    return run(["login", registry, "-u", USER, "--password-stdin", "--docker-config", str(config.parent), *more])


def test_a_login_is_kept_if_the_registry_takes_it(start: Start, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    registry, blobs = start(auth=basic), DiskBlobStore(tmp_path / "store")
    assert login(registry.name, "wrong", config, monkeypatch) == 1
    assert "check the user and the password" in (said := capsys.readouterr().err)
    assert "wrong" not in said
    assert not config.exists()
    assert login(registry.name, f"{PASSWORD}\n", config, monkeypatch, "--json") == 0
    event = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (event["verified"], event["kept"], event["username"]) == (True, str(config), USER)
    kept = DockerCredentials.load(config).for_registry(registry.name)
    assert kept == Credentials(USER, PASSWORD)
    assert push(registry, blobs, "team/app", Parcel(app(blobs).descriptor, "1"), login=kept).sent


def test_a_token_server_is_asked_too(start: Start, config: Path, *, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mirrors = tmp_path / "mirrors.yaml"
    mirrors.write_text("private: [127.0.0.1]\n")
    with TokenServer({}) as tokens:
        registry = start(auth=tokens.auth)
        assert login(registry.name, "wrong", config, monkeypatch, "--mirrors", str(mirrors)) == 1
        assert not config.exists()
        assert login(registry.name, PASSWORD, config, monkeypatch, "--mirrors", str(mirrors)) == 0
        assert "nobody has looked" not in capsys.readouterr().err
        assert DockerCredentials.load(config).for_registry(registry.name) == Credentials(USER, PASSWORD)


def test_one_that_asks_nobody_is_told_so(start: Start, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert login(start().name, PASSWORD, config, monkeypatch) == 0
    assert "nobody has looked at the password" in capsys.readouterr().err


@pytest.mark.parametrize(("argv", "code"), [(("--password-stdin",), 2), (("-u", "a:b", "--password-stdin"), 2), (("-u", "bob"), 2), (("-u", "bob", "--password-stdin"), 2)])
def test_what_is_missing_is_said(start: Start, config: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], code: int) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("" if argv == ("-u", "bob", "--password-stdin") else "x"))
    assert run(["login", start(auth=basic).name, "--docker-config", str(config.parent), *argv]) == code
    assert not config.exists()


def test_what_is_no_registry_is_named(config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert login("no registry", PASSWORD, config, monkeypatch) == 2
    assert "is no registry" in capsys.readouterr().err
    monkeypatch.setattr("registry_snapshot.record.retry.FIRST_SECONDS", 0.0)
    assert login("127.0.0.1:1", PASSWORD, config, monkeypatch) == 1
    assert "cannot be reached" in capsys.readouterr().err
