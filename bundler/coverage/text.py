"""Names of images in texts: what has the form of one, and nothing else. Whether it is one, its registry says.

The grammar is narrower than that of a reference, which nearly every word fulfils. A word counts if it has a digest; or a tag
and a registry; or a tag that looks like a version: ``busybox:1.36`` and ``team/app:v2``, not ``redis:6379`` or
``level:info``. Behind something called *image* every reference counts, without a tag too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from bundler.coverage.candidates import Certainty
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.reference import Reference, looks_like_registry

MAX_TEXT: Final = 1 << 20  # characters of one text that are read: etcd takes no object larger than 1.5 MB
_LONGEST: Final = 600  # characters of a reference: 255 of the path, a host, a tag, a digest

# What a word may consist of; a name begins after anything else, and what follows "://" or a slash is none.
_WORD = re.compile(r"(?<![\w./:@%$+\\-])[A-Za-z0-9\[][\w./:@\[\]-]{0,599}")
_VERSION = re.compile(r"v?\d+(\.\d+)+[\w.-]*|v\d+[\w.-]*|\d+-[a-z][\w.-]*|latest|stable|edge|nightly|main|master|sha-[0-9a-f]{7,}", re.ASCII)
_IMAGE_KEY = re.compile(r"image", re.IGNORECASE)
# What is about images and none: imagePullPolicy, image-gc-high-threshold, IMAGE_SIZE, imageID, image.tag …
_ABOUT = re.compile(
    r"pull|policy|secret|size|hash|time|format|path|dir|gc|mode|threshold|width|height|upload|type|magick|fs|digest|tag|repo|registry|prefix|version"
    r"|(?:^|[_.-])id$",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"([A-Za-z][\w.-]*)[\"']?\s*[:=]\s*[\"']?$|--?([A-Za-z][\w.-]*)[=\s]\s*[\"']?$")
_BEFORE_LONGEST: Final = 80  # characters that are looked at for what a word is the value of
_NO_IMAGES: Final = frozenset({"true", "false", "null", "none", "yes", "no", "on", "off", "auto", "default", "latest", "image", "images", "string", "object"})


def names_image(key: str) -> bool:
    """Tell whether what ``key`` names is an image: ``image``, ``RELATED_IMAGE_PROXY``, ``--acme-http01-solver-image``."""
    return _IMAGE_KEY.search(key) is not None and _ABOUT.search(_IMAGE_KEY.sub("", key[:200])) is None


def images_in(text: str, key: str = "") -> Iterator[tuple[str, Certainty]]:
    """Yield every word of ``text`` that may be an image. ``key`` is what the whole of it is the value of."""
    text = text.replace("docker://", " ")  # as skopeo and Tekton write it; of other schemes a word is none
    whole = text.strip()
    if len(whole) <= _LONGEST and _WORD.fullmatch(whole):
        certainty = _judge(whole, named=names_image(key))
        if certainty:
            yield whole, certainty
        return
    for match in _WORD.finditer(text[:MAX_TEXT]):
        word = match[0].rstrip(".:-/@[]")
        before = text[max(match.start() - _BEFORE_LONGEST, 0) : match.start()].rpartition("\n")[2]
        found = _BEFORE.search(before) if _IMAGE_KEY.search(before) else None
        if found is None and ":" not in word and "@" not in word:
            continue  # nearly every word
        certainty = _judge(word, named=found is not None and names_image(found[1] or found[2] or ""))
        if certainty:
            yield word, certainty


def _judge(word: str, *, named: bool) -> Certainty | None:
    if not any(letter.isalpha() for letter in word) or word.lower() in _NO_IMAGES or "//" in word:
        return None
    try:
        reference = Reference.parse(word)
    except RegistryError:
        return None
    if named:
        return Certainty.NAMED
    first, slash, _ = word.partition("/")
    has_registry = bool(slash) and looks_like_registry(first)
    tagged = ":" in word.rpartition("/")[2] and reference.tag is not None
    if reference.digest is not None or (tagged and (has_registry or _is_version(reference.tag))):
        return Certainty.TEXT
    return None


def _is_version(tag: str | None) -> bool:
    return tag is not None and _VERSION.fullmatch(tag) is not None
