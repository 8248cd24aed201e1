"""The same content is rehearsed once; whatever differs is rehearsed anew; a red rehearsal leaves nothing that looks green."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bundler.cluster.ownership import Owner
from bundler.errors import RehearsalFailed
from bundler.lab.topology import Topology
from bundler.options import RehearsalOptions
from bundler.rehearsal import prove
from installer_stub.bundle.receipt import Receipt
from installer_stub.options import HostWishes
from installer_stub.plan.settings import AS_USUAL
from installer_stub.values.model import NOTHING, Kept
from installer_stub.values.site_values import SiteValues
from tests.unit.bundler.reporter import Remembering

ME = Owner("boot-1", "pid:[1]", 100, "5000")


class Build:
    def __init__(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cache, self.rehearsed, self.sealed, self.red = cache, 0, list[Path](), False
        monkeypatch.setattr(prove, "rehearse", self.rehearse)

    def rehearse(self, _engine: Any, _owner: Any, file: Path, *, info: Any, how: Any, reporter: Any) -> Receipt:
        assert file.read_bytes() == b"artifact"
        self.rehearsed += 1
        if self.red:
            raise RehearsalFailed("red")
        return Receipt(topology=str(how.topology), seconds=self.rehearsed, allowed=how.allowed)

    def seal(self, target: Path, documents: Mapping[str, bytes]) -> None:
        assert not documents, "what is rehearsed has no receipt"
        self.sealed.append(target)
        target.write_bytes(b"artifact")

    def run(self, content: bytes = b"content", values: tuple[tuple[str, str], ...] = (), host_image: str = "", **rehearsal: Any) -> Receipt:
        options: Any = SimpleNamespace(cache=self.cache, output=Path("shop.run"), settle_timeout=1.0, rehearsal=RehearsalOptions(**rehearsal))
        info: Any = SimpleNamespace(kubernetes="v1.36.3", airseal="0.1.0")
        engine: Any = None
        given = SiteValues(replace(AS_USUAL, values=values), NOTHING, Kept())
        return prove.prove(options, engine, ME, image=host_image or "ours", info=info, content=content, values=given, seal=self.seal, reporter=Remembering())


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    return Build(tmp_path, monkeypatch)


def test_the_same_is_rehearsed_once_and_has_the_same_receipt(build: Build) -> None:
    assert build.run() == build.run() == Receipt(topology="1+1", seconds=1)
    assert (build.rehearsed, len(build.sealed)) == (1, 1)
    assert not list((build.cache / "rehearsals").glob("*/shop.run")), "what was rehearsed is gone"


@pytest.mark.parametrize(
    "other",
    [{"content": b"other"}, {"values": (("a", "1"),)}, {"host_image": "theirs"}, {"topology": Topology(3, 1)}, {"topology": Topology(1, 1, (("n1", HostWishes((("disk", "ssd"),))),))}, {"allow_internet": True}, {"keep": True}],
)
def test_whatever_differs_is_rehearsed_anew(build: Build, other: dict[str, Any]) -> None:
    build.run()
    build.run(**other)
    assert build.rehearsed == 2


def test_a_red_one_is_rehearsed_again_and_leaves_nothing(build: Build) -> None:
    build.red = True
    for _ in range(2):
        with pytest.raises(RehearsalFailed):
            build.run()
    assert build.rehearsed == 2
    assert not list(build.cache.rglob("shop.run"))
    assert not list(build.cache.rglob("*.json"))


def test_a_torn_receipt_is_none(build: Build) -> None:
    build.run()
    (kept,) = (build.cache / "steps/rehearse").iterdir()
    kept.write_bytes(kept.read_bytes()[:20])
    build.run()
    assert build.rehearsed == 2


def test_skipped_is_said_and_nothing_is_sealed_for_it(build: Build) -> None:
    receipt = build.run(skip=True, allow_internet=True)
    assert (receipt.skipped, receipt.kubernetes, len(receipt.allowed), build.sealed) == (True, "v1.36.3", 1, [])
