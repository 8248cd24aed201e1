"""Whether keys and certificates of a cluster's host are whole: only the marks of PEM are read, no key leaves its host.

A file that was cut, emptied, or zeroed by a power cut has lost its last mark (RFC 7468: a BEGIN, and an END of the same label). That a
key belongs to its certificate only ``certs renew`` can tell, on the host itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
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
    marks: dict[str, list[tuple[str, str]]] = {}
    found: dict[str, Pem] = {}
    here: list[tuple[str, str]] = []
    for line in stdout.splitlines():
        word, _, path = line.partition(" ")
        if word == "gone":
            found[path.strip()] = Pem.GONE
        elif word == "==>":
            here = marks.setdefault(path.strip(), [])
        else:
            here += _MARK.findall(line)
    return {**found, **{path: Pem.WHOLE if _in_pairs(each) else Pem.TORN for path, each in marks.items()}}


def _in_pairs(marks: Sequence[tuple[str, str]]) -> bool:
    """Tell whether there are marks, and each BEGIN is followed by the END of its label."""
    begins, ends = marks[::2], marks[1::2]
    return len(begins) == len(ends) > 0 and all((a[0], b) == ("BEGIN", ("END", a[1])) for a, b in zip(begins, ends, strict=True))


def _each(paths: Iterable[str], shown: str) -> str:
    """Return shell text that says of each file that it is gone, or that it is there and what ``shown`` prints of "$file", which may end without a newline."""
    return f'for file in {" ".join(paths)}; do if [ -r "$file" ]; then echo "==> $file"; {shown}; echo; elif [ ! -e "$file" ]; then echo "gone $file"; fi; done; '


# Only the marks: whatever else stands on their lines stays there.
_MARKS: Final = """sed -n -e 's/.*\\(-----BEGIN [A-Z0-9 ]*-----\\).*/\\1/p' -e 's/.*\\(-----END [A-Z0-9 ]*-----\\).*/\\1/p'"""
_FILES: Final = _each(KEYS, f'{_MARKS} "$file"')
_CONFIGS: Final = _each((f"{CONFIGURATION}/{name}.conf" for name in MASTERS_CONFIGS), f"""sed -n 's/^ *client-key-data: *//p' "$file" | base64 -d | {_MARKS}""")
KEY_FILES: Final[Fact[Mapping[str, Pem]]] = Fact("keys", f"[ -d {CONFIGURATION} ] || exit 0; {_FILES}{_CONFIGS}", parse_keys, Otherwise({}, "whether its keys are whole"))
