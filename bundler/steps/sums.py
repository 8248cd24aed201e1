"""What stands beside an artifact: ``FILE.sha256``, to compare a copy with by ``sha256sum -c`` and without us, and its signatures.

A file may replace one of another build, and a power cut may come between any two writes. So what is of the old file is off the disk before
the new one has its name, and what is of the new one comes after: there may be nothing beside a file, and never what is of another.
"""

from __future__ import annotations

from pathlib import Path

from bundler.pack.artifact import Sealed
from bundler.signing.certificates import path_of as certified_of
from bundler.signing.signing import Signing
from bundler.signing.signing import path_of as signature_of
from installer_stub.bundle.beside import SUMS
from registry_snapshot.store.disk import write_file
from registry_snapshot.store.durable import sync_directory


def path_of(artifact: Path) -> Path:
    """Return where the sums of an artifact are written."""
    return artifact.with_name(f"{artifact.name}{SUMS}")


class Beside:
    """What stands beside the artifact that is being sealed, by whoever signs it."""

    def __init__(self, signing: Signing) -> None:
        self._signing = signing
        self._files: dict[Path, bytes] = {}

    def ready(self, sealed: Sealed) -> None:
        """Sign the file, which has not its name yet, and then remove what is beside the one that it replaces. Raises SigningError, OSError."""
        sums, text = path_of(sealed.path), f"# airseal/bundle.json {sealed.digest}\n{sealed.sha256}  {sealed.path.name}\n".encode()
        self._files = {sums: text}
        if self._signing.certified is not None:
            self._files[certified_of(sums)] = self._signing.certified.sign(text)
        if self._signing.keys:
            self._files[signature_of(sealed.path)] = self._signing.of_file(sealed.sha256)
        for old in (signature_of(sealed.path), certified_of(sums), sums):
            old.unlink(missing_ok=True)
        sync_directory(sealed.path.parent)

    def write(self) -> None:
        """Write it, each file whole or not at all. Raises StoreError."""
        for path, data in self._files.items():
            write_file(path, data)
