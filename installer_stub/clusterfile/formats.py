"""What a text of a Clusterfile may be, beyond being a text. Each check returns what is wrong, or nothing."""

from __future__ import annotations

import ipaddress
import posixpath
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Final

from installer_stub.distro.units import PROXIES
from installer_stub.errors import UsageError
from installer_stub.host.model import Role
from installer_stub.options import parse_access, parse_host, parse_validity

_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_PREFIX: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_SECRET: Final = re.compile(r"(?i)passw|secret|token|credential|private_?key|api_?key|passphrase")
_PATH: Final = re.compile(r"(/[A-Za-z0-9._-]+){1,20}")
# Nothing of ours may lie in them; and these others are full of what is not ours.
_TAKEN: Final = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/opt/airseal", "/opt/cni", "/proc", "/root", "/run", "/sbin", "/sys", "/tmp", "/usr", "/var/lib/airseal", "/var/lib/cni", "/var/log", "/var/run", "/var/tmp")  # noqa: S108 - forbidden, not used
_SHARED: Final = ("/home", "/media", "/mnt", "/opt", "/srv", "/var", "/var/cache", "/var/lib", "/var/opt", "/var/spool")
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def _address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return "is no IP address"
    return ""


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        return f"is no network: {error}"
    return ""


def _host(text: str) -> str:
    if "@" in text:
        return "has a user in it; that has a field of its own: user"
    try:
        host = parse_host(text, Role.NODE, user="root", port=0)
    except UsageError:
        return "is neither a name nor an address"
    return "has a port in it; that has a field of its own: port" if host.port else ""


def _user(text: str) -> str:
    return "" if _USER.fullmatch(text) else "is no user name"


def _endpoint(text: str) -> str:
    try:
        parse_access(text, ())
    except UsageError:
        return "is neither a name nor an address, with or without a port"
    return ""


def _san(text: str) -> str:
    try:
        parse_access(None, (text,))
    except UsageError:
        return "is neither a name nor an address"
    return "" if "," not in text else "is more than one name; write each as an item of its own"


def _validity(text: str) -> str:
    try:
        parse_validity(text)
    except UsageError as error:
        return f"is no length of life for a certificate: {error.remedy}"
    return ""


def _label_name(text: str) -> str:
    prefix, slash, name = text.rpartition("/")
    sound = _LABEL.fullmatch(name) and (not slash or (len(prefix) <= 253 and _PREFIX.fullmatch(prefix)))
    if not sound:
        return "is no name of a label"
    owners = ("kubernetes.io", "k8s.io")
    mine = any(prefix == owner or prefix.endswith(f".{owner}") for owner in owners)
    return "belongs to Kubernetes itself" if mine and not prefix.startswith("node-restriction.") else ""


def _label(text: str) -> str:
    return "" if not text or _LABEL.fullmatch(text) else "is no value of a label: up to 63 letters, digits, '-', '_', '.'"


def _path(text: str) -> str:
    if not _PATH.fullmatch(text) or text != posixpath.normpath(text):
        return "is no directory: an absolute path of letters, digits, '.', '_', '-', without .. and without a / at its end"
    if any(text == place or text.startswith(f"{place}/") for place in _TAKEN) or text in _SHARED:
        return "is a directory of the system or of airseal; name one that is for this data alone"
    return ""


def _toml(text: str) -> str:
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return f"is no TOML: {error}"
    if taken := sorted({"root", "state", "imports"} & set(found)):
        return f"says {', '.join(taken)}, which airseal says; containerd's directory is dataDirectories.containerd"
    return f"is of version {found.get('version')}; version = 3 is wanted" if found.get("version") != 3 else ""


def _variable(text: str) -> str:
    if not _VARIABLE.fullmatch(text):
        return "is no name of a variable"
    if _SECRET.search(text):
        return "looks like a secret, and the site's record keeps what stands here; let the application read a Secret of the cluster"
    return ""


def _command_variable(text: str) -> str:
    return "is said by airseal" if text == "KUBECONFIG" else _variable(text)


def _host_variable(text: str) -> str:
    if text == "PATH":
        return "is said by airseal"
    return "is kept away from containerd and kubelet: a proxy knows neither the site registry nor the API" if text in PROXIES else _variable(text)


def _variable_value(text: str) -> str:
    return "" if text.isprintable() else "is more than one line, or holds what cannot be printed"


def _taint(text: str) -> str:
    left, colon, effect = text.rpartition(":")
    key, _, value = left.partition("=")
    if not colon or effect not in _EFFECTS:
        return f"is no taint: key=value:Effect, with one of {', '.join(_EFFECTS)}"
    return _label_name(key) or _label(value)


CHECKS: Final[Mapping[str, Callable[[str], str]]] = {
    "address": _address,
    "network": _network,
    "host": _host,
    "user": _user,
    "endpoint": _endpoint,
    "san": _san,
    "validity": _validity,
    "label-name": _label_name,
    "label": _label,
    "taint": _taint,
    "path": _path,
    "toml": _toml,
    "environment-name": _host_variable,
    "environment": _variable_value,
    "command-environment-name": _command_variable,
    "command-environment": _variable_value,
}
