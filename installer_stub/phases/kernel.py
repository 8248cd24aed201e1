"""What a host's kernel must be set to: decided purely from what it is set to now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Sysctl:
    """One setting. ``at_least`` leaves a higher value alone; ``required`` makes it fatal when it cannot be set."""

    name: str
    value: int
    at_least: bool = False
    required: bool = False

    @property
    def path(self) -> str:
        """Its name below /proc/sys."""
        return self.name.replace(".", "/")


@dataclass(frozen=True, slots=True)
class Module:
    """A kernel module, and a path below /proc that is there exactly when the kernel can do it, built in or loaded."""

    name: str
    evidence: str


SYSCTLS: Final = (
    Sysctl("net.ipv4.ip_forward", 1, required=True),
    Sysctl("net.bridge.bridge-nf-call-iptables", 1),
    # kubelet, containerd and every "kubectl logs -f" take instances; at the default of 128 a host with many pods dies
    # of "too many open files", and containers on one kernel share the one limit.
    Sysctl("fs.inotify.max_user_instances", 8192, at_least=True),
    Sysctl("fs.inotify.max_user_watches", 1048576, at_least=True),
)
MODULES: Final = (
    Module("overlay", "/proc/filesystems"),
    Module("br_netfilter", "/proc/sys/net/bridge"),
    Module("nf_conntrack", "/proc/sys/net/netfilter"),
)
_CANNOT: Final = "# cannot be set on this host: "


def wanted(current: Mapping[str, int]) -> dict[str, int]:
    """Return the value that each setting the kernel has shall be."""
    return {
        setting.name: max(setting.value, current[setting.name]) if setting.at_least else setting.value
        for setting in SYSCTLS
        if setting.name in current
    }


def parse(text: str) -> dict[str, int]:
    """Parse lines of ``name value``; what is no number is left out."""
    pairs = (line.split() for line in text.splitlines())
    return {words[0]: int(words[1]) for words in pairs if len(words) == 2 and words[1].isdigit()}


def conf(values: Mapping[str, int], unsettable: frozenset[str]) -> str:
    """Return the sysctl.d file."""
    lines = ["# Made by airseal."]
    lines += [f"{_CANNOT}{name}" if name in unsettable else f"{name} = {value}" for name, value in values.items()]
    return "\n".join(lines) + "\n"


def unsettable(text: str) -> frozenset[str]:
    """Return the settings that a sysctl.d file of ours says cannot be set."""
    return frozenset(line.removeprefix(_CANNOT) for line in text.splitlines() if line.startswith(_CANNOT))


def satisfied(current: Mapping[str, int], text: str) -> bool:
    """Tell whether the kernel is set as ``text``, our sysctl.d file, says, and the file is the one we would write."""
    values, skipped = wanted(current), unsettable(text)
    return text == conf(values, skipped) and all(current[name] == value or name in skipped for name, value in values.items())
