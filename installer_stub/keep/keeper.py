"""``airseal host keep``: make the host what its document says. Idempotent; the kernel is asked, not a unit's state."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from installer_stub.errors import InstallerError
from installer_stub.keep import document as documents
from installer_stub.keep import hosts_file
from installer_stub.keep.document import DocumentError, HostDocument
from installer_stub.keep.kernel import keep_modules, keep_sysctls
from installer_stub.keep.report import Failure, Report
from installer_stub.keep.route import keep_route, release_route

_LOCK: Final = "/run/airseal-keep/lock"  # not among tasks and secrets: what lies in /run/airseal is for minutes
_TURN: Final = 400.0  # seconds; the longest renewal takes less, and systemd ends a keep after 600


def load(path: str = documents.PATH) -> HostDocument:
    """Return the host's document. Raises DocumentError."""
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(documents.LIMIT)
    except OSError as error:
        raise DocumentError(f"{path}: {error.strerror}", "run the installer: it writes it") from None
    return documents.decode(data)


def keep(document: HostDocument, *, look_only: bool = False, wait: float = 0.0) -> Report:
    """Make the host what it must stay, or only look. ``wait``: seconds that the node's address may take to come."""
    report = Report()
    keep_modules(document, report, look_only=look_only)  # some settings come with their module
    keep_sysctls(document, report, look_only=look_only)
    keep_hosts(document, report, look_only=look_only)
    keep_route(document, report, look_only=look_only, wait=wait)
    return report


def keep_hosts(document: HostDocument, report: Report, *, look_only: bool) -> None:
    """Put our block into /etc/hosts again, where cloud-init or docker wrote the file anew."""
    if not document.api:
        return
    try:
        data = hosts_file.read()
    except OSError as error:
        report.failed.append(Failure(hosts_file.HOSTS, error.strerror or str(error)))
        return
    wanted = hosts_file.with_block(data, document.api)
    if wanted != data:
        report.settle(f"our lines in {hosts_file.HOSTS}", lambda: hosts_file.write(wanted), look_only=look_only)


def release(document: HostDocument) -> None:
    """Take away what is not in any file: the route. Raises OSError."""
    release_route(document)


@contextmanager
def alone(
    path: str = _LOCK, *, within: float = _TURN, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Wait until no other keep runs on this host. Raises InstallerError when that one does not end, or nothing can be locked."""
    deadline = clock() + within
    with ExitStack() as stack:
        try:
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = stack.enter_context(Path(path).open("w"))
            while not _locked(lock.fileno()):
                if clock() >= deadline:
                    problem = f"another airseal host keep has been at work for more than {within:.0f} s"
                    raise InstallerError(problem, "systemctl status airseal-keep; a disk or a mount that hangs holds it up")
                sleep(0.1)
        except OSError as error:
            raise InstallerError(f"{path}: {error.strerror}", "/run has to be writable") from None
        yield


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
