"""``certs``: what people see, in which order masters are renewed, and that no key travels."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace

import pytest

from installer_stub.commands import certs as command
from installer_stub.errors import HostError, UsageError
from installer_stub.facts.certificates import Certificate
from installer_stub.host.command import CommandResult
from installer_stub.host.model import Host, Role
from installer_stub.keep.document import PATH
from installer_stub.keep.report import Failure, Report
from installer_stub.verbs.certs import HostCertificates, Shown, look, renew_kubelet, renew_masters, table
from tests.fakes.authority import Authority
from tests.fakes.scripted import ScriptedConnection, failed
from tests.unit.installer_stub.keep.documents import host_document, policy

DAY = 86400.0
NOW = time.time()
RENEW = "host renew-certificates$"
READY = "readyz"


def certificate(name: str, days: float, *, authority: bool = False, problem: str = "") -> Certificate:
    return Certificate(f"/etc/kubernetes/pki/{name}", NOW + (days - 1095) * DAY, NOW + days * DAY, authority, problem)


def parse(*words: str) -> Namespace:
    parser = ArgumentParser()
    command.define(parser, "certs")
    return parser.parse_args(words)


def test_the_first_end_stands_first_and_what_ended_is_marked_and_counted() -> None:
    hosts = (
        HostCertificates(Host("10.0.0.2", Role.MASTER), NOW, (certificate("apiserver.crt", 700), certificate("ca.crt", 9000, authority=True))),
        HostCertificates(Host("10.0.0.5", Role.NODE), NOW, (certificate("kubelet.pem", -3), certificate("torn.crt", 0, problem="no certificate"))),
    )
    text, bad = table(Shown(hosts))
    lines = text.splitlines()
    assert bad == 2
    assert [line.split()[-1] for line in lines[1:]] == ["certificate", "/etc/kubernetes/pki/kubelet.pem", "/etc/kubernetes/pki/apiserver.crt", "(CA)"]
    assert ["✗" in line for line in lines] == [False, True, True, False, False]
    assert "-3.00" in lines[2]
    assert table(Shown(hosts, within=800 * DAY))[1] == 3


def test_a_host_is_asked_for_public_parts_by_its_own_clock() -> None:
    leaf, _ = Authority("kubernetes", days=10).leaf("apiserver", days=5)
    host = ScriptedConnection()
    host.on("date ", f"{NOW:.0f}\n==> /etc/kubernetes/pki/apiserver.crt\n{leaf.decode()}")
    (found,) = look({"10.0.0.2": host})
    assert [round(each.days_left(found.now)) for each in found.certificates] == [5]
    host.on("date ", "not a time\n")
    with pytest.raises(HostError, match="does not tell the time"):
        look({"10.0.0.2": host})


def masters(count: int, order: list[str], *, ready: bool) -> list[ScriptedConnection]:
    made = []
    for number in range(count):
        host = ScriptedConnection(Host(f"10.0.0.{number + 2}", Role.MASTER))

        def renewed(_command: object, host: ScriptedConnection = host) -> CommandResult:
            order.append(f"renew {host.host.address}")
            return CommandResult(0, Report(changed=["certificates"]).encode(), "")

        def asked(_command: object, host: ScriptedConnection = host) -> CommandResult:
            # A quorum: two of three have new certificates, or all live.
            up = ready or sum(each.startswith("renew") for each in order) >= 2
            order.append(f"{'up' if up else 'down'} {host.host.address}")
            return CommandResult(0 if up else 1, "", "")

        made.append(host.on(RENEW, renewed).on(READY, asked))
    return made


def test_in_a_cluster_that_lives_one_master_is_back_before_the_next_one_begins() -> None:
    order: list[str] = []
    renew_masters(masters(3, order, ready=True), lambda _: None)
    assert order[:6] == ["up 10.0.0.2", "renew 10.0.0.2", "up 10.0.0.2", "renew 10.0.0.3", "up 10.0.0.3", "renew 10.0.0.4"]


def test_in_a_cluster_that_slept_past_its_certificates_nobody_is_waited_for_before_all_are_renewed() -> None:
    order: list[str] = []
    renew_masters(masters(3, order, ready=False), lambda _: None)
    assert [each for each in order if each.startswith("renew")] == ["renew 10.0.0.2", "renew 10.0.0.3", "renew 10.0.0.4"]
    assert order.index("renew 10.0.0.4") < order.index("up 10.0.0.2")


def test_a_master_that_fails_stops_it_before_the_next_one() -> None:
    order: list[str] = []
    first, second = masters(2, order, ready=True)
    first.on(RENEW, CommandResult(4, Report(failed=[Failure("certificates", "disk full")]).encode(), ""))
    with pytest.raises(HostError, match="disk full"):
        renew_masters([first, second], lambda _: None)
    assert not second.ran(RENEW)
    first.on(RENEW, failed(2, "invalid choice: 'renew-certificates'"))
    with pytest.raises(HostError, match="install with this file first"):
        renew_masters([first], lambda _: None)


def test_a_nodes_request_travels_and_its_key_does_not() -> None:
    node, master = ScriptedConnection(Host("10.0.0.5", Role.NODE)), ScriptedConnection()
    node.files[PATH] = host_document(name="n5", certificates=policy(master=False)).encode()
    node.on("kubelet-request$", "REQUEST").on("kubelet-install$")
    master.on("kubelet-sign", "-----BEGIN CERTIFICATE-----\nx")
    renew_kubelet(node.host, node, master)
    (sign,) = master.ran("kubelet-sign")
    assert sign.text.endswith("--name n5")
    assert sign.stdin == b"REQUEST"
    (install,) = node.ran("kubelet-install")
    assert install.stdin == b"-----BEGIN CERTIFICATE-----\nx"
    del node.files[PATH]
    with pytest.raises(HostError, match="did not install this host"):
        renew_kubelet(node.host, node, master)


def test_the_command_line() -> None:
    options = command.parse(parse("--master", "10.0.0.2", "--node", "10.0.0.5"))
    assert [host.address for host in options.hosts] == ["10.0.0.2", "10.0.0.5"]
    assert parse("renew", "--master", "10.0.0.2").action == "renew"
    with pytest.raises(UsageError, match="no host"):
        command.parse(parse())
    with pytest.raises(UsageError, match="--within"):
        command.run(parse("--node", "10.0.0.5", "--within", "soon"))
    with pytest.raises(UsageError):
        command.run(parse("renew", "--node", "10.0.0.5"))
