"""The site registry's login: made once on the first master, and the same on every host for as long as the cluster lives.

It stands in files that root alone can read, travels through stdin, and is part of no command line, environment, plan, log or
cluster object. The registry and the stub read it from its file, containerd from hosts.toml.
"""

from __future__ import annotations

import io
from typing import ClassVar, Final

from installer_stub.errors import HostError
from installer_stub.host.command import Command, Secret
from installer_stub.host.connection import Connection
from installer_stub.phases import stub_verbs
from installer_stub.phases.base import Context, Phase
from installer_stub.plan.model import CREDENTIAL, HostPlan
from registry_snapshot.serve.login import Credential

USER: Final = "airseal"
_MODE: Final = 0o600


class CreateCredential(Phase):
    """The first master's login is everybody's. If it has lost it, another host's is: those were given the same."""

    title: ClassVar[str] = "Create the site registry's login"

    def is_needed(self, context: Context) -> bool:
        """Compare the file on every host with the first master's, and its mode."""
        text = _login(context.first)
        if text is None:
            return True
        _mask(context, text)
        held = context.each(context.plan.hosts, lambda _host, connection: _holds(connection, text))
        return not all(held.values())

    def run(self, context: Context) -> None:
        """Make it if nobody has it. Killed after that, the next run finds it and gives it to those who lack it."""
        text = _existing(context) or _made(context)
        _mask(context, text)

        def give(_host: HostPlan, connection: Connection) -> None:
            if not _holds(connection, text):
                data = text.reveal().encode()
                connection.put(io.BytesIO(data), CREDENTIAL, size=len(data), mode=_MODE)

        give(context.plan.masters[0], context.first)
        context.each(context.plan.hosts, give)


def authorization(context: Context, connection: Connection) -> Secret | None:
    """Return the header that the plan's registry wants, as the host knows it; None if it wants none. Raises HostError."""
    path = context.plan.images.credential_path
    if not path:
        return None
    text = _login(connection)
    if text is None:
        raise HostError(connection.host.address, f"there is no login for the site registry in {path}", "run again: it is given to every host")
    return _mask(context, text)


def _mask(context: Context, text: Secret) -> Secret:
    """Let the log of this run never show the login, and return the header that it makes."""
    credential = Credential.parse(text.reveal())
    header = Secret(credential.authorization())
    context.secrets += [secret for secret in (Secret(credential.password), header) if secret not in context.secrets]
    return header


def _existing(context: Context) -> Secret | None:
    found = context.each(context.plan.hosts, lambda _host, connection: _login(connection))
    return next((text for host in context.plan.hosts if (text := found.get(host.address)) is not None), None)


def _made(context: Context) -> Secret:
    # Nobody has a sound one, so what may be there is no login.
    context.first.run(Command.of("rm", "-f", CREDENTIAL, changes="remove what is no login"))
    context.first.run(stub_verbs.new_credential(CREDENTIAL, USER))
    text = _login(context.first)
    if text is None:
        raise HostError(context.first.host.address, f"{CREDENTIAL} was not made")
    return text


def _login(connection: Connection) -> Secret | None:
    """Return the file's text, None if it is missing or spells no login."""
    try:
        text = (connection.read(CREDENTIAL) or b"").decode()
        Credential.parse(text)
    except ValueError:
        return None
    return Secret(text)


def _holds(connection: Connection, text: Secret) -> bool:
    if _login(connection) != text:
        return False
    return connection.run(Command.of("stat", "-c", "%a", CREDENTIAL), check=False).stdout.strip() == f"{_MODE:o}"
