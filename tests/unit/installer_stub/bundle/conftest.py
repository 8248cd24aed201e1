from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.installer_stub.bundle.sealed import Ingredients, ingredients


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Ingredients:
    """What the module's artifact is made of."""
    return ingredients(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def run_file(made: Ingredients, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact. Tests do not write to it."""
    return made.seal(tmp_path_factory.mktemp("run") / "shop.run")
