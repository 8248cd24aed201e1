"""The full log of a run: every command on every host, with times; secrets masked. Only its owner may read it."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from installer_stub.host.command import Secret, masked
from installer_stub.ui.printable import printable

ROOT_LOGGER = "airseal"
_SAME_SECOND = 10  # runs that begin in one second, in one directory


class _MaskingFormatter(logging.Formatter):
    def __init__(self, secrets: Sequence[Secret]) -> None:
        super().__init__("%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s [%(threadName)s] %(message)s", "%Y-%m-%dT%H:%M:%S")
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        return printable(masked(super().format(record), self._secrets))  # logs are read with cat


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Go on without a log that cannot be written: a traceback for every line would hide what the run says."""


@contextmanager
def log_file(name: str, secrets: Sequence[Secret] = (), *, directory: Path | None = None, only: bool = False) -> Iterator[Path]:
    """Log to ``NAME-TIME.log`` in ``directory`` (or here) while the block runs, and give the file's path.

    ``only``: the file is called ``NAME.log``, and takes the place of the last one.
    Where the directory cannot be written, as on a read-only stick, or names are taken, the log goes to the temporary directory.
    ``secrets`` may be appended to meanwhile.
    """
    path, handle = _open(_name(name), directory or Path.cwd())
    if only:
        path = path.replace(path.with_name(f"{name}.log"))
    handler = _Handler(os.fdopen(handle, "w", encoding="utf-8"))
    handler.setFormatter(_MaskingFormatter(secrets))
    logger = logging.getLogger(ROOT_LOGGER)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logging.getLogger(f"{ROOT_LOGGER}.ssh").setLevel(logging.INFO)  # paramiko's DEBUG has a line for every packet
    try:
        yield path
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        with suppress(OSError):  # the stick was pulled out: what is lost is lost
            handler.stream.close()


def _name(name: str) -> str:
    return f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.log"


def _open(name: str, directory: Path) -> tuple[Path, int]:
    # O_EXCL: a file that somebody else made before would be his to read.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a name, not a path
    for number in range(1, _SAME_SECOND):
        path = directory / (name if number == 1 else f"{stem}-{number}{suffix}")
        try:
            return path, os.open(path, flags, 0o600)
        except FileExistsError:
            continue
        except OSError:
            break
    elsewhere = Path(tempfile.mkdtemp(prefix="airseal-")) / name
    return elsewhere, os.open(elsewhere, flags, 0o600)
