"""The cache: what is in it, which builds hold it, and what may go."""

from __future__ import annotations

from typing import Final

KEEP: Final = 10  # builds that hold what they are made of, here and in docker, if nobody says another number
