"""Machine: the host that the stub runs on, as far as it can be changed. Tests give it another root and other units."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import Final

from installer_stub.changes.disk import Disk
from installer_stub.changes.environment import environment
from installer_stub.changes.mounts import Mount, parse_mounts
from installer_stub.changes.units import Systemd, Units
from installer_stub.errors import CouldNotTell, NotPutBack

_TIMEOUT: Final = 60.0  # seconds


class Programs:
    """The host's own programs, which ``run`` starts."""

    def run(self, *argv: str, stdin: str = "", timeout: float = _TIMEOUT) -> subprocess.CompletedProcess[str] | None:
        """Run a program to its end. None: there is no such program. Raises CouldNotTell when it does not end."""
        try:
            return subprocess.run(argv, input=stdin, capture_output=True, text=True, errors="replace", env=environment(), timeout=timeout, check=False)
        except FileNotFoundError:
            return None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CouldNotTell(f"{argv[0]} did not end: {error}", "see whether a file system or a device hangs on the host") from error

    def do(self, *argv: str, stdin: str = "", timeout: float = _TIMEOUT) -> None:
        """Run a program that changes something. Raises NotPutBack where it is missing or fails."""
        done = self.run(*argv, stdin=stdin, timeout=timeout)
        if done is None:
            raise NotPutBack(f"there is no program {argv[0]}")
        if done.returncode != 0:
            raise NotPutBack(f"{' '.join(argv)}: {done.stderr.strip()[-300:]}")


@dataclass(frozen=True, slots=True)
class Machine:
    """One host, from inside."""

    disk: Disk = field(default_factory=Disk)
    units: Units = field(default_factory=Systemd)
    programs: Programs = field(default_factory=Programs)

    def mounts(self) -> tuple[Mount, ...]:
        """Return what is mounted, in the order in which it was. Raises CouldNotTell."""
        try:
            text = self.disk.at("/proc/self/mounts").read_text(errors="surrogateescape")
        except OSError as error:
            raise CouldNotTell(f"what is mounted cannot be read: {error.strerror}", "see whether /proc is mounted on the host") from error
        return parse_mounts(text)
