"""Releases that a cut command left pending: found by time, taken away by identity, and nothing else is."""

from __future__ import annotations

import json
import shlex

import pytest

from installer_stub.errors import ClusterError
from installer_stub.kube.helm import pending_since, take_away
from installer_stub.kube.kubectl import Kubectl
from tests.fakes.scripted import ScriptedConnection

T0 = 1795697600.0  # 2026-11-26T12:53:20Z
CUT = "Secret\tshop\tsh.helm.release.v1.shop.v1\tshop\t1\tpending-install\t2026-11-26T12:53:30Z\tuid-1"
OLD = "Secret\tother\tsh.helm.release.v1.old.v7\told\t7\tpending-upgrade\t2026-11-20T00:00:00Z\tuid-2"
MAP = "ConfigMap\tshop\tsh.helm.release.v1.db.v2\tdb\t2\tpending-rollback\t2026-11-26T12:53:18Z\tuid-3"


def cluster(*lines: str) -> tuple[ScriptedConnection, Kubectl]:
    connection = ScriptedConnection().on("get secrets,configmaps", "".join(f"{line}\n" for line in lines)).on("delete --raw")
    return connection, Kubectl(connection)


def test_only_what_was_begun_by_the_cut_command_is_its() -> None:
    connection, kubectl = cluster(OLD, CUT, MAP)
    found = pending_since(kubectl, T0)
    assert [(each.release, each.revision) for each in found] == [("shop", "1"), ("db", "2")]
    assert str(found[0]) == "release shop in shop, revision 1 (pending-install)"
    words = shlex.split(connection.commands[0].text)
    assert "owner=helm,status in (pending-install,pending-upgrade,pending-rollback)" in words
    assert not any(".data" in word for word in words if word.startswith("--output"))  # the values of an application are secret


def test_nothing_pending_is_nothing_to_do() -> None:
    connection, kubectl = cluster()
    assert pending_since(kubectl, T0) == ()
    take_away(kubectl, ())
    assert len(connection.commands) == 1


def test_exactly_the_revision_that_was_seen_is_taken_away() -> None:
    connection, kubectl = cluster(CUT, MAP)
    take_away(kubectl, pending_since(kubectl, T0))
    first, second = connection.ran("delete --raw")
    assert "--raw=/api/v1/namespaces/shop/secrets/sh.helm.release.v1.shop.v1" in first.text
    assert "--raw=/api/v1/namespaces/shop/configmaps/sh.helm.release.v1.db.v2" in second.text
    assert isinstance(first.stdin, bytes)
    assert json.loads(first.stdin)["preconditions"] == {"uid": "uid-1"}
    assert connection.changes == [
        "take away release shop in shop, revision 1 (pending-install)",
        "take away release db in shop, revision 2 (pending-rollback)",
    ]


@pytest.mark.parametrize("line", ["what", CUT.replace("2026-11-26T12:53:30Z", "yesterday"), f"{CUT}\tmore"])
def test_an_answer_that_is_none_stops(line: str) -> None:
    _, kubectl = cluster(line)
    with pytest.raises(ClusterError, match="no release"):
        pending_since(kubectl, T0)
