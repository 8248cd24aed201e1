"""What upstreams keep for images comes along, whole and within bounds, and nobody takes silence for "nothing there"."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future

import pytest

from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.record import attached
from registry_snapshot.record.attached import Attachments
from registry_snapshot.record.recorder import Recorder
from registry_snapshot.serve.app import RegistryApp
from registry_snapshot.serve.error_body import error_response
from registry_snapshot.serve.messages import Headers, Request, Response
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.image_set import ImageSet
from tests.unit.registry_snapshot.artifacts import SBOM, SIGNATURE, list_of, make_artifact, put_as
from tests.unit.registry_snapshot.images import AMD64, ARM64, make_image, make_index, noise
from tests.unit.registry_snapshot.upstream_fake import FakeUpstream, plain

APP = Repository.of("docker.io", "team/app")
NODE = "10.0.0.2"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def layer(upstream: FakeUpstream, name: str, size: int = 300) -> Descriptor:
    return put_as(upstream.blobs, "application/x.content", noise(name, size))


def tag_of(subject: Descriptor, end: str) -> str:
    return f"team/app:sha256-{subject.digest.encoded}.{end}"


def taken(found: Attachments) -> dict[str, str]:
    return {str(each.reference): str(each) for each in found.taken}


def by_digest(descriptor: Descriptor) -> str:
    return f"{APP}@{descriptor.digest}"


@pytest.fixture
def app(upstream: FakeUpstream, recorder: Recorder) -> Descriptor:
    """An index that was pulled."""
    index = make_index(upstream.blobs, {AMD64: make_image(upstream.blobs, "a", AMD64), ARM64: make_image(upstream.blobs, "a", ARM64)})
    upstream.tag("team/app:1", index)
    recorder.resolve(APP, "1", client=NODE, method="HEAD")
    recorder.finish()
    return index


def child(upstream: FakeUpstream, index: Descriptor, number: int) -> Descriptor:
    return Descriptor.from_json(json.loads(upstream.blobs.read(index.digest))["manifests"][number])


def test_tags_of_cosign_and_referrers_of_the_image_and_of_its_manifest_here(upstream: FakeUpstream, recorder: Recorder, blobs: DiskBlobStore, app: Descriptor) -> None:
    amd, arm = child(upstream, app, 0), child(upstream, app, 1)
    signature = make_artifact(upstream.blobs, [layer(upstream, "signature")])
    attestation = make_artifact(upstream.blobs, [layer(upstream, "attestation")])
    of_arm = make_artifact(upstream.blobs, [layer(upstream, "arm")])
    sbom = make_artifact(upstream.blobs, [layer(upstream, "sbom")], artifact_type=SBOM, subject=app)
    signed = make_artifact(upstream.blobs, [layer(upstream, "signed")], artifact_type=SIGNATURE, subject=sbom)
    again = make_artifact(upstream.blobs, [layer(upstream, "again")], artifact_type=SBOM, subject=signed)
    upstream.tag(tag_of(app, "sig"), signature)
    upstream.tag(tag_of(amd, "att"), attestation)
    upstream.tag(tag_of(arm, "sig"), of_arm)
    upstream.tag("team/app:others", list_of(upstream.blobs, [sbom, signed, again]))
    found = recorder.attach()
    assert taken(found) == {
        f"{APP}:sha256-{app.digest.encoded}.sig": f"signature of {by_digest(app)}",
        f"{APP}:sha256-{amd.digest.encoded}.att": f"attestation of {by_digest(amd)}",
        by_digest(sbom): f"SBOM of {by_digest(app)}",
        by_digest(signed): f"signature of {by_digest(sbom)}",
    }, "not those of another platform, and not what refers to what refers to what refers to it"
    assert found.missed == ()
    snapshot = recorder.finish()
    assert {str(image.reference) for image in snapshot.images} == {f"{APP}:1", *taken(found)}

    site = RegistryApp(ImageSet(blobs, [(image.reference, image.descriptor) for image in snapshot.images]))
    assert manifest(site, f"sha256-{app.digest.encoded}.sig") == upstream.blobs.read(signature.digest)
    listed = json.loads(body(site.handle(Request("GET", f"/v2/team/app/referrers/{app.digest}", {"ns": "docker.io"}, Headers(()), NODE))))
    assert [(item["digest"], item["artifactType"]) for item in listed["manifests"]] == [(str(sbom.digest), SBOM)]
    assert manifest(site, str(signed.digest)) == upstream.blobs.read(signed.digest)


def manifest(app: RegistryApp, target: str) -> bytes:
    return body(app.handle(Request("GET", f"/v2/team/app/manifests/{target}", {"ns": "docker.io"}, Headers(()), NODE)))


def body(response: Response) -> bytes:
    assert response.status == 200
    assert isinstance(response.body, bytes)
    return response.body


def test_a_registry_without_the_api_has_them_under_a_tag(upstream: FakeUpstream, recorder: Recorder, app: Descriptor) -> None:
    sbom = make_artifact(upstream.blobs, [layer(upstream, "sbom")], artifact_type=SBOM, subject=app)
    other = make_artifact(upstream.blobs, [layer(upstream, "other")], artifact_type=SBOM, subject=child(upstream, app, 1))
    upstream.tag(f"team/app:sha256-{app.digest.encoded}", list_of(upstream.blobs, [sbom, other]))
    upstream.fault = lambda request: plain(404, b"404 page not found") if "/referrers/" in request.path else None
    found = recorder.attach()
    assert taken(found) == {by_digest(sbom): f"SBOM of {by_digest(app)}"}, "what names another subject is not its referrer"
    assert found.missed == ()


def test_nothing_there_is_nothing_missed_and_costs_few_requests(upstream: FakeUpstream, recorder: Recorder, app: Descriptor) -> None:
    upstream.requests.clear()
    assert recorder.attach() == Attachments()
    asked = [request.path.removeprefix("/v2/docker.io/team/app/") for request in upstream.requests]
    amd = child(upstream, app, 0)
    wanted = [f"{kind}" for digest in (app.digest, amd.digest) for kind in (*(f"manifests/sha256-{digest.encoded}.{end}" for end in ("sig", "att", "sbom")), f"referrers/{digest}")]
    assert sorted(asked) == sorted(wanted)


def test_one_content_under_two_names_of_a_repository_is_asked_for_once(upstream: FakeUpstream, recorder: Recorder, app: Descriptor) -> None:
    upstream.tag("team/app:2", app)
    recorder.resolve(APP, "2", client=NODE, method="HEAD")
    recorder.finish()
    upstream.requests.clear()
    recorder.attach()
    assert len(upstream.paths(".sig")) == 2


@pytest.mark.parametrize(("status", "part"), [(403, "/referrers/"), (401, ".sig"), (418, ".att"), (503, "/referrers/"), (500, ".sbom")])
def test_what_could_not_be_asked_is_said_and_all_else_comes(upstream: FakeUpstream, recorder: Recorder, app: Descriptor, status: int, part: str) -> None:
    sbom = make_artifact(upstream.blobs, [layer(upstream, "sbom")], artifact_type=SBOM, subject=app)
    upstream.tag(tag_of(app, "sig"), make_artifact(upstream.blobs, [layer(upstream, "signature")]))
    upstream.tag("team/app:others", sbom)
    upstream.fault = lambda request: error_response(status, "DENIED", "no") if part in request.path else None
    found = recorder.attach()
    assert {each.image for each in found.missed} == {Reference.parse("team/app:1")}
    assert f"HTTP {status}" in found.missed[0].why
    assert len(found.taken) == 2 - (part in {"/referrers/", ".sig"})
    upstream.fault = None
    recorder.finish()
    assert recorder.failures() == ()


def test_a_broken_registry_is_waited_for_once_and_not_for_each_image(upstream: FakeUpstream, recorder: Recorder) -> None:
    for number in range(5):
        upstream.tag(f"team/app:{number}", make_image(upstream.blobs, str(number)).descriptor)
        recorder.resolve(APP, str(number), client=NODE, method="HEAD")
    recorder.finish()
    upstream.requests.clear()
    upstream.fault = lambda request: error_response(503, "UNAVAILABLE", "no")
    found = recorder.attach()
    assert {str(each.image) for each in found.missed} == {f"{APP}:{number}" for number in range(5)}
    assert all("503" in each.why for each in found.missed)
    # Six tries for each of the two questions, by each of the four that ask side by side.
    assert len(upstream.requests) <= 4 * 2 * 6


def test_whoever_does_not_answer_in_time_is_said(upstream: FakeUpstream, recorder: Recorder, app: Descriptor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attached.attached, "__kwdefaults__", {"only": None, "seconds": 0.0})
    found = recorder.attach()
    assert [str(each.image) for each in found.missed] == [f"{APP}:1"]
    assert "no answer within" in found.missed[0].why


def test_what_is_listed_and_gone_is_no_gap_and_what_lost_a_blob_is_said(upstream: FakeUpstream, recorder: Recorder, app: Descriptor) -> None:
    gone, torn = (make_artifact(upstream.blobs, [layer(upstream, name)], artifact_type=SBOM, subject=app) for name in ("gone", "torn"))
    upstream.tag("team/app:others", list_of(upstream.blobs, [gone, torn]))
    lost = layer(upstream, "torn").digest
    upstream.fault = lambda request: plain(404, b"gone") if str(gone.digest) in request.path or str(lost) in request.path else None
    found = recorder.attach()
    assert found.taken == ()
    (missed,) = found.missed
    assert str(torn.digest) not in str(recorder.finish()), "what is not whole is not recorded"
    assert str(lost) in missed.why


def test_bounds_hold_and_are_said_and_signatures_come_first(upstream: FakeUpstream, recorder: Recorder, app: Descriptor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attached, "MOST", 3)
    many = [make_artifact(upstream.blobs, [layer(upstream, f"sbom {number}")], artifact_type=SBOM, subject=app) for number in range(5)]
    signature = make_artifact(upstream.blobs, [layer(upstream, "signature")], artifact_type=SIGNATURE, subject=app)
    upstream.tag("team/app:others", list_of(upstream.blobs, [*many, signature]))
    upstream.tag(tag_of(app, "sig"), make_artifact(upstream.blobs, [layer(upstream, "tagged")]))
    found = recorder.attach()
    assert len(found.taken) == 3
    assert {by_digest(signature), f"{APP}:sha256-{app.digest.encoded}.sig"} < set(taken(found))
    assert any("left out" in each.why for each in found.missed)


def test_what_is_too_large_is_never_fetched(upstream: FakeUpstream, recorder: Recorder, app: Descriptor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attached, "MOST_BYTES", 5000)
    large = layer(upstream, "large", 5000)
    upstream.tag(tag_of(app, "sbom"), make_artifact(upstream.blobs, [large]))
    upstream.tag(tag_of(app, "sig"), make_artifact(upstream.blobs, [layer(upstream, "signature")]))
    found = recorder.attach()
    assert [each.what for each in found.taken] == ["signature"]
    assert "more than 5000" in found.missed[0].why
    assert upstream.paths(str(large.digest)) == []


def test_an_index_that_refers_is_weighed_by_its_parts(upstream: FakeUpstream, recorder: Recorder, app: Descriptor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attached, "MOST_BYTES", 5000)
    inner = make_artifact(upstream.blobs, [layer(upstream, "inner", 5000)])
    upstream.tag("team/app:others", list_of(upstream.blobs, [inner], more={"subject": app.to_json()}))
    assert recorder.attach().taken == ()
    monkeypatch.setattr(attached, "MOST_BYTES", 1 << 20)
    monkeypatch.setattr(attached, "MOST_PARTS", 2)
    found = recorder.attach()
    assert found.taken == ()
    assert "more than 2 parts" in found.missed[0].why


def test_a_lock_says_what_is_taken(upstream: FakeUpstream, recorder: Recorder, app: Descriptor) -> None:
    upstream.tag(tag_of(app, "sig"), make_artifact(upstream.blobs, [layer(upstream, "signature")]))
    upstream.tag(tag_of(app, "att"), make_artifact(upstream.blobs, [layer(upstream, "attestation")]))
    kept = Reference.parse(tag_of(app, "att"))
    assert [each.reference for each in recorder.attach([kept]).taken] == [kept]
    assert recorder.attach([]).missed == ()


def test_what_a_client_was_told_is_what_is_taken_and_is_no_image_itself(upstream: FakeUpstream, recorder: Recorder, app: Descriptor) -> None:
    """An admission controller in the cluster has asked already."""
    first, second = (make_artifact(upstream.blobs, [layer(upstream, name)]) for name in ("first", "second"))
    sbom = make_artifact(upstream.blobs, [layer(upstream, "sbom")], artifact_type=SBOM, subject=app)
    upstream.tag(tag_of(app, "sig"), first)
    upstream.tag("team/app:others", list_of(upstream.blobs, [sbom]))
    tag = tag_of(app, "sig").partition(":")[2]
    recorder.resolve(APP, tag, client=NODE, method="GET")
    recorder.manifest(APP, first.digest, client=NODE, method="HEAD")
    assert [item.digest for item in recorder.referrers(APP, app.digest, client=NODE)] == [sbom.digest]
    recorder.finish()
    upstream.tag(tag_of(app, "sig"), second)
    upstream.requests.clear()
    found = recorder.attach()
    assert {each.reference: each.descriptor.digest for each in found.taken} == {
        Reference(APP, tag, None): first.digest,
        Reference(APP, None, first.digest): first.digest,  # the same by another name, which is no image that wants a signature
        Reference(APP, None, sbom.digest): sbom.digest,
    }
    assert not [path for path in upstream.paths(".sig") if first.digest.encoded in path]


@pytest.mark.parametrize(
    ("artifact_type", "annotations", "kind"),
    [
        (BUNDLE, {}, "signature"),
        (BUNDLE, {attached.PREDICATE: attached.SIGNED}, "signature"),
        (BUNDLE, {attached.PREDICATE: "https://slsa.dev/provenance/v1"}, "attestation"),
        ("application/vnd.dev.cosign.artifact.sig.v1+json", {}, "signature"),
        ("application/vnd.cncf.notary.signature", {}, "signature"),
        ("application/vnd.in-toto+json", {}, "attestation"),
        ("application/spdx+json", {}, "SBOM"),
        ("application/vnd.cyclonedx+json", {}, "SBOM"),
        ("application/vnd.amazon.soci.index.v1+json", {}, "artifact"),
        ("", {}, "artifact"),
    ],
)
def test_kinds(artifact_type: str, annotations: dict[str, str], kind: str, blobs: DiskBlobStore) -> None:
    descriptor = Descriptor(media_types.OCI_MANIFEST, put_as(blobs, "x", b"x").digest, 1, annotations=annotations, artifact_type=artifact_type)
    assert attached.kind_of(descriptor) == kind



def test_whoever_ends_after_the_deadline_is_late_whatever_came_of_it(upstream: FakeUpstream, recorder: Recorder, app: Descriptor, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was told to stop, so what it did not find may be there."""
    upstream.tag(tag_of(app, "sig"), make_artifact(upstream.blobs, [layer(upstream, "signature")]))
    real = attached.wait

    def ends_between(futures: list[Future[None]], timeout: float) -> object:
        done = real(futures, 0)
        real(futures, 30)
        return done

    asked = threading.Event()

    def slow(request: Request) -> None:
        asked.wait(0.3)

    upstream.fault = slow
    monkeypatch.setattr(attached, "wait", ends_between)
    found = recorder.attach()
    assert found.taken == ()
    assert [str(each.image) for each in found.missed] == [f"{APP}:1"]


def built(upstream: FakeUpstream, *, of: str = "", kind: str = "attestation-manifest") -> tuple[Descriptor, Descriptor, Descriptor]:
    """An index as BuildKit makes it, with one attestation for each image; return it and the attestations."""
    made = {platform: make_image(upstream.blobs, "built", platform) for platform in (AMD64, ARM64)}
    value = json.loads(upstream.blobs.read(make_index(upstream.blobs, made).digest))
    beside = []
    for platform, image in made.items():
        attestation = make_artifact(upstream.blobs, [layer(upstream, f"provenance of {platform}")])
        notes = {"vnd.docker.reference.type": kind, "vnd.docker.reference.digest": of or str(image.descriptor.digest)}
        value["manifests"].append({**attestation.to_json(), "platform": {"os": "unknown", "architecture": "unknown"}, "annotations": notes})
        beside.append(attestation)
    index = put_as(upstream.blobs, media_types.OCI_INDEX, json.dumps(value).encode())
    upstream.tag("team/app:built", index)
    return index, beside[0], beside[1]


def test_what_buildkit_lays_beside_an_image_comes_along_for_the_platforms_here(upstream: FakeUpstream, recorder: Recorder, blobs: DiskBlobStore) -> None:
    index, mine, others = built(upstream)
    recorder.resolve(APP, "built", client=NODE, method="HEAD")
    recorder.finish()
    found = recorder.attach()
    amd = child(upstream, index, 0)
    assert taken(found) == {by_digest(mine): f"attestation of {by_digest(amd)}"}
    assert blobs.path(mine.digest).exists()
    assert not blobs.path(others.digest).exists()
    assert (found.missed, recorder.attach()) == ((), found)


@pytest.mark.parametrize(("of", "kind"), [("", "something-else"), ("sha256:" + "0" * 64, "attestation-manifest"), ("no digest", "attestation-manifest")])
def test_what_only_looks_like_an_attestation_is_none(upstream: FakeUpstream, recorder: Recorder, of: str, kind: str) -> None:
    built(upstream, of=of, kind=kind)
    recorder.resolve(APP, "built", client=NODE, method="HEAD")
    recorder.finish()
    assert recorder.attach() == Attachments()


def test_an_attestation_of_an_index_that_upstream_lost_is_no_reason_to_stop(upstream: FakeUpstream, recorder: Recorder) -> None:
    _, mine, _ = built(upstream)
    recorder.resolve(APP, "built", client=NODE, method="HEAD")
    recorder.finish()
    upstream.blobs.path(mine.digest).unlink()
    found = recorder.attach()
    assert found.taken == ()
    assert [each.why for each in found.missed if by_digest(mine).partition("@")[0] in each.why and "listed, and its registry does not have" in each.why]
