"""Taking named files out of verified downloads: tar in any of its compressions, and Debian packages.

The bytes were verified, but an archive may still be of a form nobody expected: every name is one that the recipe wrote
and every target is built from the recipe, so nothing in the archive decides where anything goes.
"""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from bundler.bases.recipe import Download, Member
from bundler.bases.tar_limits import BoundedTarInfo
from bundler.errors import RecipeError

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER = 60
_MOST_DATA: Final = 64 * 1024 * 1024  # bytes of a package's data, as it comes and unpacked; busybox has 2 MB


def extract(download: Download, file: Path, root: Path) -> None:
    """Put a download's members below ``root``. Raises RecipeError when one is missing or is no regular file."""
    if not download.archive:
        for member in download.members:
            with file.open("rb") as source:
                _put(source, root, member)
        return
    try:
        with _opened(download, file) as archive:
            _extract_members(download.url, archive, download.members, root)
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise RecipeError(f"{download.url}: cannot be unpacked: {error}", "compare the recipe with what the publisher serves") from None


@contextmanager
def _opened(download: Download, file: Path) -> Iterator[tarfile.TarFile]:
    with file.open("rb") as raw:
        stream: IO[bytes] = raw
        if download.archive == "deb":
            stream = _deb_data(download.url, raw)
        with tarfile.open(fileobj=stream, mode="r:*", tarinfo=BoundedTarInfo) as archive:
            yield archive


def _extract_members(url: str, archive: tarfile.TarFile, members: Sequence[Member], root: Path) -> None:
    wanted = {member.source: member for member in members}
    for entry in archive:
        member = wanted.pop(entry.name.removeprefix("./"), None)
        if member is None:
            continue
        source = archive.extractfile(entry) if entry.isreg() else None
        if source is None:
            raise RecipeError(f"{url}: {member.source} is no regular file", "name the file itself in the recipe")
        with source:
            _put(source, root, member)
    if wanted:
        raise RecipeError(f"{url}: has no {', '.join(sorted(wanted))}", "compare the recipe with what the publisher serves")


def _put(source: IO[bytes], root: Path, member: Member) -> None:
    target = root / member.target
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
    target.chmod(member.mode)


def _deb_data(url: str, raw: IO[bytes]) -> IO[bytes]:
    """Return the data member of a Debian package, deb(5): an ar archive that holds data.tar.xz or its like.

    It is read into memory: packages that recipes take single tools from are small.
    """
    if raw.read(len(_AR_MAGIC)) != _AR_MAGIC:
        raise RecipeError(f"{url}: is no Debian package", "compare the recipe with what the publisher serves")
    while header := raw.read(_AR_HEADER):
        if len(header) != _AR_HEADER or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
            break
        name, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), int(header[48:58])
        if name.startswith("data.tar"):
            return io.BytesIO(_bounded(url, raw, size, packed=name.endswith(".zst")))
        raw.seek(size + size % 2, io.SEEK_CUR)
    raise RecipeError(f"{url}: is a torn Debian package: it has no data", "fetch it again")


def _bounded(url: str, raw: IO[bytes], size: int, *, packed: bool) -> bytes:
    remedy = "compare the recipe with what the publisher serves"
    if size > _MOST_DATA:
        raise RecipeError(f"{url}: a package with {size} bytes of data", remedy)
    data = raw.read(size)
    if packed:
        import zstandard

        try:
            data = zstandard.ZstdDecompressor().stream_reader(data).read(_MOST_DATA + 1)
        except zstandard.ZstdError as error:
            raise RecipeError(f"{url}: cannot be unpacked: {error}", remedy) from None
        if len(data) > _MOST_DATA:
            raise RecipeError(f"{url}: a package with more than {_MOST_DATA} bytes of data", remedy)
    return data
