"""Our block in /etc/hosts: a name for the API that people can use. Bytes in, bytes out; nothing else is touched.

The block comes first in the file. So it is put before whatever was there and taken away again without leaving a trace:
a file whose last line has no newline, CRLF, UTF-8 or bytes of no encoding at all stay what they were.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Final

from installer_stub.plan.model import API_NAME, STATE
from registry_snapshot.store.durable import sync_directory

HOSTS: Final = "/etc/hosts"
SAFE: Final = f"{STATE}/hosts.in-place"  # the whole new text, while the file is written in place
LIMIT: Final = 16 << 20  # bytes; a blocklist of a million names is 25 MB and nobody has it in a cluster
_BEGIN: Final = b"# airseal begin"
_END: Final = b"# airseal end"


def block(address: str) -> bytes:
    """Return our lines."""
    return b"%s\n%s %s\n%s\n" % (_BEGIN, address.encode(), API_NAME.encode(), _END)


def with_block(data: bytes, address: str | None) -> bytes:
    """Return ``data`` with our marked block naming ``address``, or without any block for None. Other bytes stay."""
    if address is not None and data.count(_BEGIN) == 1 and b"\n" + block(address) in b"\n" + data:
        return data
    rest = _without(data)
    return rest if address is None else block(address) + rest


def api_address(data: bytes) -> str:
    """Return the address that the API's name has in ``data``, or an empty text."""
    name = API_NAME.encode()
    lines = (line.partition(b"#")[0].split() for line in data.split(b"\n"))
    return next((words[0].decode("ascii", "replace") for words in lines if name in words[1:]), "")


def _without(data: bytes) -> bytes:
    """Return ``data`` without our lines: the marks, and between them those that name the API and nothing else."""
    kept: list[bytes] = []
    ours = False
    for line in data.split(b"\n"):
        mark = line.strip(b" \t\r")
        if mark == _BEGIN:
            ours = True
        elif ours and mark == _END:
            ours = False
        elif ours and line.split()[1:] == [API_NAME.encode()]:
            continue
        else:
            ours = False  # torn: what follows is not ours
            if mark != _END:
                kept.append(line)
    return b"\n".join(kept)


def read(path: str = HOSTS, safe: str = SAFE) -> bytes:
    """Return the file, or what was being written to it when the power went. No file: nothing. Raises OSError."""
    for name in (safe, path):
        try:
            with Path(name).open("rb") as stream:
                data = stream.read(LIMIT + 1)
        except FileNotFoundError:
            continue
        if len(data) > LIMIT:
            raise OSError(errno.EFBIG, f"{name} is larger than {LIMIT >> 20} MiB")
        return data
    return b""


def write(data: bytes, path: str = HOSTS, safe: str = SAFE) -> None:
    """Make the file hold ``data``: renamed into its place, or written in place where it is a mount point (docker).

    Owner, mode and labels stay. In place, the whole text lies safe on disk first. Raises OSError.
    """
    real = os.path.realpath(path)
    try:
        _rename(data, real)
    except OSError as error:
        if error.errno not in {errno.EBUSY, errno.EXDEV, errno.EROFS}:
            raise
        _in_place(data, real, safe)
    Path(safe).unlink(missing_ok=True)


def _rename(data: bytes, real: str) -> None:
    part = f"{real}.airseal-part"
    try:
        _write_whole(part, data)
        if Path(real).exists():
            shutil.copystat(real, part)
            found = Path(real).stat()
            os.chown(part, found.st_uid, found.st_gid)
        else:
            Path(part).chmod(0o644)
        Path(part).rename(real)
        sync_directory(Path(real).parent)
    finally:
        Path(part).unlink(missing_ok=True)


def _in_place(data: bytes, real: str, safe: str) -> None:
    Path(safe).parent.mkdir(parents=True, exist_ok=True)
    _write_whole(f"{safe}.part", data)
    Path(f"{safe}.part").rename(safe)
    sync_directory(Path(safe).parent)
    fd = os.open(real, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    with os.fdopen(fd, "wb") as stream:
        stream.write(data)
        stream.truncate()
        stream.flush()
        os.fsync(fd)


def _write_whole(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(fd, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(fd)
