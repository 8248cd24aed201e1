"""The program in every artifact is the same, whoever freezes it and when. Here and not among the quick tests: it freezes once more."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.options import cache_directory
from bundler.pack.freeze import freeze
from bundler.pack.portable_python import is_built, portable_interpreter
from bundler.pack.runtimes import stub_runtime
from tests.unit.installer_stub.bundle.sealed import Silent


def test_the_same_sources_give_the_same_program(tmp_path: Path) -> None:
    cache = cache_directory(None)
    if not is_built(cache):
        pytest.skip("the portable Python was not built on this machine: airseal build --runtime portable")
    stub = stub_runtime(cache, "portable", Silent())
    again = freeze(tmp_path, portable_interpreter(cache, Silent()))
    if again.package.parent.name != stub.package.parent.name:
        pytest.skip("somebody edited the sources meanwhile")
    assert again.digest == stub.digest
