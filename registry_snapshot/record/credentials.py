"""Logins from docker's own ``config.json``: what ``docker login`` wrote, including credential helpers.

Source: docker/cli ``cli/config/configfile`` and github.com/docker/docker-credential-helpers (the ``get`` protocol).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.reference import DOCKER_HUB
from registry_snapshot.store.bounded import read_file

_HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
HELPER_SECONDS = 30
_TOKEN_USER = "<token>"  # noqa: S105 - the helpers' marker for "Secret is an identity token"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A login. Either user and password, or an OAuth2 refresh token (``identity_token``)."""

    username: str
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)

    def basic(self) -> str:
        """Return the value of an Authorization header of scheme Basic (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class DockerCredentials:
    """Logins by registry host. Keys are normalised hosts; a helper's secret is read when it is needed, not before."""

    logins: tuple[tuple[str, Credentials], ...] = field(default=(), repr=False)
    helpers: tuple[tuple[str, str], ...] = ()
    store: str = ""
    path: Path | None = field(default=None, compare=False)  # of the file, whether it is there or not

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Return what docker's config.json holds; ``None`` is ``$DOCKER_CONFIG`` or ``~/.docker``. No file: no logins.

        Raises RegistryError for a file that cannot be understood.
        """
        path = path or config_path()
        try:
            raw = read_file(path)
        except (FileNotFoundError, NotADirectoryError):
            return cls(path=path)
        except OSError as error:
            raise RegistryError(f"{path} cannot be read: {error.strerror}", "make it readable for this user") from None
        try:
            value = json.loads(raw)
            return cls(
                tuple((_host(key), login) for key, entry in _object(value, "auths").items() if (login := _login(entry))),
                tuple((_host(key), _plain(name)) for key, name in _object(value, "credHelpers").items()),
                _plain(value.get("credsStore") or ""),
                path,
            )
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise RegistryError(f"{path} is not a docker config.json", "repair it, or remove it and run docker login again") from None

    def for_registry(self, name: str) -> Credentials | None:
        """Return the login for a registry host, None if there is none. Raises RegistryError if a helper fails."""
        host, helper = _host(name), self.helper_of(name)
        if helper:
            found = _ask_helper(helper, server_of(name))
            if found is not None:
                return found
        return dict(self.logins).get(host)

    def helper_of(self, name: str) -> str:
        """Return the credential helper that keeps the login of a registry host, empty for none."""
        return dict(self.helpers).get(_host(name)) or self.store

    def in_words(self, name: str) -> str:
        """Return which login a registry host gets, and where that is from; no secret. Raises RegistryError if a helper fails."""
        found, helper, file = self.for_registry(name), self.helper_of(name), str(self.path or "docker's config.json")
        keeper = f"docker-credential-{helper}" if helper else file
        if found is None:
            return f"without a login: there is none for {name} in {keeper}"
        if found == dict(self.logins).get(_host(name)):
            keeper = file
        return f"with the login {found.username!r} of {keeper}" if found.username else f"with the token of {keeper}"


def config_path() -> Path:
    """Return where docker's config.json is: in ``$DOCKER_CONFIG`` or ``~/.docker``."""
    directory = os.environ.get("DOCKER_CONFIG")
    return (Path(directory) if directory else Path.home() / ".docker") / "config.json"


def server_of(name: str) -> str:
    """Return what docker and its helpers call the login of a registry host."""
    return _HUB_KEY if _host(name) == DOCKER_HUB else name


def _object(value: dict[str, object], key: str) -> dict[str, object]:
    found = value.get(key) or {}
    if not isinstance(found, dict):
        raise TypeError(key)
    return found


def _host(key: str) -> str:
    """Return a key of config.json as a host: old docker wrote URLs, and docker.io has several names."""
    host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DOCKER_HUB if host in _HUB_NAMES else host


def _login(entry: object) -> Credentials | None:
    if not isinstance(entry, dict):
        raise TypeError("auths")
    username, password = _plain(entry.get("username") or ""), _plain(entry.get("password") or "")
    if auth := entry.get("auth"):
        try:
            username, _, password = base64.b64decode(str(auth), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ValueError("auth") from error
        password = password.rstrip("\0")  # docker once padded it
    token = _plain(entry.get("identitytoken") or "")
    return Credentials(username, password, token) if username or token else None


def _plain(value: object) -> str:
    """Return a text that can be sent. Raises ValueError, TypeError."""
    if not isinstance(value, str):
        raise TypeError("no text")
    value.encode()  # a lone surrogate is JSON, but no character
    return value


def _ask_helper(helper: str, server: str) -> Credentials | None:
    import subprocess  # most registries need no helper

    program = f"docker-credential-{helper}"
    remedy = f"check that {program} works (echo {server} | {program} get), or remove it from docker's config.json"
    if os.sep in helper:
        raise RegistryError(f"{helper!r} is no name of a credential helper", "repair docker's config.json")
    try:
        run = subprocess.run(
            [program, "get"], input=server, capture_output=True, text=True, timeout=HELPER_SECONDS, check=False
        )
    except FileNotFoundError:
        raise RegistryError(f"docker's config.json names {program}, which is not installed", remedy) from None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:  # ValueError: a name, or an answer, that is no text
        raise RegistryError(f"{program} failed for {server}: {type(error).__name__}", remedy) from None
    if run.returncode != 0:
        if "not found" in run.stdout.lower():  # the protocol's "credentials not found in native keychain"
            return None
        # stdout is the helper's error message by protocol; it goes no further than its first line.
        raise RegistryError(f"{program} failed for {server}: {run.stdout.strip().partition(chr(10))[0][:200]}", remedy)
    try:
        value = json.loads(run.stdout)
        username, secret = _plain(value["Username"]), _plain(value["Secret"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RegistryError(f"{program} gave an answer for {server} that cannot be understood", remedy) from None
    return Credentials("", "", secret) if username == _TOKEN_USER else Credentials(username, secret)
