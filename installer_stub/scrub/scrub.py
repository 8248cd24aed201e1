"""Read all artifacts of a master, write down what is damaged, and let the site registry know."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from installer_stub.bundle.reader import Bundle
from installer_stub.distro.units import REGISTRY_STARTED
from installer_stub.errors import BundleError
from installer_stub.keep.programs import run
from installer_stub.pki.registry import UNIT
from installer_stub.scrub import PACE
from installer_stub.scrub.damage import SUFFIX, Damage, known_damage, path_of, stamp_of
from installer_stub.scrub.read_again import read_again
from registry_snapshot.errors import RegistryError
from registry_snapshot.store.disk import write_file

_RESTART: Final = 120.0  # seconds, which the registry has to begin in
_log = logging.getLogger(__name__)


def restart_registry() -> None:
    """Let the site registry begin anew, where it runs: what is not served it reads at its beginning."""
    done = run(("systemctl", "try-restart", UNIT), timeout=_RESTART)
    if not done.ok:
        _log.error("%s did not start again: %s", UNIT, done.output)


def scrub(
    store: Path, *, pace: int = PACE << 20, restart: Callable[[], None] = restart_registry, started: Path = Path(REGISTRY_STARTED)
) -> dict[Path, Damage | None]:
    """Return what is damaged in each artifact of ``store``, None where nothing is.

    The registry, which noted in ``started`` what it began with, starts anew only if it knows other damage than there is, and
    would serve every artifact again. Raises BundleError where something could not be read or written, once all is done.
    """
    found: dict[Path, Damage | None] = {}
    failed: list[str] = []
    try:
        artifacts = sorted(store.glob("*.run"))
    except OSError as error:
        raise _error(store, [str(error)]) from error
    for artifact in artifacts:
        try:
            found[artifact] = read_again(artifact, pace=pace)
            _write_down(artifact, found[artifact])
        except FileNotFoundError:  # a newer one took its place meanwhile
            continue
        except (OSError, RegistryError) as error:
            failed.append(f"{artifact.name}: {error}")
    for left in store.glob(f"*{SUFFIX}"):
        if left.with_suffix("") not in artifacts:
            left.unlink(missing_ok=True)
    if _is_news(store, started) and all(_opens(artifact) for artifact in artifacts):
        restart()
    if failed:
        raise _error(store, failed)
    return found


def _error(store: Path, failed: list[str]) -> BundleError:
    return BundleError(f"{store}: {'; '.join(failed)}", "see what the disk says: dmesg; then run install again with the same file")


def _write_down(artifact: Path, damage: Damage | None) -> None:
    """Keep what is damaged beside the artifact, as long as it is that artifact. Raises OSError, StoreError."""
    if damage is None:
        path_of(artifact).unlink(missing_ok=True)
        return
    before = None
    with suppress(OSError, ValueError, RegistryError):  # torn as well: it is written anew
        before = known_damage(artifact)
    if not damage.is_same(before) and stamp_of(artifact.stat()) == damage.stamp:
        write_file(path_of(artifact), damage.encode())


def _is_news(store: Path, started: Path) -> bool:
    """Tell whether the registry that runs began with other records than there are: also where an earlier restart was lost."""
    try:
        lines = [line.partition("  ") for line in started.read_text().splitlines()]
        knew = {path: digest for digest, _, path in lines if path.endswith(SUFFIX)}
        there = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in store.glob(f"*{SUFFIX}")}
    except OSError:
        return False  # none runs, or there is nothing that it could read
    return knew != there


def _opens(artifact: Path) -> bool:
    """Tell whether a registry that begins now would serve the artifact: one that runs has in memory what may be torn on the disk."""
    try:
        with Bundle.open(artifact) as bundle:
            return bool(bundle.roots)
    except (BundleError, OSError):
        return False
