"""Our block in /etc/hosts: whatever the file's bytes are, they are the same before and after us."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installer_stub.keep import hosts_file
from installer_stub.keep.hosts_file import api_address, block, with_block

BLOCK = b"# airseal begin\n10.0.0.2 api.airseal.internal\n# airseal end\n"
THEIRS = [
    b"127.0.0.1\tlocalhost\n10.0.0.2 m2\n",
    "# 公司服务器\n10.0.0.9 Århus\n".encode(),
    b"127.0.0.1 localhost\r\n::1 localhost\r\n",
    b"127.0.0.1 localhost",  # no last newline
    b"\n\n\n",
    b"",
    b"a\x85b\x0bc\x0cd\x1ce\xff\xfe\x00f\n",
    b"\xef\xbb\xbf127.0.0.1 localhost\n",  # a byte order mark
]


@pytest.mark.parametrize("theirs", THEIRS)
def test_put_and_taken_away_leaves_every_byte(theirs: bytes) -> None:
    ours = with_block(theirs, "10.0.0.2")
    assert ours == BLOCK + theirs
    assert with_block(ours, "10.0.0.2") == ours
    assert with_block(with_block(ours, "10.0.0.7"), None) == theirs
    assert api_address(ours) == "10.0.0.2"


@given(st.binary(max_size=200).filter(lambda data: b"# airseal" not in data), st.sampled_from(["10.0.0.2", "fd00::2"]))
def test_any_bytes_at_all(theirs: bytes, address: str) -> None:
    assert with_block(with_block(theirs, address), None) == theirs


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (THEIRS[0] + BLOCK, THEIRS[0]),  # where airseal put it before, and where cloud-init's template has it now
        (THEIRS[0] + BLOCK + b"10.0.0.7 later\n", THEIRS[0] + b"10.0.0.7 later\n"),
        (b"# airseal begin\n" + THEIRS[0], THEIRS[0]),  # torn: the lines behind it are not ours
        (BLOCK[:-14] + THEIRS[0], THEIRS[0]),
        (BLOCK + THEIRS[0] + BLOCK, THEIRS[0]),
    ],
)
def test_what_is_ours_is_found_wherever_it_stands(before: bytes, after: bytes) -> None:
    assert with_block(before, None) == after


def test_lines_of_others_with_our_name_stay() -> None:
    theirs = b"10.9.9.9 api.airseal.internal other\n"
    assert with_block(theirs, "10.0.0.2") == BLOCK + theirs
    assert api_address(with_block(theirs, "10.0.0.2")) == "10.0.0.2"  # the first one counts


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "etc" / "hosts"
    path.parent.mkdir()
    path.write_bytes(THEIRS[3])
    path.chmod(0o640)
    return path


def test_it_is_renamed_into_its_place_with_its_mode(file: Path, tmp_path: Path) -> None:
    inode = file.stat().st_ino
    hosts_file.write(b"new", str(file), str(tmp_path / "safe"))
    assert file.read_bytes() == b"new"
    assert file.stat().st_ino != inode
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in file.parent.iterdir()] == ["hosts"]


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    hosts_file.write(b"new", str(link), str(tmp_path / "safe"))
    assert link.is_symlink()
    assert file.read_bytes() == b"new"


@pytest.mark.parametrize("refusal", [errno.EBUSY, errno.EROFS, errno.EXDEV])
def test_over_a_mount_point_it_is_written_in_place_with_a_safe_copy_first(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int) -> None:
    safe = tmp_path / "state" / "safe"

    def refuse(data: bytes, real: str) -> None:
        raise OSError(refusal, "refused")

    monkeypatch.setattr(hosts_file, "_rename", refuse)
    inode = file.stat().st_ino
    hosts_file.write(b"short", str(file), str(safe))
    assert file.read_bytes() == b"short"
    assert file.stat().st_ino == inode
    assert list(safe.parent.iterdir()) == []


def test_what_the_power_cut_is_read_from_the_safe_copy(file: Path, tmp_path: Path) -> None:
    safe = tmp_path / "safe"
    safe.write_bytes(b"whole")
    assert hosts_file.read(str(file), str(safe)) == b"whole"
    safe.unlink()
    assert hosts_file.read(str(file), str(safe)) == THEIRS[3]


def test_a_file_without_end_is_refused(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts_file, "LIMIT", 4)
    with pytest.raises(OSError, match="larger"):
        hosts_file.read(str(file), str(tmp_path / "safe"))


def test_the_block() -> None:
    assert block("10.0.0.2") == BLOCK
