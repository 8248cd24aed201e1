"""What is torn or gone of a master's certificates is made anew at a person's word; what cannot be read is nobody's guess."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from installer_stub.changes.disk import Disk
from installer_stub.distro.certificates import LEAVES, MASTERS_CONFIGS
from installer_stub.errors import InstallerError
from installer_stub.keep import before, mend, renew
from installer_stub.keep.programs import Done
from installer_stub.keep.report import Report
from tests.fakes.authority import Authority
from tests.unit.installer_stub.keep.documents import host_document, policy

PKI = "etc/kubernetes/pki"


class Master:
    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.authority, self.calls, self.config, self.answer = root, Authority("ca", days=9), list[tuple[str, ...]](), "", Done(0, "")
        for name in LEAVES:
            self.pair(name)
        for name in MASTERS_CONFIGS:
            self.kubeconfig(name)
        (root / "etc/kubernetes/kubelet.conf").write_text("x")
        (root / "var/lib/airseal").mkdir(parents=True)
        for name, value in {"DISK": Disk(root), "CONFIG": str(root / "run/renew.yaml"), "run": self.run}.items():
            monkeypatch.setattr(renew, name, value)
        monkeypatch.setattr(renew, "put_on_disk", lambda _root: None)
        monkeypatch.setattr(mend, "KUBELET_CONFIG", str(root / "etc/kubernetes/kubelet.conf"))
        monkeypatch.setattr(mend, "run", self.run)
        monkeypatch.setattr(mend.static_pods, "end", lambda names: self.calls.append(("end", *names)) or names)

    def pair(self, name: str) -> None:
        (self.root / PKI / name).parent.mkdir(parents=True, exist_ok=True)
        certificate, key = self.authority.leaf(name, days=9)
        (self.root / PKI / f"{name}.crt").write_bytes(certificate)
        (self.root / PKI / f"{name}.key").write_bytes(key)

    def kubeconfig(self, name: str) -> None:
        text = base64.b64encode(self.authority.leaf(name, days=9)[0]).decode()
        (self.root / f"etc/kubernetes/{name}.conf").write_text(f"    client-certificate-data: {text}\n")

    def run(self, argv: Sequence[str], *, timeout: float) -> Done:
        self.calls.append(tuple(argv[:5]))
        if argv[0] == "kubeadm" and self.answer.ok:
            self.config = Path(argv[-1]).read_text()
            if argv[3] == "certs":
                self.pair(next(name for name, phase in LEAVES.items() if phase == argv[4]))
            else:
                self.kubeconfig(argv[4])
        return self.answer if argv[0] == "kubeadm" else Done(0, "")

    def mend(self) -> Report:
        report = Report()
        mend.mend(host_document(certificates=policy(master=True)), report)
        return report


@pytest.fixture
def master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Master:
    return Master(tmp_path, monkeypatch)


def test_what_is_whole_stays(master: Master) -> None:
    assert master.mend().changed == []
    assert master.calls == []


@pytest.mark.parametrize("name", [f"{PKI}/{leaf}{end}" for leaf in LEAVES for end in (".crt", ".key")] + [f"etc/kubernetes/{name}.conf" for name in MASTERS_CONFIGS])
@pytest.mark.parametrize("damage", ["gone", "empty", "half"])
def test_each_that_is_torn_or_gone_is_made_anew_alone(master: Master, name: str, damage: str) -> None:
    path = master.root / name
    path.unlink() if damage == "gone" else path.write_bytes(b"" if damage == "empty" else path.read_bytes()[:40])
    report = master.mend()
    assert report.failed == []
    assert f"/{name}" in report.changed[0]
    assert len([call for call in master.calls if call[0] == "kubeadm"]) == 1
    assert mend.torn(str(master.root)) == ()
    assert not (master.root / before.HOME[1:]).exists()


def test_a_key_of_another_certificate_is_torn_too(master: Master) -> None:
    (master.root / PKI / "apiserver.key").write_bytes(master.authority.leaf("other", days=1)[1])
    assert [each.arguments for each in mend.torn(str(master.root))] == [("certs", "apiserver")]
    master.mend()
    _, cluster = yaml.safe_load_all(master.config)
    assert cluster["networking"] == {"serviceSubnet": host_document().services}
    assert "api.airseal.internal" in cluster["apiServer"]["certSANs"]


def test_a_kubeadm_that_fails_leaves_what_was_there(master: Master) -> None:
    (torn := master.root / PKI / "apiserver.crt").write_bytes(b"torn")
    master.answer = Done(1, "no ca.key")
    report = master.mend()
    assert "no ca.key" in report.failed[0].why
    assert torn.read_bytes() == b"torn"
    assert ("end", *renew.RESTARTED) not in master.calls


def test_a_file_that_cannot_be_read_is_not_torn(master: Master) -> None:
    (path := master.root / PKI / "apiserver.crt").unlink()
    path.mkdir()
    with pytest.raises(InstallerError, match=r"apiserver\.crt cannot be read"):
        mend.torn(str(master.root))
    assert master.mend().failed
    assert master.calls == []
