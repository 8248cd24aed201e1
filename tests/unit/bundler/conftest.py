"""No unit test starts a docker client: builds go to the fake engine, by the classic builder's face."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _classic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundler.image.find_buildkit", lambda _config: None)
