"""Tar headers with a bound. ``tarfile`` reads a header's extension whole, whatever length it claims."""

from __future__ import annotations

import tarfile
from typing import Final

MAX_EXTENSION: Final = 1024 * 1024  # bytes of names and attributes of one entry; Linux allows 4 KiB of path, 64 KiB an attribute
_EXTENSIONS: Final = frozenset(
    {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE}
)


class BoundedTarInfo(tarfile.TarInfo):
    """To be given to ``tarfile.open`` as ``tarinfo``; a longer extension is a ReadError."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        # The entry point that tarfile documents for subclasses ("can be overridden in a subclass").
        if self.type in _EXTENSIONS and self.size > MAX_EXTENSION:
            raise tarfile.ReadError(f"an entry's name and attributes have {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]
