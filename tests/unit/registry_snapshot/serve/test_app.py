"""RegistryApp where the contract tests cannot look: long lists, what goes into the log, what is closed."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import MAX_MANIFEST_BYTES
from registry_snapshot.oci.media_types import OCI_MANIFEST
from registry_snapshot.oci.reference import Reference, Repository
from registry_snapshot.serve.app import RegistryApp
from registry_snapshot.serve.messages import Headers, Request
from registry_snapshot.store.base import Extent
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.image_set import ImageSet
from tests.unit.registry_snapshot.images import make_image

SUBJECT = Digest.of(b"subject")


@dataclass(frozen=True)
class Lists:
    """Content with long lists."""

    count: int
    annotation: str = ""

    def tags(self, repository: Repository) -> tuple[str, ...]:
        return tuple(f"{number:05}" for number in range(self.count))

    def referrers(self, repository: Repository, digest: Digest, *, client: str) -> tuple[Descriptor, ...]:
        notes = {"a": self.annotation}
        return tuple(Descriptor(OCI_MANIFEST, Digest.of(b"%d" % n), 1, None, (), notes, f"application/{n % 2}") for n in range(self.count))


def follow(app: RegistryApp, target: str, key: str) -> list[list[object]]:
    """Return the pages from ``target`` on."""
    pages: list[list[object]] = []
    while target:
        answer = app.handle(Request.of("GET", target))
        assert answer.status == 200
        body = answer.read()
        assert len(body) <= MAX_MANIFEST_BYTES
        pages.append(json.loads(body)[key])
        target = (answer.header("Link") or "<>")[1:].partition(">")[0]
    return pages


def test_more_referrers_than_one_index_can_hold_come_in_pages() -> None:
    """A client reads no index over 4 MiB: distribution-spec, "Listing Referrers", asks for a Link then."""
    content = Lists(100, "x" * 100_000)
    pages = follow(RegistryApp(content), f"/v2/app/referrers/{SUBJECT}?ns=quay.io", "manifests")  # type: ignore[arg-type]
    found = [item["digest"] for page in pages for item in page]  # type: ignore[index]
    assert len(pages) == 3
    assert sorted(found) == sorted(str(item.digest) for item in content.referrers(Repository.of("quay.io", "a"), SUBJECT, client=""))


def test_the_filter_goes_on_from_page_to_page() -> None:
    pages = follow(RegistryApp(Lists(100, "x" * 100_000)), f"/v2/app/referrers/{SUBJECT}?artifactType=application/1", "manifests")  # type: ignore[arg-type]
    assert [len(page) for page in pages] == [41, 9]
    assert {item["artifactType"] for page in pages for item in page} == {"application/1"}  # type: ignore[index]


@pytest.mark.parametrize(("query", "sizes"), [("", [25_000]), ("?n=999999999", [10_000, 10_000, 5_000]), ("?n=10000", [10_000, 10_000, 5_000])])
def test_pages_of_tags_have_a_largest_size(query: str, sizes: list[int]) -> None:
    pages = follow(RegistryApp(Lists(25_000)), f"/v2/app/tags/list{query}", "tags")  # type: ignore[arg-type]
    assert [len(page) for page in pages] == sizes


def test_a_log_line_is_not_written_by_a_client(caplog: pytest.LogCaptureFixture, blobs: DiskBlobStore) -> None:
    caplog.set_level(logging.INFO)
    RegistryApp(ImageSet(blobs, ())).handle(Request.of("GET", f"/v2/app%0aERROR%20all%20is%20lost/manifests/x%0ay{'z' * 1000}"))
    RegistryApp(ImageSet(blobs, ())).handle(Request.of("GET", f"/v2/app/manifests/x%0aERROR{'z' * 1000}"))
    assert caplog.messages
    assert all("\n" not in message and len(message) < 800 for message in caplog.messages)


class Counting:
    """Content that gives out extents and can tell whether they were closed."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(b"x" * 10)
        self._path = path
        self.given: list[int] = []

    def blob(self, repository: Repository, digest: Digest) -> Extent:
        self.given.append(os.open(self._path, os.O_RDONLY))
        return Extent(self.given[-1], 0, 10)


@pytest.mark.parametrize(
    ("method", "header", "status"),
    [
        ("HEAD", ("X", "x"), 200),
        ("GET", ("Range", "bytes=10-"), 416),
        ("GET", ("If-None-Match", "*"), 304),
        ("GET", ("If-Match", '"x"'), 412),
    ],
)
def test_an_answer_without_a_body_leaves_no_file_open(tmp_path: Path, method: str, header: tuple[str, str], status: int) -> None:
    content = Counting(tmp_path / "blob")
    answer = RegistryApp(content).handle(Request.of(method, f"/v2/app/blobs/{SUBJECT}", Headers([header])))  # type: ignore[arg-type]
    assert answer.status == status
    for descriptor in content.given:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


targets = st.lists(
    st.sampled_from(["v2", "/", "manifests", "blobs", "tags/list", "referrers", "app", "quay.io", "%00", "%2f", "..", "?n=", "?ns=", "sha256:", "é", "1"]),
    max_size=8,
).map("".join)


@given(st.sampled_from(["GET", "HEAD", "PUT", ""]), targets, st.dictionaries(st.sampled_from(["Accept", "Range", "If-Match", "Host"]), st.text(max_size=20)))
def test_any_request_has_an_answer(shared_app: RegistryApp, method: str, target: str, headers: dict[str, str]) -> None:
    answer = shared_app.handle(Request.of(method, f"/{target}", Headers(headers.items())))
    answer.close()
    assert answer.status in {200, 206, 304, 400, 404, 405, 412, 416}


@pytest.fixture(scope="module")
def shared_app(tmp_path_factory: pytest.TempPathFactory) -> RegistryApp:
    blobs = DiskBlobStore(tmp_path_factory.mktemp("blobs"))
    return RegistryApp(ImageSet(blobs, [(Reference.parse("app:1"), make_image(blobs, "a").descriptor)]))
