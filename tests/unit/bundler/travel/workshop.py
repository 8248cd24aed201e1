"""A machine that built and recorded a cluster image, and one that has never seen it. Everything is made by hand; nothing needs docker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bundler.cli import run
from bundler.cluster_images.contents import contents_for
from bundler.cluster_images.names import full_name
from bundler.cluster_images.store import ClusterImages
from bundler.cluster_images.taken_over import environment_of, labels_of
from bundler.kubefile.commands import commands_from_json
from bundler.kubefile.dockerfile import COMMANDS_LABEL
from bundler.pack.stub_runtime import StubRuntime
from bundler.steps import proofs, recorded, recording, sealable
from bundler.steps.recorded import Recorded
from bundler.steps.sealable import Sealable
from bundler.steps.sealing import measured
from bundler.steps.shelf import Shelf
from bundler.travel.cluster_of import cluster_of
from installer_stub.bundle.coverage import Coverage
from installer_stub.bundle.model import ImageLock, LockedImage
from installer_stub.bundle.receipt import Receipt
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.closure import closure, identities
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.bundler.cluster_images.made import LABELS, file, layer, put_image
from tests.unit.bundler.reporter import Remembering
from tests.unit.installer_stub.bundle.sealed import Ingredients, ingredients
from tests.unit.registry_snapshot.images import AMD64, ARM64, Image, make_index

FILES: Mapping[str, str] = {"bin/kubeadm": "#!kubeadm\n" * 900, "bin/kubectl": "#!kubectl", "manifests/shop.yaml": "kind: Deployment\n"}
PROOF = Receipt(topology="1+1", file="ab" * 32, began=1_700_000_000, seconds=99, airseal="0.1.0", engine="20.10")


@dataclass
class Machine:
    """A machine with a cache and an installer; ``stub`` tells one installer from another."""

    root: Path
    stub_mark: bytes = b""
    stub: StubRuntime = field(init=False)

    def __post_init__(self) -> None:
        made = _ingredients(self.root / "made")
        (frozen := self.root / "runtime" / "key").mkdir(parents=True)
        for name, source in (("bootloader", made.runtime.bootloader), ("stub.pkg", made.runtime.package)):
            (frozen / name).write_bytes((self.stub_mark if name == "stub.pkg" else b"") + source.read_bytes())
        (frozen / "frozen.json").write_text('{"glibc": "2.17"}')
        self.stub = StubRuntime.of(frozen / "bootloader", frozen / "stub.pkg")

    @property
    def blobs(self) -> DiskBlobStore:
        return DiskBlobStore(self.root / "store")

    @property
    def images(self) -> ClusterImages:
        return ClusterImages(self.root)

    def recorded_at(self) -> float:
        """When what is sealed next was recorded."""
        (kept, *_) = sealable.kept(self.root)
        found = recorded.decode(Shelf(self.root, recording.STEP).get(kept.recording) or b"")
        assert found is not None
        return found.time

    def airseal(self, *argv: str) -> int:
        return run([argv[0], *argv[1:], "--cache", str(self.root)])


class Builder(Machine):
    """It has ``shop:1.4.0`` as a build would leave it, from a multi-platform image of which one platform was recorded, and a plain one."""

    kept: Sealable
    found: Recorded
    image: Descriptor

    def build(self, files: Mapping[str, str] = FILES, name: str = "shop:1.4.0") -> None:
        base = layer(*(file(f"cluster/{path}", content, 0o755 if path.startswith("bin") else 0o644) for path, content in files.items() if path.startswith("bin")))
        own = layer(*(file(f"cluster/{path}", content) for path, content in files.items() if not path.startswith("bin")))
        self.image = put_image(self.blobs, [base, own])
        self.images.put(full_name(name), self.image)

    def record(self, time: float = 1.7e9) -> None:
        """Record what stands in for the application: two images, one of them sparse."""
        lonely, pause = (put_image(self.blobs, [layer(file(name, name * 900))]) for name in ("busybox", "pause"))
        arm = put_image(DiskBlobStore(self.root / "elsewhere"), [layer(file("pause"))], architecture="arm64")
        index = make_index(self.blobs, {platform: Image(root, root, ()) for platform, root in ((AMD64, pause), (ARM64, arm))})
        names = {"docker.io/library/busybox:1.36": lonely, "registry.k8s.io/pause:3.10": index}
        images = tuple(self._locked(Reference.parse(name), root) for name, root in names.items())
        seen = {image.reference: time for image in images}
        self.found = Recorded(ImageLock(images), Coverage(), seen, ("quiet for 60 s",), time)
        contents = contents_for(self.blobs, self.image, "shop", Platform("linux", "amd64"))
        info = replace(
            _ingredients(self.root / "info").info, platforms=("linux/amd64",), cluster=cluster_of(contents, self.root, Remembering()),
            commands=commands_from_json(LABELS[COMMANDS_LABEL], COMMANDS_LABEL),
            environment=environment_of(contents.config.environment), labels=labels_of(contents.config.labels), images_size=0, images_unpacked_size=0, files_size=sum(map(len, FILES.values())),
        )  # fmt: skip
        self.kept = Sealable(info, "a" * 64, self.stub.digest)
        Shelf(self.root, recording.STEP).put(self.kept.recording, recorded.encode(self.found))
        sealable.keep(self.root, self.kept)

    def rehearse(self) -> None:
        whole = measured(self.kept.info, self.found, self.stub, self.root, Remembering())
        proofs.keep(self.root, "b" * 64, Digest.of(whole.content), PROOF)

    def _locked(self, reference: Reference, root: Descriptor) -> LockedImage:
        made = _ingredients(self.root / "lock").lock.images[0]
        parts = closure(self.blobs, root, (AMD64,))
        return replace(made, reference=reference, descriptor=root, digests=identities(parts), size=sum(part.size for part in parts))


def _ingredients(directory: Path) -> Ingredients:
    directory.mkdir(parents=True, exist_ok=True)
    return ingredients(directory)
