"""Whether keys and certificates of a master are whole: only the marks of PEM are read, no key leaves its host.

A file that was cut, emptied, or zeroed by a power cut has lost its last mark (RFC 7468: a BEGIN, and an END of the same label). That a
key belongs to its certificate only ``certs renew`` can tell, on the host itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from installer_stub.distro.certificates import KEYS, MASTERS_CONFIGS
from installer_stub.distro.paths import CONFIGURATION
from installer_stub.facts.base import Fact, Otherwise


class Pem(StrEnum):
    """What there is of a file."""

    WHOLE = "whole"
    TORN = "torn"
    GONE = "gone"


_MARK: Final = re.compile(r"-----(BEGIN|END) ([A-Z0-9 ]+)-----")


def parse_keys(stdout: str) -> Mapping[str, Pem]:
    """Return the state of each file from "==> path", or "gone path", and the marks that stand in it. What nobody may read is in none."""
    found: dict[str, Pem] = {}
    for line in stdout.splitlines():
        if line.startswith("gone "):
            found[line.removeprefix("gone ").strip()] = Pem.GONE
    for part in stdout.split("==> ")[1:]:
        path, _, text = part.partition("\n")
        marks = _MARK.findall(text.partition("\ngone ")[0])
        begins, ends = marks[::2], marks[1::2]
        pairs = len(begins) == len(ends) > 0 and all(a == ("BEGIN", b[1]) and b[0] == "END" for a, b in zip(begins, ends, strict=True))
        found[path.strip()] = Pem.WHOLE if pairs else Pem.TORN
    return found


# Only the marks: whatever else stands on their lines stays there.
_MARKS: Final = """sed -n -e 's/.*\\(-----BEGIN [A-Z0-9 ]*-----\\).*/\\1/p' -e 's/.*\\(-----END [A-Z0-9 ]*-----\\).*/\\1/p'"""
_FILES: Final = f'for file in {" ".join(KEYS)}; do if [ -r "$file" ]; then echo "==> $file"; {_MARKS} "$file"; elif [ ! -e "$file" ]; then echo "gone $file"; fi; done; '
_CONFIGS: Final = (
    f'for file in {" ".join(f"{CONFIGURATION}/{name}.conf" for name in MASTERS_CONFIGS)}; do if [ -r "$file" ]; then echo "==> $file"; '
    f"""sed -n 's/^ *client-key-data: *//p' "$file" | base64 -d | {_MARKS}; elif [ ! -e "$file" ]; then echo "gone $file"; fi; done"""
)
KEY_FILES: Final[Fact[Mapping[str, Pem]]] = Fact("keys", f"[ -d {CONFIGURATION}/pki ] || exit 0; {_FILES}{_CONFIGS}", parse_keys, Otherwise({}, "whether its keys are whole"))
