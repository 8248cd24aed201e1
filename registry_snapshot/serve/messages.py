"""Request and Response: the HTTP that a RegistryApp sees, without sockets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from registry_snapshot.store.base import Extent
from registry_snapshot.store.growth import GrowingExtent

_WAIT_SECONDS = 60.0
_PLAIN = re.compile(r"/(?!/)[A-Za-z0-9._~:/@-]*(?:\?[A-Za-z0-9._~:/@=&-]*)?")


class Headers:
    """Header lines: names compare without case, a name may stand on several lines, order is kept."""

    def __init__(self, lines: Iterable[tuple[str, str]] = ()) -> None:
        self._lines = tuple(lines)
        self._values: dict[str, tuple[str, ...]] = {}
        for name, value in self._lines:
            key = name.lower()
            self._values[key] = (*self._values.get(key, ()), value)

    def get(self, name: str) -> str | None:
        """Return the first value, or None."""
        values = self._values.get(name.lower())
        return values[0] if values else None

    def all(self, name: str) -> tuple[str, ...]:
        """Return every line's value."""
        return self._values.get(name.lower(), ())

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._lines)

    def __repr__(self) -> str:
        return f"Headers({[name for name, _ in self._lines]})"  # values may hold credentials


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks. ``path`` and ``query`` are percent-decoded; ``client`` is its IP address."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Headers = field(default_factory=Headers)
    client: str = ""

    @classmethod
    def of(cls, method: str, target: str, headers: Headers | None = None, client: str = "") -> Self:
        """Return the request that a request line's ``target`` spells. Of a repeated query name the first counts.

        Raises ValueError for a target that is no path.
        """
        query: dict[str, str] = {}
        if _PLAIN.fullmatch(target):  # nothing to decode: nearly every request; 15 us less than urlsplit and parse_qsl
            path, _, text = target.partition("?")
            pairs: Iterable[tuple[str, str]] = (pair.partition("=")[::2] for pair in text.split("&") if pair)
        else:
            parts = urlsplit(target)
            path, pairs = unquote(parts.path), parse_qsl(parts.query, keep_blank_values=True)
        for name, value in pairs:
            query.setdefault(name, value)
        return cls(method, path, query, headers or Headers(), client)


@dataclass(frozen=True, slots=True)
class ExtentSlice:
    """``size`` bytes from ``start`` bytes into an extent. Owns the extent."""

    extent: Extent
    start: int
    size: int

    def close(self) -> None:
        """Close the extent's file."""
        self.extent.close()


@dataclass(frozen=True, slots=True)
class GrowingSlice:
    """``size`` bytes from ``start`` bytes into a blob that is still on its way. Owns the extent."""

    extent: GrowingExtent
    start: int
    size: int

    def close(self) -> None:
        """Close the extent's file."""
        self.extent.close()


@dataclass(frozen=True, slots=True)
class Response:
    """What to answer. ``Content-Length`` is among the headers, also when the body is left out for a HEAD."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes | ExtentSlice | GrowingSlice | None = None
    to_stranger: bool = False
    """Whether the client has shown no login where one is wanted: then it is the first to go when there is no room."""

    def header(self, name: str) -> str | None:
        """Return a header's value, or None."""
        return Headers(self.headers).get(name)

    def read(self) -> bytes:
        """Return the whole body and close it; of a growing one, wait for it. Raises GrowthEndedError."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body or b""
        end = self.body.start + self.body.size
        with self.body.extent as extent:
            while isinstance(extent, GrowingExtent) and (at := extent.available(0, _WAIT_SECONDS)) < end:
                extent.available(at, _WAIT_SECONDS)
            return os.pread(extent.fd, self.body.size, extent.offset + self.body.start)

    def close(self) -> None:
        """Let go of the body's file, if it has one."""
        if self.body is not None and not isinstance(self.body, bytes):
            self.body.close()


class App(Protocol):
    """What a server shows, and what another app wraps. RegistryApp is one."""

    def handle(self, request: Request) -> Response:
        """Return the answer. Called from many threads."""
