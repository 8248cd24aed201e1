"""What a running cluster leaves outside files: mounts, links, rules, kernel settings and modules. Stages of an undo."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Sequence
from typing import Final

from installer_stub.changes.machine import Machine
from installer_stub.changes.mounts import Mount, below
from installer_stub.changes.things import Kind, Thing, look, sysctl_path
from installer_stub.distro.paths import KUBELET
from installer_stub.errors import CouldNotTell, NotPutBack
from installer_stub.keep import rtnetlink
from installer_stub.ledger.network import (
    IPTABLES_TABLE,
    SAVES,
    is_left_over,
    new_links,
    new_tables,
    parse_rules,
    removal,
)
from installer_stub.ledger.snapshot import Snapshot, links, modules, rules_text
from installer_stub.plan.model import OPT

_MOUNTED: Final = ("/run/containerd", KUBELET, "/var/lib/containerd", "/run/netns", "/var/run/netns")
_NAMES: Final = ("/usr/local/bin", "/opt/cni/bin")
_RUNTIME: Final = ("/run/containerd", "/run/flannel", "/run/calico", "/run/cilium", "/run/kubernetes", "/run/nri")
_KERNEL: Final = "/usr/lib/modules"
_LOCK: Final = "/run/xtables.lock"
_NETNS: Final = re.compile(r"(/var)?/run/netns/cni-[0-9a-f-]+")
FOREIGN_TASK: Final = re.compile(r"/run/containerd/io\.containerd\.runtime\.v2\.task/(?!k8s\.io/)[^/]+/")
_PATIENCE: Final = 10.0  # seconds that a mount may stay busy after its processes were killed
# What kubelet (cm/container_manager_linux.go), kube-proxy (app/conntrack.go, ipvs) and network plugins set by themselves.
SETTINGS: Final = re.compile(
    r"vm\.(overcommit_memory|panic_on_oom)|kernel\.(panic|panic_on_oops)|kernel\.keys\.root_max(keys|bytes)"
    r"|net\.netfilter\.nf_conntrack_[\w]+|net\.ipv4\.vs\.\w+|net\.ipv4\.ip_forward|net\.ipv[46]\.conf\.[^.]+\.(forwarding|route_localnet|rp_filter|arp_ignore|arp_announce|disable_ipv6|accept_dad)"
    r"|net\.bridge\.bridge-nf-call-\w+|net\.ipv4\.neigh\.default\.gc_thresh\d"
)
# Only these are unloaded again, and only when nothing uses them: a driver that is in use has a count of 0 too.
MODULES: Final = re.compile(
    r"xt_\w+|ipt_\w+|ip6t_\w+|ip_set\w*|ip_vs\w*|nft_\w+|nf_\w+|nfnetlink\w*|x_tables|ip6?_tables|ip6?table_\w+|vxlan|geneve|udp_tunnel|ip6_udp_tunnel|ipip|tunnel4|ip_tunnel"
    r"|br_netfilter|bridge|stp|llc|veth|dummy|overlay|libcrc32c"
)


def unmount(machine: Machine, before: Snapshot | None, directories: Iterable[str] = (), *, patience: float = _PATIENCE) -> list[str]:
    """Unmount what kubelet, containerd and CNI mounted; ``directories`` are where this site has their data. Raises NotPutBack with every mount that stays."""
    until = time.monotonic() + patience
    gone: list[str] = []
    places = tuple(directories)
    while mounted := cluster_mounts(machine, before, places):
        problems = []
        for mount in mounted:
            done = machine.programs.run("umount", mount.target)
            if done is None:
                raise NotPutBack("there is no program umount")
            if done.returncode == 0:
                gone.append(f"mount {mount.target}")
            else:
                problems.append(f"{mount.target}: {done.stderr.strip()[-160:]}")
        if problems and time.monotonic() > until:
            raise NotPutBack(f"{len(problems)} file systems cannot be unmounted: {'; '.join(problems[:5])}", "see who uses them: fuser -vm DIRECTORY; then run reset again")
        if problems:
            time.sleep(0.2)
    return gone


def cluster_mounts(machine: Machine, before: Snapshot | None, directories: Sequence[str] = ()) -> tuple[Mount, ...]:
    """Return what is mounted below the cluster's directories and was not before, deepest first."""
    mounts = machine.mounts()
    there = set(before.section("mount")) if before is not None else set()
    found = [mount for directory in (*_MOUNTED, *directories) for mount in below(mounts, directory)]
    return tuple(mount for mount in found if mount.target not in there and _is_clusters(mount.target))


def _is_clusters(target: str) -> bool:
    """Other namespaces of containerd are of others: docker's is moby."""
    if "/netns/" in target:
        return _NETNS.fullmatch(target) is not None
    return FOREIGN_TASK.match(target) is None


def remove_names(machine: Machine) -> list[str]:
    """Remove links that lead into our own directory: an older airseal did not note them. Raises OSError."""
    gone = []
    for directory in _NAMES:
        path = machine.disk.at(directory)
        for link in sorted(path.iterdir()) if path.is_dir() else ():
            if link.is_symlink() and str(link.readlink()).startswith(f"{OPT}/"):
                machine.disk.remove(f"{directory}/{link.name}")
                gone.append(f"link {directory}/{link.name}")
    return gone


def remove_links(machine: Machine, before: Snapshot | None) -> list[str]:
    """Remove network interfaces of our kind that were not there before. Raises NotPutBack."""
    if not machine.disk.at("/sys/class/net").is_dir():
        raise CouldNotTell("/sys/class/net cannot be read", "see whether /sys is mounted on the host")
    then = before.section("link") if before is not None else {}
    gone = []
    for name in new_links(then, links(machine)):
        try:
            _delete_link(machine, name)
        except NotPutBack:
            if name in links(machine):  # one of a pair takes the other with it, and a namespace what is in it
                raise
        gone.append(f"link {name}")
    return gone


def _delete_link(machine: Machine, name: str) -> None:
    """Delete an interface, on hosts without an ip program too. Raises NotPutBack."""
    done = machine.programs.run("ip", "link", "delete", name)
    if done is None:
        try:
            rtnetlink.delete_link(name)
        except OSError as error:
            raise NotPutBack(f"link {name}: {error.strerror}") from error
    elif done.returncode != 0:
        raise NotPutBack(f"ip link delete {name}: {done.stderr.strip()[-300:]}")


def remove_rules(machine: Machine, before: Snapshot | None) -> list[str]:
    """Remove rules, chains and tables of our kind that were not there before. Raises NotPutBack."""
    gone = []
    for save, restore in SAVES:
        text = rules_text(machine, save)
        if text is None:
            continue
        then = before.section("iptables").get(save, "") if before is not None else ""
        if script := removal(parse_rules(then), parse_rules(text)):
            machine.programs.do(restore, "--noflush", stdin=script)
            gone.append(f"{script.count('-X ')} chains by {restore}")
    gone += _remove_tables(machine, before)
    if before is not None and _LOCK not in before.section("data"):
        with contextlib.suppress(FileNotFoundError):  # iptables makes it anew whenever it wants it
            machine.disk.unlink(_LOCK)
    return gone


def _remove_tables(machine: Machine, before: Snapshot | None) -> list[str]:
    """Of tables that iptables keeps in nftables only new ones with nothing of others in them, and only where that is known."""
    listed = machine.programs.run("nft", "list", "tables")
    if listed is None or listed.returncode != 0:
        return []
    names = [line.removeprefix("table ").strip() for line in listed.stdout.splitlines()]
    going = new_tables(before.section("nftables") if before is not None else (), names)
    if before is not None:
        fresh = [name for name in names if IPTABLES_TABLE.fullmatch(name) and name not in before.section("nftables")]
        shown = {name: machine.programs.run("nft", "list", "table", *name.split()) for name in fresh}
        going += tuple(name for name, text in shown.items() if text is not None and text.returncode == 0 and is_left_over(text.stdout))
    for name in going:
        machine.programs.do("nft", "delete", "table", *name.split())
    return [f"nftables table {name}" for name in going]


def restore_settings(machine: Machine, before: Snapshot | None) -> list[str]:
    """Set back what the cluster's programs set by themselves. Raises NotPutBack with those that cannot be set."""
    done, failed = [], []
    for name, value in sorted((before.section("sysctl") if before is not None else {}).items(), key=_reach):
        if not SETTINGS.fullmatch(name):
            continue
        now = look(machine, Thing(Kind.SYSCTL, name)).image.value
        if not now or now.split() == value.split():
            continue
        try:
            machine.disk.set(sysctl_path(name), f"{value}\n")
            done.append(f"sysctl {name}")
        except OSError as error:
            failed.append(f"{name} (was {value}, is {now}): {error.strerror}")
    if failed:
        raise NotPutBack(f"{len(failed)} kernel settings cannot be set back: {'; '.join(failed)}", "the host's administrator sets them; then name it: --abandon settings")
    return done


def _reach(item: tuple[str, str]) -> tuple[int, str]:
    """Settings that set others go first: ip_forward sets every interface's forwarding, "all" sets each one's."""
    name = item[0]
    return (0 if name == "net.ipv4.ip_forward" else 1 if ".conf.all." in name else 2 if ".conf.default." in name else 3), name


def remove_runtime(machine: Machine, before: Snapshot | None) -> list[str]:
    """Remove what containerd and networks keep in memory-backed directories, where it was not there before. Raises NotPutBack."""
    then = before.section("data") if before is not None else {}
    namespaces = machine.disk.at("/run/netns")
    names = [f"/run/netns/{path.name}" for path in sorted(namespaces.glob("cni-*"))] if namespaces.is_dir() else []
    gone = []
    for name in (*_RUNTIME, *names):
        path = machine.disk.at(name)
        if name in then or not (path.exists() or path.is_symlink()):
            continue
        if mounted := below(machine.mounts(), name):
            raise NotPutBack(f"{mounted[0].target} is still mounted below {name}", "unmount it, then run reset again")
        machine.disk.remove_tree(name) if path.is_dir() and not path.is_symlink() else machine.disk.unlink(name)
        gone.append(f"directory {name}")
    made = machine.disk.at(_KERNEL)
    if before is not None and _KERNEL not in then and made.is_dir() and not any(made.iterdir()):
        machine.disk.rmdir(_KERNEL)
    if "/run/netns" not in then and namespaces.is_dir() and not any(namespaces.iterdir()):
        machine.disk.rmdir("/run/netns")
    return gone


def unload_modules(machine: Machine, before: Snapshot | None) -> list[str]:
    """Unload modules of our kind that were not loaded before and that nothing uses. The difference names the others."""
    if before is None:
        return []
    gone: list[str] = []
    then = set(before.section("module"))
    while idle := [name for name in _idle(machine) if name not in then and name not in gone and MODULES.fullmatch(name)]:
        done = [name for name in idle if (result := machine.programs.run("modprobe", "-r", name)) is not None and result.returncode == 0]
        gone += done
        if not done:
            break
    return [f"module {name}" for name in gone]


def _idle(machine: Machine) -> list[str]:
    path = machine.disk.at("/proc/modules")
    lines = (line.split() for line in path.read_text().splitlines()) if path.exists() else ()
    loaded = modules(machine)
    return [words[0] for words in lines if words[0] in loaded and words[2] == "0"]
