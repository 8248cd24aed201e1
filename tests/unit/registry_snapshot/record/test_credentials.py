"""Logins are found where docker put them, and shown nowhere."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_snapshot.errors import RegistryError
from registry_snapshot.record.credentials import Credentials, DockerCredentials


def load(directory: Path, value: object) -> DockerCredentials:
    path = directory / "config.json"
    path.write_text(json.dumps(value))
    return DockerCredentials.load(path)


def auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credential helper on PATH: it knows known.io, fails for broken.io, and has nothing else."""
    directory = tmp_path / "bin"
    directory.mkdir()
    path = directory / "docker-credential-test"
    path.write_text(
        "#!/bin/sh\n"
        "read server\n"
        f'echo "$1 $server" >> {directory}/asked\n'
        "case $server in\n"
        """known.io) echo '{"ServerURL":"known.io","Username":"me","Secret":"s3cret"}';;\n"""
        """token.io) echo '{"ServerURL":"token.io","Username":"<token>","Secret":"refresh"}';;\n"""
        """https://index.docker.io/v1/) echo '{"Username":"hub","Secret":"x"}';;\n"""
        "garbage.io) echo nonsense;;\n"
        "broken.io) echo 'cannot open the keychain'; exit 1;;\n"
        "*) echo 'credentials not found in native keychain'; exit 1;;\n"
        "esac\n"
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    return directory / "asked"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("quay.io", "quay.io"),
        ("https://quay.io", "quay.io"),
        ("https://quay.io/v2/", "quay.io"),
        ("localhost:5000", "localhost:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "registry-1.docker.io"),
    ],
)
def test_keys_of_auths(tmp_path: Path, key: str, name: str) -> None:
    credentials = load(tmp_path, {"auths": {key: auth("me", "pass:word")}})
    assert credentials.for_registry(name) == Credentials("me", "pass:word")
    assert credentials.for_registry("other.io") is None
    assert credentials.for_registry("quay.io:5443") is None


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"username": "me", "password": "pw"}, Credentials("me", "pw")),
        ({**auth("me", ""), "identitytoken": "refresh"}, Credentials("me", "", "refresh")),
        (auth("me", "pw\0\0"), Credentials("me", "pw")),
        ({}, None),
    ],
)
def test_entries_of_auths(tmp_path: Path, entry: object, expected: Credentials | None) -> None:
    assert load(tmp_path, {"auths": {"quay.io": entry}}).for_registry("quay.io") == expected


def test_nothing_secret_is_shown(tmp_path: Path) -> None:
    credentials = load(tmp_path, {"auths": {"quay.io": {**auth("me", "s3cret"), "identitytoken": "refresh"}}})
    shown = repr(credentials) + str(credentials) + repr(credentials.for_registry("quay.io"))
    assert "s3cret" not in shown
    assert "refresh" not in shown


def test_a_helper_is_asked_on_stdin(tmp_path: Path, helper: Path) -> None:
    credentials = load(tmp_path, {"credHelpers": {"known.io": "test", "token.io": "test"}, "auths": {"quay.io": auth("q", "p")}})
    assert credentials.for_registry("known.io") == Credentials("me", "s3cret")
    assert credentials.for_registry("token.io") == Credentials("", "", "refresh")
    assert credentials.for_registry("quay.io") == Credentials("q", "p")
    assert helper.read_text() == "get known.io\nget token.io\n"


def test_the_store_is_asked_for_every_registry(tmp_path: Path, helper: Path) -> None:
    credentials = load(tmp_path, {"credsStore": "test", "auths": {"quay.io": auth("q", "p"), "known.io": {}}})
    assert credentials.for_registry("known.io") == Credentials("me", "s3cret")
    assert credentials.for_registry("docker.io") == Credentials("hub", "x")
    assert credentials.for_registry("quay.io") == Credentials("q", "p")
    assert credentials.for_registry("other.io") is None


@pytest.mark.parametrize(
    ("name", "helper_name", "words"),
    [
        ("broken.io", "test", "cannot open the keychain"),
        ("garbage.io", "test", "cannot be understood"),
        ("known.io", "absent", "docker-credential-absent, which is not installed"),
        ("known.io", "../x", "no name of a credential helper"),
    ],
)
def test_a_helper_that_fails_is_named(tmp_path: Path, helper: Path, *, name: str, helper_name: str, words: str) -> None:
    with pytest.raises(RegistryError, match=words) as caught:
        load(tmp_path, {"credHelpers": {name: helper_name}}).for_registry(name)
    assert caught.value.remedy


def test_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".docker").mkdir()
    load(tmp_path / ".docker", {"auths": {"quay.io": auth("home", "p")}})
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert DockerCredentials.load().for_registry("quay.io") == Credentials("home", "p")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert DockerCredentials.load() == DockerCredentials()
    load(tmp_path, {"auths": {"quay.io": auth("variable", "p")}})
    assert DockerCredentials.load().for_registry("quay.io") == Credentials("variable", "p")


@pytest.mark.parametrize("raw", [b"{", b"[]", b'{"auths": ["x"]}', b'{"auths": {"a.io": "x"}}', b'{"auths": {"a.io": {"auth": "%%"}}}', b"\xff"])
def test_a_damaged_file_is_named(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "config.json").write_bytes(raw)
    with pytest.raises(RegistryError, match=r"config\.json is not a docker config"):
        DockerCredentials.load(tmp_path / "config.json")


@pytest.mark.parametrize(
    "value",
    [
        {"auths": {"a.io": {"username": "\ud800", "password": "x"}}},
        {"auths": {"a.io": {"username": 5}}},
        {"auths": {"a.io": {"identitytoken": ["x"]}}},
        {"auths": {"a.io": {"auth": base64.b64encode(b"\xff\xfe").decode()}}},
        {"credHelpers": {"a.io": 5}},
        {"credsStore": {"a": "b"}},
    ],
)
def test_what_no_header_could_carry_is_named(tmp_path: Path, value: object) -> None:
    with pytest.raises(RegistryError, match=r"config\.json is not a docker config"):
        load(tmp_path, value)


def test_a_helper_whose_name_is_none(tmp_path: Path, helper: Path) -> None:
    with pytest.raises(RegistryError, match=r"failed for a\.io"):
        load(tmp_path, {"credsStore": "x\0y"}).for_registry("a.io")


def test_a_directory_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with pytest.raises(RegistryError, match=r"config\.json cannot be read: Is a directory") as caught:
        DockerCredentials.load(tmp_path / "config.json")
    assert caught.value.remedy


names = st.text(st.characters(exclude_categories=("Cs",), exclude_characters=":\0"), min_size=1, max_size=20)
secrets = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)


@given(names, secrets)
def test_any_login_comes_out_as_it_went_in(tmp_path_factory: pytest.TempPathFactory, user: str, password: str) -> None:
    directory = tmp_path_factory.getbasetemp()
    found = load(directory, {"auths": {"quay.io": auth(user, password)}}).for_registry("quay.io")
    assert found == Credentials(user, password)
    assert found is not None
    assert base64.b64decode(found.basic().removeprefix("Basic ")).decode() == f"{user}:{password}"


values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=9) | st.sampled_from(["auth", "username", "password", "identitytoken"]), inner, max_size=3), max_leaves=8)


@given(st.binary(max_size=60) | st.dictionaries(st.sampled_from(["auths", "credHelpers", "credsStore"]), values).map(lambda v: json.dumps(v).encode()))
def test_any_file_holds_logins_or_is_named(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "config.json"
    path.write_bytes(raw)
    with contextlib.suppress(RegistryError):
        for key, login in DockerCredentials.load(path).logins:
            login.basic().encode("ascii")
            assert key == key.partition("/")[0]
