"""A thing is made once per recipe, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.testbed.cache import Cache, build_once, is_built, key_of, write_secret


def test_the_second_build_with_the_same_recipe_does_nothing(tmp_path: Path) -> None:
    target = tmp_path / "part"
    assert build_once(target, "a", lambda directory: (directory / "file").write_text("1"))
    assert not build_once(target, "a", lambda _: pytest.fail("built again"))
    assert (target / "file").read_text() == "1"


def test_another_recipe_replaces_all_of_it(tmp_path: Path) -> None:
    target = tmp_path / "part"
    build_once(target, "a", lambda directory: (directory / "old").write_text("1"))
    build_once(target, "b", lambda directory: (directory / "new").write_text("2"))
    assert {path.name for path in target.iterdir()} == {"new", "recipe"}


def test_an_interrupted_build_leaves_what_was_there_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    target = tmp_path / "part"
    build_once(target, "a", lambda directory: (directory / "file").write_text("1"))

    def interrupted(directory: Path) -> None:
        (directory / "half").write_text("…")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_once(target, "b", interrupted)
    assert is_built(target, "a")
    assert (target / "file").read_text() == "1"
    build_once(target, "b", lambda directory: (directory / "file").write_text("2"))
    assert {path.name for path in tmp_path.iterdir()} == {"part", ".part.lock"}


def test_what_was_made_can_be_read_by_other_users_and_a_secret_cannot(tmp_path: Path) -> None:
    build_once(tmp_path / "part", "a", lambda directory: None)
    write_secret(tmp_path / "secret", b"x")
    assert (tmp_path / "part").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_the_key_depends_on_every_word_and_where_it_ends() -> None:
    assert key_of("a", "bc") != key_of("ab", "c")


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert Cache.default().root == Path("/elsewhere/airseal/testbed")
