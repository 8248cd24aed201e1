"""The lease on one host: who may change it now. Held by the living agent's lock: the kernel is the proof of death.

``/run/airseal-lease/lock`` is locked by the agent of the run that holds the lease for as long as that process lives, and
by nothing that outlives it. ``lease.json`` beside it says whose it is. Both are on a tmpfs: after a restart of the host
nobody holds anything. A reset, which removes all else of ours, does not touch them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from installer_stub.agent.family import SCOPE
from installer_stub.agent.homes import sweep_homes
from installer_stub.agent.requests import Request
from installer_stub.host.become import ENVIRONMENT
from installer_stub.plan.model import STUB

DIRECTORY: Final = Path("/run/airseal-lease")
LEASE: Final = DIRECTORY / "lease.json"
PART: Final = ".new-"  # what has this behind the name of the stub is one on its way to a host
BEAT_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease. Times are the host's clock, in seconds since the epoch."""

    run: str
    who: str  # user@machine of the operator
    verb: str
    since: float
    heard: float  # when anything came from the operator last
    pid: int  # of the agent, on the host

    @classmethod
    def parse(cls, value: object) -> Holder | None:
        """Return what a lease file says, None for what is none."""
        if not isinstance(value, dict):
            return None
        texts = [value.get(name) for name in ("run", "who", "verb")]
        numbers = [value.get(name) for name in ("since", "heard", "pid")]
        if not all(isinstance(text, str) for text in texts) or not all(isinstance(number, (int, float)) for number in numbers):
            return None
        return cls(value["run"], value["who"], value["verb"], float(value["since"]), float(value["heard"]), int(value["pid"]))


    @classmethod
    def read(cls, text: bytes | None) -> Holder | None:
        """Return what a lease file holds, None for one that is not there or torn."""
        try:
            return cls.parse(json.loads(text or b""))
        except ValueError:
            return None


class HostLease:
    """What the agent of one run holds of its host."""

    def __init__(self, directory: Path = DIRECTORY, *, stub: str = STUB) -> None:
        self._directory = directory
        self._stub = Path(stub)
        self._lock: int | None = None
        self._mine: Holder | None = None
        self._heard = time.time()
        self._beaten = 0.0

    def answer(self, request: Request) -> None:
        """Answer ``lease``: granted, with the run that died with it if one did; or not, with who holds it."""
        frame = request.frame
        wanted = Holder(frame.text("run"), frame.text("who"), frame.text("verb"), time.time(), self._heard, os.getpid())
        if self._mine is not None:
            request.answer("done", status=0, granted=True, died=None)
            return
        lock = self._take_lock()
        before = self._read()
        if lock is None:
            holder = asdict(before) if before is not None else None
            request.answer("done", status=0, granted=False, holder=holder, now=time.time())
            return
        if before is not None and not stop_scope(before.run):
            os.close(lock)
            request.answer("failed", problem=f"what run {before.run} of {before.who} started cannot be ended")
            return
        self._lock, self._mine = lock, wanted
        self._write(wanted)
        # Of runs that were killed while they brought the stub, or that come too late with it.
        for pattern in (f"{self._stub.name}{PART}*", f".{self._stub.name}{PART}*"):
            for part in self._stub.parent.glob(pattern):
                part.unlink(missing_ok=True)
        sweep_homes(self._stub)
        request.answer("done", status=0, granted=True, died=asdict(before) if before is not None else None)

    def heard(self) -> None:
        """Note that the operator lives."""
        self._heard = time.time()

    def beat(self) -> None:
        """Write down when the operator was heard last, every few seconds. Losing a beat harms nobody."""
        mine = self._mine
        if mine is not None and time.monotonic() - self._beaten > BEAT_SECONDS:
            self._beaten = time.monotonic()
            with contextlib.suppress(OSError):
                self._write(replace(mine, heard=self._heard))

    def release(self) -> None:
        """Give it back, if it is held. Whoever died without has left its lease file, and is named by the next."""
        if self._lock is None:
            return
        self._mine = None
        sweep_homes(self._stub)  # the directory that the site's own programs ran from until this run
        # The file first, then the lock, and both while they are still ours.
        for name in ("lease.json", "lease.json.new", "lock"):
            (self._directory / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._directory.rmdir()
        os.close(self._lock)
        self._lock = None

    def _take_lock(self) -> int | None:
        path = self._directory / "lock"
        while True:
            try:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except (FileNotFoundError, FileExistsError):
                continue  # the last holder took the directory away between two lines of ours
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return None
            # The last holder removed the file when it went: what we locked has to be what others will find.
            with contextlib.suppress(FileNotFoundError):
                if os.fstat(lock).st_ino == path.stat().st_ino:
                    return lock
            os.close(lock)

    def _read(self) -> Holder | None:
        try:
            return Holder.read((self._directory / "lease.json").read_bytes())
        except OSError:
            return None

    def _write(self, holder: Holder) -> None:
        new = self._directory / "lease.json.new"
        fields: dict[str, Any] = asdict(holder)
        new.write_text(json.dumps(fields) + "\n")
        new.replace(self._directory / "lease.json")


def stop_scope(run: str) -> bool:
    """End whatever a run that died has left in its scope, and tell whether nothing is left of it.

    There is none on a host without systemd, or after a restart.
    """
    unit = f"{SCOPE}{run}.scope"
    if not run.isalnum() or not Path("/run/systemd/system").is_dir():
        return True
    _systemctl("stop", unit)
    return not _systemctl("is-active", "--quiet", unit)


def _systemctl(*words: str) -> bool:
    argv = ("systemctl", *words)
    try:
        done = subprocess.run(argv, capture_output=True, timeout=_STOP_SECONDS, check=False, env=ENVIRONMENT)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
