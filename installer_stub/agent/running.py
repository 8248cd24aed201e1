"""Commands and small files: what the agent does for ``run`` and ``read``."""

from __future__ import annotations

import errno
import os
import select
import subprocess
import threading
from typing import IO, Final

from installer_stub.agent.family import end_family
from installer_stub.agent.frames import CHUNK
from installer_stub.agent.requests import Request, Stopped
from installer_stub.errors import FrameError
from installer_stub.host.become import ENVIRONMENT, TIMED_OUT
from installer_stub.host.exchange import OUTPUT_LIMIT

_POLL: Final = 0.2


def run_command(request: Request) -> None:
    """Run ``text`` with /bin/sh as root; its stdin are the data frames, its end a ``done`` with the status.

    It has a session of its own. At its deadline, or when the request is given up, all of that is ended.
    """
    text, limit = request.frame.text("text"), request.frame.number("timeout")
    process = subprocess.Popen(
        ("/bin/sh", "-c", text),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env=ENVIRONMENT,
        start_new_session=True,
        umask=0o022,
    )
    ended = threading.Event()
    request.on_stop(lambda: None if ended.is_set() else end_family(process.pid, grace=1.0))
    late = _Deadline(process.pid, limit, ended)
    pipes = [threading.Thread(target=_feed, args=(request, process.stdin), daemon=True)]
    for name, stream in (("out", process.stdout), ("err", process.stderr)):
        pipes.append(threading.Thread(target=_tell, args=(request, name, stream, ended), daemon=True))
    for pipe in pipes:
        pipe.start()
    status = process.wait()
    ended.set()
    for pipe in pipes[1:]:
        pipe.join()
    request.answer("done", status=TIMED_OUT if late.struck else status if status >= 0 else 128 - status)


class _Deadline:
    """Ends a command that takes longer than it may; 0 is no limit."""

    def __init__(self, pid: int, seconds: int, ended: threading.Event) -> None:
        self.struck = False
        self._pid, self._seconds, self._ended = pid, seconds, ended
        if seconds:
            threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        if not self._ended.wait(self._seconds):
            self.struck = True
            end_family(self._pid)


def _feed(request: Request, stdin: IO[bytes] | None) -> None:
    """Give the command its stdin. One that does not read it, or ends before, is no error."""
    if stdin is None:
        return
    try:
        with stdin:
            while (frame := request.next()).kind == "data":
                stdin.write(frame.payload)
                stdin.flush()
    except (Stopped, OSError):
        return


def _tell(request: Request, name: str, stream: IO[bytes] | None, ended: threading.Event) -> None:
    """Pass one output on until its end: that of the stream, or of the command once everything is read.

    A daemon that a command left behind may hold the stream open for ever; nobody waits for it.
    """
    if stream is None:
        return
    with stream:
        while True:
            over = ended.is_set()  # asked before looking: what the command wrote as its last word is seen then
            ready, _, _ = select.select([stream], [], [], 0 if over else _POLL)
            if not ready:
                if over:
                    return
                continue
            data = os.read(stream.fileno(), CHUNK)
            if not data:
                return
            try:
                request.answer(name, data)
            except OSError:
                return  # the operator is gone; the agent ends everything in a moment


def read_files(request: Request) -> None:
    """Send the content of small files, one behind the other, and ``done`` with their ``sizes``; null where there is none."""
    paths = request.frame.fields.get("paths")
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise FrameError("read: paths is no list of texts")
    sizes: list[int | None] = []
    left = OUTPUT_LIMIT
    for path in paths:
        size = _send_file(request, path, left)
        sizes.append(size)
        left -= size or 0
    request.answer("done", status=0, sizes=sizes)


def _send_file(request: Request, path: str, most: int) -> int | None:
    try:
        opened = open(path, "rb")  # noqa: PTH123, SIM115 - the path is text of the operator's, and stays it
    except (FileNotFoundError, NotADirectoryError):
        return None
    size = 0
    with opened as file:
        while data := file.read(CHUNK):
            size += len(data)
            if size > most:
                raise OSError(errno.EFBIG, f"more than {OUTPUT_LIMIT >> 20} MiB", path)
            request.answer("out", data)
    return size


