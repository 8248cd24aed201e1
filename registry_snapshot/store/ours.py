"""Files at names that others can guess, in directories that others may write: only ours are opened.

A name that is known beforehand (a partial file that the next run takes over, a log named after the second) can be taken
beforehand: by a symbolic link to a file of the victim's, a hard link, a pipe that hangs, or a file that its maker keeps
open and alters later. Kernels protect sticky directories at most (fs.protected_*), and not all of them.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

_OTHERS_WRITE: Final = 0o022


def open_ours(path: Path, flags: int, mode: int = 0o600) -> int:
    """Make the file at ``path``, or open the one that is there if we made it: regular, one link, our user's, written by no other.

    ``flags`` say how it is opened, without O_CREAT and O_TRUNC. Raises FileExistsError for a file that is not ours, and OSError.
    """
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        pass
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK)  # NONBLOCK: a pipe is refused, not waited for
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.EACCES}:
            raise _not_ours(path) from None
        raise
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid() and not found.st_mode & _OTHERS_WRITE:
        os.set_blocking(descriptor, True)
        return descriptor
    os.close(descriptor)
    raise _not_ours(path)


def open_lock(path: Path) -> int:
    """Return a file to lock at ``path``, made if it is not there. Nothing is ever written to it, so whose it is does not matter. Raises OSError."""
    flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(path, flags | os.O_RDWR | os.O_CREAT, 0o644)  # to write, though nobody does: NFS locks no other exclusively (flock(2))
    except PermissionError:  # another user's, in a cache that they share
        return os.open(path, flags | os.O_RDONLY)


def is_at(descriptor: int, path: Path) -> bool:
    """Tell whether ``path`` is still the open file: another process may have renamed or removed it while we waited for a lock."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _not_ours(path: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, "something is there that this user did not make; look at it and remove it", str(path))
