"""/cluster out of layers: what upper layers hide, replace and link to; and nothing hostile gets through."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from bundler.cluster_images import layer_tree
from bundler.cluster_images.contents import contents_for
from bundler.cluster_images.flatten import flatten
from bundler.errors import BuildFailed, ClusterImageInvalid
from bundler.file_store import FileStore
from bundler.files import collect
from installer_stub.bundle.file_content import read_content
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.bundler.cluster_images.made import Made, file, folder, hard, layer, put_image, soft
from tests.unit.bundler.reporter import Remembering

BASE = [folder("cluster"), folder("cluster/a"), file("cluster/a/one", "1"), file("cluster/a/two", "2", 0o755), file("cluster/three", "3"), file("bin/tool", "tool", 0o755)]


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(DiskBlobStore(tmp_path / "store"), tmp_path / "compressed")


def files(store: FileStore, layers: Sequence[Sequence[Made]], compression: str = "gzip") -> dict[str, bytes]:
    """Return what ``collect`` finds, path → content."""
    descriptor = put_image(store.blobs, [layer(*each) for each in layers], compression)
    made = collect(flatten(contents_for(store.blobs, descriptor, "x"), store.blobs), store, Remembering()).files
    return {each.path: read_content(each, store.blobs) for each in made}


WHOLE = {"a/one": b"1", "a/two": b"2", "three": b"3"}


@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
def test_layers_of_every_kind(store: FileStore, compression: str) -> None:
    assert files(store, [BASE, [file("./cluster/./a/one", "new")], [file("/cluster/b", "b")]], compression) == {**WHOLE, "a/one": b"new", "b": b"b"}


@pytest.mark.parametrize(
    ("upper", "left"),
    [
        ([file("cluster/a/.wh.one", "")], {"a/two": b"2", "three": b"3"}),
        ([file("cluster/.wh.a", "")], {"three": b"3"}),
        ([file(".wh.cluster", ""), folder("cluster"), file("cluster/new", "n")], {"new": b"n"}),
        ([file(".wh..wh..opq", ""), file("cluster/new", "n")], {"new": b"n"}),
        ([file("cluster/a/.wh..wh..opq", ""), file("cluster/a/new", "n")], {"a/new": b"n", "three": b"3"}),
        # Whatever the order: a whiteout hides what lower layers have, never what its own layer brings.
        ([file("cluster/a/new", "n"), file("cluster/a/.wh..wh..opq", "")], {"a/new": b"n", "three": b"3"}),
        ([file("cluster/a/one", "again"), file("cluster/a/.wh.one", "")], {**WHOLE, "a/one": b"again"}),
        ([file("cluster/.wh.nothing", ""), file("other/.wh.a", ""), file("cluster/a/.wh..wh.plnk", "")], WHOLE),
        ([file("cluster/a", "a file now")], {"a": b"a file now", "three": b"3"}),
        ([file("cluster/three/deep", "d")], {"a/one": b"1", "a/two": b"2", "three/deep": b"d"}),
        ([folder("cluster/three")], {"a/one": b"1", "a/two": b"2", "three/.keep": b""}),
        ([folder("cluster/a/")], WHOLE),
        ([soft("cluster/a", "three")], {"a": b"3", "three": b"3"}),
        ([soft("cluster/link", "a")], {**WHOLE, "link/one": b"1", "link/two": b"2"}),
        ([file("cluster/double", "first"), file("cluster/double", "second")], {**WHOLE, "double": b"second"}),
        ([folder("cluster/a"), file("cluster/a/.wh.one", ""), file("cluster/a/.wh.two", "")], {"a/.keep": b"", "three": b"3"}),
    ],
)
def test_what_an_upper_layer_does_to_those_below(store: FileStore, upper: list[Made], left: dict[str, bytes]) -> None:
    assert files(store, [BASE, upper]) == left


@pytest.mark.parametrize(
    ("uppers", "left"),
    [
        ([[file("cluster/new", "n"), hard("cluster/same", "cluster/new")]], {"new": b"n", "same": b"n"}),
        ([[hard("cluster/same", "./cluster/three")]], {"same": b"3"}),
        ([[hard("cluster/tool", "/bin/tool")]], {"tool": b"tool"}),
        ([[file("opt/x", "x"), hard("opt/y", "opt/x"), hard("cluster/z", "opt/y"), hard("cluster/zz", "cluster/z")]], {"z": b"x", "zz": b"x"}),
        # What it links to is gone in the end; its content is not.
        ([[hard("cluster/same", "cluster/a/one")], [file("cluster/a/one", "other")]], {"same": b"1", "a/one": b"other"}),
        ([[hard("cluster/same", "cluster/a/one")], [file("cluster/.wh.a", "")]], {"same": b"1", "a/one": None, "a/two": None}),
        ([[hard("cluster/same", "cluster/a/two")], [hard("cluster/more", "cluster/same")]], {"same": b"2", "more": b"2"}),
    ],
)
def test_hard_links_across_layers(store: FileStore, uppers: list[list[Made]], left: dict[str, bytes | None]) -> None:
    wanted = {path: content for path, content in {**WHOLE, **left}.items() if content is not None}
    assert files(store, [BASE, *uppers]) == wanted


def test_modes_and_links_are_those_of_the_image(store: FileStore) -> None:
    descriptor = put_image(store.blobs, [layer(*BASE), layer(hard("cluster/tool", "bin/tool"), soft("cluster/to", "a/two"), folder("cluster/empty"))])
    data = b"".join(flatten(contents_for(store.blobs, descriptor, "x"), store.blobs))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {entry.name: (entry.type, entry.mode) for entry in tar}
    assert found["cluster/tool"] == (tarfile.REGTYPE, 0o755)
    assert found["cluster/a/two"] == (tarfile.REGTYPE, 0o755)
    assert (found["cluster/to"][0], found["cluster/empty"][0]) == (tarfile.SYMTYPE, tarfile.DIRTYPE)
    assert not any(name.startswith("bin") for name in found)


@pytest.mark.parametrize(
    ("upper", "words"),
    [
        ([file("cluster/../etc/passwd")], "leaves the image"),
        ([file("../cluster/x")], "leaves the image"),
        ([hard("cluster/x", "../../etc/shadow")], "leaves the image"),
        ([file("cluster/.wh...", "")], "leaves the image"),
        ([file("cluster/" + "d/" * 2100 + "x")], "is no path"),
        ([hard("cluster/x", "cluster/none")], "no file of the image"),
        ([hard("cluster/x", "etc/shadow")], "no file of the image"),
        ([hard("cluster/x", "cluster/x")], "no file of the image"),
        ([hard("cluster/x", "cluster/a")], "no file of the image"),
        ([soft("cluster/way", "/etc"), file("cluster/way/passwd")], "no directory of that layer"),
        ([file("cluster/f"), file("cluster/f/g")], "no directory of that layer"),
    ],
)
def test_hostile_layers_are_named(store: FileStore, upper: list[Made], words: str) -> None:
    with pytest.raises(ClusterImageInvalid, match=words):
        files(store, [BASE, upper])


@pytest.mark.parametrize(
    ("upper", "words"),
    [
        ([("cluster/dev", b"", tarfile.CHRTYPE, 0o600)], "device, a pipe or a socket"),
        ([file("cluster/root", "x", 0o4755)], "setuid"),
        ([soft("cluster/shadow", "/etc/shadow")], "outside and does not travel"),
        ([soft("cluster", "/etc")], "is a file in the image"),
        ([file(".wh.cluster", "")], "has no /cluster"),
    ],
)
def test_what_docker_would_give_too_is_refused_as_it_is_then(store: FileStore, upper: list[Made], words: str) -> None:
    with pytest.raises(BuildFailed, match=words):
        files(store, [BASE, upper])


def test_a_sparse_file_is_refused(store: FileStore) -> None:
    entry = tarfile.TarInfo("cluster/huge")
    entry.type, entry.size = tarfile.GNUTYPE_SPARSE, 512
    header = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"00000000000\0" + b"00000001000\0"  # one piece
    header[483:495] = b"77777777777\0"  # of 8 GiB
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    descriptor = put_image(store.blobs, [bytes(header) + bytes(512 + 1024)])
    with pytest.raises(ClusterImageInvalid, match="sparse file"):
        b"".join(flatten(contents_for(store.blobs, descriptor, "x"), store.blobs))


def test_names_have_a_bound(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_tree, "_MOST_NAMES", 300)
    assert len(files(store, [[file(f"cluster/{number}") for number in range(299)]])) == 299
    for many in ([file(f"cluster/{number}") for number in range(300)], [file("cluster/" + "d/" * 299 + "x")], [file("cluster/x")] * 300):
        with pytest.raises(ClusterImageInvalid, match="more than 300"):
            files(store, [many])


@pytest.mark.parametrize("bound", ["_MOST_ELSEWHERE", "_MOST_CHARACTERS"])
def test_what_is_elsewhere_is_remembered_up_to_a_bound(store: FileStore, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(layer_tree, bound, 30)
    many = [file(f"u/{number}") for number in range(50)]
    assert files(store, [BASE, many, [hard("opt/x", "u/49"), hard("opt/y", "nothing"), file("cluster/new", "n")]]) == {**WHOLE, "new": b"n"}
    assert files(store, [BASE, many, [hard("cluster/same", "u/3")]])["same"] == b"x"
    with pytest.raises(ClusterImageInvalid, match="no file of the image"):
        files(store, [BASE, many, [hard("cluster/same", "u/49")]])


@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
@pytest.mark.parametrize("damage", [lambda raw: raw[: len(raw) // 2], lambda raw: raw[:-9], lambda raw: raw[:40] + bytes([raw[40] ^ 1]) + raw[41:], lambda raw: b"", lambda raw: raw + raw])
def test_torn_and_altered_layers_are_named(store: FileStore, compression: str, damage: object) -> None:
    descriptor = put_image(store.blobs, [layer(*BASE), layer(file("cluster/b", bytes(range(256)) * 40))], compression)
    contents = contents_for(store.blobs, descriptor, "x")
    path = store.blobs.path(contents.manifest.layers[1].digest)
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(ClusterImageInvalid, match=r"layer 2 of sha256:\w+ (cannot be read|unpacks to)"):
        b"".join(flatten(contents, store.blobs))


def test_an_image_without_cluster_files(store: FileStore) -> None:
    with pytest.raises(BuildFailed, match="has no /cluster"):
        files(store, [[file("bin/tool")]])
    assert Digest.of(b"") not in store.blobs
