"""Which program an agent is. It says so, and notes it in memory: the next run need not read 30 MB to know what stands there."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Final

from installer_stub.plan.model import STUB

NOTE: Final = Path("/run/airseal-keep/stub")
# $1 the stub, $2 the note, $3 the hash that is looked for. A program that is replaced or written has another time of change.
LOOK: Final = """\
now=$(stat -c '%d:%i:%s:%.9Y:%.9Z' -- "$1")
if [ "$(cat -- "$2" 2>/dev/null || true)" = "$3 $now" ]; then echo "$3"; else exec sha256sum -- "$1"; fi
"""


def about(*, program: Path = Path("/proc/self/exe"), stub: Path = Path(STUB), note: Path = NOTE) -> dict[str, str]:
    """Return the hash of what runs here and which file that is; whoever started it may have meant another one.

    If it is what stands at ``stub``, that is noted.
    """
    with program.open("rb") as stream:
        found = os.fstat(stream.fileno())
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    changed = ":".join(f"{each // 10**9}.{each % 10**9:09d}" for each in (found.st_mtime_ns, found.st_ctime_ns))
    with contextlib.suppress(OSError):  # without the note it is read again
        if os.path.samestat(found, stub.stat()):
            note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = note.with_name(f"{note.name}.{os.getpid()}.new")
            new.write_text(f"{digest} {found.st_dev}:{found.st_ino}:{found.st_size}:{changed}\n")
            new.replace(note)
    return {"program": digest, "inode": f"{found.st_dev}:{found.st_ino}"}
