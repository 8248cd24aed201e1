"""Whether the artifacts on a master's disk are still the bytes that were copied there (docs/adr/0026)."""

from __future__ import annotations

from typing import Final

PACE: Final = 64  # MiB a second; 100 GB take less than half an hour
