"""Certificates and keys are all old or all new, whatever a power cut in the middle of a renewal leaves."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from installer_stub.changes.disk import Disk
from installer_stub.changes.image import Form, Image
from installer_stub.errors import InstallerError
from installer_stub.facts.certificates import Certificate
from installer_stub.keep import before
from installer_stub.keep.api_pair import place
from tests.fakes.authority import Authority
from tests.fakes.power import Model, RecordingDisk, UnsyncedDisk, left_by_a_cut

PKI = "/etc/kubernetes/pki"
PATHS = (f"{PKI}/apiserver.crt", f"{PKI}/apiserver.key", "/etc/kubernetes/admin.conf", f"{PKI}/absent.key")
OLD = dict.fromkeys(PATHS[:3], b"old " * 8)
NEW = dict.fromkeys(PATHS[:3], b"new, and longer " * 8)


def master(root: Path) -> Path:
    for path, data in OLD.items():
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / path[1:]).write_bytes(data)
        (root / path[1:]).chmod(0o600)
    (root / "var/lib/airseal").mkdir(parents=True)
    return root


def as_kubeadm(disk: Disk) -> None:
    """One file after the other, each in place; then all of them are synced, as we do after it."""
    for path, data in NEW.items():
        disk.truncate(path, 0)
        disk.append(path, data)
    for path in NEW:
        disk.sync(path)


def renew(disk: Disk) -> None:
    with before.kept(PATHS, disk):
        as_kubeadm(disk)


def cut(root: Path, by: BaseException) -> None:
    with before.kept(PATHS, Disk(root)):
        (root / PATHS[0][1:]).write_bytes(b"half")
        raise by


def whole(root: Path) -> dict[str, bytes]:
    """Return the files, of a master where nothing of ours lies beside them any more."""
    assert list((root / "var/lib/airseal").iterdir()) == []
    assert [path.name for path in (root / PKI[1:]).iterdir() if "part" in path.name] == []
    assert {(root / path[1:]).stat().st_mode & 0o777 for path in OLD} == {0o600}
    return {path: (root / path[1:]).read_bytes() for path in OLD}


def test_a_renewal_that_comes_to_its_end_leaves_the_new_ones_alone(tmp_path: Path) -> None:
    root = master(tmp_path)
    renew(Disk(root))
    assert before.put_back(Disk(root)) == ()
    assert whole(root) == NEW


def test_whatever_a_cut_leaves_all_are_old_or_all_are_new(tmp_path: Path) -> None:
    start, work = master(tmp_path / "start"), tmp_path / "work"
    shutil.copytree(start, work)
    disk = RecordingDisk(work)
    renew(disk)
    model, chance, seen = Model(start), random.Random(7), {True: 0, False: 0}  # noqa: S311 - which of many states
    for number, step in enumerate(disk.steps):
        model.do(step)
        (states := tmp_path / f"cut-{number}").mkdir()
        for left in left_by_a_cut(model, states, chance):
            again = RecordingDisk(left)
            if deep := number % 4 == 0:
                shutil.copytree(left, halfway := tmp_path / "halfway")
            before.put_back(again)
            found = whole(left)
            assert found in (OLD, NEW), (number, step)
            seen[found == NEW] += 1
            if deep:
                put_back_cut_in_its_middle(halfway, again, found)
                shutil.rmtree(halfway)
        shutil.rmtree(states)
    assert min(seen.values()) > 0, seen


def put_back_cut_in_its_middle(left: Path, once: RecordingDisk, wanted: dict[str, bytes]) -> None:
    model = Model(left)
    for step in once.steps[: len(once.steps) // 2]:
        model.do(step)
    again = left.with_name("again")
    again.mkdir()
    model.write(again, {(id(node), place) for node, place in model.pending()}, torn=False)
    before.put_back(UnsyncedDisk(again))
    assert whole(again) == wanted
    shutil.rmtree(again)


def test_a_renewal_that_fails_puts_them_back_at_once(tmp_path: Path) -> None:
    root = master(tmp_path)
    with pytest.raises(InstallerError, match="kubeadm says no"):
        cut(root, InstallerError("kubeadm says no", "look"))
    assert whole(root) == OLD


@pytest.mark.parametrize("damage", ["list", "content"])
def test_what_was_kept_and_is_not_what_was_written_is_named_and_nothing_is_put_back(tmp_path: Path, damage: str) -> None:
    root = master(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        cut(root, KeyboardInterrupt())  # as a kill: nothing runs any more
    home = root / before.HOME[1:]
    victim = home / "list" if damage == "list" else next(path for path in home.iterdir() if path.name != "list")
    os.truncate(victim, 3)
    with pytest.raises(InstallerError, match=r"certificates-before/.* is not what was written"):
        before.put_back(Disk(root))
    assert (root / PATHS[0][1:]).read_bytes() == b"half"
    assert home.is_dir()


def test_leaves_their_keys_and_kubeconfigs_are_kept_and_no_authority() -> None:
    found = before.files_of(
        [
            Certificate(f"{PKI}/apiserver.crt", 0, 1),
            Certificate(f"{PKI}/ca.crt", 0, 1, authority=True),
            Certificate(f"{PKI}/etcd/peer.crt", 0, 0, problem="no certificate"),
            Certificate("/etc/kubernetes/admin.conf", 0, 1),
            Certificate("/etc/kubernetes/kubelet.conf", 0, 1),
            Certificate("/var/lib/kubelet/pki/kubelet-client-current.pem", 0, 1),
        ]
    )
    assert found == (f"{PKI}/apiserver.crt", f"{PKI}/apiserver.key", f"{PKI}/etcd/peer.crt", f"{PKI}/etcd/peer.key", "/etc/kubernetes/admin.conf")


def test_an_api_servers_pair_takes_its_place_together_or_not_at_all(tmp_path: Path) -> None:
    root, authority = master(tmp_path / "host"), Authority("kubernetes", days=9)
    (made := tmp_path / "made").mkdir()
    certificate, key = authority.leaf("kube-apiserver", days=3)
    other = authority.leaf("kube-apiserver", days=3)[1]
    (made / "apiserver.crt").write_bytes(certificate)
    for data in (other, key[:40], b""):
        (made / "apiserver.key").write_bytes(data)
        with pytest.raises(InstallerError, match="holds no certificate with its key"):
            place(made, Disk(root))
        assert whole(root) == OLD
    (made / "apiserver.key").write_bytes(key)
    place(made, Disk(root))
    assert (root / PATHS[0][1:]).read_bytes() == certificate
    assert (root / PATHS[1][1:]).read_bytes() == key
    assert [(root / path[1:]).stat().st_mode & 0o777 for path in PATHS[:2]] == [0o644, 0o600]
    assert Disk(root).seen(before.HOME)[0] == Image(Form.ABSENT)
