"""Everything of a host that reset has to put back: what was there before the first command, and what is there after the last."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.soak.facts import Difference, Facts
from tests.soak.tree import Rule, Walk
from tests.testbed.hosts import BlankHost

TOPS = ("/",)

RULES = (
    Rule("/proc", "the kernel's", absent=True),
    Rule("/sys", "the kernel's", absent=True),
    Rule("/dev", "the kernel's", absent=True),
    Rule("/var/log/*", "logs of everybody who was there", absent=True),
    Rule("/run/*", "gone with the next boot; units, mounts and processes are kinds of their own", absent=True),
    Rule("/var/lib/systemd/*", "systemd's own notes: random seed, timers' stamps, core dumps", absent=True),
    Rule("/var/lib/private", "systemd's", absent=True),
    Rule("/var/tmp/systemd-private-*", "a running service's own /tmp", absent=True),
    Rule("/tmp/systemd-private-*", "a running service's own /tmp", absent=True),
    Rule("/tmp/.*-unix", "made by systemd-tmpfiles at boot", absent=True),
    Rule("/var/cache/ldconfig/*", "ldconfig's", absent=True),
    Rule("/home/*/.sudo_as_admin_successful", "sudo's", absent=True),
)

# What a host is, each line a kind, a name and a value. Counters are left out: [packets:bytes], use counts.
SCRIPT = r"""
systemctl list-unit-files --no-legend --no-pager | awk '{ print "unit-file\t" $1 "\t" $2 }'
systemctl list-units --all --plain --no-legend --no-pager --type=service,timer,socket,path,mount,slice | awk '{ print "unit\t" $1 "\t" $2 " " $3 }'
sysctl -a 2>/dev/null | sed -n 's/^\([^ ]*\) = /sysctl\t\1\t/p'
cut -d' ' -f1 /proc/modules | sed 's/.*/module\t&\tloaded/'
for way in legacy nft; do for f in iptables ip6tables; do
  command -v $f-$way-save >/dev/null && $f-$way-save 2>/dev/null | grep -v '^#\|^COMMIT' \
    | sed "s/ *\[[0-9]*:[0-9]*\]//; s/.*/$f-$way\t&\tthere/"
done; done
nft -s list ruleset 2>/dev/null | sed 's/^[ \t]*//; /^}*$/d; s/.*/nft\t&\tthere/'
ip -o link show | sed 's/^[0-9]*: \([^:@]*\)[^:]*: <\([^>]*\)>.*/link\t\1\t\2/'
ip -o addr show scope global | awk '{ print "address\t" $2 " " $4 "\tthere" }'
ip -4 -o route show table all | grep -v 'table local' | sed 's/ *$//; s/.*/route\t&\tthere/'
ip rule show | sed 's/.*/rule\t&\tthere/'
ip -o xfrm state 2>/dev/null | sed 's/.*/xfrm\t&\tthere/'
awk '{ print "mount\t" $2 "\t" $3 }' /proc/mounts
find /sys/fs/cgroup -maxdepth 3 -type d \( -name 'kubepods*' -o -name 'airseal*' -o -name 'k8s.io*' \) 2>/dev/null | sed 's/.*/cgroup\t&\tthere/'
ps -eo args= | sed 's/.*/process\t&\truns/'
ls /tmp /var/tmp | grep '^_MEI' | sed 's/.*/unpacked\t&\tleft/'
"""

_PASSING = re.compile(
    r"^(session-|user@|user-|run-user|run-credentials|user-runtime-dir@|systemd-tmpfiles-clean|systemd-hostnamed|dev-|sys-|ssh@|system-modprobe|"
    r"var-lib-(containerd|kubelet|etcd)\.mount|ldconfig|systemd-(journal-catalog-update|sysusers|update-done)|ifupdown|apt-|dpkg-|e2scrub|fstrim|man-db|logrotate|modprobe@)"
)
_OWN = re.compile(r"sshd|ps -eo args|/bin/sh|^sh |bash|sed |awk |sort|\(sd-pam\)|systemd --user|sftp-server|sd-close|systemd-hostnamed|^find |sleep|systemctl")
_COUNTERS = re.compile(
    r"^(kernel\.(random|ns_last_pid|pty\.nr|keys|sched_domain|perf)|fs\.(file-nr|inode-|dentry-|aio-nr|quota|dqstats|epoll|nr_open|file-max|binfmt|mqueue)"
    r"|net\.netfilter\.nf_conntrack_count|.*stable_secret|net\.ipv[46]\.(neigh|conf)\.eth0\.(base_reachable|retrans)|net\.ipv4\.tcp_fastopen_key)"
)
# Of the machine, not of a network namespace: in a container they are the same file for every host of every bed.
_SHARED = re.compile(r"^(vm|kernel|fs|dev|debug|abi|user|sunrpc)\.|^net\.core\.(?!somaxconn)|^net\.netfilter\.nf_log|^net\.(bridge|iptables)")


def machine_state(host: BlankHost) -> Facts:
    """Return what ``host`` is now."""
    tree = Walk(TOPS, RULES).of(host.root)
    return Facts(host.name, {**tree.kinds, **parse(host.run(SCRIPT).stdout)}, tree.texts)


def parse(lines: str) -> dict[str, dict[str, str]]:
    """Return what the script's lines say; a line that stands twice is told apart by how often it does."""
    kinds: dict[str, dict[str, str]] = {}
    for line in lines.splitlines():
        kind, name, value = [*line.split("\t", 2), "", ""][:3]
        if not _kept(kind, name):
            continue
        things = kinds.setdefault(kind, {})
        things[name] = f"{value} {int(things[name].rpartition(' ')[2]) + 1}" if things.get(name, "").startswith(f"{value} ") else f"{value} 1"
    return kinds


def _kept(kind: str, name: str) -> bool:
    if kind in {"unit", "unit-file"}:
        return not _PASSING.match(name)
    if kind == "process":
        return not _OWN.search(name) and not name.startswith("[")
    if kind == "sysctl":
        return not _COUNTERS.match(name)
    return "127.0.0.11" not in name  # docker's nameserver: another port at each start


def left(before: Facts, after: Facts) -> list[Difference]:
    """Return what reset has left or taken, without sysctls of the whole machine: other beds change those too."""
    return [one for one in before.differences(after) if not (one.kind in {"sysctl", "module"} and _SHARED.match(one.name))]


def unnamed(found: list[Difference], said: str) -> Iterator[Difference]:
    """Yield the differences that the installer's own words do not name. A parent directory that is named covers what is in it.

    A thing is named by its path, its unit, its sysctl, its link; rules of netfilter by their chain.
    """
    for one in found:
        if not any(word in said for word in _words(one)):
            yield one


def _words(one: Difference) -> list[str]:
    if one.kind == "file":
        parts = one.name.split("/")
        return ["/".join(parts[:size]) for size in range(3, len(parts) + 1)] or [one.name]
    if one.kind.startswith(("iptables", "ip6tables", "nft")):
        # "chain PREROUTING {" and "type nat hook prerouting priority …;": a base chain, which is named by its name.
        if base := re.match(r"chain (\w+) \{$|type \w+ hook (\w+) priority", one.name):
            return [base[1] or base[2].upper()]
        return [word for word in one.name.replace(":", " ").split() if re.match(r"(KUBE|FLANNEL|CNI|kube|flannel|cni)[-_A-Za-z0-9]*$", word)] or [one.name]
    return [one.name]
