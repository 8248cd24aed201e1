"""images.txt and images.d: one entry a line, wrong ones named; a base's and a child's add up."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from bundler.coverage.inherit import IMAGES_LABEL, inherited, label_of, over, read_lists
from bundler.coverage.lists import Lists, balancer_image, lists_of, parse_list
from bundler.engine import Engine, ImageInfo
from bundler.errors import BuildFailed, KubefileError
from bundler.file_store import FileStore
from installer_stub.bundle.coverage import Blocked
from installer_stub.bundle.model import BALANCER_LABEL, ClusterFile
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.disk import DiskBlobStore

TEXT = "# nobody pulls these\n\nbusybox:1.36  # for debugging\nquay.io/a/b:2\nblocked: team/demo:1 # the manual's example\n"
DIGEST = f"sha256:{'a' * 64}"


def said(lists: Lists) -> list[str]:
    return [f"{where} {reference}" for where, reference in lists.listed] + [f"{each.where} not {each.reference}: {each.reason}" for each in lists.blocked]


def cluster_file(store: FileStore, path: str, text: str) -> ClusterFile:
    data = text.encode()
    return ClusterFile(path, 0o644, len(data), Digest.of(data), store.store(io.BytesIO(data), Digest.of(data), len(data)))


def test_lines_comments_and_what_is_kept_out() -> None:
    assert said(parse_list(TEXT)) == [
        "images.txt:3 docker.io/library/busybox:1.36",
        "images.txt:4 quay.io/a/b:2",
        "images.txt:5 not docker.io/team/demo:1: the manual's example",
    ]
    assert said(parse_list(f"a/b:1@{DIGEST}\n", "images.d/x.txt")) == [f"images.d/x.txt:1 docker.io/a/b:1@{DIGEST}"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("busybox\nNot An Image\n", r"images\.txt:2: "), ("blocked: Not An Image # why", r"images\.txt:1: "), ("\nblocked: a/b:1\n", r":2: .* without a reason"), ("blocked: # why", ":1: ")],
)
def test_a_line_that_says_nothing_known(text: str, words: str) -> None:
    with pytest.raises(KubefileError, match=words):
        parse_list(text)


@pytest.mark.parametrize("padding", ["", "# padding, so that it is compressed\n" * 100])
def test_every_list_is_read_and_nothing_else(tmp_path: Path, padding: str) -> None:
    store = FileStore(DiskBlobStore(tmp_path / "store"), tmp_path / "compressed")
    texts = {"images.txt": "a/b:1\n", "images.d/gpu.txt": "a/b:2\na/b:1\n", "images.d/deep/x.txt": "a/b:3", "images.d/notes.md": "a/b:4", "x/images.txt": "a/b:5"}
    files = [cluster_file(store, path, text + padding) for path, text in texts.items()]
    assert said(lists_of(files, store.blobs)) == ["images.d/gpu.txt:2 docker.io/a/b:1", "images.d/gpu.txt:1 docker.io/a/b:2"]


def test_a_list_is_no_bomb(tmp_path: Path) -> None:
    store = FileStore(DiskBlobStore(tmp_path / "store"), tmp_path / "compressed")
    with pytest.raises(KubefileError, match=r"images\.txt: has"):
        lists_of([cluster_file(store, "images.txt", "\n" * (2 << 20))], store.blobs)


def test_listed_and_blocked_at_once() -> None:
    with pytest.raises(KubefileError, match=r"images\.txt:2: docker\.io/a/b:1 is blocked here, and images\.txt:1 lists it"):
        parse_list("a/b:1\nblocked: a/b:1 # why\n").check()
    with pytest.raises(KubefileError, match=r"docker\.io/a/b:1 is blocked here, and images\.txt:1 lists it"):
        parse_list(f"a/b:1@sha256:{'d' * 64}\nblocked: a/b:1 # why\n").check()


def test_a_base_and_a_child_add_up_and_the_child_has_the_last_word() -> None:
    base = parse_list("a/base:1\na/unwanted:1\nblocked: a/wanted:1 # too large\n", "base: images.txt")
    image = ImageInfo("sha256:1", {IMAGES_LABEL: label_of(base)}, {}, "linux/amd64", 1)
    assert said(inherited(image)) == said(base)
    child = parse_list("a/child:1\na/wanted:1\nblocked: a/unwanted:1 # not here\n")
    assert said(over(child, inherited(image))) == [
        "images.txt:1 docker.io/a/child:1",
        "images.txt:2 docker.io/a/wanted:1",
        "base: images.txt:1 docker.io/a/base:1",
        "images.txt:3 not docker.io/a/unwanted:1: not here",
    ]
    assert over(child, base) == over(child, over(child, base))


class Docker:
    """An engine with one image, whose files it hands out as a tar."""

    def __init__(self, files: dict[str, str], labels: dict[str, str] | None = None) -> None:
        self.files = files
        self.info = ImageInfo("sha256:1", labels or {}, {}, "linux/amd64", 1)

    def image(self, name: str) -> ImageInfo | None:
        return self.info if name == "base:1" else None

    @contextmanager
    def archive(self, image: str, path: str, labels: dict[str, str]) -> Iterator[Iterator[bytes]]:
        assert (image, labels) == ("sha256:1", {"mark": "1"})
        inside = {name: text for name, text in self.files.items() if f"/cluster/{name}".startswith(path)}
        if not inside:
            raise BuildFailed(f"the image has no {path}")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, text in inside.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(text.encode())
                tar.addfile(entry, io.BytesIO(text.encode()))
        yield iter([packed.getvalue()[:700], packed.getvalue()[700:]])


def read(docker: Docker, name: str = "base:1") -> list[str]:
    return said(read_lists(cast("Engine", docker), name, "corp/base:1", {"mark": "1"}))


def test_a_base_that_plain_docker_built_is_read_itself() -> None:
    files = {"images.txt": "a/b:1\n", "images.d/x.txt": "\nblocked: a/c:1 # why\n", "images.d/notes.md": "a/d:1\n"}
    assert read(Docker(files)) == ["corp/base:1: images.txt:1 docker.io/a/b:1", "corp/base:1: images.d/x.txt:2 not docker.io/a/c:1: why"]
    assert read(Docker({"images.txt": "a/b:1\n"})) == ["corp/base:1: images.txt:1 docker.io/a/b:1"]
    assert read(Docker({})) == read(Docker(files), "debian:12") == read(Docker(files, {IMAGES_LABEL: label_of(Lists())})) == []


def test_a_list_in_a_base_is_no_bomb() -> None:
    with pytest.raises(KubefileError, match="4 MiB"):
        read(Docker({"images.txt": "\n" * (5 << 20)}))


@pytest.mark.parametrize("text", ["{", "[]", '{"listed": [["x"]]}', '{"listed": [["x", "Not An Image"]], "blocked": []}'])
def test_a_label_that_is_not_ours(text: str) -> None:
    with pytest.raises(BuildFailed, match=IMAGES_LABEL):
        inherited(ImageInfo("sha256:1", {IMAGES_LABEL: text}, {}, "linux/amd64", 1))


def test_a_reason_survives_the_label() -> None:
    lists = Lists((), (Blocked(Reference.parse("a/b:1"), "it's \"ours\" \\ ü", "images.txt:1"),))
    assert inherited(ImageInfo("x", {IMAGES_LABEL: label_of(lists)}, {}, "linux/amd64", 1)) == lists


def test_the_balancer_that_a_base_names_is_sealed_and_none_is_made_up() -> None:
    ((why, reference),) = balancer_image({BALANCER_LABEL: "haproxy:3.0.11"})
    assert (why, str(reference)) == ("load balancer of the nodes", "docker.io/library/haproxy:3.0.11")
    assert balancer_image({}) == ()


def test_a_balancer_that_is_no_image_stops_the_build() -> None:
    with pytest.raises(BuildFailed, match=r"internal\.airseal\.balancer"):
        balancer_image({BALANCER_LABEL: "Not An Image"})


def test_a_tag_beside_a_digest_is_no_other_image_for_whoever_blocks_it() -> None:
    own, base = parse_list(f"blocked: a/b@{DIGEST}  # old\n"), parse_list(f"a/b:1@{DIGEST}\nc/d:1\n")
    assert said(over(own, base)) == ["images.txt:2 docker.io/c/d:1", f"images.txt:1 not docker.io/a/b@{DIGEST}: old"]
    with pytest.raises(KubefileError, match=r"images\.txt:1 lists it"):
        parse_list(f"a/b:1@{DIGEST}\nblocked: a/b@{DIGEST}  # old\n").check()


def test_a_child_that_blocks_a_tag_takes_back_what_its_base_lists_by_tag_and_digest() -> None:
    base, own = parse_list(f"a/b:1@{DIGEST}\n"), parse_list("blocked: a/b:1 # not with us\n")
    assert said(over(own, base)) == ["images.txt:1 not docker.io/a/b:1: not with us"]
    base, own = parse_list("blocked: a/b:1 # old\n"), parse_list(f"a/b:1@{DIGEST}\n")
    assert said(over(own, base)) == [f"images.txt:1 docker.io/a/b:1@{DIGEST}"]
