"""kubectl where the API server answers that it cannot just now: while etcd elects, nothing fails for that."""

from __future__ import annotations

import pytest

from installer_stub.errors import CommandFailed
from installer_stub.kube import kubectl as module
from installer_stub.kube.kubectl import Kubectl
from tests.fakes.scripted import ScriptedConnection, failed

NOT_NOW = (
    "Error from server: etcdserver: leader changed",
    "Error from server: etcdserver: request timed out",
    "Error from server: rpc error: code = Unavailable desc = etcdserver: no leader",
    "Error from server (InternalError): etcdserver: too many requests",
    "Error from server (Timeout): the server was unable to return a response in the time allotted, but may still be processing the request (get nodes)",
    "Error from server (ServerTimeout): No API token found for service account",
    "Error from server (TooManyRequests): the server has received too many requests and has asked us to try again later",
    "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
)
NOT_EVER = (
    'Error from server (NotFound): nodes "n7" not found',
    "Error from server (Forbidden): nodes is forbidden",
    "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?",  # other masters are asked
    "error: unable to drain node: Cannot evict pod as it would violate the pod's disruption budget",
)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.0)


@pytest.mark.parametrize("said", NOT_NOW)
def test_what_it_cannot_do_just_now_is_asked_for_again(said: str) -> None:
    host = ScriptedConnection().on("get", failed(1, said), failed(1, said), '{"items": [{"kind": "Node"}]}').on("patch", failed(1, said), "patched")
    assert Kubectl(host).items("nodes") == ({"kind": "Node"},)
    assert Kubectl(host).run("patch", "node", "n1", changes="label node n1").stdout == "patched"


@pytest.mark.parametrize("said", NOT_EVER)
def test_any_other_answer_is_the_answer(said: str) -> None:
    host = ScriptedConnection().on("", failed(1, said))
    with pytest.raises(CommandFailed):
        Kubectl(host).run("get", "nodes")
    assert len(host.commands) == 1


def test_one_that_cannot_for_long_is_told_in_its_own_words() -> None:
    host = ScriptedConnection().on("", failed(1, NOT_NOW[0]))
    with pytest.raises(CommandFailed, match="leader changed"):
        Kubectl(host, patience=0.05).run("get", "nodes")
    assert len(host.commands) > 2


def test_what_runs_in_a_container_is_not_repeated_nor_what_is_only_tried() -> None:
    host = ScriptedConnection().on("", failed(1, NOT_NOW[0]))
    with pytest.raises(CommandFailed):
        Kubectl(host).run("-n", "kube-system", "exec", "etcd-m1", "--", "etcdctl", "member", "remove", "7", changes="remove m1")
    with pytest.raises(CommandFailed):
        Kubectl(host).run("create", "-f", "-", changes="run what waits", again=False)
    with pytest.raises(CommandFailed):
        Kubectl(host, patience=0).run("get", "nodes")  # another master is asked
    assert not Kubectl(host).run("get", "--raw=/readyz", check=False).ok
    assert len(host.commands) == 4
