"""The command line is parsed once, and nonsense is named before anything begins."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bundler.errors import UsageError
from bundler.options import (
    cache_directory,
    cache_root,
    check_output,
    check_seconds,
    parse_build_args,
    parse_platform,
    parse_title,
)


@pytest.mark.parametrize("text", ["shop:1.4.0", "my-shop:v1", "a.b_c:2026-01-01_rc.1"])
def test_titles(text: str) -> None:
    assert ":".join(parse_title(text)) == text


@pytest.mark.parametrize("text", ["", "shop", "shop:", ":1", "Shop:1", "a/b:1", "shop:1/2", "shop:-1", "shop:1:2", "../x:1", "s p:1", "x" * 101 + ":1"])
def test_titles_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="is not NAME:VERSION"):
        parse_title(text)


def test_build_args(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "x=y")
    monkeypatch.delenv("NOTHING", raising=False)
    assert parse_build_args(["A=1", "B=", "C=a=b", "TOKEN"]) == {"A": "1", "B": "", "C": "a=b", "TOKEN": "x=y"}
    for text in ("=1", "1A=2", "NOTHING"):
        with pytest.raises(UsageError, match="--build-arg"):
            parse_build_args([text])


def test_platforms() -> None:
    assert str(parse_platform("linux/arm64")[0]) == "linux/arm64"
    for text in ("windows/amd64", "linux", "linux//x"):
        with pytest.raises(UsageError):
            parse_platform(text)


def test_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_output(Path("shop.run")) == tmp_path / "shop.run"
    for path, words in ((tmp_path, "is a directory"), (tmp_path / "no" / "shop.run", "does not exist")):
        with pytest.raises(UsageError, match=words):
            check_output(path)


def test_seconds() -> None:
    assert check_seconds("--settle-timeout", 0.5) == 0.5
    for value in (-1.0, 1e9, float("nan")):
        with pytest.raises(UsageError):
            check_seconds("--settle-timeout", value)


def test_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("AIRSEAL_CACHE", raising=False)
    assert cache_directory(None) == tmp_path / "xdg" / "airseal"
    monkeypatch.setenv("AIRSEAL_CACHE", str(tmp_path / "named"))
    assert cache_directory(None) == tmp_path / "named"
    assert cache_directory(tmp_path / "given") == tmp_path / "given"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_the_cache_is_its_owners_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, umask: int) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("AIRSEAL_CACHE", raising=False)
    before = os.umask(umask)
    try:
        made = [cache_root(None), cache_root(tmp_path / "deep" / "given")]
        monkeypatch.setenv("AIRSEAL_CACHE", str(tmp_path / "named"))
        made.append(cache_root(None))
    finally:
        os.umask(before)
    assert [mode(path) for path in made] == [0o700] * 3


def test_what_an_earlier_version_left_open_is_closed_and_what_somebody_shares_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("AIRSEAL_CACHE", raising=False)
    (tmp_path / "xdg" / "airseal").mkdir(parents=True)
    (tmp_path / "xdg" / "airseal").chmod(0o755)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o2775)
    assert mode(cache_root(None)) == 0o700
    assert mode(cache_root(tmp_path / "shared")) == 0o2775


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be made"):
        cache_root(tmp_path / "file" / "cache")
