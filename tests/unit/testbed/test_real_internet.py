"""Beside the real internet only the company's registry is ours."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.testbed.cache import Cache
from tests.testbed.sites import Settings, mirrors


def test_only_the_companys_registry_is_mirrored_and_no_download(tmp_path: Path) -> None:
    said = mirrors("ca.crt", real=True)
    assert said["registries"] == {"registry.corp.example:8443": "https://10.77.0.14:8443"}
    assert said["downloads"] == {}


def test_its_settings_are_those_of_one_registry(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    Settings(cache, real=True).write()
    assert yaml.safe_load(cache.mirrors.read_text()) == mirrors("ca.crt", real=True)
    assert [path.name for path in cache.internet.iterdir() if (path / "tls").is_dir()] == ["registry.corp.example"]
