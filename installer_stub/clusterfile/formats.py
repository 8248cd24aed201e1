"""What a text of a Clusterfile may be, beyond being a text. Each check returns what is wrong, or nothing."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Final

from installer_stub.errors import UsageError
from installer_stub.host.model import Role
from installer_stub.options import parse_access, parse_host, parse_validity

_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_PREFIX: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
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
}
