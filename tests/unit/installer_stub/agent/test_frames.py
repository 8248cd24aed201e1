"""Frames: every stream of bytes is read as frames or refused by name, never guessed."""

from __future__ import annotations

import contextlib
import io
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installer_stub.agent.frames import MOST_HEADER, MOST_PAYLOAD, Frame, FrameReader, encode, skip_to
from installer_stub.errors import FrameError

JSON = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=3)
FIELDS = st.dictionaries(st.text().filter(lambda name: name not in {"id", "kind"}), JSON, max_size=4)
FRAMES = st.builds(Frame, st.integers(0, 2**40), st.text(min_size=1), FIELDS, st.binary(max_size=300))


def pieces(data: bytes, size: int) -> FrameReader:
    stream = io.BytesIO(data)
    return FrameReader(lambda most: stream.read(min(most, size)))


@given(frames=st.lists(FRAMES, max_size=4), size=st.integers(1, 400))
def test_what_was_said_is_what_is_heard_however_it_was_torn(frames: list[Frame], size: int) -> None:
    reader = pieces(b"".join(map(encode, frames)), size)
    assert [reader.read() for _ in frames] == frames
    assert reader.read() is None


@given(st.binary(max_size=600))
def test_any_bytes_are_frames_or_a_named_error(data: bytes) -> None:
    drain(pieces(data, 50))


@given(frame=FRAMES, place=st.integers(0, 2000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_a_frame_or_a_named_error(frame: Frame, place: int, bit: int) -> None:
    data = bytearray(encode(frame))
    data[place % len(data)] ^= 1 << bit
    drain(pieces(bytes(data), 50))


@given(frame=FRAMES, cut=st.integers(0, 2000))
def test_a_torn_frame_is_a_named_error(frame: Frame, cut: int) -> None:
    data = encode(frame)
    with pytest.raises(FrameError, match="ended inside"):
        pieces(data[: 1 + cut % (len(data) - 1)], 50).read()


def drain(reader: FrameReader) -> None:
    with contextlib.suppress(FrameError):
        while reader.read() is not None:
            pass


def raw(header: bytes, payload: int = 0) -> bytes:
    return struct.pack(">2sII", b"aF", len(header), payload) + header


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"Welcome to this host!\n", "where a frame begins"),
        (struct.pack(">2sII", b"aF", MOST_HEADER + 1, 0), "a header of"),
        (struct.pack(">2sII", b"aF", 2, MOST_PAYLOAD + 1), "a payload of"),
        (raw(b"{]"), "no JSON"),
        (raw(b"[" * 100_000), "no JSON"),
        (raw(b"[]"), "no object"),
        (raw(b'{"kind":"run"}'), "without a number"),
        (raw(b'{"id":true,"kind":"run"}'), "without a number"),
        (raw(b'{"id":-1,"kind":"run"}'), "without a number"),
        (raw(b'{"id":1,"kind":7}'), "without a kind"),
    ],
)
def test_every_malformed_frame_says_what_is_wrong(data: bytes, problem: str) -> None:
    with pytest.raises(FrameError, match=problem):
        pieces(data, 4096).read()


def test_nobody_sends_what_nobody_would_take() -> None:
    with pytest.raises(FrameError, match="a payload of"):
        encode(Frame(1, "data", {}, bytes(MOST_PAYLOAD + 1)))
    with pytest.raises(FrameError, match="a header of"):
        encode(Frame(1, "run", {"text": "x" * MOST_HEADER}))


@pytest.mark.parametrize(("fields", "ask"), [({}, "text"), ({"x": 1}, "text"), ({"x": True}, "number"), ({"x": -1}, "number"), ({"x": 1}, "flag")])
def test_a_field_of_another_kind_is_a_named_error(fields: dict[str, object], ask: str) -> None:
    with pytest.raises(FrameError, match="x is"):
        getattr(Frame(1, "run", dict(fields)), ask)("x")


@given(noise=st.binary(max_size=300), rest=st.binary(max_size=300), size=st.integers(1, 100))
def test_noise_before_the_marker_is_skipped(noise: bytes, rest: bytes, size: int) -> None:
    marker = b"\nairseal 0123456789abcdef\n"
    stream = io.BytesIO(noise.replace(b"\n", b"") + marker + rest)
    before, behind = skip_to(marker, lambda _: stream.read(size))
    assert before == noise.replace(b"\n", b"")
    assert behind + stream.read() == rest


def test_noise_without_an_end_is_not_read_for_ever() -> None:
    with pytest.raises(FrameError, match="never began to speak; it said: yyy"):
        skip_to(b"marker", lambda _: b"y" * 1000, most=5000)
    with pytest.raises(FrameError, match=r"never began to speak$"):
        skip_to(b"marker", io.BytesIO().read)


def test_a_header_is_plain_json() -> None:
    data = encode(Frame(3, "run", {"text": "true"}, b"in"))
    assert json.loads(data[10:-2]) == {"id": 3, "kind": "run", "text": "true"}
