"""Reading a Clusterfile: a value, or an error with everything that is wrong in it."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from installer_stub.clusterfile.check import Problem, check, entries
from installer_stub.clusterfile.document import compose, refuse
from installer_stub.clusterfile.schema import SCHEMA
from installer_stub.distro.containerd import IMAGES
from installer_stub.distro.paths import ETCD, KUBELET
from installer_stub.errors import UsageError
from installer_stub.host.model import Host, Role
from installer_stub.options import (
    POD_CIDR,
    SERVICE_CIDR,
    HostWishes,
    parse_access,
    parse_dropped,
    parse_validity,
)
from installer_stub.plan.model import Access
from installer_stub.plan.settings import MOST_PATCH, NOTHING_SAID, SiteWishes
from installer_stub.preflight.network import ON_BALANCED, ON_MASTERS
from installer_stub.values.given import leaves
from installer_stub.values.sources import Given

TAKEN_PORTS: Final = ON_MASTERS | ON_BALANCED
MOST_BYTES: Final = 1 << 20  # five thousand hosts are half of it


@dataclass(frozen=True, slots=True)
class Clusterfile:
    """What the file asks for. None, and what is empty: it says nothing about it."""

    hosts: tuple[Host, ...]
    pods: str | None
    services: str | None
    access: Access
    certificate_validity: int | None  # seconds
    wishes: tuple[tuple[str, HostWishes], ...] = ()  # by the hosts' addresses
    settings: SiteWishes = NOTHING_SAID
    dropped: frozenset[str] = frozenset()  # "endpoint", "san": none any more
    values: tuple[Given, ...] = ()  # of the bundle: its own schema judges them


def read(path: Path, *, user: str, port: int) -> Clusterfile:
    """Return what the file says; ``user`` and ``port`` stand in where it names none.

    Raises UsageError with all problems, as ``file:line: path: problem``.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "name a Clusterfile with -f; init writes one") from None
    return parse(raw, str(path), user=user, port=port)


def parse(raw: bytes, name: str, *, user: str, port: int) -> Clusterfile:
    """Return what the bytes of the file called ``name`` say. Raises UsageError."""
    node = _compose(raw, name)
    problems = list(check(node, SCHEMA))
    if not problems:
        problems += _together(node)
    refuse(name, problems, "correct the file; apply --schema prints what it may hold", "; nothing was changed")
    # Every text as it is written: what YAML takes for a number or a date in quotes was refused above.
    values = _fields(node).get("values")
    return replace(
        _value(yaml.load(raw, Loader=yaml.SafeLoader), user=user, port=port),
        values=tuple(leaves(values, name, public=True)) if values is not None else (),
    )


def _compose(raw: bytes, name: str) -> yaml.Node:
    anchored = "{place}: a Clusterfile has no anchors and aliases"
    node = compose(raw, name, most=MOST_BYTES, too_large="is it a Clusterfile?", anchored=anchored)
    if node is None:
        raise UsageError(f"{name} is empty", "init writes one")
    return node


def _together(node: yaml.Node) -> Iterator[Problem]:
    """What no field shows alone: hosts named twice, no master, networks that overlap."""
    top = _fields(node)
    seen: dict[str, int] = {}
    masters = False
    for index, item in enumerate(top["hosts"].value):
        fields = _fields(item)
        masters |= fields["role"].value == Role.MASTER
        for what in ("address", "internal"):
            if what in fields:
                text, line = fields[what].value.lower(), fields[what].start_mark.line + 1
                first = seen.setdefault(text, index)
                if first != index:
                    yield Problem(line, f"hosts[{index}].{what}", f"{text} is hosts[{first}] already")
    if not masters:
        yield Problem(top["hosts"].start_mark.line + 1, "hosts", "there is no master among them")
    yield from _settings_together(top)
    networks = _fields(top["networks"]) if "networks" in top else {}
    pods = networks["pods"].value if "pods" in networks else POD_CIDR
    services = networks["services"].value if "services" in networks else SERVICE_CIDR
    one, other = ipaddress.ip_network(pods), ipaddress.ip_network(services)
    if one.version == other.version and one.overlaps(other):
        line = top["networks"].start_mark.line + 1
        yield Problem(line, "networks", f"pods {pods} and services {services} overlap")


def _settings_together(top: Mapping[str, yaml.Node]) -> Iterator[Problem]:
    """A port that another of ours has, directories inside each other, patches too long for the record."""
    port = _fields(top["registry"]).get("port") if "registry" in top else None
    if port is not None and int(port.value) in TAKEN_PORTS:
        yield Problem(port.start_mark.line + 1, "registry.port", f"{port.value} is a port of Kubernetes on masters")
    directories = _fields(top["dataDirectories"]) if "dataDirectories" in top else {}
    own = {"etcd": ETCD, "containerd": IMAGES, "kubelet": KUBELET}
    places = {**own, **{name: node.value for name, node in directories.items()}}
    for name, node in directories.items():
        for other, place in places.items():
            if other != name and (f"{place}/".startswith(f"{node.value}/") or f"{node.value}/".startswith(f"{place}/")):
                yield Problem(node.start_mark.line + 1, f"dataDirectories.{name}", f"{node.value} and {place} of {other} lie in each other")
    for name, node in _fields(top["patches"]).items() if "patches" in top else ():
        if node.end_mark.index - node.start_mark.index > MOST_PATCH // 2:
            yield Problem(node.start_mark.line + 1, f"patches.{name}", f"is longer than {MOST_PATCH // 2} characters")


def _fields(node: yaml.Node) -> dict[str, yaml.Node]:
    return {name: value for name, _, value in entries(node)} if isinstance(node, yaml.MappingNode) else {}


def _value(document: Mapping[str, Any], *, user: str, port: int) -> Clusterfile:
    networks = document.get("networks", {})
    validity = document.get("certificateValidity")
    endpoint, sans, dropped = parse_dropped(document.get("endpoint"), document.get("subjectAltNames", ()))
    return Clusterfile(
        hosts=tuple(
            Host(
                each["address"].lower(),
                Role(each["role"]),
                each.get("port", port),
                each.get("user", user),
                each.get("internal", ""),
            )
            for each in document["hosts"]
        ),
        pods=networks.get("pods"),
        services=networks.get("services"),
        access=parse_access(endpoint, sans),
        dropped=dropped | ({"san"} if document.get("subjectAltNames") == [] else set()),
        certificate_validity=parse_validity(validity) if validity is not None else None,
        wishes=tuple((each["address"].lower(), _wishes(each)) for each in document["hosts"] if {"labels", "taints", "env"} & set(each)),
        settings=_settings(document),
    )


def _wishes(host: Mapping[str, Any]) -> HostWishes:
    labels, taints, env = host.get("labels"), host.get("taints"), host.get("env")
    return HostWishes(
        tuple(sorted(labels.items())) if labels is not None else None,
        tuple(taints) if taints is not None else None,
        tuple(sorted(env.items())) if env is not None else None,
    )


def _settings(document: Mapping[str, Any]) -> SiteWishes:
    env, directories, patches = document.get("env"), document.get("dataDirectories"), document.get("patches")
    return SiteWishes(
        env=tuple(sorted(env.items())) if env is not None else None,
        registry_port=document.get("registry", {}).get("port"),
        directories=tuple(sorted(directories.items())) if directories is not None else None,
        patches=tuple(sorted((name, json.dumps(patch, sort_keys=True)) for name, patch in patches.items() if patch)) if patches is not None else None,
    )
