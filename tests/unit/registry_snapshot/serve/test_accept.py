"""Accept, for any text that a client may send. What it is for stands in the contract tests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_snapshot.oci.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from registry_snapshot.serve.accept import accepts

TYPES = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)

# What clients send, by their sources: containerd's one line, docker's and crane's several.
CONTAINERD = (f"{DOCKER_MANIFEST}, {DOCKER_LIST}, {OCI_MANIFEST}, {OCI_INDEX}, */*",)
DOCKER = (
    "application/json", OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, "application/vnd.docker.distribution.manifest.v1+prettyjws"
)  # fmt: skip


@pytest.mark.parametrize("lines", [CONTAINERD, DOCKER])
def test_what_clients_send_takes_every_kind_of_manifest(lines: tuple[str, ...]) -> None:
    assert all(accepts(lines, media_type) for media_type in TYPES)


kinds = st.sampled_from([*TYPES, "*/*", "application/*", "text/html", "text/*", "*"])
weights = st.sampled_from(["", ";q=0", ";q=0.0", "; q=0.5", ";Q=1", ";q=", ";charset=utf-8;q=0", ';a="b,c;q=0"', ";q=0.001"])
elements = st.builds("{}{}".format, kinds, weights)
lists = st.lists(elements, min_size=1, max_size=5)


@given(lists, st.sampled_from(TYPES), st.randoms())
def test_neither_the_order_nor_the_number_of_lines_matters(parts: list[str], media_type: str, random: object) -> None:
    shuffled = list(parts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert accepts([", ".join(parts)], media_type) == accepts(shuffled, media_type) == accepts([f" ,{','.join(shuffled)},,"], media_type)


@given(lists, st.sampled_from(TYPES))
def test_what_is_named_is_taken_and_what_is_refused_is_not(parts: list[str], media_type: str) -> None:
    others = [part for part in parts if not part.startswith(media_type)]
    assert accepts([*others, media_type], media_type)
    assert not accepts([*others, f"{media_type};q=0"], media_type)


@given(st.lists(st.one_of(st.text(max_size=40), st.text('*/;,="\\q0.a ', max_size=40)), max_size=4))
def test_any_text_is_understood_or_passed_over(lines: list[str]) -> None:
    assert isinstance(accepts(lines, OCI_MANIFEST), bool)


def test_a_header_as_long_as_a_head_may_be_is_read_once() -> None:
    assert not accepts(['"' * 60_000, "\\" * 60_000, '"\\' * 30_000, ";" * 60_000, ",a" * 30_000], OCI_MANIFEST)
