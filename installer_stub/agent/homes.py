"""The directories that stubs are laid out in, on a host: one is in use, others are those that it followed, or of a run that was killed.

They stand beside ``/opt/airseal/bin/airseal``, which is a link into one of them. There, since SELinux's policies and their like take
for programs what stands below a directory ``bin``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Final

from installer_stub.plan.model import STUB

_HOME: Final = re.compile(r"[0-9a-f]{16}-[0-9a-f]{12}")
_BEGINNING_SECONDS: Final = 600.0  # one that is younger may be on its way


def home_name(stub_digest: str, token: str) -> str:
    """Return the name of a new directory for the stub with the SHA-256 ``stub_digest``; ``token`` are twelve digits of chance."""
    return f"{stub_digest[:16]}-{token}"


def own_home() -> Path | None:
    """Return the directory that this program was laid out in; None for one that unpacked itself, or that runs from its sources."""
    inside = Path(getattr(sys, "_MEIPASS", "/"))
    program = Path(os.path.realpath("/proc/self/exe"))
    return program.parent if inside.parent == program.parent and inside != program.parent else None


def sweep_homes(stub: Path = Path(STUB), *, processes: Path = Path("/proc")) -> None:
    """Remove those that nothing runs from any more and nothing will be started from. What cannot be removed stays, and harms nobody."""
    with contextlib.suppress(OSError):
        used = {stub.resolve().parent, *(_home_of(each) for each in processes.iterdir() if each.name.isdigit())}
        for home in stub.resolve().parent.parent.iterdir() if stub.is_symlink() else ():
            if _HOME.fullmatch(home.name) and home not in used and time.time() - home.stat().st_mtime > _BEGINNING_SECONDS:
                shutil.rmtree(home, ignore_errors=True)


def _home_of(process: Path) -> Path | None:
    try:
        return Path((process / "exe").readlink()).parent
    except OSError:
        return None  # it has ended, or is the kernel's
