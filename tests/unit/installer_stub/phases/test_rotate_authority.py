"""The registry's CA is rotated while hosts pull: believed at every moment, cut anywhere, with hosts that were away."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509

from installer_stub.errors import InstallerError
from installer_stub.host.command import Command, CommandResult
from installer_stub.phases.base import Context
from installer_stub.phases.create_authority import CreateAuthority
from installer_stub.phases.registry_authority import CERTIFICATE, KEY
from installer_stub.phases.rotate_authority import Rotation, rotate
from installer_stub.pki.leaf import Leaf
from installer_stub.plan.model import REGISTRY_AUTHORITY, REGISTRY_CA, REGISTRY_CERTIFICATE
from tests.fakes.plans import M1, M2, M3, N1, make_context, make_plan, masters, nodes, scripted_hosts
from tests.fakes.registry_hosts import RegistryHost
from tests.fakes.scripted import ScriptedConnection

MASTERS = (M1, M2, M3)


class Site:
    """Hosts that look, before each of their acts, whether every registry that runs is believed by every host."""

    def __init__(self, root: Path, names: tuple[str, ...] = MASTERS) -> None:
        self.masters = names
        self.plan = make_plan(*masters(*names), *nodes(N1))
        self.hosts = scripted_hosts(self.plan)
        self.stubs = {address: RegistryHost(host, root / address) for address, host in self.hosts.items()}
        self.away: set[str] = set()
        self.acts = 0
        self.cut_at = -1
        CreateAuthority().run(self.context())
        for address in names:
            self.restart(address)

    def restart(self, address: str) -> None:
        self.stubs[address].shown = Leaf.parse(self.hosts[address].files[REGISTRY_CERTIFICATE]).der

    def context(self) -> Context:
        return make_context(self.plan, {address: host for address, host in self.hosts.items() if address not in self.away})

    def authority(self, address: str = M1) -> bytes:
        return self.hosts[address].files[CERTIFICATE]

    def look(self) -> None:
        for address in {*self.hosts} - self.away:
            trusted = x509.load_pem_x509_certificates(self.hosts[address].files[REGISTRY_CA])
            for master in {*self.masters} - self.away:
                shown = self.stubs[master].shown
                assert shown is not None
                assert any(Leaf(x509.load_der_x509_certificate(shown)).is_signed_by(each) for each in trusted), (address, master)

    def assert_rotated(self, old: bytes) -> None:
        new = self.authority()
        assert new != old
        assert {host.files[REGISTRY_CA] for address, host in self.hosts.items()} == {new}
        assert {self.authority(address) for address in self.masters} == {new}
        assert len({self.hosts[address].files[KEY] for address in self.masters}) == 1
        for address in self.masters:
            leaf = Leaf.parse(self.hosts[address].files[REGISTRY_CERTIFICATE])
            assert leaf.is_signed_by(x509.load_pem_x509_certificate(new))
            assert leaf.der == self.stubs[address].shown
            assert not [path for path in self.hosts[address].files if path.startswith(f"{REGISTRY_AUTHORITY}/next")]
        assert not CreateAuthority().is_needed(self.context())


class CutError(Exception):
    pass


class Watched:
    """A connection that looks before everything that it does, and is cut before one of them."""

    def __init__(self, site: Site, connection: ScriptedConnection) -> None:
        self._site, self._connection = site, connection
        self.host = connection.host

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def _act(self) -> None:
        self._site.look()
        if self._site.acts == self._site.cut_at:
            self._site.acts += 1
            raise CutError
        self._site.acts += 1

    def run(self, command: Command, **more: object) -> CommandResult:
        self._act()
        return self._connection.run(command, **more)  # type: ignore[arg-type]

    def put(self, *arguments: object, **more: object) -> None:
        self._act()
        self._connection.put(*arguments, **more)  # type: ignore[arg-type]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def watched(site: Site) -> Context:
    context = site.context()
    for address, connection in list(context.connections.items()):
        context.connections[address] = Watched(site, connection)  # type: ignore[arg-type]
    return context


def test_every_registry_is_believed_by_every_host_at_every_moment(site: Site) -> None:
    old = site.authority()
    assert rotate(watched(site), all_masters=True) is Rotation.ROTATED
    site.assert_rotated(old)
    second = site.authority()
    assert rotate(watched(site), all_masters=True) is Rotation.ROTATED
    site.assert_rotated(second)


def test_cut_before_any_act_the_same_command_ends_the_same_with_one_new_ca(tmp_path: Path) -> None:
    whole = Site(tmp_path / "whole", (M1, M2))
    rotate(watched(whole), all_masters=True)
    for cut in range(whole.acts):
        site = Site(tmp_path / str(cut), (M1, M2))
        old = site.authority()
        site.cut_at = cut
        with pytest.raises(CutError):
            rotate(watched(site), all_masters=True)
        rotate(watched(site), all_masters=True)
        site.assert_rotated(old)


def test_an_installation_goes_on_with_what_was_cut_after_the_switch(site: Site) -> None:
    old = site.authority()
    site.hosts[M2].on("chmod 0700", lambda _: (_ for _ in ()).throw(CutError()))
    with pytest.raises(CutError):
        rotate(site.context(), all_masters=True)
    site.hosts[M2].rules.pop()
    assert CreateAuthority().is_needed(site.context())
    CreateAuthority().run(site.context())
    assert {site.authority(address) for address in MASTERS} == {site.authority()} != {old}


@pytest.mark.parametrize("away", [M2, M3, N1])
def test_a_host_that_was_away_is_told_by_the_next_run_that_reaches_it(site: Site, away: str) -> None:
    old = site.authority()
    site.away = {away}
    done = rotate(watched(site), all_masters=away not in MASTERS)
    assert done is (Rotation.WAITING if away in MASTERS else Rotation.ROTATED)
    between = site.authority()
    site.away = set()
    assert rotate(site.context(), all_masters=True) is Rotation.FINISHED
    site.assert_rotated(old)
    assert site.authority() == between, "it was finished, not begun again"


def test_a_master_that_was_away_for_two_rotations_is_told_as_well(site: Site) -> None:
    old = site.authority()
    site.away = {M3}
    rotate(watched(site), all_masters=False)
    rotate(watched(site), all_masters=True)  # as if M3 was removed
    rotate(watched(site), all_masters=True)
    latest = site.authority()
    site.away = set()
    CreateAuthority().run(site.context())
    assert site.authority(M3) == latest != old


def test_a_site_without_a_ca_of_its_own_is_told_to_install(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for host in site.hosts.values():
        host.files.clear()
    with pytest.raises(InstallerError, match="no CA of their own yet"):
        rotate(site.context(), all_masters=True)
