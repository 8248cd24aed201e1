"""A recording is judged each time by the policy of the build, from what is kept; the policy never makes anybody record again."""

from __future__ import annotations

import gzip
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bundler.coverage.attached import kept_for, with_attached
from bundler.coverage.cover import Covered
from bundler.coverage.lists import Lists
from bundler.errors import PolicyViolated, UsageError
from bundler.options import BuildOptions
from bundler.pack.stub_runtime import StubRuntime
from bundler.seal import find
from bundler.steps import recorded, recording
from bundler.steps.locked import held_names, pins
from bundler.steps.recorded import Recorded
from bundler.steps.recording import Inputs, Pins
from bundler.steps.sealing import measured
from bundler.steps.shelf import Shelf
from bundler.verbs import build
from installer_stub.bundle.coverage import Coverage
from installer_stub.bundle.documents import encode_lock
from installer_stub.bundle.reasons import Attached, Listed
from installer_stub.plan.settings import AS_USUAL
from installer_stub.values.model import NOTHING, Kept
from installer_stub.values.site_values import SiteValues
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_MANIFEST
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.attached import Attachment, Attachments, Missed
from registry_snapshot.store.closure import closure
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.bundler.policy.signing import KEY, NAME, claim, pem, signed
from tests.unit.bundler.policy.signing import Shelf as Images
from tests.unit.bundler.reporter import Remembering
from tests.unit.installer_stub.bundle.sealed import fake_runtime, ingredients
from tests.unit.registry_snapshot.artifacts import make_artifact, put_as
from tests.unit.registry_snapshot.images import AMD64, make_image

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
POLICY = "rules:\n- images: [registry.example.com/**]\n  keys: [k.pub]\n"


class Build:
    """A build up to its recording, which a list of results stands in for."""

    def __init__(self, root: Path, runtime: StubRuntime) -> None:
        self.root = root
        self.images = Images(DiskBlobStore(root / "store"), root)
        self.image = make_image(self.images.blobs, "a", AMD64).descriptor
        self.images.images[f"{NAME}:1"] = self.image
        self.runtime = runtime
        self.made = 0
        self.unread: tuple[str, ...] = ()
        (root / "k.pub").write_bytes(pem(KEY))

    def options(self, *words: str) -> BuildOptions:
        parser = ArgumentParser()
        build.define(parser)
        words = ("-t", "shop:1.4.0", "-o", str(self.root / "shop.run"), "--cache", str(self.root / "cache"), *words, str(self.root))
        return build.parse_build(parser.parse_args(words))

    def policy(self, text: str = POLICY) -> tuple[str, str]:
        (self.root / "policy.yaml").write_text(text)
        return "--require-signatures", str(self.root / "policy.yaml")

    def inputs(self) -> Inputs:
        return Inputs(ingredients(self.root / "made").info, Lists(), SiteValues(AS_USUAL, NOTHING, Kept()), self.runtime, "host")

    def sign(self) -> None:
        self.images.tagged(self.image, signed(self.images.blobs, claim(self.image.digest)))

    def run(self, *words: str) -> Recorded:
        def make(_: Pins) -> Recorded:
            self.made += 1
            return Recorded(self.images.lock(), Coverage(unread=self.unread), {})

        self.reporter = Remembering()
        return recording.recording(self.options(*words), self.inputs(), self.images.blobs, make, self.reporter)


@pytest.fixture
def made(tmp_path: Path) -> Build:
    return Build(tmp_path, fake_runtime(tmp_path))


def test_a_recording_without_a_policy_is_judged_by_the_next_build_and_not_made_again(made: Build) -> None:
    made.sign()
    assert made.run().coverage.signatures is None
    held = made.run(*made.policy()).coverage.signatures
    assert held is not None
    assert [each.reference for each in held.images] == [Reference.parse(f"{NAME}:1")]
    assert made.run().coverage.signatures is None
    assert made.made == 1
    made.run(*made.policy())
    assert any("1 of 1 signed" in step for step in made.reporter.steps)


def test_what_is_missing_ends_the_build_each_time_until_it_is_asked_for_anew(made: Build) -> None:
    made.unread = (f"{kept_for(Reference.parse(f'{NAME}:1'))}HTTP 503",)
    for _ in range(2):
        with pytest.raises(PolicyViolated, match=r"no signature of it was recorded.*; what is kept for .*: HTTP 503") as error:
            made.run(*made.policy())
    assert "--update all" in error.value.remedy
    assert made.made == 1, "what was recorded is kept"
    made.sign()
    with pytest.raises(PolicyViolated):
        made.run(*made.policy())
    assert made.run("--update", "all", *made.policy()).coverage.signatures
    assert made.made == 2


def test_a_key_or_a_rule_more_is_judged_anew(made: Build) -> None:
    made.sign()
    first = made.run(*made.policy()).coverage.signatures
    second = made.run(*made.policy(POLICY + "# and a remark\n")).coverage.signatures
    assert first is not None
    assert second is not None
    assert (first.images, first.policy == second.policy) == (second.images, False)
    (made.root / "k.pub").write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(PolicyViolated):
        made.run(*made.policy())
    assert made.made == 1


def test_what_is_sealed_again_says_who_signed(made: Build) -> None:
    made.sign()
    found = made.run(*made.policy())
    kept = find(made.root / "cache", "shop:1.4.0")
    raw = Shelf(made.root / "cache", recording.STEP).get(kept.recording)
    assert raw is not None
    again = recorded.decode(raw)
    assert again is not None
    assert again.coverage == found.coverage
    options = made.options(*made.policy())
    assert set(made.inputs().steps(options)) == {f"record/{made.inputs().recorded_key(options)}", *kept.steps}
    assert len(made.inputs().steps(options)) == 3


def test_a_recording_without_signatures_is_another_one(made: Build) -> None:
    made.run()
    made.run("--without-signatures")
    assert made.made == 2
    with pytest.raises(UsageError, match="--require-signatures wants them"):
        made.options("--without-signatures", *made.policy())


def test_a_policy_that_is_none_is_refused_before_anything_begins(made: Build) -> None:
    with pytest.raises(UsageError, match=r"policy\.yaml:1: rulez: there is no such field"):
        made.options(*made.policy("rulez: []\n"))


def test_a_lock_holds_what_is_attached_and_an_update_asks_for_it_anew(made: Build) -> None:
    made.sign()
    lock = made.images.lock()
    tags = {str(reference) for reference in pins(lock)}
    assert tags == {f"{NAME}:1", *made.images.attached}
    assert set(pins(lock, ["quay.io/other"])) == {Reference.parse(f"{NAME}:1")}
    (path := made.root / "images.lock.json").write_bytes(encode_lock(lock))
    assert held_names(path) == {image.reference for image in lock.images}
    assert held_names(None) is None


def test_what_is_attached_takes_no_room_on_hosts_and_need_not_unpack(made: Build) -> None:
    cache = made.root / "cache"
    images = Images(DiskBlobStore(cache / "store"), made.root)
    images.images[f"{NAME}:1"] = make_artifact(images.blobs, [put_as(images.blobs, LAYER, gzip.compress(b"x" * 1000))])
    info = replace(ingredients(made.root / "made").info, platforms=("linux/amd64",))
    there = DiskBlobStore(made.root / "made" / "store-1.4.0")
    for part in closure(there, info.cluster, (AMD64,)):
        images.blobs.put(there.read(part.digest))
    before = measured(info, Recorded(images.lock(), Coverage(), {}), made.runtime, cache, Remembering()).info
    torn = put_as(images.blobs, LAYER, b"no gzip at all")
    images.attached[f"{NAME}:sbom"] = make_artifact(images.blobs, [torn])
    after = measured(info, Recorded(images.lock(), Coverage(), {}), made.runtime, cache, Remembering()).info
    assert after.images_unpacked_size == before.images_unpacked_size == 1000
    assert after.images_size > before.images_size


class Attaches:
    def __init__(self, found: Attachments) -> None:
        self.found = found

    def attach(self, only: object = None) -> Attachments:
        self.only = only
        return self.found


def test_what_is_attached_has_a_reason_and_what_is_not_known_is_unread() -> None:
    root = Descriptor(OCI_MANIFEST, Digest.of(b"x"), 1)
    subject, image = Reference.parse(f"{NAME}@{root.digest}"), Reference.parse(f"{NAME}:1")
    fresh, known = (Attachment(Reference.parse(f"{NAME}:{tag}"), root, subject, "SBOM") for tag in ("fresh", "known"))
    missed = tuple(Missed(Reference.parse(f"{NAME}:{number}"), "HTTP 503 " * 500) for number in range(30))
    reporter = Remembering()
    before = Covered(Coverage(unread=("secrets",)), {image: {Listed("a")}, known.reference: {Listed("b")}})
    source = Attaches(Attachments((fresh, known), missed))
    covered = with_attached(source, before, reporter, only=[image])
    why = Attached("SBOM", str(subject))
    assert source.only == [image]
    assert {name: set(reasons) for name, reasons in covered.reasons.items()} == {image: {Listed("a")}, fresh.reference: {why}, known.reference: {Listed("b"), why}}
    assert len(covered.coverage.unread) == 31
    assert all(len(line) <= 1000 for line in covered.coverage.unread)
    assert len(reporter.steps) == 22
    assert replace(covered, reasons={}, coverage=Coverage()) == replace(before, reasons={}, coverage=Coverage())
