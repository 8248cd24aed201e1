"""Logging in: a registry is asked whether it takes a login, and the login is kept where docker keeps its own.

Source: OCI distribution-spec, "Determining Support" (``/v2/``); docker/cli ``cli/config/credentials`` (file store and native store);
docker-credential-helpers, the ``store`` protocol.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path

from registry_snapshot.errors import RegistryError, UpstreamError, UpstreamUnauthorized
from registry_snapshot.oci.reference import Repository
from registry_snapshot.record.credentials import (
    HELPER_SECONDS,
    Credentials,
    DockerCredentials,
    config_path,
    server_of,
)
from registry_snapshot.record.retry import TransientError
from registry_snapshot.record.session import Ask
from registry_snapshot.record.upstreams import Upstreams
from registry_snapshot.store.bounded import read_file
from registry_snapshot.store.disk import write_file
from registry_snapshot.store.durable import make_directory


def check_login(upstreams: Upstreams, registry: str) -> bool:
    """Ask ``registry`` with the login that ``upstreams`` have for it; tell whether it wanted to see that.

    Raises UpstreamUnauthorized if it is refused, UpstreamError for one that does not answer, or is no registry.
    """
    session = upstreams.for_registry(registry).session
    ask = Ask(session.url(""), Repository(registry, ""), f"the registry {registry}", scope="")
    attempts = session.attempts()
    while True:
        try:
            with session.send(ask):
                return session.is_logged_in("")
        except TransientError as failure:
            attempts.failed(failure)
        except UpstreamUnauthorized as error:
            raise UpstreamUnauthorized(error.problem, "check the user and the password; nothing was kept", status=error.status) from error
        except UpstreamError as error:
            if error.status != 404:
                raise
            raise UpstreamError(error.problem, f"no registry answers there: correct the name {registry}", status=404) from error


def keep_login(registry: str, login: Credentials, path: Path | None = None) -> str:
    """Keep the login of a registry host, in place of what was kept, and return where: a credential helper's name, or the file.

    ``path`` is docker's config.json (None: docker's own). A helper that it names gets the login; otherwise it stands in the file, which
    then its owner alone may read, whole or not at all, with everything else in it as it was. Raises RegistryError, StoreError.
    """
    path = (path or config_path()).resolve()
    helper = DockerCredentials.load(path).helper_of(registry)
    value = _read(path)
    logins = value.setdefault("auths", {})
    if not isinstance(logins, dict):
        raise RegistryError(f"{path} is not a docker config.json", "repair it, or remove it and log in again")
    server = server_of(registry)
    if helper:
        _store(helper, server, login)
        logins[server] = {}  # so docker writes which logins its helpers have
    else:
        logins[server] = {"auth": base64.b64encode(f"{login.username}:{login.password}".encode()).decode()}
    try:
        make_directory(path.parent, 0o700)
        write_file(path, json.dumps(value, indent="\t").encode() + b"\n", 0o600)
    except OSError as error:
        raise RegistryError(f"{path} cannot be written: {error.strerror}", "name another directory with --docker-config") from error
    return f"docker-credential-{helper}" if helper else str(path)


def _read(path: Path) -> dict[str, object]:
    try:
        raw = read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise RegistryError(f"{path} cannot be read: {error.strerror}", "make it readable for this user") from None
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RegistryError(f"{path} is not a docker config.json", "repair it, or remove it and log in again")
    return value


def _store(helper: str, server: str, login: Credentials) -> None:
    program = f"docker-credential-{helper}"
    remedy = f"check that {program} works, or remove it from docker's config.json"
    if os.sep in helper:
        raise RegistryError(f"{helper!r} is no name of a credential helper", "repair docker's config.json")
    said = json.dumps({"ServerURL": server, "Username": login.username, "Secret": login.password})
    try:
        run = subprocess.run([program, "store"], input=said, capture_output=True, text=True, timeout=HELPER_SECONDS, check=False)
    except FileNotFoundError:
        raise RegistryError(f"docker's config.json names {program}, which is not installed", remedy) from None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise RegistryError(f"{program} failed for {server}: {type(error).__name__}", remedy) from None
    if run.returncode != 0:  # what it says may hold what it was told
        raise RegistryError(f"{program} did not keep the login of {server} (exit code {run.returncode})", remedy)
