"""Units: what systemd says of a unit, and how it is made to say something else."""

from __future__ import annotations

import subprocess
from typing import Final, Protocol

from installer_stub.changes.environment import environment
from installer_stub.errors import CouldNotTell, NotPutBack

_TIMEOUT: Final = 150.0  # seconds; systemd itself kills what does not stop within 90
_RUNNING: Final = frozenset({"active", "activating", "reloading"})
_NOT_LOADED: Final = frozenset({"not-found", "error", "bad-setting"})  # "Unit … not loaded." is what stopping an inactive one of these gives
_PROPERTIES: Final = ("LoadState", "UnitFileState", "ActiveState")


class Units(Protocol):
    """The host's units. A state is ``"enabled active"``: what ``is-enabled`` says, and whether it runs; empty: no such unit."""

    def state(self, name: str) -> str:
        """Return the state. Raises CouldNotTell."""

    def do(self, verb: str, *names: str) -> None:
        """Run ``systemctl VERB NAMES``. Raises NotPutBack."""

    def listed(self, pattern: str) -> tuple[str, ...]:
        """Return the loaded units whose names fit the pattern. Raises CouldNotTell."""


class Systemd:
    """systemd by its own command, as old as 219."""

    def state(self, name: str) -> str:
        """Ask ``systemctl show``: unlike ``is-enabled`` it has an answer for everything and fails only where it cannot tell."""
        argv = ("systemctl", "show", f"--property={','.join(_PROPERTIES)}", "--", name)
        values = dict(line.split("=", 1) for line in _run(argv, name).splitlines() if "=" in line)
        if set(_PROPERTIES) - set(values):
            raise CouldNotTell(f"systemd does not say what {name} is: {str(values)[:200]}", "see whether systemctl works on the host")
        if values["LoadState"] == "not-found":
            return ""
        enabled = values["UnitFileState"] or ("masked" if values["LoadState"] == "masked" else "none")
        return f"{enabled} {'active' if values['ActiveState'] in _RUNNING else 'inactive'}"

    def do(self, verb: str, *names: str) -> None:
        """Run it, and wait."""
        try:
            done = subprocess.run(("systemctl", verb, *names), capture_output=True, text=True, env=environment(), timeout=_TIMEOUT, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotPutBack(f"systemctl {verb} {' '.join(names)}: {error}") from error
        if done.returncode != 0:
            raise NotPutBack(f"systemctl {verb} {' '.join(names)}: {done.stderr.strip()[-300:]}")

    def listed(self, pattern: str) -> tuple[str, ...]:
        """Those that are there, whether they run or have failed, and those that run though their file is gone.

        systemd lists with them what only other units' files name and what it cannot read; neither is loaded, so neither can be stopped.
        """
        lines = _run(("systemctl", "list-units", "--all", "--no-legend", "--plain", "--", pattern), pattern).splitlines()
        rows = [line.lstrip("●* ").split(maxsplit=4) for line in lines]
        return tuple(row[0] for row in rows if row and (row[1] not in _NOT_LOADED or row[2] != "inactive"))


def _run(argv: tuple[str, ...], name: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, env=environment(), timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CouldNotTell(f"systemd cannot be asked about {name}: {error}", "see whether systemctl works on the host") from error
    if done.returncode != 0:
        raise CouldNotTell(f"systemd cannot be asked about {name}: {done.stderr.strip()[-300:]}", "see whether systemctl works on the host")
    return done.stdout
