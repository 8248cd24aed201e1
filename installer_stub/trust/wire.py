"""SSH's way of writing values as bytes (RFC 4251, section 5). Every value has one spelling; others are refused."""

from __future__ import annotations


class WireError(ValueError):
    """The bytes do not hold the value that is asked for, hold more than that, or spell it in another way."""


def string(value: bytes) -> bytes:
    """Return a ``string``: its length in four bytes, then itself."""
    return len(value).to_bytes(4, "big") + value


def mpint(value: int) -> bytes:
    """Return the ``mpint`` of a number above zero: as few bytes as possible, the first bit zero."""
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big"))


class Reader:
    """Values out of bytes, one after the other. Every method raises WireError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes as they are."""
        if count > len(self._data) - self._at:
            raise WireError("it ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def uint32(self) -> int:
        """Return a ``uint32``."""
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        """Return what a ``string`` holds."""
        return self.take(self.uint32())

    def expect(self, value: bytes) -> None:
        """Return if the next ``string`` holds ``value``."""
        if (found := self.string()) != value:
            raise WireError(f"{found[:40]!r} stands where {value!r} should")

    def mpint(self) -> int:
        """Return an ``mpint`` above zero."""
        raw = self.string()
        value = int.from_bytes(raw, "big", signed=True)
        if value <= 0 or string(raw) != mpint(value):
            raise WireError("a number in it is not positive, or not as short as it can be")
        return value

    def end(self) -> None:
        """Return if nothing is left."""
        if self._at != len(self._data):
            raise WireError("there is more behind its end")
