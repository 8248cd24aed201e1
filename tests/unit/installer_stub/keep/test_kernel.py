"""The kernel is looked at, set, and looked at again."""

from __future__ import annotations

from pathlib import Path

import pytest

from installer_stub.keep import kernel
from installer_stub.keep.document import Module
from installer_stub.keep.programs import Done
from installer_stub.keep.report import Report
from tests.unit.installer_stub.keep.documents import host_document

FORWARD, INSTANCES, WATCHES = "net.ipv4.ip_forward", "fs.inotify.max_user_instances", "fs.inotify.max_user_watches"
DOCUMENT = host_document()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    values = {FORWARD: 0, INSTANCES: 128, WATCHES: 2097152}
    for name, value in values.items():
        path = tmp_path / "proc/sys" / name.replace(".", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    (tmp_path / "proc/filesystems").write_text("nodev\tsysfs\n\text4\nnodev\toverlay\n")
    return tmp_path


def value(root: Path, name: str) -> str:
    return (root / "proc/sys" / name.replace(".", "/")).read_text().strip()


def test_a_look_names_what_differs_and_changes_nothing(root: Path) -> None:
    report = Report()
    kernel.keep_sysctls(DOCUMENT, report, look_only=True, root=root)
    assert report.differs == [f"{FORWARD} = 1", f"{INSTANCES} = 8192"]
    assert (value(root, FORWARD), value(root, INSTANCES)) == ("0", "128")


def test_what_differs_is_set_and_nothing_is_lowered(root: Path) -> None:
    report = Report()
    kernel.keep_sysctls(DOCUMENT, report, look_only=False, root=root)
    assert report.changed == [f"{FORWARD} = 1", f"{INSTANCES} = 8192"]
    assert (value(root, FORWARD), value(root, INSTANCES), value(root, WATCHES)) == ("1", "8192", "2097152")
    again = Report()
    kernel.keep_sysctls(DOCUMENT, again, look_only=False, root=root)
    assert again == Report()


def test_what_cannot_be_set_is_named_and_the_required_one_is_a_failure(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, text: str) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", refuse)
    report = Report()
    kernel.keep_sysctls(DOCUMENT, report, look_only=False, root=root)
    assert report.cannot == [INSTANCES]
    assert [str(each) for each in report.failed] == [f"{FORWARD} = 1: Read-only file system"]


def test_a_kernel_that_takes_the_value_and_keeps_its_own_is_seen(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_text", lambda self, text: len(text))
    report = Report()
    kernel.keep_sysctls(DOCUMENT, report, look_only=False, root=root)
    assert [str(each) for each in report.failed] == [f"{FORWARD} = 1: the kernel keeps 0"]


def test_a_setting_the_kernel_has_not_is_a_failure_only_if_nothing_works_without(root: Path) -> None:
    (root / "proc/sys/net/ipv4/ip_forward").unlink()
    report = Report()
    kernel.keep_sysctls(DOCUMENT, report, look_only=False, root=root)
    assert [each.what for each in report.failed] == [f"{FORWARD} = 1"]
    assert report.cannot == []  # net.bridge… is not there either, and comes with its module


def test_a_file_system_is_looked_for_by_its_whole_name(root: Path) -> None:
    there = {name: kernel.has_module(Module(name, "/proc/filesystems"), root) for name in ("overlay", "over", "ext4")}
    assert there == {"overlay": True, "over": False, "ext4": True}


def test_modules_are_loaded_and_one_that_the_kernel_lacks_is_not_waited_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def modprobe(argv: tuple[str, ...], *, timeout: float) -> Done:
        asked.append(argv)
        if argv[1] == "br_netfilter":
            (root / "proc/sys/net/bridge").mkdir(parents=True)
        return Done(0 if argv[1] == "br_netfilter" else 127, "")

    monkeypatch.setattr(kernel, "run", modprobe)
    report = Report()
    kernel.keep_modules(DOCUMENT, report, look_only=False, root=root)
    assert asked == [("modprobe", "br_netfilter"), ("modprobe", "nf_conntrack")]
    assert (report.changed, report.cannot) == (["module br_netfilter"], ["nf_conntrack"])
    look = Report()
    kernel.keep_modules(host_document(cannot=("nf_conntrack",)), look, look_only=True, root=root)
    assert look == Report()
