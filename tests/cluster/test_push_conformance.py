"""What the official suite pushes, our client pushes: everything that the suite leaves in one real registry is taken to an empty one.

Indexes of indexes, artifacts, subjects, odd annotations, empty layers: what is there afterwards is asked for, and compared byte for byte.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from registry_snapshot.errors import UpstreamError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Repository
from registry_snapshot.push.pusher import Parcel, Pusher
from registry_snapshot.record.credentials import DockerCredentials
from registry_snapshot.record.mirrors import Mirrors
from registry_snapshot.record.puller import Puller
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.store.closure import closure
from registry_snapshot.store.disk import DiskBlobStore
from tests.conformance.distribution import INCOMPLETE, UPSTREAM_LACKS, DistributionRegistry, Holdings, ask
from tests.conformance.suite import run_suite
from tests.contract.test_push_distribution import program
from tests.testbed.cache import Cache
from tests.testbed.parts import Parts

__all__ = ["program"]
pytestmark = pytest.mark.cluster
PATH = "conformance/one"


@pytest.fixture(scope="module")
def suite() -> Path:
    parts = Parts(Cache.default())
    found = parts.out("conformance") / "conformance"
    if not found.is_file():
        if shutil.which("go") is None:
            pytest.skip("the suite is built with Go, which is not here: make testbed")
        parts.build_all(only=("conformance",))
    return found


def test_everything_that_the_suite_pushes_is_pushed_by_ours(program: Path, suite: Path, tmp_path: Path) -> None:
    blobs = DiskBlobStore(tmp_path / "store")
    with (
        DistributionRegistry(program, tmp_path / "theirs") as theirs,
        DistributionRegistry(program, tmp_path / "ours") as ours,
        Upstreams(Mirrors(private=("127.0.0.1",)), DockerCredentials()) as upstreams,
    ):
        filled = run_suite(suite, theirs.address, PATH, tmp_path / "suite", {**UPSTREAM_LACKS, "OCI_DATA_SPARSE": "true"})
        assert filled.passed("push manifest-by-digest") > 30, filled.summary()
        holdings = theirs.holdings(PATH)
        left_out = {holdings.tags[tag] for tag in INCOMPLETE & holdings.tags.keys()}
        source = Repository.of(theirs.name, PATH)
        with closing(Puller(blobs, upstreams, None)) as puller:
            roots = {digest: puller.manifest(source, digest).descriptor for digest in sorted(holdings.manifests - left_out)}
            incomplete = {digest for digest, root in roots.items() if not _came(puller, source, root)}
        assert len(incomplete) <= 2, "sparse indexes, which no registry of ours could be given"
        roots = {digest: root for digest, root in roots.items() if digest not in incomplete}
        parcels = [Parcel(roots[digest], tag) for tag, digest in sorted(holdings.tags.items()) if digest in roots] + [Parcel(root) for root in roots.values()]
        Pusher(upstreams, blobs).push(Repository.of(ours.name, PATH), parcels)
        _same(theirs, ours, holdings, roots, blobs)


def _came(puller: Puller, source: Repository, root: Descriptor) -> bool:
    """Pull all of it; tell whether all of it is there."""
    try:
        puller.complete(source, root)
    except UpstreamError as error:
        if error.status != 404:
            raise
        return False
    return True


def _same(theirs: DistributionRegistry, ours: DistributionRegistry, holdings: Holdings, roots: dict[Digest, Descriptor], blobs: DiskBlobStore) -> None:
    """Ask both for everything."""
    parts = {part.digest for root in roots.values() for part in closure(blobs, root, None)}
    targets = [f"manifests/{tag}" for tag, digest in holdings.tags.items() if digest in roots]
    targets += [f"manifests/{digest}" for digest in roots] + [f"blobs/{digest}" for digest in parts - roots.keys()]
    assert len(targets) > 60
    for target in targets:
        answer = ask(ours.address, "GET", f"/v2/{PATH}/{target}")
        assert answer.status == 200, target
        assert answer == ask(theirs.address, "GET", f"/v2/{PATH}/{target}"), target
    kept = ours.holdings(PATH)
    assert {tag: digest for tag, digest in kept.tags.items() if not tag.startswith("sha256-")} == {
        tag: digest for tag, digest in holdings.tags.items() if digest in roots and not tag.startswith("sha256-")
    }
