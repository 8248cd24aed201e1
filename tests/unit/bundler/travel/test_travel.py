"""Cluster images through a registry: push, pull, and a file that is sealed on a machine that has nothing of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bundler import seal
from bundler.cli import run
from bundler.errors import RecordingForeign, RecordingMissing
from bundler.steps import proofs, sealable
from bundler.travel import artifacts, known
from bundler.travel.cluster_of import COMPRESSOR
from bundler.travel.upstreams import Ways
from installer_stub.bundle.reader import Bundle
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Repository
from registry_snapshot.push.pusher import Parcel, Pusher
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from tests.fakes.taking_registry import TakingRegistry
from tests.unit.bundler.travel.workshop import FILES, PROOF, Builder, Machine

Seal = Callable[..., int]


@pytest.fixture
def registry() -> Iterator[TakingRegistry]:
    """A registry that has the referrers API."""
    with TakingRegistry(lists=True) as registry:
        yield registry


lists_under_a_tag = pytest.mark.parametrize("lists", [True, False])


@pytest.fixture(autouse=True)
def _nobodys_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-docker"))


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    builder = Builder(tmp_path / "builder")
    builder.build()
    builder.record()
    return builder


@pytest.fixture
def site(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "site")


@pytest.fixture
def name(registry: TakingRegistry) -> str:
    return f"{registry.name}/team/shop:1.4.0"


def use_own_stub(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "stub_for", lambda *_: machine.stub)


def said(capsys: pytest.CaptureFixture[str], kind: str) -> dict[str, object]:
    """Return the event of a kind that was printed last."""
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return next(event for event in reversed(events) if event["event"] == kind)


@lists_under_a_tag
def test_what_was_pushed_is_sealed_elsewhere_into_the_very_same_file(builder: Builder, site: Machine, registry: TakingRegistry, tmp_path: Path, *, lists: bool) -> None:
    registry.lists, name = lists, f"{registry.name}/team/shop:1.4.0"
    builder.rehearse()
    assert builder.airseal("seal", "shop:1.4.0", "-o", str(tmp_path / "here.run")) == 0
    assert builder.airseal("push", "shop:1.4.0", name) == 0
    assert site.airseal("seal", name, "-o", str(tmp_path / "there.run")) == 0
    assert (tmp_path / "here.run").read_bytes() == (tmp_path / "there.run").read_bytes()
    with Bundle.open(tmp_path / "there.run") as bundle:
        bundle.verify()
        assert bundle.receipt == PROOF, "it is the very file that was rehearsed"


def test_another_installer_gives_the_same_content_and_an_honest_receipt(builder: Builder, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    builder.rehearse()
    builder.airseal("seal", "shop:1.4.0", "-o", str(tmp_path / "here.run"))
    builder.airseal("push", "shop:1.4.0", name)
    other = Machine(tmp_path / "other", stub_mark=b"another")
    use_own_stub(other, monkeypatch)
    assert other.airseal("seal", name, "-o", str(tmp_path / "there.run")) == 0
    with Bundle.open(tmp_path / "here.run") as here, Bundle.open(tmp_path / "there.run") as there:
        assert here.lock == there.lock
        assert here.info.cluster == there.info.cluster
        assert (here.receipt and here.receipt.skipped, there.receipt and there.receipt.skipped) == (False, True), "nobody rehearsed that file"


def test_pull_with_its_snapshot_then_seal_by_its_own_name(builder: Builder, site: Machine, name: str, tmp_path: Path) -> None:
    builder.airseal("push", "shop:1.4.0", name)
    assert site.airseal("pull", name, "--with-snapshot") == 0
    assert site.images.find(name).descriptor == builder.image
    assert site.airseal("seal", "shop:1.4.0", "-o", str(tmp_path / "there.run")) == 0
    assert site.airseal("pull", name, "--with-snapshot") == 0, "again"


def test_a_second_push_and_a_second_pull_move_nothing(builder: Builder, site: Machine, name: str, registry: TakingRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    assert builder.airseal("push", "shop:1.4.0", name, "--json") == 0
    first = said(capsys, "pushed")
    assert (first["there"], first["recording"], first["images"]) == (0, True, 2)
    assert builder.airseal("push", "shop:1.4.0", name, "--json") == 0
    again = said(capsys, "pushed")
    assert (again["sent"], again["blobs"]) == (0, first["blobs"])
    assert isinstance(again["travelled"], int) and again["travelled"] < 10_000, "what refers is told again; nothing else"  # noqa: PT018
    assert site.airseal("pull", name, "--json") == 0
    assert said(capsys, "pulled")["travelled"]
    before = len(registry.blobs)
    assert site.airseal("pull", name, "--json") == 0
    pulled = said(capsys, "pulled")
    assert pulled["travelled"] == builder.image.size, "the tag alone was asked again"
    assert len(registry.blobs) == before


def test_a_new_version_on_the_same_base_sends_its_own_layer_alone(builder: Builder, name: str, registry: TakingRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    builder.airseal("push", "shop:1.4.0", name, "--without-snapshot")
    builder.build({**FILES, "manifests/shop.yaml": "kind: StatefulSet\n"}, "shop:1.5.0")
    capsys.readouterr()
    assert builder.airseal("push", "shop:1.5.0", f"{registry.name}/other/shop:1.5.0", "--without-snapshot", "--json") == 0
    pushed = said(capsys, "pushed")
    assert isinstance(pushed["mounted"], int)
    assert pushed["mounted"] > 0
    assert pushed["sent"] == 2, "a layer and a config"


def test_what_was_pulled_from_one_repository_is_mounted_into_another(builder: Builder, site: Machine, name: str, registry: TakingRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    builder.airseal("push", "shop:1.4.0", name)
    site.airseal("pull", name)
    capsys.readouterr()
    assert site.airseal("push", name, f"{registry.name}/copy/shop", "--json") == 0
    pushed = said(capsys, "pushed")
    assert (pushed["sent"], pushed["travelled"], pushed["reference"]) == (0, builder.image.size, f"{registry.name}/copy/shop:1.4.0")


@pytest.mark.parametrize("torn", [b"", b"{}", b'{"registry": "127.0.0.1:1", "path": "a", "blobs": ["x"]}'])
def test_a_torn_memory_of_what_is_where_costs_a_transfer(builder: Builder, name: str, registry: TakingRegistry, torn: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    builder.airseal("push", "shop:1.4.0", name)
    for path in (builder.root / "steps" / known.STEP).glob("*.json"):
        path.write_bytes(torn)
    capsys.readouterr()
    assert builder.airseal("push", "shop:1.4.0", f"{registry.name}/copy/shop", "--json") == 0
    pushed = said(capsys, "pushed")
    assert pushed["sent"] == pushed["blobs"]


def test_without_a_recording_the_image_travels_alone_and_seal_says_so(builder: Builder, site: Machine, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert builder.airseal("push", "shop:1.4.0", name, "--without-snapshot") == 0
    assert site.airseal("pull", name) == 0
    assert site.airseal("seal", name, "-o", str(tmp_path / "no.run")) == RecordingMissing.exit_code
    assert "no recording of it" in capsys.readouterr().err
    assert not (tmp_path / "no.run").exists()


def test_the_recording_of_other_files_is_refused(builder: Builder, site: Machine, name: str, registry: TakingRegistry, *, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody writes a recording beside an image that it is not of: it looks right in itself, and the file is not sealed."""
    other = Builder(tmp_path / "other")
    other.build({**FILES, "manifests/shop.yaml": "kind: Other\n"})
    carried = artifacts.Carried(builder.kept, builder.found)
    forged = artifacts.put_recording(carried, other.image, builder.blobs)
    assert builder.airseal("push", "shop:1.4.0", name) == 0
    assert other.airseal("push", "shop:1.4.0", name, "--without-snapshot") == 0
    push_as_it_is(builder, registry, forged)
    assert site.airseal("pull", name, "--with-snapshot") == RecordingForeign.exit_code
    said = capsys.readouterr().err
    assert "the cluster files of" in said
    assert sealable.kept(site.root) == ()


def push_as_it_is(builder: Builder, registry: TakingRegistry, root: Descriptor) -> None:
    with Ways(Mirrors(), DockerCredentials()).upstreams(registry.name) as upstreams:
        Pusher(upstreams, builder.blobs).push(Repository.of(registry.name, "team/shop"), [Parcel(root)])


@pytest.mark.parametrize("what", ["commands", "environment", "labels", "compressor", "lock", "torn", "subject"])
def test_a_recording_that_does_not_fit_is_refused(builder: Builder, site: Machine, name: str, registry: TakingRegistry, *, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    carried = artifacts.Carried(builder.kept, replace(builder.found, time=1.9e9))  # later than the true one
    subject = builder.image
    if what == "commands":
        carried = replace(carried, sealable=replace(builder.kept, info=replace(builder.kept.info, commands=())))
    if what in {"environment", "labels"}:
        carried = replace(carried, sealable=replace(builder.kept, info=replace(builder.kept.info, **{what: {"SHOP": "shut"}})))
    if what == "compressor":
        cluster = replace(builder.kept.info.cluster, digest=Digest.of(b"as another zstandard would have it"))
        carried = replace(carried, sealable=replace(builder.kept, info=replace(builder.kept.info, cluster=cluster)), compressor="zstandard 0.1")
    forged = artifacts.put_recording(carried, subject, builder.blobs)
    if what in {"lock", "torn", "subject"}:
        value = json.loads(builder.blobs.read(forged.digest))
        layer = next(each for each in value["layers"] if each["mediaType"] == (artifacts.LOCK if what == "lock" else artifacts.RECORDED))
        raw = builder.blobs.read(Digest.parse(layer["digest"]), 1 << 20).replace(b"busybox:1.36", b"busybox:1.35") if what == "lock" else b"{}"
        if what != "subject":
            layer |= {"digest": str(builder.blobs.put(raw)), "size": len(raw)}
        else:
            value["artifactType"] = artifacts.RECORDING
            value["layers"] = value["layers"][:1]
        forged = artifacts._put(builder.blobs, value, forged.media_type)
    builder.airseal("push", "shop:1.4.0", name)
    push_as_it_is(builder, registry, forged)
    assert site.airseal("pull", name, "--with-snapshot") == RecordingForeign.exit_code
    words = {"commands": "other commands", "environment": "another environment", "labels": "other labels", "compressor": "zstandard 0.1", "lock": "two different things", "torn": "torn", "subject": "lacks"}
    assert words[what] in capsys.readouterr().err
    assert sealable.kept(site.root) == ()


def test_a_recording_from_elsewhere_is_never_taken_for_one_of_this_machine(builder: Builder, site: Machine, name: str) -> None:
    builder.rehearse()
    builder.airseal("push", "shop:1.4.0", name)
    site.airseal("pull", name, "--with-snapshot")
    (kept,) = sealable.kept(site.root)
    assert kept.recording != builder.kept.recording
    assert kept.info == builder.kept.info
    assert proofs.known(site.root, "b" * 64) is None


def test_the_snapshot_lists_what_was_recorded_with_its_names(builder: Builder, name: str, registry: TakingRegistry) -> None:
    builder.airseal("push", "shop:1.4.0", name)
    kinds = {json.loads(raw).get("artifactType"): json.loads(raw) for _, raw in registry.manifests.items()}
    snapshot, made = kinds[artifacts.SNAPSHOT], kinds[artifacts.RECORDING]
    assert {each["annotations"][artifacts.REFERENCE] for each in snapshot["manifests"]} == {"docker.io/library/busybox:1.36", "registry.k8s.io/pause:3.10"}
    assert snapshot["subject"]["digest"] == made["subject"]["digest"] == str(builder.image.digest)
    assert {layer["annotations"]["org.opencontainers.image.title"] for layer in made["layers"] if "annotations" in layer} == {"images.lock.json", "coverage.json", "recorded.json", "sealable.json"}
    assert made["annotations"][artifacts.MADE_WITH] == COMPRESSOR


def test_what_cannot_be_done_is_named(builder: Builder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry_snapshot.record.retry.FIRST_SECONDS", 0.0)
    for argv, code, words in (
        (("push", "shop:9"), 6, "no cluster image"),
        (("push", "shop:1.4.0"), 2, "names no registry"),
        (("push", "shop:1.4.0", "SHOP:UP/x"), 2, "is not a repository"),
        (("push", "shop:1.4.0", f"127.0.0.1:1/shop@sha256:{'0' * 64}"), 2, "leave the digest out"),
        (("pull", "shop:1.4.0"), 2, "names no registry"),
        (("pull", "127.0.0.1:1/team/shop:1"), 1, "cannot be reached"),
    ):
        assert builder.airseal(*argv) == code, argv
        assert words in capsys.readouterr().err


def test_what_a_registry_does_not_have_is_named(site: Machine, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.airseal("pull", name) == 1
    assert "airseal login" in (said := capsys.readouterr().err) or "docker login" in said
    assert run(["seal", name, "-o", str(site.root / "x.run"), "--cache", str(site.root)]) == 1
