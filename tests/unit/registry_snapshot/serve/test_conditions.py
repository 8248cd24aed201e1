"""Entity tags, for any text that a client may send. What they are for stands in the contract tests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registry_snapshot.oci.digest import Digest
from registry_snapshot.serve.conditions import entity_tag, is_other, is_unchanged, range_applies

DIGEST = Digest.of(b"x")
others = st.text(st.characters(codec="ascii", exclude_characters='"'), max_size=20).map('"{}"'.format)


@given(st.lists(others, max_size=4), st.integers(0, 4))
def test_one_tag_among_others_is_found_wherever_it_stands(tags: list[str], place: int) -> None:
    listed = [*tags[:place], entity_tag(DIGEST), *tags[place:]]
    assert is_unchanged([", ".join(listed)], DIGEST)
    assert is_unchanged(listed, DIGEST)
    assert not is_other(listed, DIGEST)


@given(st.lists(others, min_size=1, max_size=4))
def test_other_tags_are_other_content(tags: list[str]) -> None:
    assert is_other(tags, DIGEST)
    assert not is_unchanged(tags, DIGEST)


@given(st.text(max_size=60))
def test_any_text_is_understood_or_passed_over(text: str) -> None:
    assert not is_unchanged([text], DIGEST) or "*" in text or str(DIGEST) in text
    assert isinstance(is_other([text], DIGEST), bool)
    assert not range_applies(text, DIGEST)


def test_without_a_condition_nothing_is_held_back() -> None:
    assert (is_unchanged([], DIGEST), is_other([], DIGEST), range_applies(None, DIGEST)) == (False, False, True)
