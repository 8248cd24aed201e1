"""What a registry lists: the tags of a repository, page by page."""

from __future__ import annotations

import json

import pytest

from tests.contract.conftest import Ask


@pytest.fixture(autouse=True)
def _asked(ask: Ask) -> None:
    """A recorder lists what was asked for."""
    for tag in ("1", "2", "10"):
        ask("HEAD", f"/v2/team/app/manifests/{tag}?ns=docker.io")


def test_tags_come_in_pages(ask: Ask) -> None:
    assert json.loads(ask("GET", "/v2/team/app/tags/list").body) == {"name": "team/app", "tags": ["1", "10", "2"]}
    first = ask("GET", "/v2/team/app/tags/list?n=2&ns=docker.io")
    assert json.loads(first.body)["tags"] == ["1", "10"]
    link = first.header("Link") or ""
    assert link == '</v2/team/app/tags/list?n=2&last=10&ns=docker.io>; rel="next"'
    second = ask("GET", link[1 : link.index(">")])
    assert json.loads(second.body)["tags"] == ["2"]
    assert second.header("Link") is None


def test_no_tags_have_no_next_page(ask: Ask) -> None:
    """"MUST return an empty list, and MUST NOT include a Link header": distribution-spec, "Listing Tags"."""
    answer = ask("GET", "/v2/team/app/tags/list?n=0")
    assert (json.loads(answer.body)["tags"], answer.header("Link")) == ([], None)


@pytest.mark.parametrize(
    ("query", "tags", "more"),
    [
        ("last=1", ["10", "2"], False),
        ("last=0", ["1", "10", "2"], False),
        ("last=11", ["2"], False),  # a tag that is not there, or no longer
        ("last=2", [], False),
        ("last=zzz&n=5", [], False),
        ("last=", ["1", "10", "2"], False),
        ("n=1&last=1", ["10"], True),
        ("n=2&last=1", ["10", "2"], False),
        ("n=3", ["1", "10", "2"], False),
        ("n=000000000000002", ["1", "10"], True),
        ("n=99999999999999999999999999999999", ["1", "10", "2"], False),
        (f"n={'9' * 5000}", ["1", "10", "2"], False),  # more digits than Python makes a number of
    ],
)
def test_tags_after_one_and_up_to_a_number(ask: Ask, query: str, tags: list[str], *, more: bool) -> None:
    answer = ask("GET", f"/v2/team/app/tags/list?{query}")
    assert (answer.status, json.loads(answer.body)["tags"]) == (200, tags)
    assert (answer.header("Link") is not None) is more


def test_a_next_page_is_reached_the_way_the_first_was(ask: Ask) -> None:
    link = ask("GET", "/v2/docker.io/team/app/tags/list?n=1").header("Link") or ""
    assert link.startswith("</v2/docker.io/team/app/tags/list?n=1&last=1>")
    assert json.loads(ask("GET", link[1 : link.index(">")]).body)["name"] == "docker.io/team/app"
