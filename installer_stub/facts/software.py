"""What runs on a host already: Kubernetes, container runtimes; and which programs there are to use."""

from __future__ import annotations

import json
from dataclasses import dataclass

from installer_stub.distro import paths
from installer_stub.facts.base import Fact, Otherwise
from installer_stub.membership.record import PATH as RECORD
from installer_stub.membership.record import Stage
from installer_stub.membership.record import parse as parse_record
from installer_stub.plan.model import LINKS, OPT, STATE

MARKER = f"{STATE}/cluster.json"
TOOLS = (
    "conntrack",
    "ethtool",
    "iptables",
    "losetup",
    "modprobe",
    "mount",
    "nft",
    "nsenter",
    "sha256sum",
    "socat",
    "systemctl",
    "tar",
    "timeout",
    "umount",
)
_ENGINES = frozenset({"containerd", "crio", "dockerd", "k0s", "k3s", "k3s-server", "k3s-agent", "kubelet", "kubelite"})


@dataclass(frozen=True, slots=True)
class Membership:
    """The cluster a host belongs to. ``cluster`` and ``bundle`` are empty where no marker of ours lies."""

    cluster: str  # our id of it
    bundle: str  # "name:version"
    joined: bool  # kubeadm has made it a member
    server: str  # the API server it talks to, where it has joined
    leaving: bool = False  # its reset was begun and has not ended
    complete: bool = False  # our record says that its init or join has ended

    @property
    def ours(self) -> bool:
        """Whether an installation of ours was begun here."""
        return bool(self.cluster or self.bundle)


def parse_membership(stdout: str) -> Membership:
    """Return it from "joined", "server URL", marker and record as JSON, a line each. A torn one is none."""
    joined, server, marker, record = False, "", {}, None
    for line in stdout.splitlines():
        first, _, rest = line.strip().partition(" ")
        if first == "joined":
            joined = True
        elif first == "server":
            server = rest.strip("\"' ")
        elif first == "marker":
            marker = _object(rest)
        elif first == "record":
            record = parse_record(rest.encode())
    stage = record.stage if record is not None else None
    return Membership(str(marker.get("cluster", "")), str(marker.get("bundle", "")), joined, server, stage is Stage.LEAVING, stage is Stage.MEMBER)


def parse_engines(stdout: str) -> tuple[str, ...]:
    """Return the container engines among the process names, sorted."""
    return tuple(sorted(_ENGINES & set(stdout.split())))


def parse_names(stdout: str) -> frozenset[str]:
    """Return the paths, before a last line that proves that all was asked. Raises ValueError."""
    *paths, last = stdout.splitlines() or [""]
    if last != "asked":
        raise ValueError(stdout[-200:])
    return frozenset(paths)


def _object(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


_MEMBERSHIP = (
    f"for file in {paths.KUBELET_CONF} {paths.ADMIN_CONF}; do "
    "[ -f $file ] && { echo joined; sed -n 's/^ *server: */server /p' $file; }; done; "
    f"[ -f {MARKER} ] && {{ printf 'marker '; tr -d '\\n' < {MARKER}; echo; }}; "
    f"[ -f {RECORD} ] && {{ printf 'record '; tr -d '\\n' < {RECORD}; echo; }}"
)

# Two directories, and of each link where it leads: what leads to ours is ours.
_NAMES = (
    f"for directory in {' '.join(directory for _, directory in LINKS)}; do for file in \"$directory\"/*; do "
    '{ [ -e "$file" ] || [ -L "$file" ]; } || continue; '
    f'case $(readlink -- "$file") in {OPT}/*) ;; *) printf "%s\\n" "$file" ;; esac; done; done; echo asked'
)

MEMBERSHIP = Fact("membership", _MEMBERSHIP, parse_membership)
ENGINES: Fact[tuple[str, ...]] = Fact("engines", "cat /proc/[0-9]*/comm | sort -u", parse_engines, Otherwise((), "which container engines run there", needed=True))
AVAILABLE_TOOLS = Fact(
    "tools",
    f'for tool in {" ".join(TOOLS)}; do command -v $tool > /dev/null && echo $tool; done',
    lambda stdout: frozenset(stdout.split()),
    Otherwise(frozenset(TOOLS), "which programs it has", needed=True),
)
NAMES_TAKEN: Fact[frozenset[str]] = Fact("names", _NAMES, parse_names, Otherwise(frozenset(), "whether names of our programs are taken", needed=True))
