"""A file from the operator: into a temporary file beside the target, hashed on the way, synced, renamed, synced.

After a power cut there is the old file or the new one, whole. ``keep`` is for gigabytes: what has arrived stays in
``target.part``, and a later attempt goes on behind it if its hash is that of the source's beginning.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

from installer_stub.agent.requests import Request, Stopped
from registry_snapshot.oci.digest import Hasher
from registry_snapshot.store.durable import sync_directory

_BUFFER: Final = 1 << 20
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}


def receive_file(request: Request) -> None:
    """Answer ``put``: with ``have`` if something may be kept, and with ``done`` once the file is there for good."""
    frame = request.frame
    target, size, mode, keep = Path(frame.text("target")), frame.number("size"), frame.number("mode"), frame.flag("keep")
    if target.is_dir():
        request.answer("failed", problem=f"{target} is a directory")
        return
    temporary = target.with_name(f"{target.name}.part" if keep else f".{target.name}.airseal-new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        whole = _receive(request, temporary, size, keep=keep)
        if whole:
            _put_in_place(temporary, target, mode)
            request.answer("done", status=0)
    except OSError as error:
        if not keep:
            temporary.unlink(missing_ok=True)
        free = _free(target.parent)
        request.answer("failed", problem=f"{error.strerror or error}", full=error.errno in _FULL, free=free)
    except Stopped:
        if not keep:
            temporary.unlink(missing_ok=True)
        raise


def _receive(request: Request, temporary: Path, size: int, *, keep: bool) -> bool:
    hasher: Hasher = hashlib.sha256()
    there = 0
    if keep:
        there, hasher = _agree_on_beginning(request, temporary)
    with _open(temporary, there) as file:
        length = there
        while (frame := request.next()).kind == "data":
            length += len(frame.payload)
            if length > size:
                break
            hasher.update(frame.payload)
            file.write(frame.payload)
        if frame.kind != "end":
            raise Stopped
        file.flush()
        os.fsync(file.fileno())
    if length == size and hasher.hexdigest() == frame.text("sha256"):
        return True
    temporary.unlink(missing_ok=True)
    request.answer("failed", problem="its hash is not the one that was sent", damaged=True)
    return False


def _agree_on_beginning(request: Request, part: Path) -> tuple[int, Hasher]:
    """Tell what is there; return how much of it the operator wants to keep, and the hash until there."""
    hasher: Hasher = hashlib.sha256()
    length = 0
    try:
        regular = stat.S_ISREG(part.lstat().st_mode)
    except FileNotFoundError:
        regular = False
    if regular:
        with part.open("rb") as file:
            while data := file.read(_BUFFER):
                hasher.update(data)
                length += len(data)
    request.answer("have", size=length, sha256=hasher.hexdigest())
    offset = request.next().number("offset")
    return (length, hasher) if 0 < offset == length else (0, hashlib.sha256())


def _open(path: Path, there: int) -> BinaryIO:
    if there:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
    else:
        path.unlink(missing_ok=True)
        # O_EXCL: nobody can lay a symbolic link in the way.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return os.fdopen(descriptor, "wb")


def _put_in_place(temporary: Path, target: Path, mode: int) -> None:
    temporary.chmod(mode)
    temporary.replace(target)
    sync_directory(target.parent)


def _free(directory: Path) -> int:
    """Return the bytes that are free for us there; 0 where nobody can say."""
    try:
        status = os.statvfs(directory)
    except OSError:
        return 0
    return status.f_bavail * status.f_frsize
