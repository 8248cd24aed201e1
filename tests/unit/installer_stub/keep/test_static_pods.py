"""Whose processes are ended: the control plane's in pods, nobody's of the same name elsewhere."""

from __future__ import annotations

from pathlib import Path

from installer_stub.keep.static_pods import end, processes

ARGV = "kube-apiserver\0--client-ca-file=/etc/kubernetes/pki/ca.crt\0"
POD = "0::/kubepods/burstable/podab12/cd34\n"


def process(proc: Path, pid: int, cmdline: str, cgroup: str) -> None:
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "cmdline").write_text(cmdline)
    (proc / str(pid) / "cgroup").write_text(cgroup)


def test_only_what_has_name_arguments_and_cgroup_of_a_static_pod(tmp_path: Path) -> None:
    process(tmp_path, 100, ARGV, POD)
    process(tmp_path, 101, f"/usr/bin/{ARGV}", "11:pids:/kubepods.slice/kubepods-burstable.slice/x\n")
    process(tmp_path, 102, ARGV, "0::/user.slice\n")  # somebody's own
    process(tmp_path, 103, "kube-apiserver\0--help\0", POD)  # another program of that name
    process(tmp_path, 104, "vi\0/etc/kubernetes/kube-apiserver\0", POD)
    process(tmp_path, 105, "", "")  # a kernel thread
    (tmp_path / "self").mkdir()
    assert processes(("kube-apiserver", "kube-scheduler"), str(tmp_path)) == {100: "kube-apiserver", 101: "kube-apiserver"}


def test_nothing_to_end_is_fine() -> None:
    assert end(("no-such-program-anywhere",)) == ()
