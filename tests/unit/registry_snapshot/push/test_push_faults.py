"""Pushes to registries that break off, lie, are slow, full, closed: what was pushed is right, or the error has a name."""

from __future__ import annotations

import pytest

from registry_snapshot.errors import (
    PushDenied,
    PushedOther,
    PushRefused,
    RegistryError,
    RegistryFull,
    RegistryReadOnly,
    UpstreamError,
    UpstreamUnreachable,
)
from registry_snapshot.oci.digest import Digest
from registry_snapshot.push import upload
from registry_snapshot.push.pusher import Parcel
from registry_snapshot.store.disk import DiskBlobStore
from tests.fakes.taking_registry import Asked, Cut, Deaf, Fault, Said, TakingRegistry
from tests.unit.registry_snapshot.artifacts import make_artifact
from tests.unit.registry_snapshot.conftest import Naps
from tests.unit.registry_snapshot.images import Image, make_image
from tests.unit.registry_snapshot.push.conftest import PATH, Push

SIZE = 900_000
LIE = "sha256:" + "0" * 64


@pytest.fixture
def image(blobs: DiskBlobStore) -> Image:
    return make_image(blobs, "app", layer_sizes=(SIZE,))


def on_layer(method: str, *faults: Said | Cut | Deaf | None) -> Fault:
    """Return what happens to the requests of ``method`` that carry more than a config, one after the other."""
    left = list(faults)

    def fault(asked: Asked) -> Said | Cut | Deaf | None:
        return left.pop(0) if asked.method == method and asked.length > 1000 and left else None

    return fault


def is_there(registry: TakingRegistry, image: Image, blobs: DiskBlobStore) -> bool:
    held = all(registry.blobs.get((PATH, str(part.digest))) == blobs.read(part.digest, SIZE) for part in (image.config, *image.layers))
    return held and registry.manifests.get((PATH, "1")) == blobs.read(image.descriptor.digest)


@pytest.mark.parametrize("after", [0, 1, 300_000, SIZE - 1, SIZE])
def test_a_broken_connection_goes_on_from_what_the_registry_has(registry: TakingRegistry, image: Image, blobs: DiskBlobStore, push: Push, after: int) -> None:
    registry.fault = on_layer("PUT", Cut(after))
    pushed = push(Parcel(image.descriptor, "1"))
    assert is_there(registry, image, blobs)
    rest = [each.content_range for each in registry.asked if each.method == "PATCH"]
    assert rest == ([f"{after}-{SIZE - 1}"] if 1 < after < SIZE else []), "what is there is not sent again"
    assert pushed.sent == pushed.blobs


def test_one_that_breaks_off_again_and_again_is_gone_on_with_each_time(registry: TakingRegistry, image: Image, blobs: DiskBlobStore, push: Push) -> None:
    def fault(asked: Asked) -> Cut | None:
        return Cut(100_000) if asked.method in {"PUT", "PATCH"} and asked.length > 100_000 else None

    registry.fault = fault
    push(Parcel(image.descriptor, "1"))
    assert is_there(registry, image, blobs)
    assert registry.count("PATCH") == 8


@pytest.mark.parametrize("status", [404, 400, 405, 500])
def test_a_registry_that_does_not_know_how_far_it_was_gets_the_whole_again(registry: TakingRegistry, image: Image, blobs: DiskBlobStore, push: Push, status: int) -> None:
    cut = on_layer("PUT", Cut(300_000, kept=False))
    registry.fault = lambda asked: Said(status) if asked.method == "GET" and asked.turn <= 1 else cut(asked)
    push(Parcel(image.descriptor, "1"))
    assert is_there(registry, image, blobs)


def test_an_answer_that_is_lost_is_not_sent_twice(registry: TakingRegistry, image: Image, blobs: DiskBlobStore, push: Push) -> None:
    registry.fault = on_layer("PUT", Deaf())
    pushed = push(Parcel(image.descriptor, "1"))
    assert is_there(registry, image, blobs)
    assert pushed.travelled == sum(part.size for part in (image.descriptor, image.config, *image.layers))


def test_one_that_never_holds_ends_with_its_name(registry: TakingRegistry, image: Image, push: Push) -> None:
    registry.fault = lambda asked: Cut(10, kept=False) if asked.method == "PUT" else None
    with pytest.raises(UpstreamUnreachable, match=registry.name):
        push(Parcel(image.descriptor, "1"))
    assert not registry.manifests


@pytest.mark.parametrize(("said", "waited"), [(Said(429, {"Retry-After": "7"}), 7.0), (Said(503, {"Retry-After": "11"}), 11.0), (Said(503), None), (Said(500), None), (Said(502), None)], ids=str)
def test_what_passes_is_waited_for(registry: TakingRegistry, image: Image, push: Push, naps: Naps, *, said: Said, waited: float | None) -> None:
    registry.fault = lambda asked: said if asked.method == "POST" and asked.turn == 1 else None
    push(Parcel(image.descriptor, "1"))
    assert registry.manifests
    assert naps.taken if waited is None else max(naps.taken) == pytest.approx(waited)


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
def test_what_does_not_pass_ends(registry: TakingRegistry, image: Image, push: Push, method: str) -> None:
    registry.fault = lambda asked: Said(503, message="down for ever") if asked.method == method else None
    with pytest.raises(UpstreamError, match="503"):
        push(Parcel(image.descriptor, "1"))


@pytest.mark.parametrize("unread", [False, True])
def test_what_is_too_large_for_one_request_goes_in_chunks(registry: TakingRegistry, image: Image, blobs: DiskBlobStore, push: Push, *, monkeypatch: pytest.MonkeyPatch, unread: bool) -> None:
    monkeypatch.setattr(upload, "CHUNK_BYTES", 200_000)
    registry.fault = lambda asked: Said(413, unread=unread) if asked.length > 200_000 else None
    push(Parcel(image.descriptor, "1"))
    assert is_there(registry, image, blobs)
    assert [each.length for each in registry.asked if each.method == "PATCH"] == [200_000] * 4 + [100_000]


def test_chunks_are_as_large_as_the_registry_wants_them(registry: TakingRegistry, image: Image, push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "CHUNK_BYTES", 200_000)
    registry.minimum = 400_000
    registry.fault = lambda asked: Said(413) if asked.length > 400_000 else None
    push(Parcel(image.descriptor, "1"))
    assert [each.length for each in registry.asked if each.method == "PATCH"] == [400_000, 400_000, 100_000]


NAMED = [
    (Said(413), RegistryFull, "nginx"),
    (Said(507, message="insufficient storage"), RegistryFull, "make room"),
    (Said(403, message="adding 1.0 GiB of storage resource will exceed the configured upper limit of 10 GiB"), RegistryFull, "make room"),
    (Said(405, message="The operation is unsupported."), RegistryReadOnly, "takes pushes"),
    (Said(403, message="The system is in read only mode. Any modification is prohibited."), RegistryReadOnly, "takes pushes"),
    (Said(401), PushDenied, "airseal login"),
    (Said(403, message="denied"), PushDenied, "airseal login"),
    (Said(404, message="project team not found"), PushRefused, "make the project"),
]


@pytest.mark.parametrize("named", NAMED, ids=[f"{said.status} {said.message[:20]}" for said, _, _ in NAMED])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_refusal_has_a_name_and_a_remedy(registry: TakingRegistry, image: Image, push: Push, named: tuple[Said, type[RegistryError], str], method: str) -> None:
    said, kind, remedy = named
    registry.fault = lambda asked: said if asked.method == method else None
    with pytest.raises(kind) as caught:
        push(Parcel(image.descriptor, "1"))
    assert remedy in caught.value.remedy
    assert registry.name in caught.value.problem
    assert not registry.manifests


def test_a_registry_that_keeps_other_bytes_is_found_out(registry: TakingRegistry, image: Image, push: Push) -> None:
    registry.told = lambda digest: LIE
    with pytest.raises(PushedOther, match="0000"):
        push(Parcel(image.descriptor, "1"))
    assert not registry.manifests, "what is there is not tagged"


def test_one_that_lies_of_a_manifest_alone_is_found_out(registry: TakingRegistry, image: Image, push: Push) -> None:
    registry.told = lambda digest: LIE if digest == str(image.descriptor.digest) else digest
    with pytest.raises(PushedOther):
        push(Parcel(image.descriptor, "1"))


def test_one_that_lies_of_a_mount_is_found_out(registry: TakingRegistry, image: Image, push: Push) -> None:
    push(Parcel(image.descriptor, "1"), path="team/base")
    registry.told = lambda digest: LIE
    with pytest.raises(PushedOther):
        push(Parcel(image.descriptor, "1"), mount="team/base")


@pytest.mark.parametrize("status", [400, 404, 405])
def test_a_registry_that_cannot_mount_is_sent_everything(registry: TakingRegistry, image: Image, blobs: DiskBlobStore, push: Push, status: int) -> None:
    registry.fault = lambda asked: Said(status) if "mount=" in asked.path else None
    assert push(Parcel(image.descriptor, "1"), mount="team/base").sent == 2
    assert is_there(registry, image, blobs)


def test_absolute_places_are_taken_and_their_query_is_kept(registry: TakingRegistry, image: Image, blobs: DiskBlobStore, push: Push) -> None:
    registry.location = lambda path: f"http://{registry.name}{path}"
    push(Parcel(image.descriptor, "1"))
    assert is_there(registry, image, blobs)
    assert all("state=a%2Bb&digest=sha256%3A" in each.path for each in registry.asked if each.method == "PUT" and "/blobs/" in each.path)


@pytest.mark.parametrize("location", ["", "ftp://elsewhere/", "http://[", "mailto:somebody"])
def test_a_place_that_is_none_ends_the_push(registry: TakingRegistry, image: Image, push: Push, location: str) -> None:
    registry.location = lambda path: location
    with pytest.raises(RegistryError):
        push(Parcel(image.descriptor, "1"))


@pytest.mark.parametrize("status", [400, 401, 403, 405])
def test_a_registry_without_heads_is_sent_everything(registry: TakingRegistry, image: Image, blobs: DiskBlobStore, push: Push, status: int) -> None:
    registry.fault = lambda asked: Said(status) if asked.method == "HEAD" else None
    push(Parcel(image.descriptor, "1"))
    assert is_there(registry, image, blobs)


def test_a_manifest_that_refers_is_added_to_the_list_that_others_write_too(blobs: DiskBlobStore, registry: TakingRegistry, image: Image, push: Push) -> None:
    """Another client reads the list before us and writes it after us, once; then ours is added again."""
    note = make_artifact(blobs, subject=image.descriptor, artifact_type="application/vnd.test.note")
    tag = f"sha256-{image.descriptor.digest.encoded}"
    other = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'

    def fault(asked: Asked) -> None:
        gets = [each for each in registry.asked if each.method == "GET" and each.path.endswith(tag)]
        if asked.method == "GET" and asked.path.endswith(tag) and len(gets) == 2:
            registry.manifests[PATH, tag] = other
            registry.types[str(Digest.of(other))] = "application/vnd.oci.image.index.v1+json"

    registry.fault = fault
    push(Parcel(note), Parcel(image.descriptor, "1"))
    assert str(note.digest).encode() in registry.manifests[PATH, tag]


def test_a_registry_with_the_referrers_api_keeps_the_list_itself(blobs: DiskBlobStore, image: Image, registry: TakingRegistry, push: Push) -> None:
    registry.lists = True
    push(Parcel(make_artifact(blobs, subject=image.descriptor, artifact_type="application/vnd.test.note")), Parcel(image.descriptor, "1"))
    assert not [target for _, target in registry.manifests if target.startswith("sha256-")]
