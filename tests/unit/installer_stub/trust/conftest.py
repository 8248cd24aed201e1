"""One key of each kind, made once."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.unit.installer_stub.trust.openssh import KINDS, Pair, make


@pytest.fixture(scope="package")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Pair]:
    return {kind: make(tmp_path_factory.mktemp("keys"), kind) for kind in KINDS}


@pytest.fixture(scope="package")
def pair(pairs: Mapping[str, Pair]) -> Pair:
    """The Ed25519 one."""
    return pairs["ssh-ed25519"]
