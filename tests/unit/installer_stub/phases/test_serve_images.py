"""The registries: started where it is needed and nowhere else, one after another where they serve."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from installer_stub.distro import units
from installer_stub.errors import CommandFailed, HostsFailed
from installer_stub.host.command import Command, CommandResult
from installer_stub.phases.base import Artifact, Context
from installer_stub.phases.registry_authority import CERTIFICATE
from installer_stub.phases.serve_images import ServeImages, TrustRegistry
from installer_stub.plan.model import REGISTRY_CA
from tests.fakes.plans import M1, M2, M3, N1, make_context, make_plan, masters, nodes, scripted_hosts
from tests.fakes.scripted import ScriptedConnection, failed, succeeded

PLAN = make_plan(*masters(M1, M2, M3), *nodes(N1))
RUNS, IS_ACTIVE = "sha256sum --status", "is-active(?!.*is-enabled)"
RESTART = ["stop the site registry", "write /etc/systemd/system/airseal-registry.service", "start the site registry"]


class Site:
    """Hosts with systemd as far as one unit needs it. ``log`` says who stopped and started, in order."""

    def __init__(self, run: Path) -> None:
        run.write_bytes(b"artifact")
        self.hosts = scripted_hosts(PLAN)
        self.log: list[str] = []
        for address, host in self.hosts.items():
            host.files |= {REGISTRY_CA: b"ca", CERTIFICATE: b"ca"}
            host.journals()
            self._systemd(address, host)
        artifact = Artifact(1, lambda: io.BytesIO(b"s"), "5" * 64, lambda: run.open("rb"), 8, "7" * 64)
        self.context: Context = make_context(PLAN, self.hosts, artifact=artifact)

    def _systemd(self, address: str, host: ScriptedConnection) -> None:
        def start(command: Command) -> CommandResult:
            del command
            self.log.append(f"start {address}")
            self.set_active(address)
            return succeeded()

        def stop(command: Command) -> CommandResult:
            del command
            self.log.append(f"stop {address}")
            return succeeded()

        host.on(RUNS, failed(10)).on(IS_ACTIVE, failed(10)).on("systemctl stop", stop).on("systemctl start", start)

    def set_active(self, address: str) -> None:
        self.hosts[address].on(RUNS).on(IS_ACTIVE)

    def run(self) -> None:
        assert ServeImages().is_needed(self.context)
        ServeImages().run(self.context)
        assert not ServeImages().is_needed(self.context)
        TrustRegistry().run(self.context)
        assert not TrustRegistry().is_needed(self.context)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "shop.run")


def restarts(host: ScriptedConnection) -> list[str]:
    return [change for change in host.changes if "registry" in change]


def test_it_runs_on_masters_stopped_before_its_unit_changes(site: Site) -> None:
    site.run()
    assert restarts(site.hosts[M2]) == RESTART
    assert restarts(site.hosts[N1]) == []


def test_one_masters_need_is_not_everybodys_work(site: Site) -> None:
    """Another master was added, or one has another certificate than the one that its registry began with."""
    site.run()
    site.log.clear()
    site.hosts[M3].on(RUNS, failed(10))
    site.run()
    assert site.log == [f"stop {M3}", f"start {M3}"]


def test_registries_that_serve_start_again_one_after_another(site: Site) -> None:
    site.run()
    site.log.clear()
    for address in (M1, M2, M3):
        site.hosts[address].files[units.REGISTRY_UNIT] = b"another bundle's"
    site.run()
    assert site.log == [f"{act} {address}" for address in (M1, M2, M3) for act in ("stop", "start")]


def test_the_question_is_about_the_files_that_the_running_one_began_with(site: Site) -> None:
    site.run()
    (question,) = {command.text for command in site.hosts[M1].ran(RUNS)}
    assert question.endswith(f"sh airseal-registry.service {units.REGISTRY_STARTED}")
    assert "sha256sum --status -c" in question


def test_no_answer_is_not_a_no(site: Site) -> None:
    site.run()
    site.log.clear()
    site.hosts[M2].on(RUNS, failed(254, "sh: Cannot fork"))
    for act in (ServeImages().is_needed, ServeImages().run):
        with pytest.raises(CommandFailed, match=r"cannot tell whether .* runs: sh: Cannot fork"):
            act(site.context)
    assert site.log == []


def test_a_ca_that_signs_no_registry_any_more_is_trusted_until_all_of_them_show_the_new_ones(site: Site) -> None:
    for host in site.hosts.values():
        host.files[REGISTRY_CA] = b"ca and cluster"

    def start(command: Command) -> CommandResult:
        del command
        assert all(host.files[REGISTRY_CA] == b"ca and cluster" for host in site.hosts.values())
        site.set_active(M3)
        return succeeded()

    site.hosts[M3].on("systemctl start", start)
    site.run()
    assert {host.files[REGISTRY_CA] for host in site.hosts.values()} == {b"ca"}


def test_nobody_is_left_untrusted_by_a_master_that_has_no_ca(site: Site) -> None:
    del site.hosts[M1].files[CERTIFICATE]
    with pytest.raises(HostsFailed, match=f"there is no {CERTIFICATE}"):
        TrustRegistry().run(site.context)
    assert {host.files[REGISTRY_CA] for host in site.hosts.values()} == {b"ca"}
