"""Hosts that nobody named are no reason to stop: off, unknown or with another login, the rest goes on."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from installer_stub.errors import (
    AuthenticationFailed,
    HostError,
    HostKeyRejected,
    HostsFailed,
    HostUnreachable,
    UsageError,
)
from installer_stub.host.connection import Connection
from installer_stub.host.model import Host, Role
from installer_stub.verbs import session
from installer_stub.verbs.session import Session, connect_reachable, reach_quietly
from tests.fakes.plans import RecordingReporter
from tests.fakes.scripted import ScriptedConnection

A, B, C = (Host(f"10.0.0.{number}", Role.MASTER) for number in (2, 3, 4))
RUN = cast("Session", SimpleNamespace(screen=RecordingReporter()))


def network(monkeypatch: pytest.MonkeyPatch, **failures: HostError | UsageError) -> None:
    bad = {{"a": A, "b": B, "c": C}[name].address: error for name, error in failures.items()}

    def connect(run: Session, hosts: Sequence[Host]) -> dict[str, Connection]:
        found = [bad[host.address] for host in hosts if host.address in bad]
        if len(found) == 1:
            raise found[0]
        if found:
            raise HostsFailed(found)
        return {host.address: ScriptedConnection(host) for host in hosts}

    monkeypatch.setattr(session, "connect", connect)


@pytest.mark.parametrize("error", [HostUnreachable, HostKeyRejected, AuthenticationFailed])
def test_who_does_not_let_us_in_is_left_alone(monkeypatch: pytest.MonkeyPatch, error: type[HostError]) -> None:
    network(monkeypatch, b=error(B.address, "no"))
    assert list(reach_quietly(RUN, (A, B, C))) == [A.address, C.address]
    network(monkeypatch, a=error(A.address, "no"), b=HostUnreachable(B.address, "no"), c=error(C.address, "no"))
    assert reach_quietly(RUN, (A, B, C)) == {}
    assert reach_quietly(RUN, ()) == {}


def test_what_is_no_hosts_failure_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    network(monkeypatch, b=UsageError("no key file"))
    with pytest.raises(UsageError):
        reach_quietly(RUN, (A, B))


def test_a_named_host_may_be_off_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    network(monkeypatch, b=HostUnreachable(B.address, "off"))
    connections, lost = connect_reachable(RUN, (A, B))
    assert (list(connections), [each.host for each in lost]) == ([A.address], [B.address])
    network(monkeypatch, b=HostKeyRejected(B.address, "changed"))
    with pytest.raises(HostKeyRejected):
        connect_reachable(RUN, (A, B))
