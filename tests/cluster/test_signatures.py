"""A real registry, with and without signatures: what upstream keeps for an image is recorded, judged, and served when upstream is gone.

Signatures are pushed as cosign pushes them: under its tag, and as referrers, which distribution keeps under the tag of their subject.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bundler.errors import PolicyViolated
from bundler.image_lock import lock_of
from bundler.policy.judge import held_to
from bundler.policy.read import parse
from installer_stub.bundle.model import ImageLock
from installer_stub.bundle.reasons import Attached, Listed
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.record.attached import Attachments
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.recorder import Recorder
from registry_snapshot.serve.app import RegistryApp
from registry_snapshot.serve.messages import Headers, Request, Response
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.image_set import ImageSet
from registry_snapshot.store.layout_index import OCI_LAYOUT, layout_index
from tests.conformance.distribution import DistributionRegistry
from tests.testbed.cache import Cache
from tests.testbed.parts import Parts
from tests.unit.bundler.policy.signing import KEY, bundle, claim, pem, signed, statement
from tests.unit.registry_snapshot.artifacts import list_of, make_artifact, put_as
from tests.unit.registry_snapshot.images import AMD64, ARM64, make_image, make_index

pytestmark = pytest.mark.cluster

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SBOM = "application/spdx+json"
NAMES = ("tagged", "referred", "unsigned", "forged")
SENT = re.compile(r'"(GET|HEAD) (/v2/\S+) HTTP/1\.1" (\d{3})')


def name_of(host: str, name: str) -> str:
    return f"{host}/shop/{name}"


@dataclass(frozen=True)
class Recorded:
    """What was recorded of a registry that is off by now, and what it was asked at the end."""

    host: str
    blobs: DiskBlobStore
    lock: ImageLock
    found: Attachments
    images: dict[str, Descriptor]
    asked: list[tuple[str, int]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    parts = Parts(Cache.default())
    parts.build_all(only=("registry", "crane"))
    layout, blobs = DiskBlobStore(tmp_path_factory.mktemp("layout")), DiskBlobStore(tmp_path_factory.mktemp("blobs"))
    (layout.root / "oci-layout").write_bytes(OCI_LAYOUT)
    with DistributionRegistry(parts.out("registry") / "registry", tmp_path_factory.mktemp("upstream"), access_log=True) as registry:
        host = f"{registry.address[0]}:{registry.address[1]}"
        images = {name: make_index(layout, {AMD64: make_image(layout, name, AMD64), ARM64: make_image(layout, name, ARM64)}) for name in NAMES}
        images["referred"] = with_provenance(layout, images["referred"])
        wanted = {f"{name_of(host, name)}:1": root for name, root in images.items()} | _attached(layout, host, images)
        for name, root in wanted.items():
            (layout.root / "index.json").write_bytes(layout_index([(Reference.parse(name), root)]))
            subprocess.run([parts.out("crane") / "crane", "push", "--insecure", layout.root, name], check=True, capture_output=True, timeout=60)
        with Recorder(tmp_path_factory.mktemp("record"), blobs, Mirrors(((host, registry.url),)), DockerCredentials(), (AMD64,)) as recorder:
            for name in NAMES:
                recorder.add(Reference.parse(f"{name_of(host, name)}:1"), "images.txt:1")
            recorder.finish()
            registry.wait_until_idle()
            before = len(SENT.findall(registry.log()))
            found = recorder.attach()
            registry.wait_until_idle()
            asked = [(path, int(status)) for _, path, status in SENT.findall(registry.log())[before:]]
            snapshot = recorder.finish()
    reasons = {image.reference: [Listed("images.txt:1")] for image in snapshot.images} | {each.reference: [Attached(each.what, str(each.subject))] for each in found.taken}
    return Recorded(host, blobs, lock_of(snapshot, blobs, (AMD64,), reasons), found, images, asked)


def with_provenance(layout: DiskBlobStore, index: Descriptor) -> Descriptor:
    """Return the index with an attestation of its first image in it, as BuildKit lays it there."""
    value = json.loads(layout.read(index.digest))
    made = make_artifact(layout, [put_as(layout, "application/vnd.in-toto+json", b'{"predicateType":"https://slsa.dev/provenance/v1"}')])
    notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": value["manifests"][0]["digest"]}
    value["manifests"].append({**made.to_json(), "platform": {"os": "unknown", "architecture": "unknown"}, "annotations": notes})
    return put_as(layout, index.media_type, json.dumps(value).encode())


def _attached(layout: DiskBlobStore, host: str, images: dict[str, Descriptor]) -> dict[str, Descriptor]:
    """Return what cosign would push, by name; referrers with the list under their subject's tag, as clients keep it for such a registry."""
    found: dict[str, Descriptor] = {}
    for name, key in (("tagged", KEY), ("forged", ec.generate_private_key(ec.SECP256R1()))):
        repository = name_of(host, name)
        found[f"{repository}:sha256-{images[name].digest.encoded}.sig"] = make_artifact(layout, [signed(layout, claim(images[name].digest, repository), key)])
    subject, repository = images["referred"], name_of(host, "referred")
    content = put_as(layout, BUNDLE, json.dumps(bundle(statement(subject.digest))).encode())
    signature = make_artifact(layout, [content], artifact_type=BUNDLE, subject=subject)
    sbom = make_artifact(layout, [put_as(layout, SBOM, b"{}")], artifact_type=SBOM, subject=subject)
    of_sbom = make_artifact(layout, [signed(layout, claim(sbom.digest, repository))], artifact_type="application/vnd.dev.cosign.artifact.sig.v1+json", subject=sbom)
    for of, listed in ((subject, [signature, sbom]), (sbom, [of_sbom])):
        found[f"{repository}:sha256-{of.digest.encoded}"] = list_of(layout, listed)
    return found


def ask(recorded: Recorded, target: str) -> Response:
    """Ask the site's registry."""
    app = RegistryApp(ImageSet(recorded.blobs, recorded.lock.roots))
    response = app.handle(Request("GET", f"/v2/{target}", {"ns": recorded.host}, Headers(()), "10.0.0.2"))
    assert response.status == 200, response
    return response


def test_provenance_that_buildkit_laid_into_the_index_is_served_too(recorded: Recorded) -> None:
    index = json.loads(read(ask(recorded, "shop/referred/manifests/1")))
    manifest = json.loads(read(ask(recorded, f"shop/referred/manifests/{index['manifests'][2]['digest']}")))
    (statement,) = manifest["layers"]
    assert statement["mediaType"] == "application/vnd.in-toto+json"
    ask(recorded, f"shop/referred/blobs/{statement['digest']}").close()


def read(response: Response) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


def test_all_is_recorded_with_what_it_is(recorded: Recorded) -> None:
    assert recorded.found.missed == ()
    kinds = {(each.reference.repository.path, each.what, each.reference.tag is not None) for each in recorded.found.taken}
    assert kinds == {("shop/tagged", "signature", True), ("shop/forged", "signature", True), ("shop/referred", "signature", False), ("shop/referred", "SBOM", False), ("shop/referred", "attestation", False)}
    assert len([each for each in recorded.found.taken if each.what == "signature"]) == 4, "the SBOM's own signature too"


def test_it_is_served_by_tag_and_by_the_referrers_api_when_upstream_is_gone(recorded: Recorded) -> None:
    digest = recorded.images["tagged"].digest
    manifest = json.loads(read(ask(recorded, f"shop/tagged/manifests/sha256-{digest.encoded}.sig")))
    layer = manifest["layers"][0]
    assert "dev.cosignproject.cosign/signature" in layer["annotations"]
    ask(recorded, f"shop/tagged/blobs/{layer['digest']}").close()
    subject = recorded.images["referred"].digest
    listed = json.loads(read(ask(recorded, f"shop/referred/referrers/{subject}")))["manifests"]
    assert {item["artifactType"] for item in listed} == {BUNDLE, SBOM}
    sbom = next(item["digest"] for item in listed if item["artifactType"] == SBOM)
    assert len(json.loads(read(ask(recorded, f"shop/referred/referrers/{sbom}")))["manifests"]) == 1


def test_a_policy_is_judged_from_what_was_recorded(recorded: Recorded, tmp_path: Path) -> None:
    (tmp_path / "shop.pub").write_bytes(pem(KEY))
    rules = [{"images": [f"{recorded.host}/shop/**"], "keys": ["shop.pub"]}]
    with pytest.raises(PolicyViolated) as error:
        held_to(parse(json.dumps({"rules": rules}).encode(), tmp_path / "policy.yaml"), recorded.lock, recorded.blobs)
    lines = error.value.problem.splitlines()
    assert len(lines) == 3
    assert "/shop/forged:1 " in lines[1]
    assert "no key of the rule has made it" in lines[1]
    assert "/shop/unsigned:1 " in lines[2]
    assert "no signature of it was recorded" in lines[2]
    excused = {"images": [f"{recorded.host}/shop/unsigned", f"{recorded.host}/shop/forged"], "unsigned": "allowed", "reason": "a test"}
    held = held_to(parse(json.dumps({"rules": [excused, *rules]}).encode(), tmp_path / "policy.yaml"), recorded.lock, recorded.blobs)
    assert {each.reference.repository.path for each in held.images if each.key} == {"shop/tagged", "shop/referred"}


def test_what_nothing_is_kept_for_costs_ten_requests_and_no_retry(recorded: Recorded) -> None:
    """Two manifests are used of an index, and five questions asked of each: three tags, the API that distribution has not, and its tag."""
    asked = [path for path, _ in recorded.asked if "/shop/unsigned/" in path]
    assert len(asked) == len(set(asked)) == 10
    assert {status for path, status in recorded.asked if "/shop/unsigned/" in path} == {404}


def test_the_lock_says_why(recorded: Recorded) -> None:
    why = {str(image.reference): [str(reason) for reason in image.reasons] for image in recorded.lock.images}
    repository = Repository.of(recorded.host, "shop/tagged")
    digest = recorded.images["tagged"].digest
    assert why[f"{repository}:sha256-{digest.encoded}.sig"] == [f"signature of {repository}@{digest}"]
