"""Which program an agent is. It says so, and notes it in memory: the next run need not read 33 MB to know what stands there."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Final

from installer_stub.agent.homes import own_home
from installer_stub.bundle.layout import PROGRAM, identity
from installer_stub.plan.model import STUB

NOTE: Final = Path("/run/airseal-keep/stub")
# The identity of the directory that one is in: see bundle.layout.
IDENTITY: Final = "find . ! -type d -exec sha256sum -- {} + | LC_ALL=C sort -k 2 | sha256sum | cut -d ' ' -f 1"
_SEEN: Final = "find . ! -type d -exec stat -c '%n:%d:%i:%s:%.9Y:%.9Z' -- {} + | LC_ALL=C sort | sha256sum | cut -d ' ' -f 1"
# $1 the stub, $2 the note, $3 the identity that is looked for. A file that is replaced or written has another time of change. An
# older airseal's stub is one file: that is another one, whatever is in it.
LOOK: Final = f"""\
home=$(readlink -- "$1")
cd -- "${{1%/*}}/${{home%/*}}"
[ "${{home##*/}}" = {PROGRAM} ] || exit 1
[ -x {PROGRAM} ] || exit 1
now=$({_SEEN})
if [ "$(cat -- "$2" 2>/dev/null || true)" = "$3 $now" ]; then echo "$3"; else {IDENTITY}; fi
"""


def about(*, stub: Path = Path(STUB), note: Path = NOTE) -> dict[str, str]:
    """Return the identity of what runs here: of its directory, or the SHA-256 of its one file; whoever started it may have meant another.

    If it is what stands at ``stub``, that is noted.
    """
    home = own_home()
    if home is None:
        with Path("/proc/self/exe").open("rb") as stream:
            return {"program": hashlib.file_digest(stream, "sha256").hexdigest()}
    return {"program": noted(home, stub=stub, note=note)}


def noted(home: Path, *, stub: Path, note: Path) -> str:
    """Return the identity of a directory; note it if ``stub`` is the program in it. Raises OSError where a file cannot be read."""
    paths = sorted(str(Path(directory, name).relative_to(home)) for directory, _, names in os.walk(home) for name in names)
    seen = hashlib.sha256("".join(sorted(_seen(home, path) for path in paths)).encode(errors="surrogateescape")).hexdigest()
    found = identity({path: _sum(home / path) for path in paths})
    with contextlib.suppress(OSError):  # without the note it is read again
        if stub.samefile(home / PROGRAM):
            note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = note.with_name(f"{note.name}.{os.getpid()}.new")
            new.write_text(f"{found} {seen}\n")
            new.replace(note)
    return found


def _seen(home: Path, path: str) -> str:
    status = (home / path).lstat()
    changed = ":".join(f"{each // 10**9}.{each % 10**9:09d}" for each in (status.st_mtime_ns, status.st_ctime_ns))
    return f"./{path}:{status.st_dev}:{status.st_ino}:{status.st_size}:{changed}\n"


def _sum(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
