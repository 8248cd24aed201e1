"""The upstream of real clients: the real distribution registry, with a repository prefix for every registry it plays."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.layout_index import OCI_LAYOUT, layout_index
from tests.conformance.distribution import DistributionRegistry


def mirrors(upstream: DistributionRegistry, offers: Iterable[str]) -> Mirrors:
    """Return where the recorder finds each registry: a base URL with /v2 in it is taken as a whole prefix."""
    registries = sorted({Reference.parse(name).repository.registry for name in offers})
    return Mirrors(tuple((name, f"{upstream.url}/v2/{_prefix(name)}") for name in registries))


def fill(upstream: DistributionRegistry, crane: Path, blobs: DiskBlobStore, offers: Mapping[str, Descriptor]) -> None:
    """Push every image with crane, from ``blobs``, which becomes an OCI layout of one image after the other."""
    (blobs.root / "oci-layout").write_bytes(OCI_LAYOUT)
    for name, root in offers.items():
        reference = Reference.parse(name)
        (blobs.root / "index.json").write_bytes(layout_index([(reference, root)]))
        host, port = upstream.address
        repository = reference.repository
        target = f"{host}:{port}/{_prefix(repository.registry)}/{repository.path}:{reference.tag}"
        environment = {"PATH": os.environ["PATH"], "HOME": str(blobs.root)}
        command = [crane, "push", "--insecure", blobs.root, target]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stderr}"
        assert str(root.digest) in done.stdout, f"{name} was pushed as {done.stdout}, it is {root.digest}"


def _prefix(registry: str) -> str:
    return registry.replace(":", "-")
