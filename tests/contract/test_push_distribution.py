"""The push client against the real distribution registry: without a login, with htpasswd, with tokens, behind TLS, read-only."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from registry_snapshot.errors import DigestMismatch, PushDenied, RegistryReadOnly, UpstreamNotTrusted
from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Repository
from registry_snapshot.push.pusher import Parcel, Pushed, Pusher
from registry_snapshot.record.credentials import Credentials, DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.puller import Puller
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.store.disk import DiskBlobStore
from tests.conformance.distribution import PASSWORD, USER, DistributionRegistry, Tls, basic
from tests.conformance.token_server import TokenServer
from tests.testbed.cache import Cache
from tests.testbed.certificates import Authority
from tests.testbed.parts import Parts
from tests.unit.registry_snapshot.images import AMD64, ARM64, Image, make_image, make_index, put, put_json

Start = Callable[..., DistributionRegistry]
SECRET_PATHS = ("team/app", "team/other")


@pytest.fixture(scope="session")
def program() -> Path:
    parts = Parts(Cache.default())
    found = parts.out("registry") / "registry"
    if not found.is_file():
        if shutil.which("go") is None:
            pytest.skip("the real registry is built with Go, which is not here: make testbed")
        parts.build_all(only=("registry",))
    return found


@pytest.fixture
def start(program: Path, tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(DistributionRegistry(program, tmp_path / "registry", access_log=True, **options))


@pytest.fixture
def blobs(tmp_path: Path) -> DiskBlobStore:
    return DiskBlobStore(tmp_path / "store")


def app(blobs: DiskBlobStore, name: str = "app") -> Image:
    return make_image(blobs, name, layer_sizes=(3_000, 0, 1_500_000))


def push(registry: DistributionRegistry, blobs: DiskBlobStore, path: str, *parcels: Parcel, login: Credentials | None = None, mirrors: Mirrors | None = None, mounts: str = "") -> Pushed:
    logins = ((registry.name, login),) if login else ()
    with Upstreams(mirrors or Mirrors(private=("127.0.0.1",)), DockerCredentials(logins)) as upstreams:
        told: list[int] = []
        pusher = Pusher(upstreams, blobs, progress=told.append)
        others = {digest: Repository.of(registry.name, mounts) for digest in blobs.digests()} if mounts else {}
        pushed = pusher.push(Repository.of(registry.name, path), parcels, others)
        assert sum(told) == pusher.size(parcels)
    return pushed


def pulled(registry: DistributionRegistry, path: str, target: str, into: Path) -> tuple[Descriptor, set[Digest]]:
    with Upstreams(Mirrors(private=(registry.name,)), DockerCredentials()) as upstreams:
        puller = Puller(DiskBlobStore(into), upstreams, None)
        repository = Repository.of(registry.name, path)
        root = puller.resolve(repository, target).descriptor
        return root, {part.digest for part in puller.complete(repository, root)}


def requests(registry: DistributionRegistry, *methods: str) -> list[str]:
    registry.wait_until_idle()
    return [line for line in registry.log().splitlines() if any(f'"{method} /v2/' in line for method in methods)]


def test_what_was_pushed_is_pulled_again_byte_for_byte(start: Start, blobs: DiskBlobStore, tmp_path: Path) -> None:
    index = make_index(blobs, {AMD64: app(blobs), ARM64: make_image(blobs, "arm", ARM64, docker=True)})
    registry = start()
    pushed = push(registry, blobs, "team/app", Parcel(index, "1.4.0"))
    assert (pushed.sent, pushed.there, pushed.mounted) == (pushed.blobs, 0, 0)
    assert pulled(registry, "team/app", "1.4.0", tmp_path / "again") == (index, set(blobs.digests()))


def test_a_second_push_sends_nothing_and_a_changed_image_only_what_changed(start: Start, blobs: DiskBlobStore) -> None:
    first, registry = app(blobs), start()
    push(registry, blobs, "team/app", Parcel(first.descriptor, "1"))
    before = len(requests(registry, "PUT", "POST", "PATCH"))
    again = push(registry, blobs, "team/app", Parcel(first.descriptor, "1"))
    assert (again.travelled, again.sent) == (0, 0)
    assert again.there == sum(part.size for part in (first.config, *first.layers))
    assert len(requests(registry, "PUT", "POST", "PATCH")) == before
    layer = put(blobs, media_types.OCI_LAYER, b"changed")
    value = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": first.config.to_json(), "layers": [*(each.to_json() for each in first.layers), layer.to_json()]}
    changed = put_json(blobs, media_types.OCI_MANIFEST, value)
    pushed = push(registry, blobs, "team/app", Parcel(changed, "1"))
    assert pushed.travelled == layer.size + changed.size


def test_blobs_of_another_repository_are_mounted_and_do_not_travel(start: Start, blobs: DiskBlobStore, tmp_path: Path) -> None:
    image, registry = app(blobs), start()
    push(registry, blobs, "team/base", Parcel(image.descriptor, "1"))
    pushed = push(registry, blobs, "team/app", Parcel(image.descriptor, "1"), mounts="team/base")
    assert (pushed.travelled, pushed.sent, pushed.mounted) == (image.descriptor.size, 0, sum(part.size for part in (image.config, *image.layers)))
    assert pulled(registry, "team/app", "1", tmp_path / "again")[0] == image.descriptor


def test_what_cannot_be_mounted_is_sent(start: Start, blobs: DiskBlobStore) -> None:
    image, registry = app(blobs), start()
    pushed = push(registry, blobs, "team/app", Parcel(image.descriptor, "1"), mounts="nobody/has-it")
    assert (pushed.mounted, pushed.sent) == (0, pushed.blobs)


def test_htpasswd_lets_in_who_has_the_password_and_names_who_has_not(start: Start, blobs: DiskBlobStore) -> None:
    image, registry = app(blobs), start(auth=basic)
    push(registry, blobs, "team/app", Parcel(image.descriptor, "1"), login=Credentials(USER, PASSWORD))
    with pytest.raises(PushDenied, match="without a login: there is none for 127") as nobody:
        push(registry, blobs, "team/app", Parcel(image.descriptor, "2"))
    assert f"airseal login {registry.name}" in nobody.value.remedy
    with pytest.raises(PushDenied, match="with the login 'mallory'") as wrong:
        push(registry, blobs, "team/app", Parcel(image.descriptor, "2"), login=Credentials("mallory", "guessed-wrong"))
    assert "guessed-wrong" not in str(wrong.value)


def test_tokens_are_asked_for_pushing_and_for_both_sides_of_a_mount(start: Start, blobs: DiskBlobStore) -> None:
    image, login = app(blobs), Credentials(USER, PASSWORD)
    everything = frozenset({"pull", "push"})
    with TokenServer({"team/base": everything, "team/app": everything, "team/read": frozenset({"pull"})}) as tokens:
        registry = start(auth=tokens.auth)
        push(registry, blobs, "team/base", Parcel(image.descriptor, "1"), login=login)
        assert len(tokens.asked) == 1, "one token for everything that one repository is asked"
        pushed = push(registry, blobs, "team/app", Parcel(image.descriptor, "1"), login=login, mounts="team/base")
        assert (pushed.mounted > 0, pushed.sent) == (True, 0)
        assert ("repository:team/app:pull,push", "repository:team/base:pull") in tokens.asked
        with pytest.raises(PushDenied, match="with the login 'bob'"):
            push(registry, blobs, "team/read", Parcel(image.descriptor, "1"), login=login)
        tokens.may = {"team/app": everything, "team/new": everything}
        pushed = push(registry, blobs, "team/new", Parcel(image.descriptor, "1"), login=login, mounts="team/base")
        assert pushed.sent == pushed.blobs, "who may not read there can still push"


def test_tls_is_verified(start: Start, blobs: DiskBlobStore, tmp_path: Path) -> None:
    image, authority = app(blobs), Authority(tmp_path / "ca")
    authority.issue(tmp_path / "tls", ["127.0.0.1"])
    registry = start(tls=Tls(tmp_path / "tls" / "tls.crt", tmp_path / "tls" / "tls.key"), auth=basic)
    mirrors, login = Mirrors(((registry.name, registry.url),), private=(registry.name,)), Credentials(USER, PASSWORD)
    with pytest.raises(UpstreamNotTrusted):
        push(registry, blobs, "team/app", Parcel(image.descriptor, "1"), mirrors=mirrors, login=login)
    trusting = Mirrors(mirrors.registries, private=mirrors.private, ca_files=(authority.certificate,))
    assert push(registry, blobs, "team/app", Parcel(image.descriptor, "1"), mirrors=trusting, login=login).sent


def test_a_read_only_registry_is_named_as_such(start: Start, blobs: DiskBlobStore) -> None:
    image, registry = app(blobs), start(read_only=True)
    with pytest.raises(RegistryReadOnly):
        push(registry, blobs, "team/app", Parcel(image.descriptor, "1"))


def test_a_blob_that_is_damaged_here_is_never_pushed(start: Start, blobs: DiskBlobStore) -> None:
    image, registry = app(blobs), start()
    path = blobs.path(image.layers[2].digest)
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[700_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(DigestMismatch, match="on this disk"):
        push(registry, blobs, "team/app", Parcel(image.descriptor, "1"))
    assert not list((tmp := blobs.root.parent / "registry" / "docker").rglob("_manifests")), tmp


def test_referrers_are_listed_under_the_tag_where_there_is_no_such_api(start: Start, blobs: DiskBlobStore) -> None:
    image, registry = app(blobs), start()
    empty = put(blobs, media_types.OCI_EMPTY, b"{}")
    base = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": empty.to_json(), "layers": [empty.to_json()]}
    notes = [put_json(blobs, media_types.OCI_MANIFEST, {**base, "artifactType": f"application/vnd.test.{kind}", "subject": image.descriptor.to_json()}) for kind in ("sbom", "signature")]
    push(registry, blobs, "team/app", Parcel(notes[0]), Parcel(image.descriptor, "1"))
    push(registry, blobs, "team/app", Parcel(notes[1]), Parcel(notes[0]))
    with Upstreams(Mirrors(private=(registry.name,)), DockerCredentials()) as upstreams:
        repository = Repository.of(registry.name, "team/app")
        upstream = upstreams.for_registry(registry.name)
        found = upstream.referrers(repository, image.descriptor.digest)
        listed = json.loads(upstream.manifest(repository, f"sha256-{image.descriptor.digest.encoded}").raw)
    assert [(each.digest, each.artifact_type) for each in found] == [(note.digest, f"application/vnd.test.{kind}") for note, kind in zip(notes, ("sbom", "signature"), strict=True)]
    assert len(listed["manifests"]) == 2
