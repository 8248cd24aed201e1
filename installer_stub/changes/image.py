"""Image: what a thing is at one moment, small enough for a line of the ledger. A file's bytes are named by their hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Form(StrEnum):
    """What stands there."""

    ABSENT = "absent"
    FILE = "file"
    LINK = "link"  # a symbolic one
    DIRECTORY = "directory"
    VALUE = "value"  # of a kernel setting, a unit, a module
    OTHER = "other"  # a socket, a device: nothing that we would ever replace
    LOST = "lost"  # there was something, and what it was is no longer known; ``value`` says why


@dataclass(frozen=True, slots=True)
class Image:
    """``value`` is a setting's text, a unit's states, or what kind of directory; ``changed`` is mtime in nanoseconds.

    A directory that was not empty has in ``sha256`` the listing of what was in it.
    """

    form: Form
    sha256: str = ""
    size: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0
    target: str = ""
    value: str = ""
    attributes: tuple[tuple[str, str], ...] = ()  # extended ones, in hex: SELinux' label, ACLs, capabilities
    changed: int = 0

    def matches(self, other: Image) -> bool:
        """Tell whether both are the same thing. Times and labels are put back, but do not make two files different."""
        if self.form is not other.form:
            return False
        compared: dict[Form, tuple[str, ...]] = {
            Form.FILE: ("sha256", "mode", "uid", "gid"),
            Form.LINK: ("target",),
            Form.VALUE: ("value",),
            Form.DIRECTORY: ("value", "sha256"),
            Form.ABSENT: (),
        }
        names = compared.get(self.form)
        return names is not None and all(getattr(self, name) == getattr(other, name) for name in names)

    def to_json(self) -> dict[str, object]:
        """Return what differs from an empty image."""
        fields: dict[str, object] = {"form": self.form.value}
        for name in ("sha256", "size", "mode", "uid", "gid", "target", "value", "changed"):
            if value := getattr(self, name):
                fields[name] = value
        if self.attributes:
            fields["attributes"] = [list(pair) for pair in self.attributes]
        return fields

    @classmethod
    def of_json(cls, value: object) -> Self:
        """Return the image that ``to_json`` wrote. Raises ValueError."""
        if not isinstance(value, Mapping):
            raise ValueError("an image is an object")  # noqa: TRY004 - what is read wrongly is one kind of error
        return cls(
            Form(value.get("form", "")),
            sha256=str(value.get("sha256", "")),
            size=int(value.get("size", 0)),
            mode=int(value.get("mode", 0)),
            uid=int(value.get("uid", 0)),
            gid=int(value.get("gid", 0)),
            target=str(value.get("target", "")),
            value=str(value.get("value", "")),
            attributes=tuple((str(name), str(data)) for name, data in value.get("attributes", [])),
            changed=int(value.get("changed", 0)),
        )


ABSENT = Image(Form.ABSENT)
