"""``FILE.sha256`` beside an artifact: what to compare a copy with, by ``sha256sum -c`` and without us."""

from __future__ import annotations

from pathlib import Path

from bundler.pack.artifact import Sealed
from bundler.signing.certificates import path_of as certified_of
from bundler.signing.signing import Signing
from bundler.signing.signing import path_of as signature_of
from registry_snapshot.store.disk import write_file


def path_of(artifact: Path) -> Path:
    """Return where the sums of an artifact are written."""
    return artifact.with_name(f"{artifact.name}.sha256")


def write(sealed: Sealed, signing: Signing) -> None:
    """Write the sums, and the signatures of them and of the whole file if somebody signs: each whole or not at all.

    Until here there may be those of what the file was before: they do not fit the new one, which whoever compares is told.
    Raises SigningError, OSError, StoreError.
    """
    text = f"# airseal/bundle.json {sealed.digest}\n{sealed.sha256}  {sealed.path.name}\n".encode()
    write_file(path_of(sealed.path), text)
    if signing.certified is not None:
        write_file(certified_of(path_of(sealed.path)), signing.certified.sign(text))
    else:
        certified_of(path_of(sealed.path)).unlink(missing_ok=True)
    if signing.keys:
        signing.beside(sealed)
    else:
        signature_of(sealed.path).unlink(missing_ok=True)
