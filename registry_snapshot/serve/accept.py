"""The ``Accept`` header: whether a client takes a media type.

Source: RFC 9110 sections 12.4.2 (q) and 12.5.1; distribution-spec, "Pulling manifests". Parameters other than ``q`` say
nothing: manifests' types have none. What cannot be understood is read as if it were wanted: a slip in a header is no
reason to hide an image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_ELEMENT = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*"?)+')  # between commas; a quoted text may hold commas
_PARAMETER = re.compile(r';((?:[^";]|"(?:[^"\\]|\\.)*"?)*)')
_ZERO = re.compile(r"0+(?:\.0*)?|\.0+")


def accepts(lines: Iterable[str], media_type: str) -> bool:
    """Tell whether all Accept lines together allow ``media_type``. None at all allow everything.

    docker sends one line for each type. The range that names the type most closely decides: ``a/b;q=0, */*`` is anything
    but ``a/b``.
    """
    closest, allowed, said = -1, True, False
    for name, wanted in _media_ranges(lines):
        said = True
        closeness = _closeness(name, media_type.lower())
        if closeness > closest:
            closest, allowed = closeness, wanted
        elif closeness == closest:
            allowed = allowed or wanted
    return allowed and (closest >= 0 or not said)


def _media_ranges(lines: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield each media range, in small letters, and whether its q is above 0."""
    for line in lines:
        for element in _ELEMENT.findall(line):
            name = element.partition(";")[0].strip().lower()
            if name:
                yield name, not any(map(_is_refusal, _PARAMETER.findall(element)))


def _is_refusal(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip().lower() == "q" and _ZERO.fullmatch(value.strip()) is not None


def _closeness(media_range: str, media_type: str) -> int:
    """Return 2 for the type itself, 1 for its kind, 0 for anything, -1 for another type."""
    if media_range == media_type:
        return 2
    if media_range == f"{media_type.partition('/')[0]}/*":
        return 1
    return 0 if media_range in {"*/*", "*"} else -1  # "*" alone: Java's HttpURLConnection
