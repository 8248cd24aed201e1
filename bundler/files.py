"""The cluster files: ``/cluster`` out of the image, each file a blob.

The tar comes from docker and its content from whoever wrote the Kubefile, so nothing in it is trusted to stay where it
belongs: names that leave ``/cluster``, devices and links to the outside are refused by name.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Final, Self

from bundler.bases.tar_limits import BoundedTarInfo
from bundler.errors import BuildFailed
from bundler.file_store import CHUNK, FileStore
from bundler.links import KEEP, empty_directories, ends_of
from installer_stub.bundle.model import PLAIN, PROGRAM, ClusterFile
from installer_stub.phases.reporter import Reporter
from installer_stub.ui.transfer import size as text_of
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest

ROOT: Final = "cluster"
_WORKERS = 2
_WORTH_A_LINE = 8 << 20  # bytes: a tenth of a second
_WAITING = 4  # files on disk between docker's stream and the compressors
_MOST = 200_000  # entries of /cluster; charts of everything CNCF has together have fewer
_REMEDY = "correct what the Kubefile puts into /cluster"


@dataclass(frozen=True, slots=True)
class ClusterFiles:
    """Everything below ``/cluster``, sorted by path."""

    files: tuple[ClusterFile, ...]

    @property
    def size(self) -> int:
        """Bytes as the files stand on a host."""
        return sum(file.size for file in self.files)


def collect(archive: Iterator[bytes], store: FileStore, reporter: Reporter) -> ClusterFiles:
    """Return the files of a tar stream of ``/cluster``, stored. Raises BuildFailed for what may not be there.

    Reads the stream once, with little memory. What links lead to, and empty directories: ``bundler.links``.
    """
    links: dict[str, str] = {}
    directories: set[str] = set()
    modes: dict[str, int] = {}
    with _Intake(store, reporter) as intake:
        try:
            with tarfile.open(fileobj=Pieces(archive), mode="r|", tarinfo=BoundedTarInfo) as tar:  # type: ignore[call-overload] # read() is all it needs
                for number, entry in enumerate(tar):
                    if number == _MOST:
                        raise BuildFailed(f"/cluster has more than {_MOST} entries", "pack many small files into one archive")
                    if entry.isdir():
                        directories.add(_path(entry.name))
                    else:
                        _take(tar, entry, intake, modes, links)
                    tar.members.clear()  # it remembers every entry, and is never asked for one again
        except tarfile.TarError as error:
            raise BuildFailed(f"docker's archive of /cluster is torn: {error}", "build again") from None
        for path in empty_directories(directories, (*modes, *links)):
            modes[f"{path}/{KEEP}"] = PLAIN
            intake.add(f"{path}/{KEEP}", io.BytesIO(), 0)
        stored = intake.finish()
    ends = ends_of(stored, links)
    files = (ClusterFile(path, modes[end], stored[end].size, stored[end].digest, stored[end].blob) for path, end in ends.items())
    return ClusterFiles(tuple(sorted(files, key=lambda file: file.path)))


@dataclass(frozen=True, slots=True)
class _Content:
    """A file's content as it was stored."""

    size: int
    digest: Digest
    blob: Descriptor


class _Intake:
    """Stores contents in the background; reading waits while too many are on their way."""

    def __init__(self, store: FileStore, reporter: Reporter) -> None:
        self._store = store
        self._reporter = reporter
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="compress")
        self._room = threading.BoundedSemaphore(_WAITING)
        self._contents: dict[str, Future[_Content]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def add(self, path: str, source: IO[bytes], size: int) -> None:
        """Read one file to its end and have it stored."""
        with ExitStack() as stack:
            spooled = stack.enter_context(tempfile.TemporaryFile(dir=self._store.temporary))
            hasher = hashlib.sha256()
            while piece := source.read(CHUNK):
                hasher.update(piece)
                spooled.write(piece)
            digest = Digest("sha256", hasher.hexdigest())
            blob = self._store.known(digest)
            if blob is not None:
                done: Future[_Content] = Future()
                done.set_result(_Content(size, digest, blob))
                self._contents[path] = done
                return
            stack.pop_all()
        self._room.acquire()
        self._contents[path] = future = self._pool.submit(self._work, path, spooled, digest, size)
        future.add_done_callback(lambda _: spooled.close())  # also of one that is never begun, because something else was wrong

    def finish(self) -> dict[str, _Content]:
        """Return every file's stored content, once all are."""
        return {path: content.result() for path, content in self._contents.items()}

    def _work(self, path: str, spooled: IO[bytes], digest: Digest, size: int) -> _Content:
        try:
            blob = self._store.store(spooled, digest, size)
        finally:
            self._room.release()
        if size >= _WORTH_A_LINE:
            self._reporter.step(f"compressed {path}: {text_of(size)} to {text_of(blob.size)}")
        return _Content(size, digest, blob)


def _take(tar: tarfile.TarFile, entry: tarfile.TarInfo, intake: _Intake, modes: dict[str, int], links: dict[str, str]) -> None:
    """Store one entry, or remember the link that it is."""
    path = _path(entry.name)
    if not path:
        raise BuildFailed("/cluster is a file in the image", "make it a directory")
    if entry.issym() or entry.islnk():
        links[path] = _link_target(entry, path)
        return
    source = tar.extractfile(entry) if entry.isreg() else None
    if source is None:
        raise BuildFailed(f"/cluster/{path} is a device, a pipe or a socket", _REMEDY)
    modes[path] = _mode(entry, path)
    intake.add(path, source, entry.size)


def _path(name: str) -> str:
    """Return an entry's path below /cluster, empty for /cluster itself."""
    parts = name.rstrip("/").split("/")
    if parts[0] != ROOT or {"", ".", ".."} & set(parts):
        raise BuildFailed(f"docker's archive names {name!r}, which is not in /cluster", _REMEDY)
    path = "/".join(parts[1:])
    if any(ord(char) < 32 or ord(char) == 127 or "\udc80" <= char <= "\udcff" for char in path):
        raise BuildFailed(f"/cluster holds a file with a name that cannot be written: {path!r}", "rename it, in UTF-8")
    return path


def _mode(entry: tarfile.TarInfo, path: str) -> int:
    """Return the permission bits a file has on hosts. One bit of its mode is content: whether it can be run.

    The others are the umask of whoever checked the context out: GitLab's docker executor takes 0000 (gitlab-runner#1736),
    and what everybody may write on a host is run by root there.
    """
    if entry.mode & 0o6000:
        raise BuildFailed(f"/cluster/{path} is setuid or setgid", "clear those bits: nothing that is installed needs them")
    return PROGRAM if entry.mode & 0o111 else PLAIN


def _link_target(entry: tarfile.TarInfo, path: str) -> str:
    """Return where a link points, as a path below /cluster."""
    if entry.islnk():
        return _path(entry.linkname)
    base = "/" if entry.linkname.startswith("/") else f"/{ROOT}/{posixpath.dirname(path)}"
    target = posixpath.normpath(posixpath.join(base, entry.linkname))
    if not f"{target}/".startswith(f"/{ROOT}/"):
        problem = f"/cluster/{path} links to {entry.linkname}, which is outside and does not travel"
        raise BuildFailed(problem, "copy the file itself into /cluster")
    return f"{target}/".removeprefix(f"/{ROOT}/").rstrip("/")


class Pieces:
    """Pieces of a stream as something that ``tarfile`` reads from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._buffer = bytearray()

    def read(self, size: int, /) -> bytes:
        """Return ``size`` bytes, fewer only at the end."""
        while len(self._buffer) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._buffer += piece
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data
