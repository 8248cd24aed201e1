"""Bundle: an artifact, open. Nothing is ever unpacked; its blobs are asked for by digest (``blob_source``)."""

from __future__ import annotations

import io
import os
import sys
import zlib
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from installer_stub.bundle import receipt as receipts
from installer_stub.bundle.agreement import disagreements
from installer_stub.bundle.blob_source import BlobSource, StoredBlobs
from installer_stub.bundle.cluster_files import parse_cluster_manifest
from installer_stub.bundle.coverage import Coverage, decode_coverage
from installer_stub.bundle.damage import COPY_AGAIN, MAX_DOCUMENT, explain
from installer_stub.bundle.documents import BundleDocument, Part, content_digest, decode_bundle, decode_lock
from installer_stub.bundle.model import BundleInfo, ClusterFile, ImageLock
from installer_stub.bundle.names import (
    BUNDLE,
    COVERAGE,
    INDEX,
    LOCK,
    PACKAGE,
    RECEIPT,
    STUB,
    digest_of_blob,
    is_signature,
)
from installer_stub.bundle.receipt import Receipt
from installer_stub.bundle.signatures import signature_of, sizes_of
from installer_stub.bundle.verify import Verification, Verified, raise_for
from installer_stub.bundle.zip_format import Placed, ZipFormatError, read_directory
from installer_stub.errors import BundleError, SignatureError
from installer_stub.trust.sshsig import Signature
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.base import Extent, ExtentReader
from registry_snapshot.store.bounded import TooLargeError, read_extent
from registry_snapshot.store.layout_index import parse_layout_index

_ALONE = "run an artifact (.run), or name one with --bundle"


class Bundle:
    """An artifact, open for reading. Close it, or use ``with``; what came out of it stays usable."""

    def __init__(self, fd: int, path: Path) -> None:
        """Read the end of the file and its small documents. Raises BundleError; the caller still owns ``fd`` then."""
        self._fd = fd
        self.path = path
        self.size = os.fstat(fd).st_size
        try:
            placed, crcs = read_directory(fd, self.size)
        except ZipFormatError as error:
            raise explain(fd, self.size, str(path), str(error)) from None
        self._placed, self._crcs = placed, crcs
        self._entries = {item.entry.name: (item, crc) for item, crc in zip(placed, crcs, strict=True)}
        if BUNDLE not in self._entries:
            raise explain(fd, self.size, str(path), f"it has no {BUNDLE}")
        self._wanted: Mapping[str, Part] = {}
        raw = self.read(BUNDLE)
        self.document: BundleDocument = decode_bundle(raw)
        self.digest = Digest.of(raw)
        self._wanted = {**self.document.parts, BUNDLE: Part(self.digest, len(raw))}  # what was read once is what it stays
        try:
            signatures = sizes_of(self.document, {item.entry.name: item.entry.size for item in placed})
        except SignatureError as error:
            raise SignatureError(f"{path} is altered: {error.problem}", error.remedy) from None
        if self.document.layout(len(raw), signatures) != tuple(item.entry for item in placed):
            raise BundleError(f"{path} is altered: it holds other entries than {BUNDLE} lists", COPY_AGAIN)

    @classmethod
    def open(cls, path: Path | None = None) -> Self:
        """Return the bundle in the file ``path``, or in the running program. Takes milliseconds, whatever the size.

        Raises BundleError for a file that is torn, longer than it was sealed, or no artifact at all.
        """
        return cls._open_file(path, path) if path is not None else cls._open_self()

    @classmethod
    def _open_self(cls) -> Self:
        # /proc/self/exe survives a rename and an rm of the running file; sys.executable is right where the program was
        # started through ld.so, and where /proc is not mounted.
        problem: BundleError | None = None
        for name in ("/proc/self/exe", sys.executable):
            try:
                return cls._open_file(Path(name), Path(os.path.realpath(name)))
            except BundleError as error:
                problem = problem or error
        if getattr(sys, "frozen", False) and problem is not None:
            raise problem
        raise BundleError("there is no bundle in this program", _ALONE)

    @classmethod
    def _open_file(cls, path: Path, shown: Path) -> Self:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise BundleError(f"{shown} cannot be opened: {error.strerror}", "check the name and the permissions") from None
        try:
            return cls(fd, shown)
        except OSError as error:
            os.close(fd)
            raise BundleError(f"{shown} cannot be read: {error.strerror}", COPY_AGAIN) from None
        except BaseException:
            os.close(fd)
            raise

    @property
    def status(self) -> os.stat_result:
        """What the file system says of the open file."""
        return os.fstat(self._fd)

    @property
    def info(self) -> BundleInfo:
        """What the bundle is."""
        return self.document.info

    @cached_property
    def content_digest(self) -> Digest:
        """What the bundle brings to a site, whichever stub brings it: see ``documents.content_digest``."""
        return content_digest(self.document)

    @cached_property
    def lock(self) -> ImageLock:
        """Which images it holds, and why. Raises BundleError."""
        return decode_lock(self.read(LOCK))

    @cached_property
    def coverage(self) -> Coverage | None:
        """What the build saw and did not take; None for a bundle that was built without a scan. Raises BundleError."""
        return decode_coverage(self.read(COVERAGE)) if COVERAGE in self._entries else None

    @cached_property
    def roots(self) -> tuple[tuple[Reference, Descriptor], ...]:
        """Every name of ``index.json``: the images, and the cluster artifact. Raises BundleError."""
        try:
            return tuple(parse_layout_index(self.read(INDEX)))
        except RegistryError as error:
            raise BundleError(f"{INDEX} of {self.path} is malformed: {error.problem}", COPY_AGAIN) from None

    def images(self) -> tuple[tuple[Reference, Descriptor], ...]:
        """Return every image under its full reference. Raises BundleError."""
        return tuple(root for root in self.roots if root[0] != self.info.cluster_reference)

    @cached_property
    def blobs(self) -> BlobSource:
        """All blobs by digest, wherever they are."""
        return StoredBlobs(self, {name: placed for name, (placed, _) in self._entries.items()}, self.document.blobs)

    def cluster_files(self) -> tuple[ClusterFile, ...]:
        """Return the files of ``/cluster``, by path. Raises BundleError."""
        try:
            with self.blobs.open(self.info.cluster.digest) as extent:
                raw = self._whole(extent, "the list of cluster files")
        except OSError as error:
            raise BundleError(f"{self.path} cannot be read: {error.strerror}", COPY_AGAIN) from None
        if Digest.of(raw) != self.info.cluster.digest:
            raise BundleError(f"{self.path} is altered: the list of cluster files is another one", COPY_AGAIN)
        return parse_cluster_manifest(raw)

    def _whole(self, extent: Extent, what: str) -> bytes:
        try:
            return read_extent(extent, MAX_DOCUMENT)
        except TooLargeError as error:
            raise BundleError(f"{self.path} is altered: {what} has {error.problem}", COPY_AGAIN) from None

    def names(self) -> tuple[str, ...]:
        """Return the names of all entries, in the order of the file."""
        return tuple(item.entry.name for item in self._placed)

    def digest_of(self, name: str) -> Digest:
        """Return what the entry ``name`` has to hash to; of a signature that is what it hashes to. Raises BundleError."""
        if is_signature(name):  # no document can name the signature of the document that names all others
            return Digest.of(self.read(name))
        return self._wanted[name].digest if name in self._wanted else digest_of_blob(name)

    def extent(self, name: str) -> Extent:
        """Return the entry ``name``, open. Raises BundleError."""
        if name not in self._entries:
            raise BundleError(f"{self.path} holds no {name}", COPY_AGAIN)
        placed, _ = self._entries[name]
        return Extent(os.dup(self._fd), placed.data, placed.entry.size)

    def read(self, name: str) -> bytes:
        """Return a document: what its CRC-32 and bundle.json say it is, and that one what it was at first. Raises BundleError.

        Also after ``verify``: the disk may answer differently the next time.
        """
        try:
            with self.extent(name) as extent:
                raw = self._whole(extent, name)
        except OSError as error:
            raise BundleError(f"{self.path} cannot be read: {error.strerror}", COPY_AGAIN) from None
        if zlib.crc32(raw) != self._entries[name][1]:
            raise BundleError(f"{self.path} is altered: {name} does not match its CRC-32", COPY_AGAIN)
        if name in self._wanted and Digest.of(raw) != self._wanted[name].digest:
            raise BundleError(f"{self.path} is altered: {name} is not {self._wanted[name].digest}", COPY_AGAIN)
        return raw

    @cached_property
    def signatures(self) -> tuple[Signature, ...]:
        """The signatures in the file, each of which is right: made by its key of ``airseal/bundle.json``, and so of every byte.

        Whether anybody trusts one of these keys is what ``trust.judge`` says. Raises SignatureError.
        """
        bundle = self.read(BUNDLE)
        return tuple(signature_of(name, self.read(name), bundle) for name in self.names() if is_signature(name))

    @property
    def receipt(self) -> Receipt | None:
        """What the build proved with it; None: an airseal that knew of no receipts sealed it. Raises BundleError."""
        return receipts.decode(self.read(RECEIPT)) if RECEIPT in self.names() else None

    @property
    def stub_size(self) -> int:
        """Size in bytes of the installer alone."""
        return self.document.parts[STUB].size

    @property
    def stub_digest(self) -> str:
        """SHA-256 of the installer alone, in hex."""
        return self.document.parts[STUB].digest.encoded

    def bootloader(self) -> Extent:
        """Return the bytes before the first entry, open: the beginning of the installer."""
        return Extent(os.dup(self._fd), 0, self._placed[0].header)

    def stub_stream(self) -> BinaryIO:
        """Return the installer alone: the program without a payload, as it runs on every host."""
        return cast("BinaryIO", io.BufferedReader(_Joined(self.bootloader(), self.extent(PACKAGE)), 128 * 1024))

    def stream(self) -> BinaryIO:
        """Return the whole file."""
        return cast("BinaryIO", io.BufferedReader(ExtentReader(Extent(os.dup(self._fd), 0, self.size)), 128 * 1024))

    def verify(self, moved: Callable[[int], None] | None = None) -> Verified:
        """Recompute everything; ``moved`` hears of bytes as they are read, ``size`` in all.

        Raises BundleError with all that is wrong: altered bytes, bytes that belong to nothing, an image that is not whole.
        """
        whole = Verification(self._fd, self.document, self._placed, self._crcs, own=self._wanted[BUNDLE], moved=moved or _ignore)
        try:
            problems = whole.run() or list(disagreements(self))
        except OSError as error:
            raise BundleError(f"{self.path} cannot be read: {error.strerror}", COPY_AGAIN) from None
        raise_for(problems, str(self.path))
        return Verified(self.digest, self.size, len(self._placed), whole.sha256)

    def place_of(self, name: str) -> Placed:
        """Return where the entry ``name`` lies in the file."""
        return self._entries[name][0]

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _Joined(io.RawIOBase):
    """Two extents as one stream that owns them."""

    def __init__(self, first: Extent, second: Extent) -> None:
        super().__init__()
        self._streams = [ExtentReader(first), ExtentReader(second)]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        for stream in self._streams:
            count = stream.readinto(buffer)
            if count:
                return count
        return 0

    def close(self) -> None:
        for stream in self._streams:
            stream.close()
        super().close()


def _ignore(count: int) -> None:
    del count
