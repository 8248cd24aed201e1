"""HostDocument: what one host must stay, written on the host itself (``/var/lib/airseal/host.json``).

The installer writes it, ``airseal host keep`` makes it so at boot and by timer, with nobody there to help: so it holds
everything that needs, and no secret. Canonical: one document has one spelling, ``encode(decode(x)) == x``.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from installer_stub.errors import InstallerError
from installer_stub.plan.model import STATE

PATH: Final = f"{STATE}/host.json"
VERSION: Final = 1
LIMIT: Final = 1 << 20  # bytes; ours has about one thousand
_REMEDY: Final = "run the installer again: it writes the document anew"


class DocumentError(InstallerError):
    """host.json is missing, torn, or of a version that this program does not know."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class Sysctl:
    """One kernel setting. ``at_least`` leaves a higher value alone; ``required`` makes it fatal when it cannot be set."""

    name: str
    value: int
    at_least: bool = False
    required: bool = False

    @property
    def path(self) -> str:
        """Its name below /proc/sys."""
        return self.name.replace(".", "/")

    def satisfied(self, value: int) -> bool:
        """Tell whether the kernel's ``value`` is what is wanted."""
        return value >= self.value if self.at_least else value == self.value


@dataclass(frozen=True, slots=True)
class Module:
    """A kernel module, and a path below /proc that is there exactly when the kernel can do it, built in or loaded."""

    name: str
    evidence: str


@dataclass(frozen=True, slots=True)
class CertificatePolicy:
    """How the host renews its certificates. ``position`` of ``masters`` keeps two masters from doing it at once."""

    validity: int  # seconds
    kubernetes: str  # "v1.36.3": kubeadm would ask the internet for one
    master: bool
    position: int
    masters: int


@dataclass(frozen=True, slots=True)
class HostDocument:
    """What the host must stay."""

    name: str  # Kubernetes node name
    address: str  # the node's own; the route to Services leaves by the interface that has it
    services: str  # network of the Services
    api: str  # what the API's name means here, for people; empty: nothing
    modules: tuple[Module, ...]
    sysctls: tuple[Sysctl, ...]
    certificates: CertificatePolicy
    cannot: tuple[str, ...] = ()  # modules and settings that this kernel does not allow: tried, never waited for

    def with_api(self, address: str) -> Self:
        """Return the document with another address for the API's name."""
        return replace(self, api=address)

    def encode(self) -> bytes:
        """Return the document's one spelling."""
        policy = self.certificates
        value = {
            "version": VERSION,
            "name": self.name,
            "address": self.address,
            "services": self.services,
            "api": self.api,
            "modules": [{"name": each.name, "evidence": each.evidence} for each in self.modules],
            "sysctls": [
                {"name": each.name, "value": each.value, "atLeast": each.at_least, "required": each.required}
                for each in self.sysctls
            ],
            "certificates": {
                "validity": policy.validity,
                "kubernetes": policy.kubernetes,
                "master": policy.master,
                "position": policy.position,
                "masters": policy.masters,
            },
            "cannot": list(self.cannot),
        }
        return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def decode(data: bytes) -> HostDocument:
    """Return the document. Raises DocumentError for anything that ``encode`` would not have written."""
    try:
        document = _decoded(json.loads(data))
    except (ValueError, KeyError, TypeError) as error:
        raise DocumentError(f"{PATH} cannot be read: {error!r}"[:200], _REMEDY) from None
    if document.encode() != data:
        raise DocumentError(f"{PATH} was changed by hand, or by another version of airseal", _REMEDY)
    return document


def _decoded(value: dict[str, Any]) -> HostDocument:
    if value["version"] != VERSION:
        raise ValueError(f"version {value['version']}")
    ipaddress.ip_address(value["address"])
    ipaddress.ip_network(value["services"])
    policy = value["certificates"]
    return HostDocument(
        name=str(value["name"]),
        address=str(value["address"]),
        services=str(value["services"]),
        api=str(value["api"]),
        modules=tuple(Module(str(each["name"]), str(each["evidence"])) for each in value["modules"]),
        sysctls=tuple(
            Sysctl(str(each["name"]), int(each["value"]), bool(each["atLeast"]), bool(each["required"]))
            for each in value["sysctls"]
        ),
        certificates=CertificatePolicy(
            int(policy["validity"]), str(policy["kubernetes"]), bool(policy["master"]), int(policy["position"]), int(policy["masters"])
        ),
        cannot=tuple(str(each) for each in value["cannot"]),
    )
