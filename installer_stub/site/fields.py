"""Fields: reading JSON of others strictly. Every reader has a bound, every complaint names the place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

TEXT: Final = 1024  # characters of one text
MANY: Final = 5000  # items of one list: the most hosts that Kubernetes supports


class Malformed(ValueError):
    """A document is not what it should be; the text says where and why."""


class Fields:
    """The members of one JSON object, taken one by one. ``done`` complains about what nobody took."""

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, Mapping):
            raise Malformed(f"{path}: an object is wanted")
        self._left = dict(value)
        self._path = path

    def text(self, name: str, *, empty: bool = True) -> str:
        """Take a text."""
        return _text(self._take(name), f"{self._path}.{name}", empty=empty)

    def texts(self, name: str) -> tuple[str, ...]:
        """Take a list of texts, none of them empty."""
        items = _items(self._take(name), f"{self._path}.{name}")
        return tuple(_text(item, f"{self._path}.{name}[{index}]", empty=False) for index, item in enumerate(items))

    def number(self, name: str, least: int, most: int) -> int:
        """Take a whole number between two bounds."""
        value = self._take(name)
        if type(value) is not int or not least <= value <= most:
            raise Malformed(f"{self._path}.{name}: a whole number from {least} to {most} is wanted")
        return value

    def has(self, name: str) -> bool:
        """Tell whether there is such a member that nobody took yet."""
        return name in self._left

    def pairs(self, name: str, *, most: int = TEXT) -> tuple[tuple[str, str], ...]:
        """Take an object of texts, as pairs sorted by name."""
        path, value = f"{self._path}.{name}", self._take(name)
        if not isinstance(value, Mapping) or len(value) > MANY:
            raise Malformed(f"{path}: an object is wanted")
        return tuple(sorted((_text(key, path, empty=False), _text(each, f"{path}.{key}", most=most)) for key, each in value.items()))

    def inner(self, name: str) -> Fields:
        """Take an object."""
        return Fields(self._take(name), f"{self._path}.{name}")

    def each(self, name: str) -> Iterator[Fields]:
        """Take a list of objects."""
        path = f"{self._path}.{name}"
        return (Fields(item, f"{path}[{index}]") for index, item in enumerate(_items(self._take(name), path)))

    def done(self) -> None:
        """Raise Malformed if anything is left that this version does not know."""
        if self._left:
            raise Malformed(f"{self._path}: unknown {', '.join(sorted(map(str, self._left)))}"[:300])

    def _take(self, name: str) -> Any:
        if name not in self._left:
            raise Malformed(f"{self._path}: there is no {name}")
        return self._left.pop(name)


def _text(value: Any, path: str, *, empty: bool = True, most: int = TEXT) -> str:
    if not isinstance(value, str) or len(value) > most or not value.isprintable() or not (value or empty):
        raise Malformed(f"{path}: a text of one line is wanted, up to {most} characters")
    return value


def _items(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > MANY:
        raise Malformed(f"{path}: a list of up to {MANY} is wanted")
    return value
