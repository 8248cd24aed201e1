"""The installer as a process that is watched line by line, and killed without warning."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.demo.__main__ import operators_environment
from tests.soak.moments import Moment, Timeline

INSTALL_TIMEOUT = 1800
"""Seconds after which an installer hangs; on two cores with nothing beside it an installation takes 100 to 200."""


class Failed(Exception):
    """A scenario did not end as it must: what, where, and what was seen."""


@dataclass(frozen=True)
class Ended:
    """How the installer ended. The code is negative for a signal."""

    code: int
    said: str
    seconds: float

    @property
    def tail(self) -> str:
        """The last lines, for a report."""
        return "\n".join(self.said.strip().splitlines()[-12:])

    def expect(self, *codes: int) -> Self:
        """Return itself. Raises Failed for another exit code, or a traceback."""
        if self.code not in codes or "Traceback (most recent call last)" in self.said:
            raise Failed(f"the installer ended with {self.code} instead of {' or '.join(map(str, codes))}:\n{self.tail}")
        return self


class Installer:
    """One run of it, or of a build. Its output goes to ``log``, each line with the seconds since the start."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        scratch = log.parent / "tmp"  # the stub unpacks itself here; a killed one leaves that behind
        scratch.mkdir(parents=True, exist_ok=True)
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            cwd=log.parent, env={**(operators_environment() if environment is None else environment), "TMPDIR": str(scratch)}, start_new_session=True,
        )  # fmt: skip
        self._lines: list[tuple[float, str]] = []
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, args=(log,), daemon=True)
        self._reader.start()

    def _read(self, log: Path) -> None:
        assert self._process.stdout is not None
        with log.open("a") as file:
            for line in self._process.stdout:
                at = time.monotonic() - self._began
                file.write(f"{at:7.1f} {line}")
                file.flush()
                with self._more:
                    self._lines.append((at, line.rstrip("\n")))
                    self._more.notify_all()
        with self._more:
            self._more.notify_all()

    @property
    def pid(self) -> int:
        """The number of its first process."""
        return self._process.pid

    @property
    def timeline(self) -> Timeline:
        """What it has announced so far, and when."""
        with self._more:
            return Timeline.of(self._lines)

    def until(self, moment: Moment, *, timeout: float = INSTALL_TIMEOUT) -> bool:
        """Wait for a moment; False once it is plain that it will not come. Raises Failed after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while (seen := self._seen(moment)) is None:
            if self._process.poll() is not None:
                self._reader.join(1)  # what it said last
                return False
            if time.monotonic() > deadline:
                raise Failed(f"{moment} did not come in {timeout:.0f} s; the last line is {self._lines[-1:]}")
            with self._more:
                self._more.wait(0.05)
        ends = time.monotonic() + (moment.offset if seen else 0)
        while time.monotonic() < ends:
            if self._process.poll() is not None:
                return False
            time.sleep(min(0.05, moment.offset))
        return seen and self._process.poll() is None

    def _seen(self, moment: Moment) -> bool | None:
        with self._more:
            return moment.seen([line for _, line in self._lines])

    def kill(self) -> None:
        """SIGKILL to all of it: the frozen program is a loader and the program itself."""
        self.signal(signal.SIGKILL)
        self.wait(timeout=30)

    def signal(self, number: int) -> None:
        """Send a signal to all of its processes; one that has ended takes none."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def wait(self, *, timeout: float = INSTALL_TIMEOUT) -> Ended:
        """Wait for its end. Raises Failed, and kills it, after ``timeout`` seconds."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            raise Failed(f"the installer did not end in {timeout:.0f} s; the last lines:\n" + "\n".join(line for _, line in self._lines[-8:])) from None
        self._reader.join(2)  # longer only if something that it started still has its output
        return Ended(code, "\n".join(line for _, line in self._lines), time.monotonic() - self._began)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)
        self._reader.join(2)
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()
