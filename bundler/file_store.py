"""Contents of cluster files as blobs. What a content was compressed to is remembered, so that it happens once ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Final

import zstandard

from installer_stub.bundle.model import FILE_PLAIN, FILE_ZSTD
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.bounded import read_file
from registry_snapshot.store.disk import DiskBlobStore, write_file

# Kubernetes' programs shrink to 24.8 % at 83 MB/s; level 12 reaches 24.5 % at 38, level 19 21.7 % at 3. One thread a frame,
# so that the bytes do not depend on the machine; the content's size in the frame, so that a reader
# can check it.
LEVEL: Final = 9
CHUNK: Final = 1 << 20


class FileStore:
    """Turns contents into blobs of ``blobs``. ``directory`` holds the memory and temporary files. Safe for threads."""

    def __init__(self, blobs: DiskBlobStore, directory: Path) -> None:
        self.blobs = blobs
        self.temporary = directory
        # The bytes depend on both; another of either begins anew.
        self._memory = directory / f"zstd-{zstandard.__version__}-{LEVEL}"
        self._memory.mkdir(parents=True, exist_ok=True)

    def known(self, digest: Digest) -> Descriptor | None:
        """Return the blob that the content became earlier, if it is still there."""
        try:
            blob = Descriptor.from_json(json.loads(read_file(self._memory / digest.encoded)))
        except (FileNotFoundError, ValueError):  # never, or torn: it is made again
            return None
        return blob if blob.digest in self.blobs and self.blobs.size(blob.digest) == blob.size else None

    def store(self, content: IO[bytes], digest: Digest, size: int) -> Descriptor:
        """Keep ``size`` bytes of content: compressed where that makes it smaller, else as it is."""
        content.seek(0)
        # A compressor each: they are not safe for threads, and these parameters are all that decides the bytes.
        compressor = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True, write_checksum=False, threads=0)
        with self.blobs.ingest() as writer:
            for piece in compressor.read_to_iter(content, size=size, read_size=CHUNK, write_size=CHUNK):
                writer.write(piece)
            length = writer.size
            if length < size:
                return self._remember(digest, Descriptor(FILE_ZSTD, writer.commit(), length))
        content.seek(0)
        with self.blobs.ingest(digest) as writer:
            while piece := content.read(CHUNK):
                writer.write(piece)
            writer.commit()
        return self._remember(digest, Descriptor(FILE_PLAIN, digest, size))

    def _remember(self, digest: Digest, blob: Descriptor) -> Descriptor:
        path = self._memory / digest.encoded
        write_file(path, json.dumps(blob.to_json()).encode())
        return blob
