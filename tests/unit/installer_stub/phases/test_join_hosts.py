"""A join that outlived its run: waited for if it is this very join, stopped and judged if it is another; asked for once."""

from __future__ import annotations

import shlex

import pytest

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.host.command import Command, CommandResult
from installer_stub.membership.record import Stage
from installer_stub.phases import join_hosts
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.join_masters import JoinMasters
from installer_stub.phases.join_nodes import JoinNodes
from tests.fakes.membership import CLUSTER_CA, QUESTION, make_member
from tests.fakes.plans import M1, M2, N1, N2, RecordingReporter, make_context
from tests.fakes.scripted import ScriptedConnection, succeeded
from tests.unit.installer_stub.phases.test_cluster_phases import PLAN, cluster, stage

GONE = "LoadState=not-found;ActiveState=inactive;SubState=dead;Description=airseal-join.service"
ROLES: dict[str, tuple[Phase, str, tuple[str, ...]]] = {"master": (JoinMasters(), M2, (M1, N1, N2)), "node": (JoinNodes(), N2, (M1, M2, N1))}


def still_joining(context: Context, host: ScriptedConnection, *, status: int = 0, digest: str = "") -> None:
    """Let a join of an earlier run go on at ``host``, for two more looks; with status 0 the host is a member then."""
    make_member(host, Stage.BEGUN)
    planned = next(each for each in PLAN.hosts if each.address == host.host.address)
    authority = KUBEADM.authority_hash(context.first.read(CLUSTER_CA) or b"")
    mine = digest or join_hosts._task(context, planned, authority).digest
    looks = 0

    def watch(command: Command) -> CommandResult:
        nonlocal looks
        looks += 1
        if host.ran("exec systemd-run"):  # a new one
            return begun_anew(host)
        if host.ran("systemctl stop"):
            return succeeded(f"{GONE}\n\n\n0\n")
        if looks <= 2:
            return succeeded(f"LoadState=loaded;ActiveState=active;SubState=running;Description=airseal {mine}\n\n{mine} 100\n0\n")
        if status == 0:
            make_member(host)
        return succeeded(f"{GONE}\n{mine} {status} 100 200\n{mine} 100\n0\n")

    host.on("LoadState.*tail -c.*airseal-join", watch)


def begun_anew(host: ScriptedConnection) -> CommandResult:
    digest = shlex.split(host.ran("exec systemd-run")[-1].text)[8]
    return succeeded(f"{GONE}\n{digest} 0 1 2\n{digest} 1\n0\n")


@pytest.mark.parametrize("role", ROLES)
def test_the_same_join_is_waited_for_and_nothing_is_begun_again(role: str) -> None:
    phase, address, members = ROLES[role]
    hosts = cluster(*members)
    context = make_context(PLAN, hosts)
    still_joining(context, hosts[address])
    assert phase.is_needed(context)
    phase.run(context)
    assert stage(hosts[address]) is Stage.MEMBER
    assert not hosts[address].ran("systemd-run|kubeadm reset")
    assert not hosts[M1].ran("upload-certs|token create|delete node|member remove")
    assert isinstance(context.reporter, RecordingReporter)
    assert any("join of an earlier run still runs; waiting for its end" in step for step in context.reporter.steps)
    assert not phase.is_needed(context)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("status", "digest"), [(1, ""), (0, "f" * 32)])
def test_one_that_fails_or_is_another_is_taken_off_and_begun_anew(role: str, status: int, digest: str) -> None:
    phase, address, members = ROLES[role]
    hosts = cluster(*members)
    context = make_context(PLAN, hosts)
    still_joining(context, hosts[address], status=status, digest=digest)
    phase.run(context)
    changes = hosts[address].changes
    assert changes.index("stop airseal-join.service of an earlier run") < changes.index("take a half-made join off the host") < changes.index("run join")
    assert stage(hosts[address]) is Stage.MEMBER


@pytest.mark.parametrize("role", ROLES)
def test_the_grant_is_no_part_of_what_a_join_is(role: str) -> None:
    """Every run makes another grant; role, names and networks are what makes another join."""
    _, address, members = ROLES[role]
    digests = []
    for _ in range(2):
        hosts = cluster(*members)
        phase = ROLES[role][0]
        phase.run(make_context(PLAN, hosts))
        digests += [command.text for command in hosts[address].ran("exec systemd-run")]
    assert len(digests) == 2
    assert digests[0] == digests[1]


@pytest.mark.parametrize("role", ROLES)
def test_what_lies_on_a_host_is_asked_once_before_it_joins(role: str) -> None:
    """To find out whether it is missing, and, after the grant, right before anything is removed; a master also whether it may speak."""
    phase, address, members = ROLES[role]
    hosts = cluster(*members)
    (host,) = (each for each in PLAN.hosts if each.address == address)
    phase.do(make_context(PLAN, hosts), host, hosts[address])
    before = [command.text for command in hosts[address].commands]
    began = next(place for place, text in enumerate(before) if "exec systemd-run" in text)
    assert len([text for text in before[:began] if QUESTION in text]) == {"master": 3, "node": 2}[role]
