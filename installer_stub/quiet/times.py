"""Times as the API writes them: RFC 3339, with or without fractions."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def seconds(text: object) -> float | None:
    """Return the seconds since the epoch that ``text`` means, or None where it is no time."""
    if not isinstance(text, str) or not STAMP.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
