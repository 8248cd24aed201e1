"""StubRuntime: the frozen installer, in the two pieces that an artifact is built around."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self, cast

from bundler.errors import StubDamaged
from installer_stub.bundle.documents import Needs
from installer_stub.bundle.names import PACKAGE
from installer_stub.bundle.program import HEAD, machine_of
from installer_stub.bundle.reader import Bundle
from registry_snapshot.store.base import Extent, ExtentReader


@dataclass(frozen=True, slots=True)
class StubRuntime:
    """Bootloader and package as files. Put together, in this order, they are a program; so they are around a payload.

    ``glibc`` and ``kernel`` are the lowest versions of them that the program runs on, "" if nobody measured.
    """

    bootloader: Path
    package: Path
    digest: str  # SHA-256 of the program, in hex
    size: int  # of the program, in bytes
    glibc: str = ""
    kernel: str = ""

    @property
    def needs(self) -> Needs:
        """What a machine must have for it to start. Raises OSError."""
        with self.bootloader.open("rb") as file:
            return Needs(machine_of(file.read(HEAD)), self.glibc, self.kernel)

    @classmethod
    def of(cls, bootloader: Path, package: Path, *, glibc: str = "", kernel: str = "") -> Self:
        """Return the runtime made of two files. Raises OSError."""
        hasher = hashlib.sha256(bootloader.read_bytes())
        hasher.update(package.read_bytes())
        size = bootloader.stat().st_size + package.stat().st_size
        return cls(bootloader, package, hasher.hexdigest(), size, glibc, kernel)

    @classmethod
    def of_bundle(cls, bundle: Bundle, work: Path) -> Self:
        """Return the runtime of an artifact, its two files written into ``work``. Raises BundleError, OSError."""
        paths = work / "bootloader", work / PACKAGE
        for path, part in zip(paths, (bundle.bootloader(), bundle.extent(PACKAGE)), strict=True):
            with io.BufferedReader(ExtentReader(part)) as stream, path.open("wb") as file:
                shutil.copyfileobj(stream, file)
        needs = bundle.document.needs
        return cls.of(*paths, glibc=needs.glibc, kernel=needs.kernel) if needs is not None else cls.of(*paths)

    def read(self) -> tuple[bytes, bytes]:
        """Return bootloader and package. Raises StubDamaged if they are no longer the program that this is, OSError."""
        bootloader, package = self.bootloader.read_bytes(), self.package.read_bytes()
        hasher = hashlib.sha256(bootloader)
        hasher.update(package)
        if hasher.hexdigest() != self.digest:
            raise StubDamaged(f"the installer in {self.package.parent} was altered since it was looked at", "run the same command again")
        return bootloader, package

    def open(self) -> BinaryIO:
        """Return the program as a stream: what runs on every host. Raises StubDamaged, OSError."""
        return cast("BinaryIO", io.BytesIO(b"".join(self.read())))


def extent_of(path: Path) -> Extent:
    """Return a whole file, open. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return Extent(fd, 0, os.fstat(fd).st_size)
