"""What of the cluster files was right when it was last read, so that a second run does not read 400 MB on every host again.

A file that is written, replaced or made executable gets another time of change, which nobody can set. What is remembered lies
in memory and is gone with the host's next start: after a power cut every file is read.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from installer_stub.bundle.model import ClusterFile
from registry_snapshot.oci.digest import Digest

DIRECTORY: Final = Path("/run/airseal-keep")
_LIMIT: Final = 4 << 20  # bytes
Stamps = Mapping[str, str]  # by a file's path below its directory


def look(into: Path, files: Iterable[ClusterFile]) -> Stamps:
    """Return how the files below ``into`` stand; those that are not there are left out."""
    return {file.path: stamp for file in files if (stamp := _stamp(into / file.path))}


def remember(into: Path, manifest: Digest, stamps: Stamps, *, directory: Path = DIRECTORY) -> None:
    """Note that these are all files of ``manifest``, and right. A host where it cannot be noted only reads them again."""
    path = _note(into, directory)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    with contextlib.suppress(OSError):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        new.write_text(json.dumps({"manifest": str(manifest), "into": str(into), "files": dict(stamps)}))
        new.replace(path)


def recall(into: Path, manifest: Digest, *, directory: Path = DIRECTORY) -> tuple[str, ...] | None:
    """Return the paths of all files of ``manifest``, each of them untouched since it was right; None where that is not known."""
    try:
        with _note(into, directory).open("rb") as stream:
            value = json.loads(stream.read(_LIMIT))
    except (OSError, ValueError):
        return None
    if not isinstance(value, dict) or (value.get("manifest"), value.get("into")) != (str(manifest), str(into)):
        return None
    files = value.get("files")
    if not isinstance(files, dict) or not files or any(_stamp(into / path) != stamp for path, stamp in files.items()):
        return None
    return tuple(files)


def _note(into: Path, directory: Path) -> Path:
    return directory / f"files-{into.name}.json"


def _stamp(path: Path) -> str:
    try:
        found = path.lstat()
    except OSError:
        return ""
    if not stat.S_ISREG(found.st_mode):
        return ""
    return f"{found.st_mode:o} {found.st_uid} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_dev} {found.st_ino}"
