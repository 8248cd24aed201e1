"""Digests: what is read, what is refused, and that reading undoes printing."""

from __future__ import annotations

import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_snapshot.errors import DigestInvalid
from registry_snapshot.oci.digest import Digest


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "sha256:", "sha256:" + "A" * 64, "SHA256:" + "a" * 64, "sha256:" + "a" * 63, "sha256:" + "a" * 65, "md5:" + "a" * 32,
        "a" * 64, "sha512:" + "a" * 64, "sha384:" + "a" * 96, "sha256:" + "a" * 64 + "\n", " sha256:" + "a" * 64,
        "sha256:" + "٣" * 64, "sha256::" + "a" * 63, "sha256+b64:" + "a" * 64,
    ],
)  # fmt: skip
def test_what_is_no_digest(text: str) -> None:
    with pytest.raises(DigestInvalid, match="is not a digest"):
        Digest.parse(text)


@given(st.binary(max_size=200), st.sampled_from(["sha256", "sha512"]))
def test_reading_undoes_printing(data: bytes, algorithm: str) -> None:
    digest = Digest.of(data, algorithm)
    assert Digest.parse(str(digest)) == digest
    assert digest.encoded == hashlib.new(algorithm, data).hexdigest()


@given(st.one_of(st.text(max_size=150), st.from_regex(r"sha(256|512):[a-fA-F0-9]*")))
def test_any_text_is_a_digest_or_refused(text: str) -> None:
    with contextlib.suppress(DigestInvalid):
        assert str(Digest.parse(text)) == text
