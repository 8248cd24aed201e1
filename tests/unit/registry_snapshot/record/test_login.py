"""Keeping logins: where docker keeps them, with everything else left as it was, and never half."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from registry_snapshot.errors import RegistryError, StoreError
from registry_snapshot.record.credentials import Credentials, DockerCredentials
from registry_snapshot.record.login import keep_login
from registry_snapshot.store import disk

LOGIN = Credentials("bob", "pass:word ✓")
OTHER = {"auths": {"quay.io": {"auth": "YTpi"}}, "HttpHeaders": {"X": "1"}, "psFormat": "table"}
HELPER = """#!/bin/sh
case "$1" in
  store) cat > "{kept}" ;;
  get) read server; printf '{{"ServerURL":"%s","Username":"bob","Secret":"kept"}}' "$server" ;;
esac
exit {code}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "docker" / "config.json"


def write(config: Path, value: object) -> None:
    config.parent.mkdir(exist_ok=True)
    config.write_text(value if isinstance(value, str) else json.dumps(value))


def install_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int = 0) -> Path:
    program, kept = tmp_path / "bin" / "docker-credential-test", tmp_path / "kept.json"
    program.parent.mkdir()
    program.write_text(HELPER.format(kept=kept, code=code))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return kept


@pytest.mark.parametrize("registry", ["registry.corp:5000", "docker.io", "quay.io"])
def test_a_login_is_read_again_and_everything_else_is_as_it_was(config: Path, registry: str) -> None:
    write(config, OTHER)
    assert keep_login(registry, LOGIN, config) == str(config)
    assert DockerCredentials.load(config).for_registry(registry) == LOGIN
    value = json.loads(config.read_text())
    assert {key: text for key, text in value.items() if key != "auths"} == {key: text for key, text in OTHER.items() if key != "auths"}
    if registry != "quay.io":
        assert value["auths"]["quay.io"] == {"auth": "YTpi"}
    assert ("https://index.docker.io/v1/" in value["auths"]) == (registry == "docker.io"), "docker's own name of it"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600


@pytest.mark.parametrize("before", [None, "{}"])
def test_a_file_that_is_not_there_is_made(config: Path, before: str | None) -> None:
    if before is not None:
        write(config, before)
    keep_login("registry.corp", LOGIN, config)
    assert DockerCredentials.load(config).for_registry("registry.corp") == LOGIN
    assert stat.S_IMODE(config.stat().st_mode) == 0o600


@pytest.mark.parametrize("before", ["", "[]", "{", "nonsense", '{"auths": []}', '{"auths": {"a": 1}}'])
def test_a_file_that_is_none_is_left_alone(config: Path, before: str) -> None:
    write(config, before)
    with pytest.raises(RegistryError, match="is not a docker"):
        keep_login("registry.corp", LOGIN, config)
    assert config.read_text() == before


def test_a_link_stays_a_link(config: Path, tmp_path: Path) -> None:
    config.parent.mkdir()
    (tmp_path / "dotfiles.json").write_text(json.dumps(OTHER))
    config.symlink_to(tmp_path / "dotfiles.json")
    keep_login("registry.corp", LOGIN, config)
    assert config.is_symlink()
    assert "registry.corp" in json.loads((tmp_path / "dotfiles.json").read_text())["auths"]


def test_a_disk_that_is_full_loses_nothing(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(config, OTHER)

    def full(descriptor: int, data: memoryview) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "_write", full)
    with pytest.raises(StoreError):
        keep_login("registry.corp", LOGIN, config)
    assert json.loads(config.read_text()) == OTHER
    assert [path.name for path in config.parent.iterdir()] == ["config.json"]


@pytest.mark.parametrize("setting", [{"credsStore": "test"}, {"credHelpers": {"registry.corp": "test"}}])
def test_a_helper_keeps_it_and_the_file_does_not(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: dict[str, object]) -> None:
    kept = install_helper(tmp_path, monkeypatch)
    write(config, {**OTHER, **setting, "auths": {"registry.corp": {"auth": "b2xkOm9sZA=="}}})
    assert keep_login("registry.corp", LOGIN, config) == "docker-credential-test"
    assert json.loads(kept.read_text()) == {"ServerURL": "registry.corp", "Username": "bob", "Secret": "pass:word ✓"}
    assert json.loads(config.read_text())["auths"] == {"registry.corp": {}}, "nor is the old one left there"
    assert "pass:word" not in config.read_text()


@pytest.mark.parametrize("missing", [True, False])
def test_a_helper_that_fails_is_named_and_nothing_is_kept(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, missing: bool) -> None:
    if not missing:
        install_helper(tmp_path, monkeypatch, code=1)
    write(config, {**OTHER, "credsStore": "test"})
    before = config.read_text()
    with pytest.raises(RegistryError, match="docker-credential-test") as caught:
        keep_login("registry.corp", LOGIN, config)
    assert "pass:word" not in str(caught.value)
    assert config.read_text() == before


def test_a_path_is_no_helper(config: Path) -> None:
    write(config, {"credsStore": "../../bin/evil"})
    with pytest.raises(RegistryError, match="no name of a credential helper"):
        keep_login("registry.corp", LOGIN, config)
