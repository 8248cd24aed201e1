"""``FILE.sha256`` beside an artifact: what to compare a copy with, by ``sha256sum -c`` and without us."""

from __future__ import annotations

from pathlib import Path

from bundler.pack.artifact import Sealed
from bundler.signing.signing import path_of as signature_of
from registry_snapshot.store.disk import write_file


def path_of(artifact: Path) -> Path:
    """Return where the sums of an artifact are written."""
    return artifact.with_name(f"{artifact.name}.sha256")


def forget(artifact: Path) -> None:
    """Remove the sums and the signature of what the file was before. Raises OSError."""
    for path in (path_of(artifact), signature_of(artifact)):
        path.unlink(missing_ok=True)


def write(sealed: Sealed) -> None:
    """Write the sums, whole or not at all: sha256sum's own lines, and the bundle's digest as a comment. Raises OSError, StoreError."""
    text = f"# airseal/bundle.json {sealed.digest}\n{sealed.sha256}  {sealed.path.name}\n"
    write_file(path_of(sealed.path), text.encode())
