"""Candidates: what a scan found that is, or may be, the name of an image, and where."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from bundler.cluster.usage import recorded_name
from installer_stub.bundle.reasons import Scanned
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.reference import Reference

MAX_PLACES: Final = 20  # of one image: more say nothing new


class Certainty(IntEnum):
    """How sure a place makes that its text is an image."""

    TEXT = 1  # a word in a text, of the form that only images have
    NAMED = 2  # the value of something called image, or a repository with its tag
    CONTAINER = 3  # the image of a container or an image volume: it is one, by its place


@dataclass(frozen=True, slots=True)
class Found:
    """One text at one place. ``container`` is the name of the container whose image it is, if it is one's."""

    text: str
    place: Scanned
    certainty: Certainty
    container: str = ""


@dataclass(slots=True)
class Candidate:
    """An image that is named at ``places``, as sure as the surest of them."""

    reference: Reference
    certainty: Certainty
    places: list[Scanned] = field(default_factory=list)


def gather(found: Iterable[Found]) -> tuple[dict[Reference, Candidate], tuple[Found, ...]]:
    """Return the candidates, and the images of containers that are no references.

    A tag beside a digest is dropped, as in the recording: clients never send it (see ``tags_of``).
    """
    candidates: dict[Reference, Candidate] = {}
    places: dict[Reference, set[Scanned]] = {}
    unreadable: list[Found] = []
    for each in found:
        try:
            reference = recorded_name(each.text)
        except RegistryError:
            if each.certainty is Certainty.CONTAINER:
                unreadable.append(each)
            continue
        candidate = candidates.setdefault(reference, Candidate(reference, each.certainty))
        candidate.certainty = max(candidate.certainty, each.certainty)
        places.setdefault(reference, set()).add(each.place)
    _put(places, candidates)
    return candidates, tuple(unreadable)


def tag_beside_digest(text: str) -> Reference | None:
    """Return ``name:tag`` of ``name:tag@digest``, None of any other text."""
    try:
        whole = Reference.parse(text)
    except RegistryError:
        return None
    return None if whole.tag is None or whole.digest is None else Reference(whole.repository, whole.tag, None)


def names_of(reference: Reference) -> tuple[Reference, ...]:
    """Return what an entry of a list names: ``name:tag@digest`` is both of them."""
    text = str(reference)
    tag = tag_beside_digest(text)
    return (recorded_name(text),) if tag is None else (recorded_name(text), tag)


def tags_of(found: Iterable[Found], listed: Iterable[tuple[str, Reference]]) -> dict[Reference, Candidate]:
    """Return the tags that stand beside a digest, ``name:tag@digest``, as images of their own whose meaning is said there.

    Whoever has read such a name asks for ``name:tag`` one day, and at a site nobody else could answer.
    """
    tags: dict[Reference, Candidate] = {}
    places: dict[Reference, set[Scanned]] = {}
    named = [*((each.text, each.place) for each in found), *((str(reference), None) for _, reference in listed)]
    for text, place in sorted(named, key=lambda each: each[0]):  # of two digests of one tag always the same one
        if (tag := tag_beside_digest(text)) is not None:
            tags.setdefault(tag, Candidate(recorded_name(text), Certainty.TEXT))
            places.setdefault(tag, set()).update([] if place is None else [place])
    _put(places, tags)
    return tags


def first_places(places: Iterable[Scanned]) -> list[Scanned]:
    """Return the first MAX_PLACES, each once: the same ones, in whatever order the API listed them."""
    return sorted(set(places), key=str)[:MAX_PLACES]


def _put(places: Mapping[Reference, Collection[Scanned]], candidates: Mapping[Reference, Candidate]) -> None:
    for reference, candidate in candidates.items():
        candidate.places = first_places(places[reference])
