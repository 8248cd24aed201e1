"""Is every host what it is taken for: architecture, names, addresses, clock."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from statistics import median_high, median_low

from installer_stub.facts.gather import HostFacts
from installer_stub.host.model import Role
from installer_stub.preflight.finding import Finding, Site, fatal, warning

# RFC 1123, as Kubernetes checks node names.
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_NAMELESS = {"", "localhost", "localhost.localdomain", "(none)"}
_RELEASE = re.compile(r"\d+\.\d+")  # at the beginning of what uname -r says
_OLDER = "use another host, or have the file sealed with an installer for older systems (airseal seal FILE --renew-stub: glibc 2.17)"
MOST_SKEW = 30.0  # seconds: certificates are valid from the moment they are made, and etcd leases tell time


def architecture(site: Site) -> Iterator[Finding]:
    """The bundle must have binaries and images for it."""
    platforms = {"/".join(platform.split("/")[:2]) for platform in site.bundle.platforms}
    for host, facts in site.each():
        if facts.architecture and f"linux/{facts.architecture}" not in platforms:
            yield fatal(
                host.address,
                f"its processor is {facts.architecture}; this bundle is for {', '.join(sorted(platforms))}",
                "use another host, or have the bundle built for this platform too (airseal build --platform)",
            )


def c_library(site: Site) -> Iterator[Finding]:
    """The installer works on every host, so every host needs the C library that it was frozen for."""
    needed = site.needs.glibc if site.needs is not None else ""
    for host, facts in site.each():
        if needed and facts.glibc and not _is_as_new(facts.glibc, needed):
            has = f"glibc {facts.glibc}" if facts.glibc[:1].isdigit() else facts.glibc
            yield fatal(host.address, f"it has {has}, and the installer in this file starts on glibc {needed} or newer", _OLDER)


def kernel(site: Site) -> Iterator[Finding]:
    """And a kernel that knows the system calls of the installer."""
    needed = site.needs.kernel if site.needs is not None else ""
    for host, facts in site.each():
        release = _RELEASE.match(facts.kernel)
        if needed and release and not _is_as_new(release[0], needed):
            yield fatal(host.address, f"it has Linux {facts.kernel}, and the installer in this file runs on {needed} or newer", "use another host, or update its kernel")


def _is_as_new(found: str, needed: str) -> bool:
    """Compare versions; what is none, such as another C library, is not new enough."""
    try:
        return tuple(map(int, found.split("."))) >= tuple(map(int, needed.split(".")))
    except ValueError:
        return False


def host_names(site: Site) -> Iterator[Finding]:
    """A host's name becomes its node's name: valid, and unlike every other."""
    for host, facts in site.each():
        name = facts.hostname.lower()
        if name in _NAMELESS:
            yield fatal(host.address, f"it has no name of its own (hostname {facts.hostname!r})", "hostnamectl set-hostname NAME on it")
        elif not _NAME.fullmatch(name) or len(name) > 253:
            yield fatal(
                host.address,
                f"its hostname {facts.hostname!r} cannot be a node's name",
                "hostnamectl set-hostname NAME on it: letters, digits, '-', up to 63 of them",
            )
    for name, addresses in _shared(site, lambda facts: facts.hostname.lower()):
        if name not in _NAMELESS:
            yield fatal("", f"{' and '.join(addresses)} have the same hostname {name!r}", "give each host a name of its own")


def machine_ids(site: Site) -> Iterator[Finding]:
    """Cloned machines share one; network plugins and DHCP take it for the machine."""
    for identity, addresses in _shared(site, lambda facts: facts.machine_id):
        if identity:
            yield warning(
                "",
                f"{' and '.join(addresses)} have the same machine-id: clones of one image",
                "on each: rm /etc/machine-id; systemd-machine-id-setup; reboot",
            )


def addresses(site: Site) -> Iterator[Finding]:
    """What the operator writes must be an address that the host itself has: other hosts and certificates use it."""
    seen: set[str] = set()
    for host in site.hosts:
        if host.address in seen:
            yield fatal(host.address, "this host is named twice", "name each host once, as --master or as --node")
        seen.add(host.address)
    for host, facts in site.each():
        own = f"its own addresses are {', '.join(facts.addresses) or 'none'}"
        if not _is_address(address := host.internal or host.address):
            yield fatal(
                host.address,
                f"this is a name; hosts find each other without name resolution ({own})",
                f"write the address under which the other hosts reach it; if you reach it by another one, both: {host.address}=ADDRESS",
            )
        elif facts.addresses and _canonical(address) not in facts.addresses:
            tell = fatal if host.role is Role.MASTER else warning
            yield tell(
                host.address,
                f"the host does not have this address itself, it is behind NAT or a balancer ({own})",
                f"write the address under which the other hosts reach it; if you reach it by another one, both: {host.address}=ADDRESS",
            )
    yield from _one_host_by_two_addresses(site)


def clocks(site: Site) -> Iterator[Finding]:
    """Within half a minute of the median host. There need not be a time server, but there must be one time."""
    offsets = {host.address: facts.clock_offset for host, facts in site.each()}
    if not offsets:
        return
    # Of two hosts nobody can tell which one is wrong: the one further from our own clock, then.
    middle = min(median_low(offsets.values()), median_high(offsets.values()), key=abs)
    for address, offset in offsets.items():
        skew = offset - middle
        if abs(skew) > MOST_SKEW:
            yield fatal(
                address,
                f"its clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the others",
                "set it: date -s @$(ssh OTHER date +%s), then hwclock -w; or let all hosts follow one time server",
            )
    if abs(middle) > 10 * MOST_SKEW:
        yield warning(
            "",
            f"the hosts' clocks differ from this machine's by {abs(middle):.0f} s",
            "if theirs are wrong set them now: certificates made in the wrong time do not become right later",
        )


def _one_host_by_two_addresses(site: Site) -> Iterator[Finding]:
    hosts = list(site.each())
    for number, (host, facts) in enumerate(hosts):
        for other, others in hosts[number + 1 :]:
            same = facts.machine_id == others.machine_id and facts.hostname == others.hostname
            if same and _canonical(other.address) in facts.addresses:
                yield fatal(other.address, f"this is the same host as {host.address}", "name each host once")


def _shared(site: Site, key: Callable[[HostFacts], str]) -> Iterator[tuple[str, list[str]]]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for host, facts in site.each():
        groups[key(facts)].append(host.address)
    return ((value, hosts) for value, hosts in groups.items() if len(hosts) > 1)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _canonical(text: str) -> str:
    return str(ip_address(text)) if _is_address(text) else text
