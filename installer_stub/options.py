"""InstallOptions: what the operator asked for, parsed once. Hosts are written as users know them from ssh."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from installer_stub.errors import UsageError
from installer_stub.host.model import Host, Role
from installer_stub.plan.model import API_PORT, BY_ITSELF, Access, Endpoint
from installer_stub.plan.settings import NOTHING_SAID, SiteWishes
from installer_stub.values.sources import NOTHING as NO_VALUES
from installer_stub.values.sources import Sources

# Kubernetes' own defaults in kubeadm examples and flannel; both are changed by options.
POD_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
SHORTEST_VALIDITY = 600  # seconds; hosts look at their certificates once a minute
NONE = "none"  # --endpoint, --san: none any more
LONGEST_VALIDITY = 3650 * 24 * 3600  # a third of the life of the CA

_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")  # as ssh and ssh-keygen -l show it
_HOST_REMEDY = "write address, user@address or user@address:port; several with commas; IPv6 with a port as [address]:port; where other hosts reach it at another address, that one behind a =: 192.168.0.2=10.0.0.2"


class Verb(StrEnum):
    """The verbs that work on hosts."""

    INSTALL = "install"
    CHECK = "check"
    RESET = "reset"
    CERTS = "certs"
    JOIN = "join"
    PLAN = "plan"
    REMOVE = "remove"
    STATUS = "status"
    LOGS = "logs"
    INIT = "init"
    APPLY = "apply"


@dataclass(frozen=True, slots=True)
class HostWishes:
    """What a Clusterfile wants of a node beyond its being there. None: nothing was said, and what is recorded stays."""

    labels: tuple[tuple[str, str], ...] | None = None  # sorted by name
    taints: tuple[str, ...] | None = None  # "key=value:Effect"
    env: tuple[tuple[str, str], ...] | None = None  # of containerd and kubelet, sorted by name


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signature an artifact must carry. ``files`` name keys; without any, nobody is asked for.

    ``principal`` is the name that the key must be allowed to sign as. ``accepted`` is the fingerprint of a key that signs in place of
    those that signed what is installed.
    """

    files: tuple[Path, ...] = ()
    principal: str | None = None
    accepted: str = ""


NOBODY_ASKED: Final = Trust()
UNSIGNED: Final = "unsigned"  # what is said of a file that nobody signed


@dataclass(frozen=True, slots=True)
class InstallOptions:
    """Everything that the verbs on hosts are told. Holds no secret: passwords are asked for, never options."""

    verb: Verb
    hosts: tuple[Host, ...]  # masters first, in the operator's order
    identity: Path | None  # a private key; None: the agent and the usual files
    known_hosts: Path | None  # None: the user's, the system's, and ours in ~/.config/airseal, where new ones are pinned
    ask_pass: bool
    ask_become_pass: bool
    pod_cidr: str | None  # None: as recorded, or the default where nothing is
    service_cidr: str | None
    kubeconfig: Path
    yes: bool  # answer yes to every question about the site; not to a host key, which only who looked can answer
    json: bool  # events as JSON lines on stdout
    bundle: Path | None  # None: the running program
    take: tuple[str, ...] = ()  # directories of others to set aside
    force_rejoin: frozenset[str] = frozenset()  # addresses of hosts in doubt that may be wiped and joined again
    access: Access = BY_ITSELF
    certificate_validity: int | None = None  # seconds; None: as recorded, or the default
    via: tuple[Host, ...] = ()  # hosts of the site that only tell of it: where the record is read
    abandon: tuple[str, ...] = ()  # reset: what shall stay as it is, by the name that an earlier reset gave it
    cluster: str = ""  # reset: the id of the cluster that is meant, where this file is not its own
    targets: tuple[str, ...] = ()  # remove: names or addresses of recorded hosts
    lost: bool = False  # remove: the hosts do not answer, and will not come back
    force: bool = False  # remove: also where the cluster will stand still
    wishes: tuple[tuple[str, HostWishes], ...] = ()  # by the hosts' addresses
    settings: SiteWishes = NOTHING_SAID
    dropped: frozenset[str] = frozenset()  # what the site shall not have any more: "endpoint", "san"
    source: str = "command line"  # where this was written: a file's name for a Clusterfile
    host_keys: tuple[tuple[str, frozenset[str]], ...] = ()  # fingerprints that were given beforehand, by address
    output: Path | None = None  # logs, init: where the result goes
    values: Sources = NO_VALUES  # of the bundle's values: where they are given
    trust: Trust = NOBODY_ASKED

    @property
    def masters(self) -> tuple[Host, ...]:
        """Hosts of the control plane, in the operator's order."""
        return tuple(host for host in self.hosts if host.role is Role.MASTER)

    @property
    def nodes(self) -> tuple[Host, ...]:
        """Workers, in the operator's order."""
        return tuple(host for host in self.hosts if host.role is Role.NODE)


def parse_hosts(texts: Iterable[str], role: Role, *, user: str, port: int) -> tuple[Host, ...]:
    """Return the hosts in ``texts``, each a list with commas; ``user`` and ``port`` stand in where none is written.

    Raises UsageError.
    """
    return tuple(
        parse_host(item.strip(), role, user=user, port=port) for text in texts for item in text.split(",") if item.strip()
    )


def parse_host(text: str, role: Role, *, user: str, port: int) -> Host:
    """Return the host that ``[user@]address[:port][=internal]`` spells. Raises UsageError."""
    whole, (text, equals, internal) = text, text.partition("=")
    if equals and not _is_ip(internal):
        raise UsageError(f"{whole!r} is no host: {internal!r} behind the = is no address", _HOST_REMEDY)
    name, at, rest = text.rpartition("@")
    if at and not _USER.fullmatch(name):
        raise UsageError(f"{text!r} has no valid user before the @", _HOST_REMEDY)
    address, port_text = _split_port(rest, text)
    if not _is_address(address):
        raise UsageError(f"{text!r} is no host: {address!r} is neither a name nor an address", _HOST_REMEDY)
    return Host(address.lower(), role, parse_port(port_text) if port_text else port, name or user, internal if internal != address else "")


def parse_access(endpoint: str | None, names: Iterable[str]) -> Access:
    """Return how the API is reached: ``HOST[:PORT]`` of the site's own endpoint, and more names for the certificates.

    Raises UsageError.
    """
    remedy = "write a name or an address: --endpoint api.site.example, --endpoint 10.0.0.9:8443, --san 10.0.0.9"
    found: Endpoint | None = None
    if endpoint is not None:
        host, port = _split_port(endpoint.strip(), endpoint)
        if not _is_address(host):
            raise UsageError(f"--endpoint {endpoint[:60]!r} is neither a name nor an address", remedy)
        found = Endpoint(host.lower(), parse_port(port) if port else API_PORT)
    sans = [name.strip().lower() for text in names for name in text.split(",") if name.strip()]
    for name in sans:
        if not _is_address(name.removeprefix("*.")):
            raise UsageError(f"--san {name[:60]!r} is neither a name nor an address", remedy)
    return Access(found, tuple(dict.fromkeys(sans)))


def parse_dropped(endpoint: str | None, names: Iterable[str]) -> tuple[str | None, tuple[str, ...], frozenset[str]]:
    """Return endpoint and names as far as they are any, and which of both shall be given up: those written as ``none``.

    Raises UsageError for ``none`` beside a name.
    """
    listed = tuple(names)
    dropped = {"endpoint"} if endpoint is not None and endpoint.strip().lower() == NONE else set()
    if any(NONE in map(str.strip, text.lower().split(",")) for text in listed):
        if len(listed) > 1 or "," in listed[0]:
            raise UsageError(f"--san {NONE} stands alone: it takes all further names away", "leave it out, or the other names")
        dropped.add("san")
    return None if "endpoint" in dropped else endpoint, () if "san" in dropped else listed, frozenset(dropped)


def parse_port(text: str) -> int:
    """Return a TCP port. Raises UsageError."""
    if not (text.isascii() and text.isdigit()) or not 0 < int(text[:9]) < 65536:
        raise UsageError(f"{text[:20]!r} is not a port", "write a number from 1 to 65535")
    return int(text)


def parse_validity(text: str) -> int:
    """Return the seconds that ``text`` means: a number of days, or a number with d, h or m. Raises UsageError."""
    match = re.fullmatch(r"([0-9]{1,6})([dhm]?)", text)
    seconds = int(match[1]) * {"m": 60, "h": 3600}.get(match[2], 24 * 3600) if match else 0
    if not SHORTEST_VALIDITY <= seconds <= LONGEST_VALIDITY:
        remedy = "write a number of days, for example 365; from ten minutes (10m) to ten years (3650)"
        raise UsageError(f"{text[:20]!r} is no length of life for a certificate", remedy)
    return seconds


def check_hosts(hosts: tuple[Host, ...]) -> tuple[Host, ...]:
    """Return ``hosts``. Raises UsageError if one is named twice."""
    seen: set[str] = set()
    for host in hosts:
        if host.address in seen:
            raise UsageError(f"{host.address} is named twice", "name each host once, as --master or as --node")
        seen.add(host.address)
    return hosts


def parse_take(texts: Iterable[str], allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the directories that ``--take`` names. Raises UsageError for one that an installation never needs empty."""
    named = tuple(dict.fromkeys(text.rstrip("/") for text in texts))
    for path in named:
        if path not in allowed:
            raise UsageError(f"--take {path}: the installation does not need that directory", f"it can set aside: {', '.join(allowed)}")
    return named


def parse_host_keys(texts: Iterable[str], file: Path | None) -> tuple[tuple[str, frozenset[str]], ...]:
    """Return the fingerprints of ``ADDRESS=SHA256:…``, from the command line and from a file of such lines. Raises UsageError."""
    lines = [(text, "--host-key") for text in texts]
    if file is not None:
        try:
            lines += [(line.strip(), str(file)) for line in file.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--host-keys {file} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}", "name a file of lines ADDRESS=SHA256:…") from None
    found: dict[str, set[str]] = {}
    for text, where in lines:
        if where != "--host-key" and (not text or text.startswith("#")):
            continue
        address, equals, fingerprint = text.partition("=")
        if not equals or not address or not _FINGERPRINT.fullmatch(fingerprint):
            raise UsageError(f"{where}: {text[:100]!r} is not ADDRESS=SHA256:…", "write what ssh-keygen -lf shows for the host's /etc/ssh/ssh_host_*_key.pub")
        found.setdefault(address.strip("[]").lower(), set()).add(fingerprint)
    return tuple((address, frozenset(fingerprints)) for address, fingerprints in found.items())


def require_master(hosts: tuple[Host, ...]) -> None:
    """Raise UsageError if there is no master among ``hosts``."""
    if not any(host.role is Role.MASTER for host in hosts):
        raise UsageError("no master is named", "add --master with the address of at least one host, or --via with a host of the site")


def check_networks(pod_cidr: str | None, service_cidr: str | None) -> tuple[str | None, str | None]:
    """Return both networks in their usual spelling, None for one that was not told.

    Raises UsageError if one is no network, or they overlap, each with the other's default where that was not told.
    """
    pods, services = _network("--pod-cidr", pod_cidr or POD_CIDR), _network("--service-cidr", service_cidr or SERVICE_CIDR)
    if pods.version == services.version and pods.overlaps(services):
        raise UsageError(f"--pod-cidr {pods} and --service-cidr {services} overlap", "choose two networks that have no address in common")
    return pod_cidr and str(pods), service_cidr and str(services)


def _network(option: str, text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", f"write a network, for example {option} {POD_CIDR}") from None


def _split_port(rest: str, text: str) -> tuple[str, str]:
    if rest.startswith("["):
        address, bracket, tail = rest[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")) or tail == ":":
            raise UsageError(f"{text!r} is no host", _HOST_REMEDY)
        return address, tail[1:]
    if rest.count(":") > 1:  # a bare IPv6 address
        return rest, ""
    address, colon, port_text = rest.partition(":")
    if colon and not port_text:
        raise UsageError(f"{text!r} has no port behind the colon", _HOST_REMEDY)
    return address, port_text


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        looks_numeric = text.replace(".", "").isdigit()  # 10.0.0 or 10.0.0.256: a mistyped address, not a name
        return len(text) <= 253 and not looks_numeric and _NAME.fullmatch(text) is not None
    return True
