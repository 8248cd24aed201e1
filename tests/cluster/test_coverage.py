"""Coverage on a real cluster: whatever the application names is in the file, or the build is red and names it."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from bundler.coverage.lists import recorded_name
from installer_stub.bundle.coverage import Answer
from installer_stub.bundle.reader import Bundle
from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.oci.media_types import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST
from registry_snapshot.store.disk import DiskBlobStore
from tests.clients.upstream import fill
from tests.cluster.conftest import OUTPUT
from tests.cluster.omissions import ABSENT, BRANCH, DIGEST, FOREIGN, REGISTRY, RUNTIME, SEEDS, write
from tests.conformance.distribution import DistributionRegistry
from tests.demo.shop import ROOT
from tests.testbed.build_command import build_command
from tests.testbed.cache import Cache
from tests.testbed.parts import Parts
from tests.unit.registry_snapshot.images import AMD64, ARM64, Image, make_index, put, put_json

pytestmark = pytest.mark.cluster
CHILD_TOOL = f"{REGISTRY}/listed/child:1"


@dataclass(frozen=True)
class World:
    """An internet with a registry more, and what the pinned image's digest is there."""

    cache: Cache
    mirrors: Path
    digest: str

    def build(self, context: Path, title: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Build ``context`` as a release engineer does; the output stays beside the other tests'."""
        target = OUTPUT / f"{title.partition(':')[0]}.run"
        target.unlink(missing_ok=True)
        command = build_command(self.cache, title, target, context, "--quiet-period", "20", "--skip-rehearsal", *more, mirrors=self.mirrors)
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, cwd=ROOT)
        (OUTPUT / f"build-{title.partition(':')[0]}.log").write_text(done.stdout + done.stderr)
        assert "Traceback" not in done.stderr
        return done


def _image(blobs: DiskBlobStore, name: str, platform: Platform) -> Image:
    """Make an image of one file that says its name: a build measures what its layers unpack to."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("name")
        entry.size = len(name.encode())
        tar.addfile(entry, io.BytesIO(name.encode()))
    layer = put(blobs, OCI_LAYER_GZIP, gzip.compress(packed.getvalue(), mtime=0))
    config = put_json(blobs, OCI_CONFIG, {"os": platform.os, "architecture": platform.architecture, "rootfs": {"type": "layers", "diff_ids": []}})
    value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.to_json(), "layers": [layer.to_json()]}
    return Image(put_json(blobs, OCI_MANIFEST, value), config, (layer,))


@pytest.fixture(scope="module")
def world(cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Beside the internet a registry of our own, which a mirrors file names: it holds an image for every seed."""
    parts, where = Parts(cache), tmp_path_factory.mktemp("omitted")
    parts.build_all(only=("registry", "crane"))
    blobs = DiskBlobStore(where / "images")
    names = sorted({seed.image.partition("@")[0] for seed in SEEDS if seed.image.startswith(REGISTRY)} | {CHILD_TOOL, BRANCH})
    offers = {name: make_index(blobs, {AMD64: _image(blobs, name, AMD64), ARM64: _image(blobs, name, ARM64)}) for name in names}
    offers[FOREIGN] = make_index(blobs, {ARM64: _image(blobs, FOREIGN, ARM64)})
    with DistributionRegistry(parts.out("registry") / "registry", where / "registry") as upstream:
        fill(upstream, parts.out("crane") / "crane", blobs, offers)
        mirrors = yaml.safe_load(cache.mirrors.read_text())
        mirrors["ca"] = [str((cache.mirrors.parent / name).resolve()) for name in mirrors["ca"]]
        mirrors["registries"][REGISTRY] = f"{upstream.url}/v2/{REGISTRY}"
        (where / "mirrors.yaml").write_text(yaml.safe_dump(mirrors))
        digest = next(str(root.digest) for name, root in offers.items() if "/pinned/" in name)
        yield World(cache, where / "mirrors.yaml", digest)


@pytest.fixture(scope="module")
def built(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application of all seeds, built."""
    done = world.build(write(tmp_path_factory.mktemp("application"), world.digest), "omissions:1.0.0")
    assert done.returncode == 0, done.stderr[-4000:]
    return OUTPUT / "omissions.run"


def test_every_seeded_omission_is_in_the_file_with_its_reason(built: Path, world: World) -> None:
    with Bundle.open(built) as bundle:
        bundle.verify()
        images = {image.reference: image for image in bundle.lock.images}
        coverage = bundle.coverage
    lines = ["| needed by | image | how it came in | why |", "|---|---|---|---|"]
    missing = []
    for seed in SEEDS:
        image = images.get(recorded_name(seed.image.replace(DIGEST, world.digest)))
        reasons = [str(reason) for reason in image.reasons] if image else []
        kinds = {type(reason).__name__.lower() for reason in image.reasons} if image else set()
        lines.append(f"| {seed.what} | `{seed.image.partition('@')[0]}` | {', '.join(sorted(kinds)) or 'MISSING'} | {reasons[0] if reasons else ''} |")
        if image is None or (seed.runs and not kinds & {"recorded", "gone", "pulled"}):
            missing.append(f"{seed.what}: {seed.image}: {reasons}")
    (OUTPUT / "omissions.md").write_text("\n".join(lines) + "\n")
    assert missing == []
    assert coverage is not None
    assert [(str(each.reference), each.answer) for each in coverage.unresolved] == [(ABSENT, Answer.ABSENT), (BRANCH, Answer.UNCHOSEN)]
    assert [(each.name, [place.object for place in each.places]) for each in coverage.runtimes] == [(RUNTIME, ["CronJob omitted/sandboxed"])]
    (blocked,) = coverage.blocked
    assert (str(blocked.reference), blocked.reason) == (FOREIGN, "these hosts are amd64")
    assert [place.object for place in blocked.places] == ["DaemonSet omitted/arm"]
    assert coverage.unread == ()


def test_the_report_says_so_too(built: Path) -> None:
    page = OUTPUT / "omissions.html"
    command = [sys.executable, "-m", "bundler", "coverage", str(built), "--json", "--html", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=ROOT)
    value = json.loads(done.stdout)
    scanned = {image["reference"] for image in value["images"] if image["how"] == "scanned"}
    assert f"{REGISTRY}/cron/job:1" in scanned
    assert all(image["size"] > 0 and image["firstSeen"] for image in value["images"])
    assert all(image["reference"] in page.read_text() for image in value["images"])


def test_a_child_adds_to_what_its_base_lists_and_strict_names_every_surprise(built: Path, world: World, tmp_path: Path) -> None:
    """The child's images.txt hides the base's file. Every image that only the scan knows is named, and no file is left."""
    assert built.exists()
    (tmp_path / "Kubefile").write_text("FROM airseal.internal/image/omissions:1.0.0\nCOPY images.txt /cluster/images.txt\n")
    (tmp_path / "images.txt").write_text(f"{CHILD_TOOL}\n{REGISTRY}/cron/job:1\n")
    done = world.build(tmp_path, "child:1.0.0", "--strict")
    assert done.returncode == 8, done.stderr[-4000:]
    assert f"adding {REGISTRY}/listed/tool:1: omissions:1.0.0: images.txt:1" in done.stderr
    assert f"adding {CHILD_TOOL}: images.txt:1" in done.stderr
    told = done.stderr[done.stderr.index("--strict:") :]
    surprises = [seed for seed in SEEDS if seed.yaml and not seed.runs and "/cron/" not in seed.image]
    assert [seed.what for seed in surprises if seed.image.partition("@")[0].partition(":")[0] not in told] == []
    assert ABSENT in told
    assert BRANCH in told
    assert f"RuntimeClass {RUNTIME}" in told
    assert f"{REGISTRY}/cron/job:1" not in told  # the child lists it
    assert "omitted/arm" not in told  # the base blocks it
    assert not (OUTPUT / "child.run").exists()
