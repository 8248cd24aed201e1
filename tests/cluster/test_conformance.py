"""The official conformance suite against both skins of our registry: the recorder, and the site registry over its recording.

Twice, as what we serve takes no pushes:

* The suite fills a real distribution registry; ``airseal record`` pulls all of it; the suite reads from it. Then the upstream
  is stopped, and the suite reads from ``airseal serve`` over the recording. Of what it did not push itself the suite sees
  only that it is there, so the answers are compared with the upstream's own.
* The suite pushes to a loading dock and reads from our skins: then it checks bodies, headers, ranges, referrers and
  their filter, sha512 too, which distribution does not have.

The suite's files and a readable summary stay in build/conformance, one directory for each run; summary.txt there is of all.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry_snapshot.oci.descriptor import Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference, Repository
from tests.airseal_process import Airseal, ending_well
from tests.conformance.distribution import INCOMPLETE, UPSTREAM_LACKS, Answer, DistributionRegistry, ask
from tests.conformance.skins import loading_dock
from tests.conformance.suite import Results, run_read_only, run_suite, summarise
from tests.demo.shop import ROOT
from tests.testbed.cache import Cache
from tests.testbed.parts import Parts

pytestmark = pytest.mark.cluster

OUTPUT = ROOT / "build" / "conformance"
REPOSITORY = Repository.of("quay.io", "conformance/one")
PLATFORM = Platform("linux", "amd64")
SKINS = ("recorder", "site")

# Everything that reads, and how often the suite does it at least when it has pushed what it has.
READS = {
    "ping": 1, "tag list": 1, "tag-list": 18, "get-missing": 2, "range requests": 14, "referrers": 4,
    "blob-head": 90, "blob-get": 90, "manifest-head-by-tag": 20, "manifest-head-by-digest": 40,
    "pull manifest-by-tag": 20, "pull manifest-by-digest": 40, "missing-manifest by-tag": 1, "missing-manifest by-digest": 1,
    "manifest-get": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def parts() -> Parts:
    parts = Parts(Cache.default())
    parts.build_all(only=("registry", "conformance"))
    return parts


@pytest.fixture(scope="module")
def suite(parts: Parts) -> Path:
    return parts.out("conformance") / "conformance"


@pytest.fixture(scope="module", autouse=True)
def _one_summary() -> Iterator[None]:
    yield
    summarise(OUTPUT)


@dataclass(frozen=True)
class Recording:
    """What was recorded, by whom, and what the upstream had answered for all of it."""

    directory: Path
    results: Results
    tags: tuple[str, ...]
    manifests: tuple[str, ...]
    blobs: tuple[str, ...]
    upstream: dict[str, Answer]
    recorder: dict[str, Answer]

    def read_only(self) -> dict[str, str]:
        """Return the suite's settings for a registry that takes no pushes, and holds this."""
        return read_only(self.tags, self.manifests, self.blobs)


def read_only(tags: tuple[str, ...], manifests: tuple[str, ...], blobs: tuple[str, ...]) -> dict[str, str]:
    held = {"TAGS": tags, "MANIFESTS": manifests, "BLOBS": blobs, "REFERRERS": manifests}
    settings = {f"OCI_RO_DATA_{name}": " ".join(values) for name, values in held.items()}
    # Of a manifest that it did not push the suite reads no headers, and then misses the digest's: config.go, api.go.
    return settings | {"OCI_API_BLOBS_DIGEST_HEADER": "true"}


@pytest.fixture(scope="module")
def recording(parts: Parts, suite: Path, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Fill a real registry, record it by the command, read from the recorder, compare, and stop the upstream."""
    directory = tmp_path_factory.mktemp("recording")
    with DistributionRegistry(parts.out("registry") / "registry", tmp_path_factory.mktemp("upstream")) as upstream:
        filled = run_suite(suite, upstream.address, REPOSITORY.path, OUTPUT / "upstream", {**UPSTREAM_LACKS, "OCI_DATA_SPARSE": "true"})
        assert filled.passed("push manifest-by-digest") > 30, filled.summary()
        holdings = upstream.holdings(REPOSITORY.path)
        left_out = {holdings.tags[tag] for tag in INCOMPLETE & holdings.tags.keys()}
        tags = tuple(sorted(holdings.tags.keys() - INCOMPLETE))
        manifests = tuple(str(digest) for digest in sorted(holdings.manifests - left_out))
        command = ("record", "--listen", "127.0.0.1:0", "--into", directory, "--mirror", f"{REPOSITORY.registry}={upstream.url}")
        with Airseal(*command, wait_for="recording") as recorder:
            for target in (*tags, *manifests):
                assert ask(recorder.host_and_port, "HEAD", f"/v2/{REPOSITORY}/manifests/{target}").status == 200, target
            ended = recorder.end(signal.SIGINT)
        assert ended.code == 0, ended
        recorded = ended.events[-1]
        assert {Reference.parse(image["reference"]).tag for image in recorded["images"]} == {*tags, None}
        blobs = tuple(sorted({blob for image in recorded["images"] for blob in image["blobs"]} - set(manifests)))
        with ending_well(Airseal(*command, wait_for="recording"), signal.SIGINT) as recorder:  # goes on with what is there
            results = run_read_only(suite, recorder.host_and_port, str(REPOSITORY), OUTPUT / "recorder", read_only(tags, manifests, blobs))
            targets = paths(tags, manifests, blobs)
            theirs = {path: ask(upstream.address, "GET", f"/v2/{REPOSITORY.path}/{path}") for path in targets}
            ours = {path: ask(recorder.host_and_port, "GET", f"/v2/{REPOSITORY}/{path}") for path in targets}
    return Recording(directory, results, tags, manifests, blobs, theirs, ours)


def serving(directory: Path) -> AbstractContextManager[Airseal]:
    return ending_well(Airseal("serve", directory, "--listen", "127.0.0.1:0", wait_for="serving"), signal.SIGINT)


def paths(tags: tuple[str, ...], manifests: tuple[str, ...], blobs: tuple[str, ...]) -> list[str]:
    return [*(f"manifests/{target}" for target in (*tags, *manifests)), *(f"blobs/{digest}" for digest in blobs)]


@pytest.mark.parametrize("skin", SKINS)
def test_it_passes_in_pull_and_discovery_mode(skin: str, recording: Recording, suite: Path) -> None:
    results = recording.results
    if skin == "site":
        with serving(recording.directory) as site:
            results = run_read_only(suite, site.host_and_port, str(REPOSITORY), OUTPUT / skin, recording.read_only())
    print(results.summary())
    assert not results.failed, results.summary()
    for area, at_least in (
        ("ping", 1),
        ("tag-list", 1),
        ("referrers", 2),
        ("blob-head", len(recording.blobs)),
        ("blob-get", len(recording.blobs)),
        ("manifest-head-by-tag", len(recording.tags)),
        ("manifest-head-by-digest", len(recording.manifests)),
        ("pull manifest-by-tag", len(recording.tags)),
        ("pull manifest-by-digest", len(recording.manifests)),
    ):
        assert results.passed(area) >= at_least > 0, (area, results.summary())


@pytest.mark.parametrize("skin", SKINS)
def test_every_answer_is_the_upstreams_own(skin: str, recording: Recording) -> None:
    answers = recording.recorder
    if skin == "site":
        with serving(recording.directory) as site:
            answers = {path: ask(site.host_and_port, "GET", f"/v2/{REPOSITORY}/{path}") for path in recording.upstream}
    assert {answer.status for answer in answers.values()} == {200}
    assert answers == recording.upstream
    assert all(Digest.of(answer.body) == Digest.parse(answer.digest or "") for answer in answers.values())


@pytest.mark.parametrize("skin", SKINS)
def test_it_passes_whatever_the_suite_can_ask_after_it_has_pushed(skin: str, suite: Path, tmp_path: Path) -> None:
    everything = {
        "OCI_DATA_SPARSE": "true",
        "OCI_API_BLOBS_UPLOAD_CANCEL": "true",
        "OCI_API_BLOBS_DIGEST_HEADER": "true",
        "OCI_API_MANIFESTS_DIGEST_HEADER": "true",
    }
    with loading_dock(skin, REPOSITORY.registry, (PLATFORM,), tmp_path) as dock:
        results = run_suite(suite, dock.address, str(REPOSITORY), OUTPUT / f"pushed-{skin}", everything)
    print(results.summary())
    assert not results.failed, results.summary()
    assert {area: results.passed(area) >= count for area, count in READS.items()} == dict.fromkeys(READS, True), results.summary()
