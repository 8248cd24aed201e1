"""Pulls that cannot succeed end a build at once and by name, not after half an hour as a pod that is not ready."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from types import TracebackType
from typing import Final, Protocol, Self

from bundler.errors import DiskFull, RecordingIncomplete
from installer_stub.errors import InstallerError
from registry_snapshot.errors import RegistryError, StoreError
from registry_snapshot.oci.reference import Reference

# kubelet tries again after 10, 20, 40 s …: a registry that was slow to know a tag gets two chances, one that is down more.
REFUSED_SECONDS: Final = 30.0
OTHER_SECONDS: Final = 150.0
_REFUSALS: Final = frozenset({401, 403, 404})
_INTERVAL: Final = 1.0


class Failure(Protocol):
    """A pull that failed and has not succeeded since."""

    @property
    def reference(self) -> Reference:
        """What was pulled."""

    @property
    def error(self) -> RegistryError:
        """Why it failed."""


class Failing(Protocol):
    """The part of a Recorder that is looked at."""

    def failures(self) -> Sequence[Failure]:
        """Return pulls that failed and never succeeded afterwards."""


Wanted = Callable[[], Collection[Reference]]  # what pods of the cluster want now. Raises InstallerError where nobody can tell


class PullWatch:
    """Looks at a recorder while the cluster comes up, and calls ``stop`` when a pull has failed for good that somebody still wants.

    A command may apply an upstream's manifest and set another image in the next line: what failed in between is nobody's any more.
    """

    def __init__(
        self, recorder: Failing, stop: Callable[[], None], clock: Callable[[], float] = time.monotonic, *, wanted: Wanted | None = None
    ) -> None:
        self._recorder = recorder
        self._stop = stop
        self._wanted = wanted
        self._clock = clock
        self._first_seen: dict[Reference, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pull-watch", daemon=True)
        self.failed = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def look(self) -> bool:
        """Tell whether some pull has failed for so long that it will not succeed."""
        now = self._clock()
        failures = {failure.reference: failure for failure in self._recorder.failures()}
        self._first_seen = {reference: self._first_seen.get(reference, now) for reference in failures}
        lost = [each for each, since in self._first_seen.items() if now - since >= _patience(failures[each].error)]
        return bool(lost) and (self._wanted is None or any(_is_ours(failures[each].error) for each in lost) or self._is_wanted(lost))

    def _is_wanted(self, lost: Iterable[Reference]) -> bool:
        """Ask the cluster; while it does not answer nothing is concluded, and it is asked again. What nobody wants has its time anew."""
        try:
            wanted = frozenset(self._wanted()) if self._wanted is not None else frozenset(lost)
        except InstallerError:
            return False
        self._first_seen |= {each: self._clock() for each in lost if each not in wanted}
        return not wanted.isdisjoint(lost)

    def _watch(self) -> None:
        while not self._ended.wait(_INTERVAL):
            if self.look():
                self.failed = True
                self._stop()
                return


def pull_failures(recorder: Failing, after: str = "", *, wanted: Collection[Reference] | None = None) -> tuple[str, ...]:
    """Raise RecordingIncomplete if any pull failed and never succeeded: each by name, with what the registry said.

    Returned are those that nobody wants any more, where ``wanted`` says what is wanted. Raises DiskFull if it was our own disk that failed.
    """
    failed = recorder.failures()
    for failure in failed:
        if _is_ours(failure.error):
            raise DiskFull(failure.error.problem, failure.error.remedy)
    failures = [failure for failure in failed if wanted is None or failure.reference in wanted]
    if not failures:
        return tuple(f"{failure.reference} could not be pulled, and nothing names it any more: {failure.error.problem}" for failure in failed)
    lines = "\n".join(f"  - {failure.reference}: {failure.error.problem}{_status(failure.error)}" for failure in failures)
    remedies = dict.fromkeys(failure.error.remedy for failure in failures if failure.error.remedy)
    many = f"{len(failures)} images" if len(failures) > 1 else "an image"
    context = f"\nwhat the cluster said: {after}" if after else ""
    raise RecordingIncomplete(f"{many} could not be pulled:\n{lines}{context}", "; ".join(remedies) or "check their names and build again")


def _is_ours(error: RegistryError) -> bool:
    return isinstance(error, StoreError)  # our disk, not their registry


def _patience(error: RegistryError) -> float:
    if _is_ours(error):
        return 0.0
    return REFUSED_SECONDS if _status_of(error) in _REFUSALS else OTHER_SECONDS


def _status_of(error: RegistryError) -> int:
    """Return the upstream's HTTP status; a 404 arrives as the specification's error, caused by the upstream's."""
    status = getattr(error, "status", 0) or getattr(error.__cause__, "status", 0)
    return int(status)


def _status(error: RegistryError) -> str:
    status = _status_of(error)
    return f" (HTTP {status})" if status and str(status) not in error.problem else ""
