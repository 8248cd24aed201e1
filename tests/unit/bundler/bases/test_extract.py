"""Only what the recipe names comes out of an archive, and it goes where the recipe says."""

from __future__ import annotations

import io
import lzma
import tarfile
from pathlib import Path

import pytest
import zstandard

from bundler.bases.extract import extract
from bundler.bases.recipe import Download, Member
from bundler.errors import RecipeError


def tar(entries: dict[str, bytes | tarfile.TarInfo], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in entries.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def deb(data: bytes, name: str = "data.tar.xz") -> bytes:
    def member(title: str, content: bytes) -> bytes:
        return f"{title:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content + b"\n" * (len(content) % 2)

    return b"!<arch>\n" + member("debian-binary", b"2.0\n") + member("control.tar.xz", b"odd") + member(name, data)


def run(tmp_path: Path, data: bytes, archive: str, *members: Member) -> Path:
    file = tmp_path / "download"
    file.write_bytes(data)
    extract(Download("https://x/a", (), "", "bare", archive, members, ""), file, tmp_path / "root")
    return tmp_path / "root"


BUSYBOX = Member("bin/busybox", "root/bin/busybox", 0o755)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_named_members_of_a_tar(tmp_path: Path, mode: str) -> None:
    root = run(tmp_path, tar({"./bin/busybox": b"elf", "etc/passwd": b"no"}, mode), "tar", BUSYBOX)
    assert [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()] == ["root/bin/busybox"]
    assert (root / "root/bin/busybox").read_bytes() == b"elf"
    assert (root / "root/bin/busybox").stat().st_mode & 0o777 == 0o755


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    root = run(tmp_path, b"elf", "", Member("", "cluster/bin/runc", 0o755))
    assert (root / "cluster/bin/runc").read_bytes() == b"elf"


def test_a_debian_package(tmp_path: Path) -> None:
    root = run(tmp_path, deb(tar({"./bin/busybox": b"elf"}, "w:xz")), "deb", BUSYBOX)
    assert (root / "root/bin/busybox").read_bytes() == b"elf"


def test_a_debian_package_of_the_newer_kind(tmp_path: Path) -> None:
    data = zstandard.ZstdCompressor().compress(tar({"./bin/busybox": b"elf"}, "w"))
    assert (run(tmp_path, deb(data, "data.tar.zst"), "deb", BUSYBOX) / "root/bin/busybox").read_bytes() == b"elf"


def link(kind: bytes, target: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo("bin/busybox")
    entry.type, entry.linkname = kind, target
    return entry


@pytest.mark.parametrize(
    ("data", "archive", "words"),
    [
        (tar({"bin/other": b"x"}), "tar", "has no bin/busybox"),
        (tar({"bin/busybox": link(tarfile.SYMTYPE, "/etc/shadow")}), "tar", "is no regular file"),
        (tar({"bin/busybox": link(tarfile.LNKTYPE, "etc/shadow")}), "tar", "is no regular file"),
        (tar({"bin/busybox": link(tarfile.CHRTYPE, "")}), "tar", "is no regular file"),
        (tar({"../bin/busybox": b"x"}), "tar", "has no bin/busybox"),
        (b"<html>", "tar", "cannot be unpacked"),
        (b"", "tar", "cannot be unpacked"),
        (tar({"bin/busybox": b"x" * 100_000})[:60], "tar", "cannot be unpacked"),
        (b"<html>", "deb", "is no Debian package"),
        (b"!<arch>\n", "deb", "is a torn Debian package"),
        (b"!<arch>\n" + b"x" * 60, "deb", "is a torn Debian package"),
        (deb(lzma.compress(b"x"))[:80], "deb", "is a torn Debian package"),
    ],
    ids=[
        "no such member", "a symbolic link", "a hard link", "a device", "outside", "no tar", "an empty tar", "a torn tar",
        "no deb", "a deb's head alone", "a deb of noise", "a torn deb",
    ],
)
def test_hostile_and_torn_archives(tmp_path: Path, data: bytes, archive: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        run(tmp_path, data, archive, BUSYBOX)
    assert "https://x/a" in str(caught.value)
    assert not (tmp_path / "bin").exists()
