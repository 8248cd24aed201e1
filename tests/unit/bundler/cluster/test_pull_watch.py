"""A pull that cannot succeed ends the build by name; one that might is given its time."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from bundler.cluster import pull_watch
from bundler.cluster.pull_watch import OTHER_SECONDS, REFUSED_SECONDS, PullWatch, Wanted, pull_failures
from bundler.errors import DiskFull, RecordingIncomplete
from installer_stub.errors import ClusterError
from registry_snapshot.errors import (
    ManifestUnknown,
    RegistryError,
    StoreError,
    UpstreamError,
    UpstreamUnauthorized,
)
from registry_snapshot.oci.reference import Reference


@dataclass
class Failure:
    reference: Reference
    error: RegistryError


@dataclass
class Recorder:
    found: list[Failure] = field(default_factory=list)

    def failures(self) -> list[Failure]:
        return self.found


def failure(error: RegistryError, name: str = "quay.io/shop/api:1") -> Failure:
    return Failure(Reference.parse(name), error)


def not_found() -> RegistryError:
    error = ManifestUnknown("quay.io has no shop/api:1", "check the tag")
    error.__cause__ = UpstreamError("404", status=404)
    return error


@pytest.mark.parametrize(
    ("error", "patience"),
    [
        (not_found(), REFUSED_SECONDS),
        (UpstreamUnauthorized("quay.io says no", "docker login quay.io", status=401), REFUSED_SECONDS),
        (UpstreamError("quay.io is down", status=503), OTHER_SECONDS),
        (RegistryError("no route"), OTHER_SECONDS),
        (StoreError("no space left for /cache"), 0.0),
    ],
)
def test_how_long_is_waited(error: RegistryError, patience: float) -> None:
    now = [0.0]
    watch = PullWatch(Recorder([failure(error)]), lambda: None, lambda: now[0])
    assert watch.look() is (patience == 0)
    now[0] = patience / 2
    assert watch.look() is (patience == 0)
    now[0] = patience
    assert watch.look()


def test_a_success_in_between_begins_anew() -> None:
    now, recorder = [0.0], Recorder([failure(not_found())])
    watch = PullWatch(recorder, lambda: None, lambda: now[0])
    watch.look()
    recorder.found, now[0] = [], 20.0
    assert not watch.look()
    recorder.found, now[0] = [failure(not_found())], 40.0
    assert not watch.look()


def test_the_watch_stops_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull_watch, "_INTERVAL", 0.001)
    monkeypatch.setattr(pull_watch, "REFUSED_SECONDS", 0.0)
    stopped = threading.Event()
    with PullWatch(Recorder([failure(not_found())]), stopped.set) as watch:
        assert stopped.wait(5)
    assert watch.failed


def test_every_failure_is_named_with_what_the_registry_said() -> None:
    down = failure(UpstreamError("docker.io does not answer as it should", "try later", status=503), "busybox")
    with pytest.raises(RecordingIncomplete) as caught:
        pull_failures(Recorder([failure(not_found()), down]), after="pod x waits: ImagePullBackOff")
    text = str(caught.value)
    for words in (
        "2 images could not be pulled",
        "quay.io/shop/api:1: quay.io has no shop/api:1 (HTTP 404)",
        "docker.io/library/busybox:latest: docker.io does not answer as it should (HTTP 503)",
        "ImagePullBackOff",
        "what to do: check the tag; try later",
    ):
        assert words in text
    assert caught.value.exit_code == 8


def cannot_tell() -> list[Reference]:
    raise ClusterError("the API does not answer")


@pytest.mark.parametrize(
    ("wanted", "stops"),
    [(lambda: [Reference.parse("quay.io/shop/api:1")], True), (lambda: [Reference.parse("quay.io/shop/api:2")], False), (cannot_tell, False)],
)
def test_what_nobody_wants_any_more_stops_nothing(wanted: Wanted, *, stops: bool) -> None:
    now = [0.0]
    watch = PullWatch(Recorder([failure(not_found())]), lambda: None, lambda: now[0], wanted=wanted)
    watch.look()
    now[0] = REFUSED_SECONDS
    assert watch.look() is stops


def test_our_own_full_disk_stops_whatever_is_wanted() -> None:
    assert PullWatch(Recorder([failure(StoreError("full"))]), lambda: None, lambda: 0.0, wanted=cannot_tell).look()


def test_what_nobody_wants_any_more_is_told() -> None:
    both = Recorder([failure(not_found()), failure(not_found(), "quay.io/shop/old:1")])
    (told,) = pull_failures(Recorder(both.found[1:]), wanted=[both.found[0].reference])
    assert told.startswith("quay.io/shop/old:1 could not be pulled, and nothing names it any more")
    with pytest.raises(RecordingIncomplete) as caught:
        pull_failures(both, wanted=[both.found[0].reference])
    assert "old" not in caught.value.problem


def test_no_failure_is_no_error() -> None:
    pull_failures(Recorder())


def test_our_own_full_disk_is_no_fault_of_a_registry() -> None:
    full = failure(StoreError("no space left for /cache/store", "free space"))
    with pytest.raises(DiskFull, match="no space left for /cache/store"):
        pull_failures(Recorder([failure(not_found()), full]))
