"""The version of airseal, where a frozen program can read it. A test holds it equal to pyproject.toml."""

from typing import Final

VERSION: Final = "0.1.0"
