"""A file that would fail at the site is not built: real hosts, a really closed network. The shared artifact's own build is the green one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bundler.cluster.host_image import host_image
from bundler.cluster.ownership import Owner
from bundler.engine import Engine
from bundler.errors import RehearsalFailed
from bundler.lab.topology import Topology
from bundler.rehearsal.rehearse import Rehearsing, rehearse
from installer_stub.bundle.reader import Bundle
from tests.bench.resealing import Quiet, Resealing

NIGHTLY = "docker.io/library/busybox:1.36-glibc"  # only the CronJob of the night has it
_PHONES_HOME = "timeout 5 bash -c 'exec 3<>/dev/tcp/192.0.2.7/443' 2>/dev/null || true"


@pytest.fixture(scope="module")
def rehearsed(shop_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Callable[[Resealing], Resealing]], str]]:
    """Return what seals the example anew, with a change, rehearses it, and returns what the build would have said."""
    work = tmp_path_factory.mktemp("rehearsal")
    with closing(Engine.connect()) as engine, Bundle.open(shop_run) as bundle:

        def run(change: Callable[[Resealing], Resealing]) -> str:
            file = work / "shop.run"
            change(Resealing.of(bundle, work)).seal(file)
            how = Rehearsing(host_image(engine, Quiet()), Topology(1, 0))
            with pytest.raises(RehearsalFailed) as error:
                rehearse(engine, Owner.current(), file, info=bundle.info, how=how, reporter=Quiet())
            return str(error.value)

        yield run


def test_the_shared_artifact_carries_its_receipt(shop_run: Path) -> None:
    with Bundle.open(shop_run) as bundle:
        receipt = bundle.receipt
    assert receipt is not None
    forced = {each.what: each.count for each in receipt.forced}
    assert (receipt.skipped, receipt.topology, forced["CronJobs run"], forced["hosts emptied of pods and images"]) == (False, "1+1", 1, 2)


def test_an_image_that_only_the_night_needs_is_missed_by_day(rehearsed: Callable[[Callable[[Resealing], Resealing]], str]) -> None:
    said = rehearsed(lambda made: made.without(NIGHTLY))
    assert NIGHTLY in said
    assert "Job shop/rehearsal-0" in said
    assert "images.d" in said


def test_a_command_that_wants_the_internet_is_named_with_whom_it_wanted(rehearsed: Callable[[Callable[[Resealing], Resealing]], str]) -> None:
    said = rehearsed(lambda made: made.with_command(_PHONES_HOME))
    assert "192.0.2.7 port 443/tcp" in said
    assert "a program of the host m1" in said
