"""Read all artifacts of a master, write down what is damaged, and let the site registry know."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from installer_stub.errors import BundleError
from installer_stub.keep.programs import run
from installer_stub.pki.registry import UNIT
from installer_stub.scrub.damage import SUFFIX, Damage, known_damage, path_of
from installer_stub.scrub.read_again import PACE, read_again
from registry_snapshot.errors import RegistryError
from registry_snapshot.store.disk import write_file

_RESTART: Final = 120.0  # seconds, which the registry has to begin in
_log = logging.getLogger(__name__)


def restart_registry() -> None:
    """Let the site registry begin anew, where it runs: what is not served it reads at its beginning."""
    done = run(("systemctl", "try-restart", UNIT), timeout=_RESTART)
    if not done.ok:
        _log.error("%s did not start again: %s", UNIT, done.output)


def scrub(store: Path, *, pace: int = PACE, restart: Callable[[], None] = restart_registry) -> dict[Path, Damage | None]:
    """Return what is damaged in each artifact of ``store``, None where nothing is.

    The registry starts anew only if that is not what it was. Raises BundleError where the directory cannot be read or
    written to.
    """
    found: dict[Path, Damage | None] = {}
    changed = False
    try:
        for left in store.glob(f"*{SUFFIX}"):
            if not left.with_suffix("").exists():
                left.unlink(missing_ok=True)
        for artifact in sorted(store.glob("*.run")):
            with suppress(FileNotFoundError):  # a newer one took its place meanwhile
                found[artifact] = read_again(artifact, pace=pace)
                changed |= _write_down(artifact, found[artifact])
    except (OSError, RegistryError) as error:
        raise BundleError(f"{store}: {error}", "see what the disk says: dmesg; then run install again with the same file") from error
    if changed:
        restart()
    return found


def _write_down(artifact: Path, damage: Damage | None) -> bool:
    """Keep what is damaged beside the artifact; tell whether that is news to the registry."""
    try:
        before = known_damage(artifact)
    except (ValueError, RegistryError):
        before = None
    if damage is None:
        path_of(artifact).unlink(missing_ok=True)
        return before is not None
    if damage.is_same(before):
        return False
    write_file(path_of(artifact), damage.encode())
    return True
