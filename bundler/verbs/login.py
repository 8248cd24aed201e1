"""``login``: a registry is asked whether it takes a login, which is then kept where docker keeps its own."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from typing import Final

from bundler.verbs.sources import add_mirrors, mirrors_of

_EPILOG = """\
examples:
  airseal login registry.corp.example.com
  airseal login registry.corp.example.com --username bob --password-stdin < password
  airseal login registry.corp.example.com:5000 --ca corporate-root.pem
  airseal login docker.io

The registry is asked first, and a login that it refuses is not kept. One that it takes is kept as docker keeps it: by the credential
helper that docker's config.json names (credHelpers, credsStore), else in that file, which nobody else may read then. docker login and
docker logout see the same logins.

exit codes: 0 kept, 1 the registry refused it or does not answer, 2 usage"""
_MOST_PASSWORD: Final = 1 << 16  # bytes; tokens of some clouds have a few thousand


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("registry", metavar="REGISTRY", help="a registry as in an image's name, for example registry.corp.example.com:5000")
    parser.add_argument("-u", "--username", metavar="USER", help="who logs in (default: asked at the terminal)")
    parser.add_argument("--password-stdin", action="store_true", help="read the password, or an access token, from standard input")
    group = add_mirrors(parser)
    group.add_argument("--docker-config", metavar="DIR", help="where docker's config.json is or will be (default $DOCKER_CONFIG or ~/.docker)")
    parser.add_argument("--json", action="store_true", help="print events as JSON, one a line")


def run(arguments: Namespace) -> int:
    """Ask the registry, keep the login, say where. Raises UsageError, RegistryError, Interrupted."""
    from contextlib import closing
    from pathlib import Path

    from bundler.travel.upstreams import named_by_person
    from installer_stub.ui.console import console
    from registry_snapshot.record.credentials import Credentials, DockerCredentials
    from registry_snapshot.record.login import check_login, keep_login
    from registry_snapshot.record.upstreams import Upstreams

    registry = _registry(arguments.registry)
    mirrors = named_by_person(mirrors_of(arguments), registry)
    path = Path(arguments.docker_config) / "config.json" if arguments.docker_config else None
    with closing(console(json_events=arguments.json)) as reporter:
        with Upstreams(mirrors, DockerCredentials()) as nobody:
            key = nobody.login_key(registry)
        login = Credentials(*_given(arguments, key))
        with Upstreams(mirrors, DockerCredentials(((key, login),))) as upstreams:
            is_asked = check_login(upstreams, registry)
        kept = keep_login(key, login, path)
        noted = "" if is_asked else "; it answers everybody, so nobody has looked at the password yet"
        reporter.event("login", f"logged in to {key} as {login.username}, kept by {kept}{noted}", registry=key, username=login.username, kept=kept, verified=is_asked)
    return 0


def _registry(text: str) -> str:
    """Return a registry as an image's name has it. Raises UsageError."""
    from bundler.errors import UsageError
    from registry_snapshot.errors import ReferenceInvalid
    from registry_snapshot.oci.reference import Repository

    try:
        return Repository.of(text.removeprefix("https://").rstrip("/"), "any").registry
    except ReferenceInvalid:
        raise UsageError(f"{text[:200]!r} is no registry", "write it as in an image's name: registry.corp.example.com, localhost:5000") from None


def _given(arguments: Namespace, registry: str) -> tuple[str, str]:
    """Return user and password: never from the command line, where every process of the machine sees it."""
    from bundler.errors import UsageError
    from installer_stub.ui.prompts import ask, ask_secret, is_interactive

    if arguments.password_stdin:
        if not arguments.username:
            raise UsageError("--password-stdin needs --username", f"airseal login {registry} --username USER --password-stdin < FILE")
        password = sys.stdin.read(_MOST_PASSWORD + 1).removesuffix("\n").removesuffix("\r")
        if len(password) > _MOST_PASSWORD:
            raise UsageError(f"standard input has more than {_MOST_PASSWORD} bytes, which is no password", "give it the password alone")
    elif is_interactive():
        username = arguments.username or ask(f"user at {registry}")
        return _checked(username, ask_secret(f"password of {username}").reveal())
    else:
        raise UsageError("nobody to ask for a password", f"airseal login {registry} --username USER --password-stdin < FILE")
    return _checked(arguments.username, password)


def _checked(username: str, password: str) -> tuple[str, str]:
    from bundler.errors import UsageError

    if not username or ":" in username:
        raise UsageError("a user's name is not empty and has no colon in it", "RFC 7617")
    if not password:
        raise UsageError("the password is empty", "give an access token, if the registry has those")
    return username, password
