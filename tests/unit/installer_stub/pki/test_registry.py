"""A master's certificate: issued with a key that stays, renewed in time for what it is for, and shown by what runs."""

from __future__ import annotations

import datetime as dt
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from installer_stub.cli import main
from installer_stub.errors import InstallerError, UsageError
from installer_stub.hostside import keys
from installer_stub.hostside.service import server_tls
from installer_stub.keep import programs
from installer_stub.pki import registry
from installer_stub.pki.authority import Authority, make
from installer_stub.pki.leaf import Leaf
from installer_stub.pki.registry import DAYS, RegistryFiles, Renewal, issue, renew
from registry_snapshot.serve.http_server import RegistryServer
from registry_snapshot.serve.messages import Request, Response

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
LIFE = dt.timedelta(days=DAYS)


@pytest.fixture
def files(tmp_path: Path) -> RegistryFiles:
    make(tmp_path / "ca", NOW)
    return RegistryFiles(tmp_path / "ca", tmp_path / "etc" / "registry.crt", tmp_path / "etc" / "registry.key")


@pytest.fixture
def issued(files: RegistryFiles) -> RegistryFiles:
    issue(files, ["10.0.0.2"], ["localhost"], LIFE, NOW)
    return files


def leaf_of(files: RegistryFiles) -> Leaf:
    return Leaf.parse(files.certificate.read_bytes())


def shows(files: RegistryFiles) -> Callable[[], bytes]:
    """A registry that began with what the file is now."""
    der = leaf_of(files).der
    return lambda: der


class Restarts:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def test_through_the_command_line_the_key_is_made_once_and_the_certificate_each_time(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    where = ["--authority", str(tmp_path / "ca")]
    here = [*where, "--key", str(tmp_path / "r.key"), "--cert", str(tmp_path / "r.crt")]
    assert main(["host", "new-authority", *where]) == 0
    assert main(["host", "issue-registry", *here, "--ip", "10.0.0.2", "--dns", "localhost"]) == 0
    key, first = (tmp_path / "r.key").read_bytes(), (tmp_path / "r.crt").read_bytes()
    assert stat.S_IMODE((tmp_path / "r.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "r.crt").stat().st_mode) == 0o644
    assert main(["host", "issue-registry", *here, "--ip", "10.0.0.3"]) == 0
    assert (tmp_path / "r.key").read_bytes() == key
    assert (tmp_path / "r.crt").read_bytes() != first
    leaf = Leaf.parse((tmp_path / "r.crt").read_bytes())
    assert (leaf.addresses, leaf.names) == (("10.0.0.3",), ())
    assert leaf.is_signed_by(Authority.load(tmp_path / "ca").certificate)
    assert capfd.readouterr().out == ""


def test_a_certificate_whose_key_is_gone_goes_before_the_next_key_comes(issued: RegistryFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    issued.key.unlink()

    def killed(path: Path) -> None:
        del path
        assert not issued.certificate.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(keys, "load_or_make", killed)
    with pytest.raises(KeyboardInterrupt):
        issue(issued, ["10.0.0.2"], [], LIFE, NOW)


def test_what_makes_no_sense_is_refused_before_anything_is_written(files: RegistryFiles) -> None:
    with pytest.raises(UsageError, match="at least one"):
        issue(files, [], [], LIFE, NOW)
    with pytest.raises(UsageError, match="--ip"):
        issue(files, ["m1"], [], LIFE, NOW)
    (files.authority / "ca.key").unlink()
    with pytest.raises(InstallerError, match=r"ca\.key cannot be read"):
        issue(files, ["10.0.0.2"], [], LIFE, NOW)
    assert not files.key.exists()


@pytest.mark.parametrize(
    ("at", "done"),
    [
        (NOW, Renewal.FRESH),
        (NOW + LIFE / 2, Renewal.FRESH),
        (NOW + LIFE * 3 / 4, Renewal.RENEWED),
        (NOW + LIFE * 4, Renewal.RENEWED),  # powered off for a year
        (NOW - dt.timedelta(days=30), InstallerError),  # before the CA began
    ],
)
def test_it_is_renewed_when_a_third_of_its_life_is_left(issued: RegistryFiles, at: dt.datetime, done: Renewal | type) -> None:
    before, restarts = leaf_of(issued), Restarts()
    if done is InstallerError:
        with pytest.raises(InstallerError, match="clock"):
            renew(issued, at, shown=shows(issued), restart=restarts)
        assert leaf_of(issued) == before
        return
    assert renew(issued, at, shown=shows(issued), restart=restarts) == done
    after = leaf_of(issued)
    assert (after != before) is (restarts.count == 1) is (done is Renewal.RENEWED)
    assert (after.addresses, after.names) == (("10.0.0.2",), ("localhost",))
    if done is Renewal.RENEWED:
        assert after.certificate.not_valid_after_utc == at + LIFE
        assert renew(issued, at, shown=shows(issued), restart=restarts) == Renewal.FRESH


def test_a_certificate_from_the_future_is_renewed_when_the_clock_is_right_again(issued: RegistryFiles) -> None:
    issue(issued, ["10.0.0.2"], ["localhost"], LIFE, NOW + dt.timedelta(days=900))
    assert renew(issued, NOW, shown=shows(issued), restart=Restarts()) == Renewal.RENEWED


def test_near_the_end_of_the_ca_it_is_not_renewed_for_nothing(issued: RegistryFiles) -> None:
    end = Authority.load(issued.authority).certificate.not_valid_after_utc
    at = end - dt.timedelta(days=20)
    renew(issued, at, shown=shows(issued), restart=Restarts())
    assert leaf_of(issued).certificate.not_valid_after_utc == end
    assert renew(issued, end - dt.timedelta(days=1), shown=shows(issued), restart=Restarts()) == Renewal.FRESH


def test_killed_between_renewal_and_restart_the_next_look_restarts(issued: RegistryFiles) -> None:
    old, restarts = shows(issued), Restarts()
    issue(issued, ["10.0.0.2"], ["localhost"], LIFE, NOW + LIFE)
    assert renew(issued, NOW + LIFE, shown=old, restart=restarts) == Renewal.RESTARTED
    assert restarts.count == 1


def test_where_nothing_answers_nothing_is_restarted(issued: RegistryFiles) -> None:
    restarts = Restarts()
    assert renew(issued, NOW, shown=lambda: None, restart=restarts) == Renewal.FRESH
    assert restarts.count == 0


@pytest.mark.parametrize(("days", "done"), [(50, Renewal.FRESH), (65, Renewal.WAITS), (80, Renewal.WAITS), (83, Renewal.RENEWED), (200, Renewal.RENEWED)])
def test_another_masters_turn_is_waited_for_as_long_as_days_are_left(issued: RegistryFiles, days: int, done: Renewal) -> None:
    before = leaf_of(issued)
    assert renew(issued, NOW + dt.timedelta(days=days), my_turn=False, shown=lambda: None, restart=Restarts()) == done
    assert (leaf_of(issued) != before) == (done is Renewal.RENEWED)


def test_hosts_without_a_registry_have_nothing_to_renew(files: RegistryFiles) -> None:
    assert renew(files, NOW) == Renewal.NO_REGISTRY


@pytest.mark.parametrize("damage", ["another CA", "no CA", "torn"])
def test_what_cannot_be_renewed_is_named_and_left_as_it_is(issued: RegistryFiles, tmp_path: Path, damage: str) -> None:
    match damage:
        case "another CA":
            make(tmp_path / "other", NOW)
            issued = RegistryFiles(tmp_path / "other", issued.certificate, issued.key)
        case "no CA":
            (issued.authority / "ca.crt").unlink()
        case _:
            issued.certificate.write_text("-----BEGIN")
    before = issued.certificate.read_bytes()
    with pytest.raises(InstallerError) as caught:
        renew(issued, NOW + LIFE, shown=lambda: None, restart=Restarts())
    assert caught.value.remedy
    assert issued.certificate.read_bytes() == before


def test_a_registry_that_runs_is_asked_what_it_shows(issued: RegistryFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        def handle(self, request: Request) -> Response:
            raise AssertionError(request)

    with RegistryServer(Nothing(), ("127.0.0.1", 0), server_tls(issued.certificate, issued.key)) as server:
        monkeypatch.setattr(registry, "REGISTRY_PORT", server.address[1])
        assert renew(issued, NOW, restart=Restarts()) == Renewal.FRESH
        issue(issued, ["10.0.0.2"], ["localhost"], LIFE, NOW)
        restarts = Restarts()
        assert renew(issued, NOW, restart=restarts) == Renewal.RESTARTED
        assert restarts.count == 1
    assert renew(issued, NOW, restart=Restarts()) == Renewal.FRESH


@pytest.mark.parametrize("status", [0, 1])
def test_systemctl_runs_in_the_hosts_own_environment(issued: RegistryFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """The frozen stub's LD_LIBRARY_PATH would give it our libcrypto, which systemd of Debian 13 does not start with."""
    told = tmp_path / "told"
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$* ${{LD_LIBRARY_PATH-clean}}" > {told}\necho why >&2\nexit {status}\n')
    systemctl.chmod(0o755)
    monkeypatch.setattr(programs, "PATH", f"{tmp_path}:{programs.PATH}")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/tmp/_MEIx")
    if status:
        with pytest.raises(InstallerError, match="could not be started again: why"):
            renew(issued, NOW, shown=lambda: b"another")
    else:
        assert renew(issued, NOW, shown=lambda: b"another") == Renewal.RESTARTED
    assert told.read_text() == "restart airseal-registry.service clean\n"
