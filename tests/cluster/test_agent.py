"""The agent on real hosts with systemd: its scope, its lease, its end. No Kubernetes; half a minute."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.options import cache_directory
from installer_stub.agent.client import AgentConnection
from installer_stub.agent.lease import Claimant, take_leases
from installer_stub.agent.start import start_agent
from installer_stub.errors import HostUnreachable, SiteBusy
from installer_stub.host.command import Command, Secret
from installer_stub.host.connect import connect_all
from installer_stub.host.known_hosts import HostKeyPolicy
from installer_stub.host.login import Login
from installer_stub.host.model import Host, Role
from installer_stub.host.ssh import SSHConnection
from installer_stub.ledger.report import Report
from installer_stub.phases.base import Artifact
from installer_stub.phases.journal import Journal
from installer_stub.phases.put_stub import has_stub, put_stub
from installer_stub.plan.model import STUB
from release.stub import make_stub
from tests.fakes.plans import RecordingReporter
from tests.testbed.blank_host import BlankHost
from tests.testbed.cache import Cache
from tests.testbed.docker_engine import engine
from tests.testbed.hosts import TestBed

pytestmark = pytest.mark.cluster

SCOPES = "systemctl list-units --all --plain --no-legend 'airseal-*.scope'"
# But for the note of which program stands there, which is no run's: the next one reads it.
LEFT = "ls -d /run/airseal* /run/airseal-keep/* /tmp/_MEI* /var/tmp/_MEI* 2>/dev/null | grep -vxE '/run/airseal-keep(/stub)?' || true"


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    runtime = make_stub(cache_directory(None), RecordingReporter())
    return Artifact(runtime.size, runtime.open, runtime.digest)


@pytest.fixture(scope="module")
def host(artifact: Artifact) -> Iterator[BlankHost]:
    """One host, with the installer on it."""
    cache = Cache.default()  # without the parts of Kubernetes, which nothing here needs
    engine(cache)
    with TestBed(masters=1, name="agent", cache=cache) as bed:
        root = reach(bed.masters[0])
        put_stub(root, artifact, RecordingReporter())
        root.close()
        yield bed.masters[0]


def reach(host: BlankHost, user: str = "root", password: str = "") -> SSHConnection:
    login = Login(() if password else (str(host.ssh_key),), password=Secret(password) if password else None, agent=False)
    policy = HostKeyPolicy((host.known_hosts,), Path("/nowhere"), None)
    return connect_all([Host(host.address, Role.MASTER, user=user)], login, policy)[host.address]


def agent_of(host: BlankHost) -> tuple[str, SSHConnection, AgentConnection]:
    run, plain = secrets.token_hex(8), reach(host)
    return run, plain, start_agent(plain, run)


def lease(agent: AgentConnection, run: str) -> list[str]:
    said: list[str] = []
    take_leases([agent], Claimant(run, f"{run}@test", "install"), said.append)
    return said


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def nothing_is_left(host: BlankHost) -> bool:
    return host.run(SCOPES).stdout == "" and host.run(LEFT).stdout == ""


def test_all_that_it_starts_is_in_one_scope_of_one_slice(host: BlankHost) -> None:
    run, plain, agent = agent_of(host)
    slice_of = agent.run(Command("cat /proc/self/cgroup")).stdout
    assert f"/airseal.slice/airseal-run.slice/airseal-agent-{run}.scope" in slice_of
    agent.close()
    plain.close()
    assert eventually(lambda: nothing_is_left(host)), host.run(SCOPES).stdout + host.run(LEFT).stdout


def test_a_daemon_of_a_run_that_hung_up_does_not_go_on(host: BlankHost) -> None:
    _, plain, agent = agent_of(host)
    agent.run(Command.shell("setsid sh -c 'sleep 7611 & sleep 7611' >/dev/null 2>&1 &"))
    assert host.run("pgrep -fc '^sleep 7611'").stdout.strip() == "2"
    plain.close()  # as a killed installer does
    assert eventually(lambda: nothing_is_left(host))
    assert host.run("pgrep -fc '^sleep 7611' || true").stdout.strip() == "0"


def test_two_runs_and_the_one_that_died(host: BlankHost) -> None:
    first, plain, agent = agent_of(host)
    second, other_plain, other = agent_of(host)
    assert lease(agent, first) == []
    with pytest.raises(SiteBusy, match=f"install by {first}@test, begun .* is at work"):
        lease(other, second)
    # The agent is killed as memory pressure kills it: nothing of it can clean up, and what it started goes on.
    agent.run(Command.shell("setsid sleep 7612 >/dev/null 2>&1 &"))
    pids = host.run(f"pgrep -f -- '--run {first}'").stdout.split()
    host.run(f"kill -9 {' '.join(pids)}")
    with pytest.raises(HostUnreachable):
        agent.run(Command.of("true"))
    said = lease(other, second)
    assert len(said) == 1
    assert "died there" in said[0]
    assert host.run("pgrep -fc '^sleep 7612' || true").stdout.strip() == "0"
    for connection in (agent, other, plain, other_plain):
        connection.close()
    third, plain, agent = agent_of(host)
    assert lease(agent, third) == []  # given back, not died
    agent.close()
    plain.close()
    assert eventually(lambda: nothing_is_left(host)), host.run(SCOPES).stdout + host.run(LEFT).stdout


def test_nothing_unpacks_itself_and_what_a_disk_altered_is_put_there_again(host: BlankHost, artifact: Artifact) -> None:
    _, plain, agent = agent_of(host)
    assert agent.program == artifact.layout.identity
    assert has_stub(plain, artifact)
    assert has_stub(agent, artifact)
    before = host.run(f"readlink -f {STUB}").stdout.strip()
    assert f"{before}\n" in host.run("readlink /proc/[0-9]*/exe", check=False).stdout
    host.run(f"printf x | dd of={before.rpartition('/')[0]}/_internal/base_library.zip bs=1 seek=1000 conv=notrunc")
    assert not has_stub(plain, artifact)
    assert not has_stub(agent, artifact)
    put_stub(agent, artifact, RecordingReporter())
    assert has_stub(agent, artifact)
    assert host.run(f"readlink -f {STUB}").stdout.strip() != before
    assert agent.run(Command.of(STUB, "--version")).ok
    host.run("pkill -9 -f -- '^/opt/airseal/bin/airseal host agent'")
    plain.close()
    assert eventually(lambda: host.run("pgrep -fc '^/opt/airseal/bin/airseal host agent' || true").stdout.strip() == "0")
    assert host.run("find / -xdev -name '_MEI*'").stdout == ""
    _, plain, agent = agent_of(host)  # it sweeps what the killed one left
    assert agent.program == artifact.layout.identity
    agent.close()
    plain.close()
    assert eventually(lambda: nothing_is_left(host)), host.run(SCOPES).stdout + host.run(LEFT).stdout


def test_it_outlives_the_removal_of_its_own_program(host: BlankHost) -> None:
    _, plain, agent = agent_of(host)
    host.run("cp -a /opt/airseal /root/airseal; rm -rf /opt/airseal")
    try:
        assert agent.run(Command.of("true")).ok
        assert agent.read("/etc/hostname")
    finally:
        host.run("mv /root/airseal /opt/airseal")
    agent.close()
    plain.close()
    assert eventually(lambda: nothing_is_left(host))


def test_the_last_that_an_undo_removes_is_the_directory_it_runs_from(host: BlankHost, artifact: Artifact) -> None:
    _, plain, agent = agent_of(host)
    Journal(agent).begin(measure=True)
    undone = agent.run(Command.of(STUB, "host", "undo", "--yes", "--json", changes="undo"))  # a process of its own
    report = Report.of_json(undone.stdout.strip().splitlines()[-1])
    assert (report.complete, report.measured, report.difference, report.left) == (True, True, [], [])
    assert undone.stderr == "measuring the host\n"
    assert host.run("ls -d /opt/airseal /var/lib/airseal /etc/airseal", check=False).stdout == ""
    assert agent.run(Command.of("true")).ok
    agent.close()
    plain.close()
    assert eventually(lambda: nothing_is_left(host)), host.run(SCOPES).stdout + host.run(LEFT).stdout
    root = reach(host)
    put_stub(root, artifact, RecordingReporter())
    assert has_stub(root, artifact)
    root.close()
