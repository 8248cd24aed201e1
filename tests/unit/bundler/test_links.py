"""What stands at each path once links are followed as Linux follows them."""

from __future__ import annotations

import pytest

from bundler.errors import BuildFailed
from bundler.links import empty_directories, ends_of


@pytest.mark.parametrize(
    ("files", "links", "more"),
    [
        ("a", {"b": "a"}, {"b": "a"}),
        ("a", {"b": "c", "c": "a"}, {"b": "a", "c": "a"}),
        ("d/x d/e/y", {"l": "d"}, {"l/x": "d/x", "l/e/y": "d/e/y"}),
        ("d/x", {"l": "m", "m": "d"}, {"l/x": "d/x", "m/x": "d/x"}),
        ("d/x", {"l": "d", "k": "l/x"}, {"l/x": "d/x", "k": "d/x"}),
        ("d/x e/y", {"d/l": "e", "m": "d"}, {"d/l/y": "e/y", "m/x": "d/x", "m/l/y": "e/y"}),
        ("d/x", {"e/l": "d", "e/k": "e/l/x"}, {"e/l/x": "d/x", "e/k": "d/x"}),
        ("charts/web/Chart.yaml", {"current": "charts/web"}, {"current/Chart.yaml": "charts/web/Chart.yaml"}),
    ],
)
def test_links_lead_to_files_and_directories(files: str, links: dict[str, str], more: dict[str, str]) -> None:
    plain = files.split()
    assert ends_of(plain, links) == {path: path for path in plain} | more


@pytest.mark.parametrize(
    ("files", "links", "words"),
    [
        ("a", {"b": "none"}, "no file in /cluster"),
        ("a", {"b": "b"}, "no file in /cluster"),
        ("a", {"b": "c", "c": "b"}, "no file in /cluster"),
        ("d/x", {"d/self": "d"}, "the directory that it lies in"),
        ("d/x", {"all": ""}, "the directory that it lies in"),
        ("d/x e/y", {"d/l": "e", "e/l": "d"}, "lies in"),
        ("d/x e/y f/z", {"e/l": "f", "f/l": "e", "x": "e"}, "lies in|ever longer paths"),
    ],
)
def test_links_that_lead_nowhere_or_into_themselves(files: str, links: dict[str, str], words: str) -> None:
    with pytest.raises(BuildFailed, match=words):
        ends_of(files.split(), links)


def test_directories_in_which_nothing_lies() -> None:
    assert empty_directories({"", "a", "a/b", "c", "d"}, ["c/x", "d/link"]) == ("a/b",)


def test_links_that_double_at_every_step_end() -> None:
    links = {f"d{step}/{name}": f"d{step + 1}" for step in range(20) for name in "lk"}
    with pytest.raises(BuildFailed, match="more than 100000 files"):
        ends_of(["d20/x"], links)
