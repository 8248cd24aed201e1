"""The program in every artifact is the same, whoever freezes it and when. Here and not among the quick tests: it freezes once more."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.options import cache_directory
from release.freeze import freeze
from release.portable_python import portable_interpreter
from release.stub import HERE, make_stub
from tests.unit.installer_stub.bundle.sealed import Silent


def test_the_same_sources_give_the_same_program(tmp_path: Path) -> None:
    cache = cache_directory(None)
    stub = make_stub(cache, Silent())
    again = freeze(tmp_path, portable_interpreter(cache, HERE, Silent()))
    if again.package.parent.name != stub.package.parent.name:
        pytest.skip("somebody edited the sources meanwhile")
    assert again.digest == stub.digest
