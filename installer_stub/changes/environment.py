"""What programs of the host see when the stub starts them."""

from __future__ import annotations

import os
from typing import Final

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment() -> dict[str, str]:
    """Return what the host's programs see: not the frozen stub's libraries, no language, and the sbin directories."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LD_", "_PYI", "_MEI", "LC_", "LANG"))}
    path = ":".join(dict.fromkeys([*kept.get("PATH", "").split(":"), *_PATH.split(":")])).strip(":")
    # A stub that is started by a stub unpacks itself anew: PyInstaller, "Independent subprocess spawned from frozen".
    return {**kept, "PATH": path, "LC_ALL": "C", "PYINSTALLER_RESET_ENVIRONMENT": "1"}
