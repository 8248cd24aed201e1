"""Programs of the host, run from the frozen stub: in the host's own environment, with an end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from installer_stub.plan.model import HOME

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOT_FOUND: Final = 127
TIMED_OUT: Final = 124


@dataclass(frozen=True, slots=True)
class Done:
    """How a program ended: its status (127: there is no such program, 124: it did not end in time), and what it said."""

    status: int
    output: str

    @property
    def ok(self) -> bool:
        """Tell whether it succeeded."""
        return self.status == 0


def run(argv: Sequence[str], *, timeout: float, environment: Mapping[str, str] | None = None) -> Done:
    """Run a program to its end. Nothing of our own environment reaches it: the frozen stub's LD_LIBRARY_PATH would."""
    clean = {"PATH": PATH, "LC_ALL": "C", "HOME": HOME, **(environment or {})}
    try:
        done = subprocess.run(
            [_found(argv[0]), *argv[1:]], capture_output=True, text=True, errors="replace", env=clean, stdin=subprocess.DEVNULL, timeout=timeout, check=False
        )
    except FileNotFoundError:
        return Done(NOT_FOUND, f"there is no program {argv[0]}")
    except OSError as error:
        return Done(NOT_FOUND, f"{argv[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Done(TIMED_OUT, f"{argv[0]} did not end within {timeout:g} s")
    return Done(done.returncode, (done.stdout + done.stderr).strip())


def _found(name: str) -> str:
    """Search ``PATH`` ourselves: subprocess searches that of this process, not of ``env``."""
    if "/" in name:
        return name
    for directory in PATH.split(":"):
        path = f"{directory}/{name}"
        if os.access(path, os.X_OK):
            return path
    return name
