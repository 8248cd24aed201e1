"""Session: one run of a verb that works on hosts, from the log file to the result. What all such verbs share."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.remembered import recall, remember
from installer_stub.errors import HostError, HostsFailed, HostUnreachable, InstallerError
from installer_stub.host.command import Secret
from installer_stub.host.connect import connect_all
from installer_stub.host.connection import Connection
from installer_stub.host.known_hosts import HostKeyPolicy
from installer_stub.host.login import Login
from installer_stub.host.model import Host
from installer_stub.options import InstallOptions
from installer_stub.phases.base import Artifact
from installer_stub.ui import prompts
from installer_stub.ui.console import Console, console
from installer_stub.ui.logfile import log_file
from installer_stub.ui.printable import say
from installer_stub.ui.transfer import size
from installer_stub.verbs.vouched import signature_lines, trusted


@dataclass(frozen=True, slots=True)
class Session:
    """What a verb works with. ``secrets`` grows while it runs: the log masks them."""

    options: InstallOptions
    bundle: Bundle
    screen: Console
    login: Login
    log: str
    begun: float  # time.monotonic()
    secrets: list[Secret] = field(default_factory=list)
    lost: dict[str, HostUnreachable] = field(default_factory=dict)  # named hosts that do not answer, by address


@contextmanager
def session(options: InstallOptions) -> Iterator[Session]:
    """Open bundle, log and screen, ask for passwords, and give the Session.

    An InstallerError that passes gets the log's path into its remedy, and becomes an event where events are printed.
    """
    begun = time.monotonic()
    secrets: list[Secret] = []
    with Bundle.open(options.bundle) as bundle, log_file(f"airseal-{options.verb}", secrets) as log:
        screen = console(json_events=options.json)
        try:
            login = _login(options)
            secrets += [secret for secret in (login.password, login.become_password) if secret is not None]
            yield Session(options, bundle, screen, login, str(log), begun, secrets)
        except InstallerError as error:
            error.remedy = f"{error.remedy}\n  full log: {log}".lstrip()
            if options.json:
                screen.event("error", error.problem, remedy=error.remedy, exit_code=error.exit_code)
            raise
        except Exception as error:
            logging.getLogger("airseal").exception("not foreseen")
            error.add_note(f"full log: {log}")
            raise
        finally:
            screen.close()


def verify(run: Session) -> str:
    """Return the SHA-256 of the whole artifact in hex, every digest recomputed, or remembered if nothing changed since.

    Whose it is is asked first. Raises UsageError, BundleError, NotTrusted.
    """
    found = trusted(run.bundle, run.options.trust.files, run.options.trust.principal)
    for line in signature_lines(run.bundle, found) if run.bundle.signatures else ():
        run.screen.step(f"{run.bundle.info.title}: signed by {line}")
    receipt = run.bundle.receipt
    if receipt is not None:
        run.screen.step("; ".join((f"{run.bundle.info.title}: {receipt.line()}", *(f"allowed: {each}" for each in receipt.allowed))))
    known = recall(run.bundle)
    if known is not None:
        run.screen.step(f"{run.bundle.info.title}: verified before, and unchanged since")
        return known
    run.screen.step(f"{run.bundle.info.title}: verifying {size(run.bundle.size)}")
    what = "verify"
    verified = run.bundle.verify(lambda count: run.screen.moved(what, count, run.bundle.size))
    remember(run.bundle, verified)
    return verified.sha256


def connect(run: Session, hosts: Sequence[Host]) -> dict[str, Connection]:
    """Return a connection as root to every host, by address. Raises HostError, HostsFailed; none is open then."""
    options = run.options
    known = str(options.known_hosts) if options.known_hosts is not None else None
    policy = HostKeyPolicy.of(known, prompts.host_keys(), dict(options.host_keys))
    run.screen.step(f"connecting to {len(hosts)} host{'s' if len(hosts) > 1 else ''}")
    return dict(connect_all(hosts, run.login, policy, ask_passphrase=prompts.ask_passphrase))


def connect_reachable(run: Session, hosts: Sequence[Host]) -> tuple[dict[str, Connection], list[HostUnreachable]]:
    """Return connections to the hosts that answer, and why the others do not. Any other failure is raised.

    Raises HostUnreachable, HostsFailed where no host answers.
    """
    lost = list[HostUnreachable]()
    while hosts:
        try:
            return connect(run, hosts), lost
        except (HostUnreachable, HostsFailed) as error:
            failures = error.failures if isinstance(error, HostsFailed) else (error,)
            silent = [failure for failure in failures if isinstance(failure, HostUnreachable)]
            if len(silent) < len(failures):
                raise
            lost += silent
            gone = {failure.host for failure in silent}
            hosts = tuple(host for host in hosts if host.address not in gone)
            for failure in silent:
                run.screen.step(f"going on without {failure.problem}")
    raise lost[0] if len(lost) == 1 else HostsFailed(lost)


def reach_quietly(run: Session, hosts: Sequence[Host]) -> dict[str, Connection]:
    """Return connections to those of ``hosts`` that let us in, which may be none.

    For hosts that nobody named: one that is off, or whose key or login is not known here, is said and left alone. Raises
    what is no host's failure.
    """
    while hosts:
        try:
            return connect(run, hosts)
        except (HostError, HostsFailed) as error:
            failures = error.failures if isinstance(error, HostsFailed) else (error,)
            gone = {failure.host for failure in failures if isinstance(failure, HostError)} & {host.address for host in hosts}
            if not gone or not all(isinstance(failure, HostError) for failure in failures):
                raise
            hosts = tuple(host for host in hosts if host.address not in gone)
            for failure in failures:
                run.screen.step(f"going on without {failure.problem}")
    return {}


def close(connections: Mapping[str, Connection]) -> None:
    """End every connection."""
    for connection in connections.values():
        connection.close()


def artifact(run: Session, sha256: str = "") -> Artifact:
    """Return what is sent to hosts. Without the ``sha256`` that ``verify`` gave, the bundle is not."""
    return Artifact(
        stub_size=run.bundle.stub_size,
        open_stub=run.bundle.stub_stream,
        stub_digest=run.bundle.stub_digest,
        open_run=run.bundle.stream,
        run_size=run.bundle.size,
        run_sha256=sha256,
    )


def result(run: Session, text: str, **fields: object) -> None:
    """Say what came of it: ``text`` to people, ``fields`` to machines. Both on stdout."""
    if run.options.json:
        run.screen.event("done", text, **fields)
    else:
        run.screen.close()
        say(text)


def _login(options: InstallOptions) -> Login:
    return Login(
        identities=(str(options.identity),) if options.identity is not None else (),
        password=prompts.ask_secret("SSH password") if options.ask_pass else None,
        become_password=prompts.ask_secret("sudo password") if options.ask_become_pass else None,
    )
