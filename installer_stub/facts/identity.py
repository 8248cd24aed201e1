"""Who a host is: operating system, architecture, kernel, names."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from installer_stub.facts.base import Fact, Otherwise
from registry_snapshot.oci.descriptor import Platform

_GLIBC = re.compile(r"^(?:glibc|ldd .*(?:glibc|gnu libc).*) (\d+)\.(\d+)$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OsRelease:
    """os-release(5): ``id`` and ``version`` may be empty, ``pretty`` never is."""

    id: str
    version: str
    pretty: str


@dataclass(frozen=True, slots=True)
class Machine:
    """``architecture`` in the OCI's words: amd64, arm64."""

    architecture: str
    kernel: str


def parse_os_release(stdout: str) -> OsRelease:
    """Return what the file says; a host without one is an unknown Linux."""
    values: dict[str, str] = {}
    for line in stdout.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith("#"):
            values[key] = _unquoted(value)
    name, version = values.get("ID", ""), values.get("VERSION_ID", "")
    return OsRelease(name, version, values.get("PRETTY_NAME") or f"{name} {version}".strip() or "unknown Linux")


def _unquoted(value: str) -> str:
    """Return what a shell would make of it; what no shell would take (Joe's Linux) as it stands."""
    try:
        return " ".join(shlex.split(value))
    except ValueError:
        return value


def parse_machine(stdout: str) -> Machine:
    """Return machine and kernel from ``uname -m`` and ``uname -r``, a line each."""
    machine, kernel = stdout.split()
    return Machine(Platform.of_machine(machine).architecture, kernel)


def parse_glibc(stdout: str) -> str:
    """Return the version of the C library, "2.36", or the name of another one. Raises ValueError for what names neither."""
    if found := _GLIBC.search(stdout):
        return f"{found[1]}.{found[2]}"
    if "musl" in stdout.lower():
        return "musl"
    raise ValueError(stdout)


OS_RELEASE = Fact("os-release", "cat /etc/os-release || cat /usr/lib/os-release", parse_os_release, Otherwise(OsRelease("", "", "unknown Linux"), "which Linux it is"))
MACHINE = Fact("machine", "uname -m; uname -r", parse_machine, Otherwise(Machine("", ""), "whether the bundle's programs run there", needed=True))
HOSTNAME = Fact("hostname", "cat /proc/sys/kernel/hostname", str.strip)
# getconf's answer is "glibc 2.36"; that of ldd ends its first line with the version, whoever packaged it.
GLIBC = Fact("glibc", "getconf GNU_LIBC_VERSION || ldd --version 2>&1", parse_glibc, Otherwise("", "whether its C library is new enough for the installer"))
MACHINE_ID = Fact("machine-id", "cat /etc/machine-id", str.strip, Otherwise("", "whether it is a clone of another host"))
