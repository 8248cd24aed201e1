"""What machine a program is for, told from its first bytes. Source: elf(5), "ELF header"."""

from __future__ import annotations

import struct
from typing import Final

from registry_snapshot.oci.descriptor import Platform

HEAD: Final = 20  # bytes that say it
# e_machine → uname -m, for the machines that a stub is released for.
_MACHINES: Final = {62: "x86_64", 183: "aarch64"}
_LITTLE: Final = 1  # EI_DATA


def machine_of(head: bytes) -> str:
    """Return the machine in the words of uname -m, or an empty text for what is no program of one that we know."""
    if len(head) < HEAD or head[:4] != b"\x7fELF" or head[5] != _LITTLE:
        return ""
    return _MACHINES.get(struct.unpack_from("<H", head, 18)[0], "")


def platform_of(machine: str) -> str:
    """Return the platform of a machine in the OCI's words, ``linux/amd64``."""
    return str(Platform.of_machine(machine))
