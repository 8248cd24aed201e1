"""What of a host has to be the same after an interrupted and repeated installation as after a clean one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.soak.facts import Facts
from tests.soak.tree import Rule, Walk
from tests.testbed.cache import TestBedError
from tests.testbed.hosts import BlankHost, TestBed

TOPS = ("/etc", "/opt", "/usr/local", "/var/lib/airseal")

RULES = (
    Rule("/etc/ssh/ssh_host_*", "the host's own keys"),
    Rule("/etc/machine-id", "the host's own"),
    Rule("/etc/shadow*", "a password's salt"),
    Rule("/etc/hostname", "the host's own"),
    Rule("/etc/.updated", "systemd writes it at a first boot", absent=True),
    Rule("/etc/resolv.conf", "docker's, written at each start"),
    Rule("/etc/airseal/registry.credential", "a random password"),
    Rule("/opt/local-path-provisioner/*", "the application's data", absent=True),
    Rule("*/_MEI*", "a stub that unpacked itself: what of them is of no process is kind unpacked", absent=True),
    Rule("/var/lib/airseal/home", "made by whichever master kubectl ran on", absent=True),
    Rule("/var/lib/airseal/home/*", "caches of kubectl and helm, named by hashes", absent=True),
    Rule("/var/lib/airseal/ledger/content/*", "what files were before, named by hashes of it", absent=True),
    Rule("/var/lib/airseal/log/command-*.log", "of whichever master was ready when a command ran; that it ran is in every master's ledger", absent=True),
    Rule("/var/lib/airseal/*.log", "what happened, in its own words"),
    Rule("/var/lib/airseal/*.jsonl", "compared entry by entry: kind record"),
    Rule("/var/lib/airseal/ledger/*", "compared entry by entry: kind record"),
    Rule("/etc/kubernetes/tmp*", "kubeadm's own working directories, one for each call", absent=True),
)
"""Whose bytes may differ, and why."""

# One line a thing: kind, name, value, with tabs between. Of units that the clock or a login starts only the file is told.
SCRIPT = r"""
systemctl list-unit-files --no-legend --no-pager | awk '{ print "unit-file\t" $1 "\t" $2 }'
systemctl list-units --all --plain --no-legend --no-pager --type=service,timer,socket,path | awk '{ print "unit\t" $1 "\t" $3 }'
systemctl list-units --all --plain --no-legend --no-pager 'airseal-*' | awk '{ print "airseal-unit\t" $1 "\t" $3 " " $4 }'
for f in /run/systemd/transient/airseal-* /run/airseal/*; do [ ! -e "$f" ] || printf 'transient\t%s\tleft\n' "$f"; done
for d in /tmp/_MEI* /var/tmp/_MEI* /run/_MEI* /run/*/_MEI* /opt/airseal/*/_MEI* /opt/airseal/_MEI* /var/lib/airseal/*/_MEI*; do
  [ -d "$d" ] || continue
  grep -qsF "$d/" /proc/[0-9]*/maps || printf 'unpacked\t%s\tof no process\n' "$d"
done
find /etc /opt /usr/local /var/lib/airseal -xdev \( -name '*.part' -o -name '*.tmp*' -o -name '*.new' -o -name '*.airseal-old' -o -name '.*.partial*' \) \
  ! -path '*/rootfs/*' 2>/dev/null | sed 's/.*/half\t&\tleft/'
ip -4 -o route show | grep -v 'dev cni0\|dev flannel' | sed 's/ *$//; s/.*/route\t&\tthere/'
sysctl -a 2>/dev/null | sed -n 's/^\(net\.[^ ]*\) = /sysctl\t\1\t/p; s/^\(vm\.overcommit_memory\|kernel\.panic[^ ]*\|fs\.inotify\.[^ ]*\) = /sysctl\t\1\t/p'
for p in /proc/[0-9]*; do
  [ ! -r $p/cgroup ] || grep -qs kubepods $p/cgroup || printf 'process\t%s\truns\n' "$(cat $p/comm 2>/dev/null)"
done
echo whole
"""

# What a timer starts may be at work in the moment of looking. That it failed is another state, and told.
_AT_REST = {("airseal-keep.service", "activating"): "inactive"}
_PASSING = re.compile(r"^(session-|user@|user-\d|user-runtime-dir@|run-|var-lib-|sys-|dev-|ssh@|systemd-tmpfiles-clean|systemd-hostnamed)")
_LINKS = re.compile(r"\b(veth|cni|flannel|cali|lxc|docker|kube-)")
_COUNTERS = re.compile(r"nf_conntrack_count|nf_log|\.stable_secret|\.mc_forwarding|neigh\.(?!default|eth0|lo)")
_BYSTANDERS = {"sshd", "sh", "bash", "ps", "sed", "sort", "awk", "systemd-hostnam", "sftp-server", "sshd-session", "sleep", "find", "sudo",
               "cat", "grep", "pause", "containerd-shim", "", "(sd-pam)", "sysctl", "airseal-keep"}
KEPT: Mapping[str, Callable[[str], bool]] = {
    "unit": lambda name: not _PASSING.match(name),
    "unit-file": lambda name: not _PASSING.match(name),
    "sysctl": lambda name: not (_LINKS.search(name) or _COUNTERS.search(name)),
    "process": lambda name: name not in _BYSTANDERS,
    "route": lambda name: "metric" not in name,
}


def host_state(host: BlankHost, names: Mapping[str, str]) -> Facts:
    """Return what ``host`` is now. ``names``: what stands for each address, see ``names_of``."""
    walk = Walk(TOPS, RULES, names)
    tree = walk.of(host.root)
    told = parse(whole(host.run(SCRIPT).stdout, host.name), walk.masked)
    told["record"] = records(host.root, walk.masked)
    return Facts(host.name, {**tree.kinds, **told}, tree.texts)


def whole(said: str, where: str) -> str:
    """Return what the script said but for its last line. Raises TestBedError when it did not come to its end."""
    lines, end, _ = said.rpartition("whole\n")
    if not end:
        raise TestBedError(f"{where}: the script that tells its state ended early: {said[-200:]!r}")
    return lines


def parse(lines: str, masked: Callable[[str], str] = str) -> dict[str, dict[str, str]]:
    """Return what the script's lines say, without what comes and goes by itself."""
    kinds: dict[str, dict[str, str]] = {}
    for line in lines.splitlines():
        kind, name, value = [*line.split("\t", 2), "", ""][:3]
        if KEPT.get(kind, lambda _: True)(name):
            kinds.setdefault(kind, {})[masked(name)] = masked(_AT_REST.get((name, value), value))
    return kinds


_ENTRY = re.compile(r'"(kind|name|path|state|stage|phase)"\s*:\s*"([^"]*)"')


def records(root: Path, masked: Callable[[str], str]) -> dict[str, str]:
    """Return which things the host's own journal or ledger has entries of: each once, with the last word on it."""
    state = root / "var/lib/airseal"
    found: dict[str, str] = {}
    for file in sorted({*state.glob("*.jsonl"), *state.glob("ledger/*")}):
        if not file.is_file():
            continue
        for line in file.read_text(errors="replace").splitlines():
            words = dict(_ENTRY.findall(line))
            name = words.get("name") or words.get("path")
            if name:
                found[masked(f"{words.get('kind', '')} {name}")] = words.get("state") or words.get("stage") or "noted"
    return found


def names_of(bed: TestBed) -> dict[str, str]:
    """Return what stands for each address of a bed, so that two beds can be compared."""
    names = {host.address: f"<{host.name}>" for host in bed.hosts}
    return {**names, bed.gateway: "<gateway>", str(bed.subnet): "<subnet>", str(bed.subnet.network_address): "<network>"}
