"""Disk: the few ways in which a host's disk is changed, each one step that a power cut may take away until it is synced.

The order that makes a replacement safe stands in ``replace`` alone: a part beside the target, its owner and mode, sync,
rename, sync of the directory. Tests record the steps and cut them off at every place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path, PurePosixPath
from typing import Final

from installer_stub.changes.image import Form, Image

MOST: Final = 64 << 20  # bytes of a file that are kept for later; nothing that we replace is near it
# Others are the file system's own, such as overlay's and IMA's: nobody sets those back.
_ATTRIBUTES: Final = ("security.selinux", "security.capability", "system.posix_acl", "user.")
_SUFFIX: Final = ".airseal-part"


def above(name: str) -> str:
    """Return the directory that ``name`` stands in."""
    return str(PurePosixPath(name).parent)


def part_of(name: str) -> str:
    """Return the file beside ``name`` that a replacement is written to."""
    path = PurePosixPath(name)
    return str(path.with_name(f".{path.name}{_SUFFIX}"))


class Disk:
    """Names are absolute paths of the host; ``root`` is where its ``/`` is. Every method raises OSError."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def at(self, name: str) -> Path:
        """Return where ``name`` really is."""
        return self.root / name.lstrip("/")

    # -- steps -------------------------------------------------------------------------------------------------

    def create(self, name: str, data: bytes, mode: int = 0o600) -> None:
        """Make a new file with ``data``. Raises FileExistsError."""
        fd = os.open(self.at(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as stream:
            stream.write(data)

    def append(self, name: str, data: bytes) -> None:
        """Add ``data`` to a file that is there."""
        with self.at(name).open("r+b") as stream:
            stream.seek(0, os.SEEK_END)
            stream.write(data)

    def overwrite(self, name: str, data: bytes) -> None:
        """Change a file in place: only for one over which nothing can be renamed, for it is a mount point.

        Written first and cut afterwards: what both texts begin with is never away.
        """
        with self.at(name).open("r+b") as stream:
            stream.write(data)
            stream.truncate()

    def truncate(self, name: str, size: int) -> None:
        """Cut a file."""
        os.truncate(self.at(name), size)

    def set(self, name: str, text: str) -> None:
        """Write a kernel's setting, which is no file: in one write, without a sync."""
        self.at(name).write_text(text)

    def dress(self, name: str, image: Image) -> None:
        """Give a file the owner, mode, extended attributes and time of ``image``."""
        path = self.at(name)
        if (image.uid, image.gid) != (path.lstat().st_uid, path.lstat().st_gid):
            os.chown(path, image.uid, image.gid)
        path.chmod(image.mode)
        for attribute, value in image.attributes:
            os.setxattr(path, attribute, bytes.fromhex(value))
        if image.changed:
            os.utime(path, ns=(image.changed, image.changed))

    def sync(self, name: str) -> None:
        """Make a file's bytes, or a directory's names, outlive a power cut."""
        fd = os.open(self.at(name), os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, old: str, new: str) -> None:
        """Put ``old`` in the place of ``new``."""
        self.at(old).replace(self.at(new))

    def symlink(self, name: str, target: str) -> None:
        """Make a symbolic link."""
        self.at(name).symlink_to(target)

    def unlink(self, name: str) -> None:
        """Remove a file or a link."""
        self.at(name).unlink()

    def mkdir(self, name: str, mode: int = 0o755) -> None:
        """Make one directory."""
        self.at(name).mkdir(mode)

    def rmdir(self, name: str) -> None:
        """Remove an empty directory."""
        self.at(name).rmdir()

    def empty(self, name: str) -> None:
        """Remove what is in a directory. Links are not followed. The caller has looked that nothing is mounted below."""
        for child in list(self.at(name).iterdir()):
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            else:
                child.unlink()

    # -- composed ----------------------------------------------------------------------------------------------

    def missing_parents(self, name: str) -> tuple[str, ...]:
        """Return the directories above ``name`` that are not there, topmost first."""
        missing: list[str] = []
        parent = above(name)
        while parent not in {"", "/"} and not self.at(parent).is_dir():
            missing.insert(0, parent)
            parent = above(parent)
        return tuple(missing)

    def make_parents(self, name: str) -> None:
        """Make the directories above ``name``, each one synced in the one above it."""
        for directory in self.missing_parents(name):
            self.mkdir(directory)
            self.sync(above(directory))

    def replace(self, name: str, data: bytes, image: Image) -> None:
        """Make ``name`` the file ``data`` with what ``image`` says of it; when this returns, it outlives a power cut."""
        part = part_of(name)
        self.remove_part(name)
        self.create(part, data)
        self.dress(part, image)
        self.sync(part)
        try:
            self.rename(part, name)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            self.overwrite(name, data)
            self.dress(name, image)
            self.sync(name)
            self.unlink(part)
        self.sync(above(name))

    def replace_link(self, name: str, target: str) -> None:
        """Make ``name`` a link to ``target``, in one step."""
        part = part_of(name)
        self.remove_part(name)
        self.symlink(part, target)
        self.rename(part, name)
        self.sync(above(name))

    def remove(self, name: str) -> None:
        """Remove a file or a link for good."""
        self.unlink(name)
        self.sync(above(name))

    def remove_tree(self, name: str) -> None:
        """Remove a directory with all below it for good; one that is a mount point is emptied.

        The caller has looked that nothing is mounted below.
        """
        self.empty(name)
        if self.at(name).is_mount():
            self.sync(name)
        else:
            self.remove_directory(name)

    def remove_directory(self, name: str) -> None:
        """Remove an empty directory for good."""
        self.rmdir(name)
        self.sync(above(name))

    def attributes(self, name: str) -> tuple[tuple[str, str], ...]:
        """Return the extended attributes, in hex; none where the file system has none."""
        path = self.at(name)
        try:
            names = os.listxattr(path, follow_symlinks=False)
        except OSError as error:
            if error.errno in {errno.ENOTSUP, errno.ENODATA}:
                return ()
            raise
        kept = sorted(each for each in names if each.startswith(_ATTRIBUTES))
        return tuple((each, os.getxattr(path, each, follow_symlinks=False).hex()) for each in kept)

    def seen(self, name: str) -> tuple[Image, bytes]:
        """Return what stands at ``name``, and a file's bytes. Raises OSError where that cannot be told."""
        path = self.at(name)
        try:
            status = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return Image(Form.ABSENT), b""
        return _seen(self, name, path, status)

    def remove_part(self, name: str) -> None:
        """Remove what a replacement of ``name`` that was cut off left beside it."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self.unlink(part_of(name))


def _seen(disk: Disk, name: str, path: Path, status: os.stat_result) -> tuple[Image, bytes]:
    import hashlib
    import stat

    if stat.S_ISLNK(status.st_mode):
        return Image(Form.LINK, target=str(path.readlink()), uid=status.st_uid, gid=status.st_gid), b""
    if stat.S_ISDIR(status.st_mode):
        return Image(Form.DIRECTORY, mode=stat.S_IMODE(status.st_mode), uid=status.st_uid, gid=status.st_gid), b""
    if not stat.S_ISREG(status.st_mode):
        return Image(Form.OTHER), b""
    with path.open("rb") as stream:
        data = stream.read(MOST + 1)
    if len(data) > MOST:
        raise OSError(errno.EFBIG, f"larger than {MOST >> 20} MiB", name)
    image = Image(
        Form.FILE,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        attributes=disk.attributes(name),
        changed=status.st_mtime_ns,
    )
    return image, data
