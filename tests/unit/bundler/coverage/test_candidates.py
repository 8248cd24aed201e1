"""What is taken of many places, and of many meanings, does not hang on the order in which an API lists them."""

from __future__ import annotations

import random

from bundler.coverage.candidates import MAX_PLACES, Certainty, Found, gather, tags_of
from bundler.coverage.runtime_classes import lacking
from installer_stub.bundle.reasons import Scanned

ONE, OTHER = (f"quay.io/t/app:1.0@sha256:{letter * 64}" for letter in "ab")


def found(texts: tuple[str, ...], seed: int) -> list[Found]:
    listed = [Found(text, Scanned(f"Deployment shop/web-{number:02}", "spec"), Certainty.CONTAINER) for number in range(MAX_PLACES + 10) for text in texts]
    random.Random(seed).shuffle(listed)  # noqa: S311 - an order, not a secret
    return listed


def test_of_more_places_than_are_kept_always_the_same_ones_are() -> None:
    for of in (lambda seed: gather(found((ONE,), seed))[0], lambda seed: tags_of(found((ONE,), seed), ())):
        kept = [[each.places for each in of(seed).values()] for seed in range(5)]
        assert all(each == kept[0] for each in kept)
        assert len(kept[0][0]) == MAX_PLACES


def test_nor_are_those_that_want_a_class_of_runtimes() -> None:
    kept = {lacking({"kata": [each.place for each in found((ONE,), seed)]}, {}, None, ()) for seed in range(5)}
    assert [len(each.places) for (each,) in kept] == [MAX_PLACES]


def test_a_tag_beside_two_digests_means_always_the_same() -> None:
    meant = {str(each.reference) for seed in range(10) for each in tags_of(found((ONE, OTHER), seed), ()).values()}
    assert len(meant) == 1
