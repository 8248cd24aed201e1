"""Report: what ``keep`` found and did on one host."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from installer_stub.errors import InstallerError


@dataclass(frozen=True, slots=True)
class Failure:
    """A thing that is not as it must be, and why it could not be made so."""

    what: str
    why: str

    @classmethod
    def of(cls, what: str, error: Exception) -> Self:
        """Return the failure that ``error`` is: its problem, where it is one of ours."""
        return cls(what, error.problem if isinstance(error, InstallerError) else str(error))

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


@dataclass(slots=True)
class Report:
    """``changed``: put right. ``differs``: seen by a look that changes nothing. ``cannot``: this kernel does not allow it."""

    changed: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    cannot: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)

    def settle(self, what: str, make: Callable[[], None], *, look_only: bool) -> None:
        """Note that ``what`` is not as it must be, and make it so unless this is only a look. OSError is a failure, named."""
        if look_only:
            self.differs.append(what)
            return
        try:
            make()
        except OSError as error:
            self.failed.append(Failure(what, error.strerror or repr(error)))
        else:
            self.changed.append(what)

    def encode(self) -> str:
        """Return it as one line of JSON."""
        failed = [{"what": each.what, "why": each.why} for each in self.failed]
        return json.dumps({"changed": self.changed, "differs": self.differs, "cannot": self.cannot, "failed": failed})

    @classmethod
    def decode(cls, text: str) -> Self:
        """Return the report in the last line of ``text``. Raises ValueError."""
        lines = [line for line in text.splitlines() if line.strip()]
        value: Any = json.loads(lines[-1]) if lines else None
        if not isinstance(value, dict):
            raise ValueError("no report")  # noqa: TRY004 - one error for every text that is none
        try:
            failed = [Failure(str(each["what"]), str(each["why"])) for each in value["failed"]]
            lists = {key: [str(each) for each in value[key]] for key in ("changed", "differs", "cannot")}
            return cls(lists["changed"], lists["differs"], lists["cannot"], failed)
        except (KeyError, TypeError) as error:
            raise ValueError(f"no report: {error!r}") from None
