"""What lies where the cluster's data will be: asked of a real shell, on real directories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from installer_stub.facts.leftovers import Leftover, parse_leftovers, script


def ask(*places: tuple[Path, bool], path: str = "/usr/bin:/bin") -> str:
    text = script(tuple((str(place), empty) for place, empty in places))
    return subprocess.run(["/bin/sh", "-c", text], capture_output=True, text=True, env={"PATH": path}, check=False).stdout


def test_nothing_an_empty_directory_and_directories_alone_are_no_leftovers(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "kubernetes" / "manifests").mkdir(parents=True)
    places = ((tmp_path / "gone", True), (tmp_path / "empty", True), (tmp_path / "kubernetes", False))
    assert parse_leftovers(ask(*places)) == ()


def test_where_even_a_directory_counts_it_is_one(tmp_path: Path) -> None:
    (tmp_path / "etcd" / "lost+found").mkdir(parents=True)
    (found,) = parse_leftovers(ask((tmp_path / "etcd", True)))
    assert found.path == str(tmp_path / "etcd")


@pytest.mark.parametrize("name", ["pki/ca.crt", ".hidden", "..odd", "a b/c d", "deep/er/and/deeper/x", "with\ttab"])
def test_a_file_anywhere_below_is_found_with_size_and_age(tmp_path: Path, name: str) -> None:
    file = tmp_path / "kubernetes" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(os.urandom(100_000))
    (found,) = parse_leftovers(ask((tmp_path / "kubernetes", False)))
    assert found.size >= 100_000
    assert abs(found.changed - (tmp_path / "kubernetes").stat().st_mtime) < 60
    assert not found.mount_point


def test_a_link_and_a_file_in_place_of_the_directory_are_something(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "link").symlink_to("nowhere")
    (tmp_path / "b").write_text("x")
    assert [left.path for left in parse_leftovers(ask((tmp_path / "a", False), (tmp_path / "b", False)))] == [str(tmp_path / "a"), str(tmp_path / "b")]


def test_a_place_that_cannot_be_looked_into_is_not_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "kubernetes" / "pki").mkdir(parents=True)
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "ls").write_text("#!/bin/sh\ncase $2 in --) case $3 in *pki) echo 'Input/output error' >&2; exit 2 ;; esac ;; esac\nexec /bin/ls \"$@\"\n")
    (broken / "ls").chmod(0o755)
    with pytest.raises(ValueError):
        parse_leftovers(ask((tmp_path / "kubernetes", False), path=f"{broken}:/usr/bin:/bin"))


@pytest.mark.parametrize("answer", ["", "\n", "/etc/kubernetes\t4\t0\t-\n", "/etc/kubernetes\t4\nasked\n", "/etc\tx\t0\t-\nasked\n"])
def test_an_answer_that_was_cut_short_is_none(answer: str) -> None:
    with pytest.raises(ValueError):
        parse_leftovers(answer)


def test_a_mount_point_is_known(tmp_path: Path) -> None:
    (found,) = parse_leftovers("/var/lib/etcd\t16\t1700000000\tmount\nasked\n")
    assert found == Leftover("/var/lib/etcd", 16384, 1700000000, mount_point=True)
