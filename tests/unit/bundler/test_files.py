"""What comes out of /cluster is stored once, the same way every time, and nothing hostile gets through."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from bundler.errors import BuildFailed
from bundler.file_store import FileStore
from bundler.files import collect
from installer_stub.bundle.cluster_files import cluster_manifest, parse_cluster_manifest
from installer_stub.bundle.model import FILE_PLAIN, FILE_ZSTD
from installer_stub.hostside.fetch import fetch
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.disk import DiskBlobStore
from tests.unit.bundler.reporter import Remembering

TEXT = b"apiVersion: v1\n" * 1000


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(DiskBlobStore(tmp_path / "store"), tmp_path / "compressed")


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, link, mode
    return made


def stream(*items: tuple[tarfile.TarInfo, bytes], piece: int = 700) -> Iterator[bytes]:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(entry("cluster", tarfile.DIRTYPE))
        for info, content in items:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    data = out.getvalue()
    return (data[at : at + piece] for at in range(0, len(data), piece))


def test_files_become_blobs(store: FileStore) -> None:
    noise = hashlib.shake_256(b"noise").digest(5000)
    files = collect(
        stream(
            (entry("cluster/manifests", tarfile.DIRTYPE), b""),
            (entry("cluster/manifests/a.yaml", mode=0o644), TEXT),
            (entry("cluster/bin/tool", mode=0o755), noise),
            (entry("cluster/empty"), b""),
        ),
        store,
        Remembering(),
    )
    assert [file.path for file in files.files] == ["bin/tool", "empty", "manifests/a.yaml"]
    tool, empty, manifest = files.files
    assert (tool.mode, tool.blob.media_type, tool.blob.digest) == (0o755, FILE_PLAIN, tool.digest)
    assert (empty.size, empty.blob.media_type) == (0, FILE_PLAIN)
    assert (manifest.blob.media_type, manifest.size) == (FILE_ZSTD, len(TEXT))
    assert manifest.digest == Digest.of(TEXT)
    assert zstandard.ZstdDecompressor().decompress(store.blobs.read(manifest.blob.digest)) == TEXT
    assert files.size == len(TEXT) + 5000
    cluster_manifest(files.files)


def test_a_content_is_compressed_once_ever(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    first = collect(stream((entry("cluster/a"), TEXT)), store, Remembering())
    monkeypatch.setattr(FileStore, "store", None)  # a second compression would fail
    second = collect(stream((entry("cluster/renamed", mode=0o755), TEXT)), store, Remembering())
    assert second.files[0].blob == first.files[0].blob


def test_what_is_remembered_but_gone_is_made_again(store: FileStore) -> None:
    first = collect(stream((entry("cluster/a"), TEXT)), store, Remembering()).files[0]
    store.blobs.path(first.blob.digest).unlink()
    again = collect(stream((entry("cluster/a"), TEXT)), store, Remembering()).files[0]
    assert again == first
    assert store.blobs.size(first.blob.digest) == first.blob.size


def test_the_same_content_is_the_same_bytes_everywhere(tmp_path: Path) -> None:
    content = b"".join(hashlib.sha256(str(number).encode()).hexdigest().encode() for number in range(40_000))
    blobs = set()
    for name in ("one", "two"):
        store = FileStore(DiskBlobStore(tmp_path / name), tmp_path / name)
        blobs.add(collect(stream((entry("cluster/a"), content)), store, Remembering()).files[0].blob.digest)
    # zstandard is pinned: other bytes here mean that every sealed artifact changes, which a changelog must say.
    assert {str(blob) for blob in blobs} == {"sha256:b566875a6ecb1ea6a9fab07a8b9dfd0475171bb6b19d34c2bca8bbf80ccd9c33"}


def test_links_inside_become_files(store: FileStore) -> None:
    files = collect(
        stream(
            (entry("cluster/bin/one", mode=0o755), b"one"),
            (entry("cluster/bin/relative", tarfile.SYMTYPE, "one"), b""),
            (entry("cluster/absolute", tarfile.SYMTYPE, "/cluster/bin/one"), b""),
            (entry("cluster/chain", tarfile.SYMTYPE, "./bin/../absolute"), b""),
            (entry("cluster/hard", tarfile.LNKTYPE, "cluster/bin/one"), b""),
        ),
        store,
        Remembering(),
    )
    assert {file.path: (file.mode, file.size) for file in files.files} == dict.fromkeys(
        ["absolute", "bin/one", "bin/relative", "chain", "hard"], (0o755, 3)
    )


def test_links_to_directories_and_empty_directories_travel(store: FileStore) -> None:
    files = collect(
        stream(
            (entry("cluster/", tarfile.DIRTYPE), b""),
            (entry("cluster/charts/web/templates/", tarfile.DIRTYPE), b""),
            (entry("cluster/charts/web/Chart.yaml"), b"name: web"),
            (entry("cluster/current", tarfile.SYMTYPE, "charts/web"), b""),
        ),
        store,
        Remembering(),
    )
    assert {file.path: file.size for file in files.files} == {
        "charts/web/Chart.yaml": 9, "charts/web/templates/.keep": 0, "current/Chart.yaml": 9, "current/templates/.keep": 0,
    }  # fmt: skip
    assert {file.mode for file in files.files} == {0o644}


@pytest.mark.parametrize(
    ("mode", "sealed"),
    [
        (0o777, 0o755),
        (0o666, 0o644),
        (0o775, 0o755),
        (0o664, 0o644),
        (0o4, 0o644),
        (0, 0o644),
        (0o600, 0o644),
        (0o700, 0o755),
        (0o1777, 0o755),
        (0o1, 0o755),
        (0o622, 0o644),
    ],
)
def test_one_bit_of_a_mode_is_content(store: FileStore, mode: int, sealed: int) -> None:
    items = ((entry("cluster/a", mode=mode), b"a"), (entry("cluster/link", tarfile.SYMTYPE, "a", mode=0o777), b""))
    files = collect(stream(*items), store, Remembering()).files
    assert {file.mode for file in files} == {sealed}


def test_a_checkout_without_umask_gives_hosts_no_file_or_directory_that_others_write(store: FileStore, tmp_path: Path) -> None:
    names = {"scripts/init.sh": 0o777, "bin/kubelet": 0o777, "charts/a/b/values.yaml": 0o666, "manifests/x.yaml": 0o646}
    items = [(entry(f"cluster/{name}", mode=mode), name.encode()) for name, mode in names.items()]
    sealed = parse_cluster_manifest(cluster_manifest(collect(stream(*items), store, Remembering()).files))

    class Store:
        def pieces(self, blob: Descriptor, attempt: int) -> Iterator[bytes]:
            del attempt
            yield store.blobs.read(blob.digest)

    into = tmp_path / "opt" / "shop-1"
    before = os.umask(0)
    try:
        fetch(sealed, into, Store())
    finally:
        os.umask(before)
    found = [into.parent, into, *into.rglob("*")]
    assert len(found) == 2 + len(names) + 6
    assert [path for path in found if path.stat().st_mode & 0o7022] == []
    assert {path.name for path in found if path.is_file() and path.stat().st_mode & 0o111} == {"init.sh", "kubelet"}


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (entry("cluster/../etc/passwd"), "not in /cluster"),
        (entry("/cluster/a"), "not in /cluster"),
        (entry("other/a"), "not in /cluster"),
        (entry("cluster/./a"), "not in /cluster"),
        (entry("cluster"), "is a file in the image"),
        (entry("cluster/dev", tarfile.CHRTYPE), "device, a pipe or a socket"),
        (entry("cluster/pipe", tarfile.FIFOTYPE), "device, a pipe or a socket"),
        (entry("cluster/root", mode=0o4755), "setuid"),
        (entry("cluster/new\nline"), "cannot be written"),
        (entry("cluster/shadow", tarfile.SYMTYPE, "/etc/shadow"), "outside and does not travel"),
        (entry("cluster/up", tarfile.SYMTYPE, "../etc/shadow"), "outside and does not travel"),
        (entry("cluster/a/up", tarfile.SYMTYPE, "../../etc/shadow"), "outside and does not travel"),
        (entry("cluster/hard", tarfile.LNKTYPE, "etc/shadow"), "not in /cluster"),
        (entry("cluster/none", tarfile.SYMTYPE, "nothing"), "is no file in /cluster"),
        (entry("cluster/loop", tarfile.SYMTYPE, "loop"), "is no file in /cluster"),
        (entry("cluster/itself", tarfile.SYMTYPE, "."), "the directory that it lies in"),
    ],
)
def test_hostile_entries_are_named(store: FileStore, item: tarfile.TarInfo, words: str) -> None:
    with pytest.raises(BuildFailed, match=words):
        collect(stream((item, b"")), store, Remembering())


def test_a_torn_stream(store: FileStore) -> None:
    data = b"".join(stream((entry("cluster/a"), TEXT)))
    with pytest.raises(BuildFailed, match="torn"):
        collect(iter([data[:2000]]), store, Remembering())


def test_many_files_wait_on_disk_and_not_in_memory(store: FileStore) -> None:
    contents = [os.urandom(10) * 20_000 for _ in range(30)]
    items = [(entry(f"cluster/{number:02d}"), content) for number, content in enumerate(contents)]
    files = collect(stream(*items, piece=1 << 16), store, Remembering()).files
    assert [file.digest for file in files] == [Digest.of(content) for content in contents]


def test_a_full_disk_is_named(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    from registry_snapshot.errors import StoreError
    from registry_snapshot.store import disk

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "_write", full)
    with pytest.raises(StoreError, match="no space left"):
        collect(stream((entry("cluster/a"), TEXT)), store, Remembering())
