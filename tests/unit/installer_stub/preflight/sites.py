"""Sites for checks: a host on which nothing is wrong, and what may be changed about it."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from installer_stub.bundle.documents import Needs
from installer_stub.bundle.model import BundleInfo
from installer_stub.facts.gather import HostFacts
from installer_stub.facts.network import Firewalls, Routes
from installer_stub.facts.resources import PLACES, Disk, Mount
from installer_stub.facts.software import Membership
from installer_stub.host.model import Host, Role
from installer_stub.preflight.finding import Site
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from tests.unit.installer_stub.facts.recordings import facts

GIB = 2**30
NOWHERE = Membership("", "", joined=False, server="")
BUNDLE = BundleInfo(
    name="shop",
    version="1.4.0",
    kubernetes="v1.36.3",
    platforms=("linux/amd64",),
    cluster=Descriptor("application/vnd.oci.image.manifest.v1+json", Digest.of(b""), 1),
    commands=(),
    environment=MappingProxyType({}),
    labels=MappingProxyType({}),
    images_size=GIB,
    images_unpacked_size=3 * GIB,
    files_size=GIB // 2,
    airseal="0.1.0",
)


def disks(free: int, **mounts: int) -> tuple[Disk, ...]:
    """Every place on /, except those below a mount given as ``var=free``."""
    made = []
    for place in PLACES:
        mount = next((f"/{name}" for name in mounts if place.startswith(f"/{name}")), "/")
        made.append(Disk(place, mount, 100 * GIB, mounts.get(mount[1:], free)))
    return tuple(made)


def good(number: int) -> HostFacts:
    return replace(
        facts("rhel-9"),
        hostname=f"host{number}",
        machine_id=f"{number:032x}",
        addresses=(f"10.0.0.{number}",),
        routes=Routes((), default=True),
        clock_offset=0.1 * number,
        swap=False,
        mounts=(Mount("/", "xfs", frozenset({"rw"})),),
        disks=disks(50 * GIB),
        listening=frozenset({22}),
        firewalls=Firewalls(firewalld=False, ufw=False),
        membership=NOWHERE,
        engines=(),
        leftovers=(),
    )


def site(masters: int = 1, nodes: int = 1, **first: object) -> Site:
    """A site where nothing is wrong except, on its first host, the given fields of HostFacts."""
    hosts = tuple(
        Host(f"10.0.0.{number}", Role.MASTER if number <= masters else Role.NODE) for number in range(1, masters + nodes + 1)
    )
    known = {host.address: good(number) for number, host in enumerate(hosts, 1)}
    if hosts:
        known[hosts[0].address] = replace(known[hosts[0].address], **first)  # type: ignore[arg-type]
    return Site(hosts, known, BUNDLE, "10.244.0.0/16", "10.96.0.0/12", run_size=2 * GIB, needs=Needs("x86_64", "2.28", "3.10"))


def with_facts(base: Site, address: str, **fields: object) -> Site:
    changed = replace(base.facts[address], **fields)  # type: ignore[arg-type]
    return replace(base, facts={**base.facts, address: changed})
