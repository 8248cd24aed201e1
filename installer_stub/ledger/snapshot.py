"""Snapshot: how a host is as a whole, measured before the first change and again after a reset. It only reads.

Every section is a table from a name to a text; what cannot be read is in ``unread`` with the reason, never left out.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from installer_stub.changes.machine import Machine
from installer_stub.errors import CouldNotTell, InstallerError, LedgerDamaged
from installer_stub.ledger.network import IPTABLES_TABLE, SAVES

Table = dict[str, str]
_SYSCTLS: Final = ("net", "vm", "kernel", "fs")
# Counters, clocks and random numbers: different at every look.
_RESTLESS = re.compile(
    r"kernel\.random\..*|kernel\.ns_last_pid|kernel\.pty\.nr|kernel\.tainted|kernel\.hostname|fs\..*-nr|fs\..*-state|fs\.aio-nr"
    r"|net\.netfilter\.nf_conntrack_count|net\.netfilter\.nf_conntrack_buckets|kernel\.perf_.*_rate|kernel\.sched_domain\..*|fs\.quota\..*|kernel\.stack_erasing.*"
    r"|net\.ipv6\.conf\..*\.stable_secret|net\.ipv[46]\.(neigh|conf)\.(veth|cni|flannel|cali|lxc|cilium|docker|br-)[^.]*\..*|net\.ipv4\.tcp_fastopen_key"
)
_FILES: Final = ("/etc", "/usr/local", "/opt", "/usr/libexec")
_HASHED: Final = 64 << 10  # bytes; a larger file is its size and time
_MOST: Final = 100_000  # files; more are not looked at, and that is said
_SETTING: Final = 4096  # bytes of one setting
_SWAP: Final = str.maketrans("./", "/.")
_PACKED: Final = 256 << 20  # bytes; the most that a snapshot unpacks to


@dataclass(slots=True)
class Snapshot:
    """Sections by name."""

    sections: dict[str, Table] = field(default_factory=dict)
    unread: Table = field(default_factory=dict)

    def section(self, name: str) -> Table:
        """Return one; empty where it was not read."""
        return self.sections.get(name, {})

    def pack(self) -> bytes:
        """Return it as zstd."""
        import zstandard

        text = json.dumps({"sections": self.sections, "unread": self.unread}, sort_keys=True).encode("utf-8", "surrogateescape")
        return zstandard.ZstdCompressor(level=3, write_content_size=True).compress(text)

    @classmethod
    def unpack(cls, data: bytes) -> Snapshot:
        """Read what ``pack`` wrote. Raises LedgerDamaged."""
        import zstandard

        try:
            value = json.loads(zstandard.ZstdDecompressor().decompress(data, max_output_size=_PACKED))
            sections = {str(name): {str(key): str(text) for key, text in table.items()} for name, table in value["sections"].items()}
            return cls(sections, {str(key): str(text) for key, text in value["unread"].items()})
        except (zstandard.ZstdError, ValueError, KeyError, AttributeError) as error:
            raise LedgerDamaged(f"the snapshot of the host before the installation cannot be read: {error}", "reset goes on without it: --abandon snapshot") from error


def take(machine: Machine) -> Snapshot:
    """Measure the host. Takes a second or two."""
    snapshot = Snapshot()
    for name, collect in _COLLECT.items():
        try:
            snapshot.sections[name] = collect(machine)
        except (OSError, InstallerError) as error:
            snapshot.unread[name] = str(error)
    return snapshot


def _settings(machine: Machine) -> Table:
    """Read twice: what differs between two looks is a counter, whatever its name is."""
    first = dict(_read_settings(machine))
    second = dict(_read_settings(machine))
    return {name: text for name, text in first.items() if second.get(name) == text and not _RESTLESS.fullmatch(name)}


def _read_settings(machine: Machine) -> Iterator[tuple[str, str]]:
    root = machine.disk.at("/proc/sys")
    for part in _SYSCTLS:
        for directory, _, names in os.walk(root / part):
            for name in names:
                path = Path(directory, name)
                try:
                    if not path.stat().st_mode & stat.S_IRUSR:
                        continue
                    with path.open("rb") as stream:
                        text = stream.read(_SETTING).decode(errors="replace").strip()
                except OSError:
                    continue  # write-only, or of a device that is not there: no value before, none after
                yield str(path.relative_to(root)).translate(_SWAP), text


def _lines(machine: Machine, *argv: str) -> list[str]:
    done = machine.programs.run(*argv)
    if done is None:
        return []
    if done.returncode != 0:
        raise CouldNotTell(f"{' '.join(argv)}: {done.stderr.strip()[-200:]}")
    return done.stdout.splitlines()


def _rules(machine: Machine) -> Table:
    """The text of every ``iptables-save`` that the host has, by program, without what counts.

    The old kind is asked only where the kernel has its tables: asking would load them.
    """
    return {save: text for save, _ in SAVES if (text := rules_text(machine, save)) is not None}


def rules_text(machine: Machine, save: str) -> str | None:
    """Return what one of them prints, without comments and counters; None where the host does not have it."""
    names = machine.disk.at(f"/proc/net/{'ip6' if save.startswith('ip6') else 'ip'}_tables_names")
    if "-legacy-" in save and not (names.exists() and names.read_text().strip()):
        return None
    done = machine.programs.run(save)
    if done is None:
        return None
    if done.returncode != 0:
        raise CouldNotTell(f"{save}: {done.stderr.strip()[-200:]}")
    kept = [re.sub(r" ?\[\d+:\d+\] ?", "", line).strip() for line in done.stdout.splitlines() if not line.startswith("#")]
    return "\n".join(line for line in kept if line)


def _tables(machine: Machine) -> Table:
    """Tables of nftables. Of those that iptables keeps there only the chains it starts from: the rest it shows itself."""
    names = [line.removeprefix("table ").strip() for line in _lines(machine, "nft", "list", "tables")]
    texts = {name: "\n".join(_lines(machine, "nft", "--stateless", "list", "table", *name.split())) for name in names}
    starts = re.compile(r"^\s*chain ((?:PRE|POST)ROUTING|INPUT|FORWARD|OUTPUT) \{", re.MULTILINE)
    return {
        name: " ".join(sorted(starts.findall(text))) if IPTABLES_TABLE.fullmatch(name) else _digest(text.encode()) for name, text in texts.items()
    }


def links(machine: Machine) -> Table:
    """Every network interface, and the bridge that it hangs on."""
    root = machine.disk.at("/sys/class/net")
    return {path.name: (path / "master").resolve().name if (path / "master").exists() else "" for path in root.iterdir()}


def _ip(machine: Machine, *argv: str) -> Table:
    if "-6" in argv and not machine.disk.at("/proc/net/if_inet6").exists():
        return {}
    volatile = re.compile(r" (valid_lft|preferred_lft|expires|age|pref|error|dead|linkdown)( -?\w+)?")
    return {volatile.sub("", line).strip(): "" for line in _lines(machine, "ip", "-o", *argv)}


def _addresses(machine: Machine) -> Table:
    lines = (line.split()[1:] for line in _lines(machine, "ip", "-o", "addr", "show"))
    return {f"{words[0]} {words[2]}": "" for words in lines if len(words) > 2}


def modules(machine: Machine) -> Table:
    """Loaded kernel modules."""
    path = machine.disk.at("/proc/modules")
    return {line.split()[0]: "loaded" for line in path.read_text().splitlines()} if path.exists() else {}


def _mounts(machine: Machine) -> Table:
    return {mount.target: f"{mount.kind} {mount.source}" for mount in machine.mounts()}


def _unit_files(machine: Machine) -> Table:
    lines = (line.split() for line in _lines(machine, "systemctl", "list-unit-files", "--no-legend", "--no-pager"))
    return {words[0]: words[1] for words in lines if len(words) > 1}


def _units(machine: Machine) -> Table:
    """Running or failed services, sockets, timers and mounts; scopes are sessions."""
    kinds = "--type=service,socket,timer,mount,path"
    lines = (line.split() for line in _lines(machine, "systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", kinds))
    return {words[0]: words[2] for words in lines if len(words) > 2 and words[2] in {"active", "failed"}}


def _listening(machine: Machine) -> Table:
    found: Table = {}
    for kind, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        path = machine.disk.at(f"/proc/net/{kind}")
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            words = line.split()
            if words[3] == state:
                found[f"{kind} {int(words[1].rpartition(':')[2], 16)}"] = ""
    return found


def _processes(machine: Machine) -> Table:
    """Names of programs, without the kernel's own threads."""
    found: Table = {}
    for path in machine.disk.at("/proc").iterdir():
        if path.name.isdigit():
            try:
                if (path / "cmdline").read_bytes():
                    found[(path / "comm").read_text(errors="replace").strip()] = ""
            except OSError:
                continue  # it has ended
    return found


def _files(machine: Machine) -> Table:
    found: Table = {}
    for top in _FILES:
        for directory, names, files in os.walk(machine.disk.at(top)):
            for name in (*names, *files):
                path = Path(directory, name)
                found[f"/{path.relative_to(machine.disk.root)}"] = _file(path)
                if len(found) >= _MOST:
                    raise CouldNotTell(f"there are more than {_MOST} files below {', '.join(_FILES)}")
    return found


def _file(path: Path) -> str:
    try:
        status = path.lstat()
        owner = f"{stat.S_IMODE(status.st_mode):04o} {status.st_uid}:{status.st_gid}"
        if stat.S_ISLNK(status.st_mode):
            return f"link to {path.readlink()}"
        if stat.S_ISDIR(status.st_mode):
            return f"directory {owner}"
        if not stat.S_ISREG(status.st_mode):
            return f"other {owner}"
        if status.st_size > _HASHED:
            return f"file {owner} {status.st_size} bytes {status.st_mtime_ns}"
        return f"file {owner} {_digest(path.read_bytes())}"
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _names(*directories: str, pattern: str = "*") -> Callable[[Machine], Table]:
    """Return a collector of the names in directories."""

    def collect(machine: Machine) -> Table:
        paths = (path for directory in directories for path in machine.disk.at(directory).glob(pattern))
        return {f"/{path.relative_to(machine.disk.root)}": "" for path in paths}

    return collect


def _cgroups(machine: Machine) -> Table:
    root = machine.disk.at("/sys/fs/cgroup")
    return {str(path.relative_to(root)): "" for path in (*root.glob("*kube*"), *root.glob("*/*kube*"))}


def _users(machine: Machine) -> Table:
    return {line.split(":")[0]: line.split(":")[2] for line in machine.disk.at("/etc/passwd").read_text(errors="replace").splitlines() if line.count(":") > 2}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


_DATA: Final = _names("/var/lib", "/var/log", "/run", "/run/netns", "/var/lib/cni")
_MODULES: Final = _names("/usr/lib", pattern="modules")  # kubelet makes it for kube-proxy's volume
_COLLECT: Final[Mapping[str, Callable[[Machine], Table]]] = {
    "module": modules,  # first: asking for rules may load some
    "sysctl": _settings,
    "iptables": _rules,
    "nftables": _tables,
    "link": links,
    "address": _addresses,
    "route": lambda machine: _ip(machine, "-4", "route", "show", "table", "all") | _ip(machine, "-6", "route", "show", "table", "all"),
    "rule": lambda machine: _ip(machine, "-4", "rule", "show") | _ip(machine, "-6", "rule", "show"),
    "mount": _mounts,
    "unit file": _unit_files,
    "unit": _units,
    "port": _listening,
    "process": _processes,
    "file": _files,
    "directory of root": _names("/root", pattern=".*"),
    "data": lambda machine: _DATA(machine) | _MODULES(machine),
    "cgroup": _cgroups,
    "user": _users,
}
