"""What upstreams keep for images is sealed as any image is, verified, read by strangers, and served by tag and by the referrers API."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from installer_stub import cli
from installer_stub.bundle.content import BundleContent
from installer_stub.bundle.model import ImageLock, LockedImage
from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.reasons import Attached
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.reference import Reference
from registry_snapshot.serve.app import RegistryApp
from registry_snapshot.serve.messages import Headers, Request
from registry_snapshot.store.closure import closure, identities
from tests.unit.installer_stub.bundle.sealed import Ingredients, ingredients
from tests.unit.installer_stub.bundle.test_stranger import agrees
from tests.unit.registry_snapshot.artifacts import SBOM, make_artifact, put_as
from tests.unit.registry_snapshot.images import AMD64


def with_attached(made: Ingredients) -> tuple[Ingredients, Reference, dict[str, Descriptor]]:
    """Return the ingredients with a signature and an SBOM of one image, that image's name, and both by their names."""
    reference, image = made.images[0]
    layer = put_as(made.store, "application/vnd.dev.cosign.simplesigning.v1+json", b'{"critical":{}}')
    signed = replace(layer, annotations={"dev.cosignproject.cosign/signature": "x"})
    content = put_as(made.store, SBOM, b"{}")
    repository = reference.repository
    sbom = make_artifact(made.store, [content], artifact_type=SBOM, subject=image)
    found = {f"{repository}:sha256-{image.digest.encoded}.sig": make_artifact(made.store, [signed]), f"{repository}@{sbom.digest}": sbom}
    images = list(made.lock.images)
    for name, root in found.items():
        parts = closure(made.store, root, (AMD64,))
        why = (Attached("signature", f"{repository}@{image.digest}"),)
        images.append(LockedImage(Reference.parse(name), root, identities(parts), why, sum(part.size for part in parts)))
    lock = ImageLock(tuple(images))
    parts = {part.digest: part.size for _, root in lock.roots for part in closure(made.store, root, (AMD64,))}
    return replace(made, lock=lock, info=replace(made.info, images_size=sum(parts.values()))), reference, found


def test_it_is_sealed_verified_and_served(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made, reference, found = with_attached(ingredients(tmp_path))
    path = made.seal(tmp_path / "attached.run")
    agrees(path)
    assert cli.main(["inspect", "--bundle", str(path)]) == 0
    assert f"  images      {len(made.images)} and 2 signatures and the like, " in capfd.readouterr().out
    with Bundle.open(path) as bundle:
        bundle.verify()
        app = RegistryApp(BundleContent([bundle]))
        image = next(image.descriptor for image in bundle.lock.images if image.reference == reference)
        repository = reference.repository
        signature, sbom = found.values()

        def ask(what: str) -> bytes:
            response = app.handle(Request("GET", f"/v2/{repository.path}/{what}", {"ns": repository.registry}, Headers(()), "10.0.0.2"))
            assert response.status == 200, what
            return response.read()

        assert ask(f"manifests/sha256-{image.digest.encoded}.sig") == made.store.read(signature.digest)
        assert ask(f"blobs/{json.loads(made.store.read(signature.digest))['layers'][0]['digest']}") == b'{"critical":{}}'
        assert [item["digest"] for item in json.loads(ask(f"referrers/{image.digest}"))["manifests"]] == [str(sbom.digest)]
        assert ask(f"manifests/{sbom.digest}") == made.store.read(sbom.digest)
