"""Sealing what was recorded: the same bytes from any cache, the receipt of the same content, and an error for what is gone."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bundler import seal
from bundler.cache.builds import builds
from bundler.cli import run
from bundler.pack.stub_runtime import StubRuntime
from bundler.steps import proofs, recorded, recording, sealable
from bundler.steps.numbered import Numbered
from bundler.steps.recorded import Recorded
from bundler.steps.sealable import Sealable
from bundler.steps.sealing import measured
from bundler.steps.shelf import Shelf
from installer_stub.bundle.coverage import Coverage
from installer_stub.bundle.model import ImageLock
from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.receipt import Receipt
from installer_stub.version import VERSION
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from tests.unit.bundler.reporter import Remembering
from tests.unit.installer_stub.bundle.sealed import fake_runtime, ingredients
from tests.unit.installer_stub.bundle.test_format import format_1

OPEN = ("the internet, while it was recorded",)


@dataclass
class Cache:
    """A cache that a build of its own filled: the same content, recorded at another time, its images in another order."""

    root: Path
    time: float = 1.7e9
    allowed: tuple[str, ...] = ()
    found: Recorded = field(init=False)
    kept: Sealable = field(init=False)

    def __post_init__(self) -> None:
        made = ingredients(self.root)
        made.store.path(made.info.cluster.digest).parents[2].rename(self.root / "store")
        (frozen := self.root / "runtime" / "key").mkdir(parents=True)
        for name in ("bootloader", "stub.pkg"):
            (self.root / name).rename(frozen / name)
        (frozen / "frozen.json").write_text('{"glibc": "2.17"}')
        self.stub = StubRuntime.of(frozen / "bootloader", frozen / "stub.pkg")
        images = made.lock.images if self.time == 1.7e9 else made.lock.images[::-1]
        seen: dict[Reference, float] = {image.reference: self.time for image in images}
        self.found = Recorded(ImageLock(images), Coverage(), seen, (f"quiet for {self.time} s",), self.time)
        self.keep()

    def keep(self, version: str = "1.4.0") -> None:
        info = replace(ingredients(self.root / version).info, version=version, images_size=0, images_unpacked_size=0)
        self.kept = Sealable(info, "a" * 64, self.stub.digest, self.allowed)
        Shelf(self.root, recording.STEP).put(self.kept.recording, recorded.encode(self.found))
        sealable.keep(self.root, self.kept)

    def rehearse(self, receipt: Receipt) -> None:
        whole = measured(self.kept.info, self.found, self.stub, self.root, Remembering())
        proofs.keep(self.root, "b" * 64, Digest.of(whole.content), receipt)

    def seal(self, subject: str = "shop:1.4.0", *more: str) -> int:
        return run(["seal", subject, "-o", str(self.output), "--cache", str(self.root), *more])

    @property
    def output(self) -> Path:
        return self.root / "shop.run"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    (tmp_path / "one").mkdir()
    return Cache(tmp_path / "one")


def test_two_caches_that_recorded_the_same_at_other_times_give_the_same_bytes(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "another place").mkdir()
    other = Cache(tmp_path / "another place", time=1.8e9)
    assert cache.seal() == other.seal() == 0
    assert cache.output.read_bytes() == other.output.read_bytes()
    with Bundle.open(other.output) as bundle:
        bundle.verify()
        assert bundle.receipt == Receipt(skipped=True, airseal="0.1.0", kubernetes="v1.36.3")


def test_only_the_receipt_is_another_one_and_it_is_kept_for_the_very_same_content(cache: Cache, tmp_path: Path) -> None:
    cache.seal()
    with Bundle.open(cache.output) as bundle:
        content, without = bundle.content_digest, {name: bundle.read(name) for name in bundle.names() if not name.startswith("blobs/")}
    proved = Receipt(topology="1+1", file="ab" * 32, began=1_700_000_000, seconds=99, airseal="0.1.0", engine="20.10")
    cache.rehearse(proved)
    cache.seal()
    with Bundle.open(cache.output) as bundle:
        assert (bundle.receipt, bundle.content_digest) == (proved, content)
        differing = {name for name in bundle.names() if not name.startswith("blobs/") and bundle.read(name) != without[name]}
    assert differing == {"airseal/rehearsal.json", "airseal/bundle.json"}
    (built,) = builds(cache.root)
    assert built.steps == {f"record/{'a' * 64}", f"seal/{cache.kept.key}", f"rehearse/{'b' * 64}"}, "a build holds them"
    cache.allowed = OPEN
    cache.keep()
    cache.seal()
    with Bundle.open(cache.output) as bundle:
        assert bundle.receipt == Receipt(skipped=True, airseal="0.1.0", kubernetes="v1.36.3", allowed=OPEN), "it was recorded with the internet"


def test_a_name_means_what_was_built_last_and_a_key_means_one(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    first = cache.kept
    cache.keep("1.5.0")
    assert [each.info.version for each in sealable.kept(cache.root)] == ["1.5.0", "1.4.0"]
    assert seal.find(cache.root, first.key[:12]) == seal.find(cache.root, "shop:1.4.0") == first
    for subject in ("shop:1.6.0", "0" * 12, "", "x" * 5000):
        assert cache.seal(subject) == 2
    said = capsys.readouterr().err
    assert f"shop:1.5.0 ({cache.kept.key[:12]}), shop:1.4.0 ({first.key[:12]})" in said
    assert not cache.output.exists()


@pytest.mark.parametrize("gone", ["an image", "the cluster files", "the recording"])
def test_what_was_pruned_is_named_and_nothing_is_written(cache: Cache, gone: str, capsys: pytest.CaptureFixture[str]) -> None:
    cache.output.write_bytes(b"the one from before")
    image = cache.found.lock.images[0]
    store = cache.root / "store" / "blobs" / "sha256"
    paths = {
        "an image": store / image.descriptor.digest.encoded,
        "the cluster files": store / cache.kept.info.cluster.digest.encoded,
        "the recording": cache.root / "steps" / "record" / f"{'a' * 64}.json",
    }
    paths[gone].unlink()
    assert cache.seal() == 8
    words = {"an image": str(image.reference), "the cluster files": "the cluster files", "the recording": "no longer in"}
    said = capsys.readouterr().err
    assert words[gone] in said
    assert "airseal build -t shop:1.4.0" in said
    assert cache.output.read_bytes() == b"the one from before"


def test_another_installer_brings_the_same_content_and_no_proof(cache: Cache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cache.rehearse(Receipt(topology="1+1"))
    cache.seal()
    with Bundle.open(cache.output) as bundle:
        content = bundle.content_digest
    frozen = cache.root / "runtime" / "key"
    (frozen / "stub.pkg").write_bytes(b"mended" + (frozen / "stub.pkg").read_bytes())
    mended = StubRuntime.of(frozen / "bootloader", frozen / "stub.pkg")
    monkeypatch.setattr(seal, "stub_for", lambda _platforms, _cache, _given: mended)
    capsys.readouterr()
    assert cache.seal("shop:1.4.0", "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert any("no longer in the cache: sealed with that of this airseal" in event["text"] for event in events if event["event"] == "step")
    (sealed,) = (event for event in events if event["event"] == "sealed")
    assert (sealed["recorded"], sealed["rehearsed"], sealed["content"]) == ("2023-11-14T22:13:20Z", False, str(content))
    assert {event["state"] for event in events if "number" in event} == {"begins", "ends"}


def test_steps_are_numbered_and_say_how_long_they_took_done_or_not() -> None:
    reporter = Remembering()
    numbered = Numbered(reporter, ("Build", "Seal"))
    with numbered.step("Build"):
        reporter.step("  what it says")
    with pytest.raises(ValueError, match="full"), numbered.step("Seal"):
        raise ValueError("full")
    assert reporter.steps == ["[1/2] Build", "  what it says", "[1/2] Build: 0 s", "[2/2] Seal", "[2/2] Seal: not done after 0 s"]


def test_a_file_of_an_older_format_comes_into_this_one(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its installer knows the older format alone, so it gets another, and nobody has rehearsed that."""
    old, new, stub = format_1(tmp_path), tmp_path / "new.run", fake_runtime(tmp_path)
    monkeypatch.setattr(seal, "stub_for", lambda *_: stub)
    assert cache.seal(str(old), "-o", str(new)) == 0, capsys.readouterr()
    with Bundle.open(old) as before, Bundle.open(new) as after:
        after.verify()
        assert after.document.is_closed
        assert (after.images(), after.cluster_files()) == (before.images(), before.cluster_files())
        assert after.info == replace(before.info, images_size=after.info.images_size, airseal=VERSION)
        assert after.info.images_size > 50_000 > before.info.images_size, "the old file said 1"
        assert after.receipt is not None
        assert after.receipt.skipped
    capsys.readouterr()
    new_again = tmp_path / "again.run"
    assert cache.seal(str(new), "-o", str(new_again)) == 0
    assert new_again.read_bytes() == new.read_bytes()


def test_a_file_that_is_damaged_is_not_sealed_again(cache: Cache, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = format_1(tmp_path)
    raw = bytearray(old.read_bytes())
    raw[len(raw) // 2] ^= 1
    old.write_bytes(raw)
    assert cache.seal(str(old)) == 3
    assert "is altered" in capsys.readouterr().err
    assert not cache.output.exists()
