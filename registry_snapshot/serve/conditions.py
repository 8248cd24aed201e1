"""Conditional requests: ``If-Match``, ``If-None-Match`` and ``If-Range`` against the one entity tag that content has.

Source: RFC 9110 section 13. The tag is the digest in quotes. It is strong, as equal digests are equal bytes, so 304 tells
a client no more and no less than that what it has under this tag is what it would get. It answers a tag's name too:
when that means another digest, the entity tag is another. We have no dates, so conditions on dates are ignored (13.1.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from registry_snapshot.oci.digest import Digest

_ETAG = re.compile(r'(W/)?"([^"]*)"|([^\s,"]+)')  # without quotes too, as distribution takes them


def entity_tag(digest: Digest) -> str:
    """Return the value of ``ETag`` for content."""
    return f'"{digest}"'


def is_unchanged(lines: Iterable[str], digest: Digest) -> bool:
    """Tell whether the ``If-None-Match`` lines name this content: answer 304. Weak comparison, 13.1.2."""
    return any(names for _, names in _tags(lines, digest))


def is_other(lines: Iterable[str], digest: Digest) -> bool:
    """Tell whether ``If-Match`` lines are there and do not name this content: answer 412. Strong comparison, 13.1.1."""
    tags = tuple(_tags(lines, digest))
    return bool(tags) and not any(names and not weak for weak, names in tags)


def range_applies(if_range: str | None, digest: Digest) -> bool:
    """Tell whether a ``Range`` beside this ``If-Range`` is meant for this content, 13.1.5. A date never is."""
    return if_range is None or if_range.strip() == entity_tag(digest)


def _tags(lines: Iterable[str], digest: Digest) -> Iterator[tuple[bool, bool]]:
    """Yield of each tag whether it is weak, and whether it names this content. A star in quotes is a tag like any other."""
    for line in lines:
        for match in _ETAG.finditer(line):
            weak, quoted, bare = match.groups()
            yield weak is not None, str(digest) in {quoted, bare} or bare == "*"
