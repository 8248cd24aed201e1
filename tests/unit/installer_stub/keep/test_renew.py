"""Renewal on a host, with certificates that end, a kubeadm that answers as the real one, and nobody to ask."""

from __future__ import annotations

import base64
import datetime as dt
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from installer_stub.changes.disk import Disk
from installer_stub.errors import InstallerError
from installer_stub.facts.certificates import read_certificate
from installer_stub.keep import certificates, kubelet_client, renew
from installer_stub.keep.document import HostDocument
from installer_stub.keep.kubelet_request import NotAnswered
from installer_stub.keep.programs import Done
from installer_stub.keep.report import Report
from installer_stub.pki import registry
from tests.fakes.authority import Authority
from tests.unit.installer_stub.keep.documents import YEAR, host_document, policy

KUBELET = "var/lib/kubelet/pki/kubelet-client-current.pem"


class Master:
    """A master's files below a directory, and the programs that renewal calls."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.calls, self.config = root, list[tuple[str, ...]](), ""
        self.authority = Authority("kubernetes", days=3650)
        self.kubeadm = Done(0, "renewed")
        self.pki = root / "etc/kubernetes/pki"
        self.pki.mkdir(parents=True)
        (self.pki / "ca.crt").write_bytes(self.authority.pem)
        (self.pki / "ca.key").write_bytes(self.authority.key_pem)
        (root / "etc/kubernetes/kubelet.conf").write_text("kubeconfig")
        (root / "var/lib/kubelet/pki").mkdir(parents=True)
        self.issue(days=300)
        monkeypatch.setattr(renew, "host_certificates", lambda: certificates.host_certificates(str(root)))
        monkeypatch.setattr(renew, "run", self.run)
        monkeypatch.setattr(registry, "renew", lambda files, now, *, my_turn: self.registry(now) if my_turn else registry.Renewal.WAITS)
        self.registry: Callable[[dt.datetime], registry.Renewal] = lambda _now: registry.Renewal.NO_REGISTRY
        monkeypatch.setattr(renew, "KUBELET_CONFIG", str(root / "etc/kubernetes/kubelet.conf"))
        monkeypatch.setattr(renew, "DISK", Disk(root))
        monkeypatch.setattr(renew, "CONFIG", str(root / "run/renew.yaml"))
        monkeypatch.setattr(renew, "NEXT", str(root / "run/next-look"))
        monkeypatch.setattr(renew.static_pods, "end", lambda names: self.calls.append(("end", *names)) or names)
        here = {"key_path": str(root / "waiting.key")}
        monkeypatch.setattr(renew.kubelet_client, "request", lambda name: REQUEST(name, **here))
        ca = {"certificate": str(self.pki / "ca.crt"), "key": str(self.pki / "ca.key")}
        monkeypatch.setattr(renew.kubelet_client, "sign", lambda csr, name, validity: SIGN(csr, name, validity, **ca))
        monkeypatch.setattr(renew.kubelet_client, "install", lambda pem: INSTALL(pem, current=str(root / KUBELET), **here))

    def issue(self, *, days: float, kubelet: float | None = None) -> None:
        leaf, _ = self.authority.leaf("kube-apiserver", days=days, begun=365 if days < 400 else 0.1)
        (self.pki / "apiserver.crt").write_bytes(leaf)
        admin, key = self.authority.leaf("kubernetes-admin", days=days, begun=365 if days < 400 else 0.1)
        fields = {"client-certificate-data": admin, "client-key-data": key}
        text = "".join(f"    {name}: {base64.b64encode(value).decode()}\n" for name, value in fields.items())
        (self.root / "etc/kubernetes/admin.conf").write_text(text)
        if kubelet is not None:
            client, key = self.authority.leaf("system:node:m1", days=kubelet)
            (self.root / KUBELET).unlink(missing_ok=True)
            (self.root / KUBELET).write_bytes(client + key)

    def run(self, argv: Sequence[str], *, timeout: float) -> Done:
        self.calls.append(tuple(argv))
        if argv[0] == "kubeadm":
            self.config = Path(argv[-1]).read_text()
            if self.kubeadm.output == "renewed":
                self.issue(days=3 * 365)
            return self.kubeadm
        return Done(0, "")

    def keep(self, document: HostDocument | None = None) -> Report:
        report = Report()
        renew.keep_certificates(document or host_document(), report)
        return report

    @property
    def next_look(self) -> float:
        return float((self.root / "run/next-look").read_text()) - time.time()


REQUEST, SIGN, INSTALL = kubelet_client.request, kubelet_client.sign, kubelet_client.install


@pytest.fixture
def master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Master:
    return Master(tmp_path, monkeypatch)


def test_young_certificates_are_left_alone(master: Master) -> None:
    master.issue(days=900, kubelet=900)
    assert master.keep() == Report()
    assert master.calls == []
    assert 0 < master.next_look <= 6 * 3600


@pytest.mark.parametrize("days", [100, 1, -1, -300], ids=lambda days: f"{days} days left")
def test_at_half_of_their_life_and_long_after_their_end_the_same_is_done(master: Master, days: float) -> None:
    master.issue(days=days)
    report = master.keep()
    assert report.failed == []
    assert [call[:2] for call in master.calls] == [("kubeadm", "certs"), ("end", "kube-apiserver"), ("systemctl", "--no-block")]
    assert master.calls[1] == ("end", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
    master.calls.clear()
    assert master.keep() == Report()
    assert master.calls == []


def test_kubeadm_is_told_everything_that_it_would_ask_a_cluster_or_the_internet_for(master: Master) -> None:
    master.issue(days=1)
    master.keep()
    init, cluster = yaml.safe_load_all(master.config)
    assert cluster["certificateValidityPeriod"] == "26280h0m0s"
    assert cluster["kubernetesVersion"] == "v1.36.3"
    assert init["localAPIEndpoint"]["advertiseAddress"] == "10.0.0.2"
    assert init["nodeRegistration"]["criSocket"] == "unix:///run/containerd/containerd.sock"
    assert not (master.root / "run/renew.yaml").exists()


def test_a_kubelet_whose_certificate_ended_gets_one_of_the_same_ca(master: Master) -> None:
    master.issue(days=900, kubelet=-30)
    report = master.keep()
    assert report.failed == []
    # At boot kubelet comes after us: who waited for it would wait for himself.
    assert master.calls == [("systemctl", "--no-block", "restart", "kubelet.service")]
    data = (master.root / KUBELET).read_bytes()
    made = x509.load_pem_x509_certificate(data)
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(master.authority.pem))
    names = {each.oid: each.value for each in made.subject}
    assert names == {NameOID.ORGANIZATION_NAME: "system:nodes", NameOID.COMMON_NAME: "system:node:m1"}
    assert list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    key = serialization.load_pem_private_key(data[data.index(b"-----BEGIN PRIVATE") :], None)
    assert key.public_key() == made.public_key()
    assert round(read_certificate("x", data).days_left(time.time())) == 3 * 365
    assert (master.root / KUBELET).is_symlink()
    assert (master.root / KUBELET).stat().st_mode & 0o777 == 0o600
    assert not (master.root / "waiting.key").exists()


def test_a_ca_key_that_was_taken_off_the_master_is_named_and_nothing_restarts(master: Master) -> None:
    (master.pki / "ca.key").unlink()
    master.kubeadm = Done(0, "externally managed")  # what kubeadm says then, with status 0
    master.issue(days=1)
    report = master.keep()
    assert [str(each) for each in report.failed] == ["certificates of the control plane: kubeadm renewed nothing: is the CA's key on this master?"]
    assert not [call for call in master.calls if call[0] == "end"]
    assert 3000 < master.next_look <= 3600  # not every minute


def test_a_kubeadm_that_fails_is_quoted_and_tried_again(master: Master) -> None:
    master.kubeadm = Done(1, "disk full")
    master.issue(days=-1)
    assert "disk full" in str(master.keep().failed[0])
    master.kubeadm = Done(0, "renewed")
    assert master.keep().failed == []


def test_a_certificate_that_cannot_be_read_is_a_failure_and_not_a_young_one(master: Master) -> None:
    master.issue(days=900)
    (master.pki / "apiserver.crt").write_bytes(b"-----BEGIN CERTIFICATE-----\nAA")
    assert "apiserver.crt: no certificate" in str(master.keep().failed[0])


def test_a_renewal_that_was_cut_is_put_back_at_the_next_look_and_what_runs_reads_it(master: Master) -> None:
    master.issue(days=500)
    before, key = (master.pki / "apiserver.crt").read_bytes(), master.pki / "apiserver.key"
    key.write_bytes(b"old key")

    def cut() -> None:
        with renew.before.kept(["/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/apiserver.key"], Disk(master.root)):
            key.write_bytes(b"new key")
            raise KeyboardInterrupt  # as a power cut

    with pytest.raises(KeyboardInterrupt):
        cut()
    report = master.keep()
    assert ((master.pki / "apiserver.crt").read_bytes(), (master.pki / "apiserver.key").read_bytes()) == (before, b"old key")
    assert any("put back /etc/kubernetes/pki/apiserver.key" in said for said in report.changed)
    assert ("end", *renew.RESTARTED) in master.calls


def test_a_renewal_that_fails_half_way_leaves_what_was_there(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    master.issue(days=-1)
    before = (master.pki / "apiserver.crt").read_bytes()
    master.kubeadm = Done(1, "disk full")
    run = master.run

    def half(argv: Sequence[str], *, timeout: float) -> Done:
        if argv[0] == "kubeadm":
            (master.pki / "apiserver.crt").write_bytes(b"half")
        return run(argv, timeout=timeout)

    monkeypatch.setattr(renew, "run", half)
    report = master.keep()
    assert (master.pki / "apiserver.crt").read_bytes() == before
    assert any("disk full" in failure.why for failure in report.failed)


def test_the_site_registrys_certificate_has_a_rule_of_its_own_and_is_asked_for_at_every_look(master: Master) -> None:
    master.issue(days=900, kubelet=900)
    (master.root / "etc/airseal").mkdir()
    leaf, _ = master.authority.leaf("registry", days=30, begun=60)
    (master.root / "etc/airseal/registry.crt").write_bytes(leaf)
    assert master.keep() == Report()
    assert master.next_look > 3600
    master.registry = lambda _now: registry.Renewal.RENEWED
    assert master.keep().changed == ["certificate of the site registry: the site registry's certificate was renewed"]

    def fail(_now: dt.datetime) -> registry.Renewal:
        raise InstallerError("no CA", "")

    master.registry = fail
    assert [str(each) for each in master.keep().failed] == ["certificate of the site registry: no CA"]


def test_another_masters_turn_is_waited_for(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    master.issue(days=100)
    monkeypatch.setattr(renew.renewal, "in_slot", lambda *_: False)
    monkeypatch.setattr(renew.renewal, "next_slot", lambda _policy, now: now + 700)
    assert master.keep(host_document(certificates=policy(masters=3))) == Report()
    assert master.calls == []
    assert 690 <= master.next_look <= 700


@pytest.mark.parametrize(("days", "renewed"), [(300, False), (100, True), (-1, True)])
def test_while_another_master_is_away_nobody_takes_a_second_one_away(master: Master, monkeypatch: pytest.MonkeyPatch, days: int, *, renewed: bool) -> None:
    """Seen under load: a control plane was away for 118 s of a slot of 180, and the next master began."""
    master.issue(days=days)  # begun a year ago
    monkeypatch.setattr(renew.renewal, "in_slot", lambda *_: True)
    monkeypatch.setattr(renew.others, "missing", lambda masters: masters - 2)
    assert bool(master.keep(host_document(certificates=policy(masters=3))).changed) is renewed
    monkeypatch.setattr(renew.others, "missing", lambda _masters: 0)
    if not renewed:
        assert master.next_look <= 3 * 600
        assert master.keep(host_document(certificates=policy(masters=3))).changed


def test_the_registrys_certificate_waits_for_the_masters_turn_too_and_is_looked_at_then(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three registries that were installed together are due together: hosts go on to pull from the others."""
    master.issue(days=900, kubelet=900)
    master.registry = lambda _now: registry.Renewal.RENEWED
    monkeypatch.setattr(renew.renewal, "in_slot", lambda *_: False)
    monkeypatch.setattr(renew.renewal, "next_slot", lambda _policy, now: now + 700)
    assert master.keep(host_document(certificates=policy(masters=3))) == Report()
    assert 690 <= master.next_look <= 700


def test_a_node_has_no_ca_it_asks_the_api_and_a_person_only_when_its_own_has_ended(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    node = host_document(name="n5", certificates=policy(master=False))
    ca = {"certificate": str(master.pki / "ca.crt"), "key": str(master.pki / "ca.key")}
    monkeypatch.setattr(renew.kubelet_request, "ask", lambda csr, validity: SIGN(csr, "n5", validity, **ca))
    master.issue(days=900, kubelet=900)
    assert master.keep(node) == Report()
    master.issue(days=900, kubelet=100)
    assert master.keep(node).changed == ["/var/lib/kubelet/pki/kubelet-client-current.pem of kubelet"]
    assert round(read_certificate("x", (master.root / KUBELET).read_bytes()).days_left(time.time())) == 3 * 365
    assert master.calls == [("systemctl", "--no-block", "restart", "kubelet.service")]
    master.calls.clear()

    def silence(csr: bytes, validity: int) -> bytes:
        raise NotAnswered("the API does not answer")

    monkeypatch.setattr(renew.kubelet_request, "ask", silence)
    master.issue(days=900, kubelet=100)
    before = (master.root / KUBELET).read_bytes()
    assert "does not answer" in str(master.keep(node).failed[0])
    assert (master.root / KUBELET).read_bytes() == before
    soon = float((master.root / "run/next-look").read_text()) - time.time()
    assert soon < 600, "an API that starts anew is asked again in minutes: the masters renew just then"
    master.issue(days=900, kubelet=-1)
    (failure,) = master.keep(node).failed
    assert float((master.root / "run/next-look").read_text()) - time.time() > 3000, "what wants a person is tried each hour"
    assert "certs renew" in failure.why
    assert master.calls == []


def test_a_host_that_is_no_member_yet_renews_nothing(master: Master) -> None:
    (master.root / "etc/kubernetes/kubelet.conf").unlink()
    master.issue(days=-1)
    master.keep()
    assert ("kubeadm", "certs") not in [call[:2] for call in master.calls]


def test_a_request_gets_what_the_node_is_and_nothing_that_it_asks_for(master: Master) -> None:
    request = REQUEST("admin", str(master.root / "waiting.key"))
    ca = {"certificate": str(master.pki / "ca.crt"), "key": str(master.pki / "ca.key")}
    made = x509.load_pem_x509_certificate(SIGN(request, "n5", YEAR, **ca))
    assert made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "system:node:n5"
    for wrong in (b"", b"-----BEGIN CERTIFICATE REQUEST-----\n", request[:-60]):
        with pytest.raises(InstallerError):
            SIGN(wrong, "n5", YEAR, **ca)


def test_a_certificate_for_another_key_is_not_put_in_place(master: Master) -> None:
    other, _ = master.authority.leaf("system:node:m1", days=10)
    REQUEST("m1", str(master.root / "waiting.key"))
    with pytest.raises(InstallerError, match="not for the key"):
        INSTALL(other, key_path=str(master.root / "waiting.key"), current=str(master.root / KUBELET))
    assert not (master.root / KUBELET).exists()
