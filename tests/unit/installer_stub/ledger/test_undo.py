"""A host put back from its own ledger: in order, by comparison, and never by losing what is needed to try again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from installer_stub.changes.disk import Disk
from installer_stub.changes.things import Kind, Thing
from installer_stub.changes.values import Block, Link, Sysctl, WriteFile
from installer_stub.errors import LedgerDamaged
from installer_stub.ledger.ledger import Ledger
from installer_stub.ledger.opening import before_snapshot, open_ledger
from installer_stub.ledger.report import Report
from installer_stub.ledger.undo import undo_host
from tests.fakes.machine import FakeHost

CONF = "/etc/some.conf"
STATE = "/var/lib/airseal"
OURS = ("/opt/airseal", "/etc/airseal", "/run/airseal", STATE)


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path)
    host.put(CONF, "theirs", 0o640)
    host.put("/etc/hosts", "127.0.0.1 localhost\r\n# 公司服务器")
    host.put("/proc/sys/net/ipv4/ip_forward", "0\n")
    host.units.states = {"containerd.service": "enabled inactive", "docker.service": "enabled active"}
    host.put("/etc/systemd/system/containerd.service", "# theirs")
    return host


def install(host: FakeHost) -> None:
    host.put(f"{STATE}/cluster.json", "{}")
    with Ledger.opened(host.machine) as ledger:
        assert open_ledger(ledger, measure=True)
        ledger.remember([Thing(Kind.DIRECTORY, "/var/lib/kubelet"), Thing(Kind.DIRECTORY, "/etc/containerd")])
        ledger.remember([Thing(Kind.FILE, "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf")])  # noted before its directory is
        ledger.make(WriteFile("/etc/systemd/system/kubelet.service.d/10-kubeadm.conf", b"ours"))
        ledger.make(WriteFile(CONF, b"ours"))
        ledger.make(WriteFile("/etc/containerd/certs.d/_default/hosts.toml", b"secret", 0o600))
        ledger.make(Link("/usr/local/bin/kubectl", "/opt/airseal/kubectl"))
        ledger.make(Block("/etc/hosts", ("10.0.0.2 api.airseal.internal",)))
        ledger.make(Sysctl("net.ipv4.ip_forward", "1"))
        ledger.remember([Thing(Kind.UNIT, "containerd.service"), Thing(Kind.UNIT, "kubelet.service")])
        ledger.make(WriteFile("/etc/systemd/system/containerd.service", b"# ours"))
        ledger.make(WriteFile("/etc/systemd/system/kubelet.service", b"# ours"))
    host.units.states |= {"containerd.service": "enabled active", "kubelet.service": "enabled active", "airseal-join.service": "transient active"}
    host.put("/var/lib/kubelet/pods/x/y", "data")
    host.put("/opt/airseal/bin/airseal", "stub", 0o755)


def undo(host: FakeHost, *abandon: str) -> Report:
    return undo_host(host.machine, abandon=abandon, processes=host.processes)


def names(report: Report) -> list[str]:
    return [left.name for left in report.left]


def test_everything_comes_back_and_nothing_of_ours_stays(host: FakeHost) -> None:
    before = host.tree()
    install(host)
    report = undo(host)
    assert report.left == []
    assert report.complete
    assert host.tree() == before
    assert host.units.states["containerd.service"] == "enabled inactive"
    assert host.units.states["docker.service"] == "enabled active"
    assert report.measured
    assert report.difference == []


def test_units_are_stopped_first_and_put_back_last(host: FakeHost) -> None:
    install(host)
    undo(host)
    done = host.units.done
    assert done.index("stop kubelet.service") < done.index("stop containerd.service") < done.index("daemon-reload")
    assert "disable kubelet.service" in done[: done.index("stop kubelet.service")]
    assert "stop airseal-join.service" in done
    assert not [line for line in done if "docker" in line]


def test_a_second_undo_of_a_host_that_is_done_finds_nothing_of_ours(host: FakeHost) -> None:
    before = host.tree()
    install(host)
    undo(host)
    assert undo(host).complete
    assert host.tree() == before


def test_what_somebody_changed_since_is_left_alone_and_named_and_the_state_stays(host: FakeHost) -> None:
    install(host)
    host.put(CONF, "an administrator's")
    report = undo(host)
    assert names(report) == [CONF]
    assert "somebody changed it" in report.left[0].why
    assert not report.complete
    assert host.path(CONF).read_text() == "an administrator's"
    assert host.path("/opt/airseal/bin/airseal").exists()
    assert host.path(f"{STATE}/cluster.json").exists()
    assert not host.path("/usr/local/bin/kubectl").exists()  # the rest went on
    assert names(undo(host)) == [CONF]
    host.put(CONF, "theirs", 0o640)
    report = undo(host)
    assert report.complete
    assert not host.path(STATE).exists()


def test_a_thing_can_be_abandoned_by_its_name_alone(host: FakeHost) -> None:
    install(host)
    host.put(CONF, "an administrator's")
    undo(host)
    assert names(undo(host, "/etc/other")) == [CONF]
    report = undo(host, CONF)
    assert report.complete
    assert report.abandoned == [f"file {CONF}"]
    assert host.path(CONF).read_text() == "an administrator's"
    assert any(CONF in line for line in report.difference)


def test_a_disk_that_refuses_one_file_loses_nothing_and_the_same_command_finishes(host: FakeHost) -> None:
    before = host.tree()
    install(host)

    class Immutable(Disk):
        def rename(self, old: str, new: str) -> None:
            if new == CONF:
                raise PermissionError(1, "Operation not permitted", new)
            super().rename(old, new)

    host.disk = Immutable(host.root)
    report = undo(host)
    assert names(report) == [CONF]
    assert "Operation not permitted" in report.left[0].why
    assert host.path(f"{STATE}/ledger/log").exists()
    host.disk = None
    assert undo(host).complete
    assert host.tree() == before


@pytest.mark.parametrize("damage", ["gone", "empty", "altered"])
def test_a_lost_before_image_is_named_and_never_put_back(host: FakeHost, damage: str) -> None:
    install(host)
    (kept,) = (path for path in host.path(f"{STATE}/ledger/content").iterdir() if path.read_bytes() == b"theirs")
    {"gone": kept.unlink, "empty": lambda: kept.write_bytes(b""), "altered": lambda: kept.write_bytes(b"Theirs")}[damage]()
    report = undo(host)
    assert names(report) == [CONF]
    assert host.path(CONF).read_text() == "ours"
    assert undo(host, CONF).complete


def test_nothing_is_removed_from_under_a_mount_of_the_same_file_system(host: FakeHost) -> None:
    install(host)
    host.put("/proc/self/mounts", "/dev/vda / ext4 rw 0 0\n/dev/vda /var/lib/kubelet/pods/x\\040z ext4 rw 0 0\n")
    host.programs.answers["umount"] = 32
    report = undo_quickly(host)
    assert names(report) == ["mounts", "/var/lib/kubelet"]
    assert "/var/lib/kubelet/pods/x z" in report.left[1].why
    assert host.path("/var/lib/kubelet/pods/x/y").read_text() == "data"
    host.put("/proc/self/mounts", "/dev/vda / ext4 rw 0 0\n")
    assert undo(host).complete
    assert not host.path("/var/lib/kubelet").exists()


def test_containers_of_others_keep_what_they_run_from(host: FakeHost) -> None:
    task = "/run/containerd/io.containerd.runtime.v2.task/moby/x/rootfs"
    install(host)
    with Ledger.opened(host.machine) as ledger:
        ledger.remember([Thing(Kind.DIRECTORY, "/var/lib/containerd")])
    host.put("/var/lib/containerd/layer", "x")
    host.put("/proc/self/mounts", f"/dev/vda / ext4 rw 0 0\noverlay {task} overlay rw 0 0\noverlay {task.replace('moby', 'k8s.io')} overlay rw 0 0\n")
    host.programs.answers["umount"] = 32
    report = undo_quickly(host)
    assert {*names(report)} == {"mounts", "/var/lib/containerd"}
    assert [argv for argv in host.programs.asked if argv[0] == "umount"] == [("umount", task.replace("moby", "k8s.io"))] * 1
    assert host.path("/var/lib/containerd/layer").exists()


def undo_quickly(host: FakeHost) -> Report:
    from installer_stub.ledger import cluster_remains

    patience = cluster_remains.unmount.__kwdefaults__["patience"]
    cluster_remains.unmount.__kwdefaults__["patience"] = 0.0
    try:
        return undo(host)
    finally:
        cluster_remains.unmount.__kwdefaults__["patience"] = patience


def test_a_unit_that_does_not_stop_keeps_the_data_it_may_write(host: FakeHost) -> None:
    install(host)
    host.units.stubborn.add("kubelet.service")
    report = undo(host)
    assert names(report)[0] == "units"
    assert "/var/lib/kubelet" in names(report)
    assert host.path("/var/lib/kubelet/pods/x/y").exists()
    host.units.stubborn.clear()
    assert undo(host).complete


def test_files_of_others_in_a_shared_directory_stay_with_it(host: FakeHost) -> None:
    install(host)
    host.put("/etc/containerd/conf.d/theirs.toml", "theirs")
    report = undo(host)
    assert report.complete
    assert host.path("/etc/containerd/conf.d/theirs.toml").read_text() == "theirs"
    assert not host.path("/etc/containerd/certs.d").exists()
    assert any("conf.d" in note for note in report.notes)


def test_a_directory_that_had_data_gets_it_back_and_keeps_nothing_else(host: FakeHost) -> None:
    host.put("/etc/kubernetes/pki/theirs.key", "key", 0o600)
    host.put("/etc/kubernetes/pki/ca.crt", "their CA")
    before = host.tree()
    host.put(f"{STATE}/cluster.json", "{}")
    with Ledger.opened(host.machine) as ledger:
        open_ledger(ledger, measure=True)
        ledger.remember([Thing(Kind.DIRECTORY, "/etc/kubernetes")])
    host.put("/etc/kubernetes/pki/ca.crt", "kubeadm's CA")
    host.put("/etc/kubernetes/manifests/etcd.yaml", "x")
    host.path("/etc/kubernetes/pki/theirs.key").unlink()
    assert undo(host).complete
    assert host.tree() == before


def test_a_ledger_that_is_gone_is_missed(host: FakeHost) -> None:
    install(host)
    ledger = host.path(f"{STATE}/ledger")
    ledger.rename(ledger.with_name("elsewhere"))
    with pytest.raises(LedgerDamaged, match="all of its 27 records are lost"):
        undo(host)
    assert host.path("/etc/airseal/ledger").exists()
    assert host.path(CONF).read_text() == "ours"


def test_the_sign_that_there_is_a_ledger_comes_back_with_the_next_run(host: FakeHost) -> None:
    """Without it a ledger that is lost later would look like a host on which nothing was ever changed."""
    install(host)
    sign = host.path("/etc/airseal/ledger")
    sign.unlink()
    with Ledger.opened(host.machine) as ledger:
        assert open_ledger(ledger, measure=True) is False
    assert sign.exists()


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(b""), lambda file: file.write_bytes(file.read_bytes()[:50])])
def test_a_measurement_that_is_torn_is_named_by_who_needs_it(host: FakeHost, damage: Callable[[Path], object]) -> None:
    install(host)
    damage(host.path(f"{STATE}/ledger/before.json.zst"))
    with Ledger.opened(host.machine) as ledger, pytest.raises(LedgerDamaged, match=r"before\.json\.zst") as caught:
        before_snapshot(ledger)
    assert "--abandon snapshot" in caught.value.remedy


def test_an_empty_directory_gets_its_mode_back_too(host: FakeHost) -> None:
    """containerd makes its root 0700, also one that a package or a mount had there before."""
    place = host.path("/var/lib/containerd")
    place.mkdir(parents=True, mode=0o755)
    place.chmod(0o755)
    with Ledger.opened(host.machine) as ledger:
        open_ledger(ledger, measure=False)
        ledger.remember([Thing(Kind.DIRECTORY, "/var/lib/containerd")])
    host.put("/var/lib/containerd/io.containerd.metadata/meta.db", "ours")
    place.chmod(0o700)
    assert undo(host).complete
    assert list(place.iterdir()) == []
    assert place.stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("at", range(12))
def test_leaving_can_be_cut_off_at_every_step(host: FakeHost, at: int) -> None:
    """Everything is undone; while our own places go, the power does too. The mark goes last, so the next reset finds it."""
    before = host.tree()
    install(host)

    class Cut(Disk):
        steps = 0

        def _step(self) -> None:
            if not host.path("/usr/local/bin/kubectl").is_symlink():
                self.steps += 1
                if self.steps > at:
                    raise KeyboardInterrupt

        def empty(self, name: str) -> None:
            if name in OURS or name.startswith(STATE):
                self._step()
            super().empty(name)

        def rmdir(self, name: str) -> None:
            if name in OURS or name.startswith(STATE):
                self._step()
            super().rmdir(name)

        def unlink(self, name: str) -> None:
            if name.startswith(STATE):
                self._step()
            super().unlink(name)

        def rename(self, old: str, new: str) -> None:
            if old.startswith(STATE):
                self._step()
            super().rename(old, new)

    host.disk = Cut(host.root)
    try:
        undo(host)
        finished = True
    except KeyboardInterrupt:
        finished = False
    host.disk = None
    assert finished or host.path(f"{STATE}/cluster.json").exists() or list(host.path(STATE).iterdir()) == []
    assert undo(host).complete
    assert host.tree() == before


def test_a_report_crosses_the_wire() -> None:
    from installer_stub.ledger.report import Left

    report = Report(["a"], ["b"], [Left("c", "why", "what")], ["d"], ["e"], measured=True)
    assert Report.of_json(report.to_json()) == report
    assert "c: why" in report.text()
    with pytest.raises(ValueError):
        Report.of_json("[]")
