"""From a host's address to an authenticated SSH transport, with every way it can fail in its own words."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from installer_stub.errors import AuthenticationFailed, HostUnreachable, UsageError
from installer_stub.host.command import Secret
from installer_stub.host.exchange import Channel
from installer_stub.host.known_hosts import HostKey
from installer_stub.host.model import Host

if TYPE_CHECKING:
    from paramiko import PKey, Transport

CONNECT_SECONDS = 10.0
HANDSHAKE_SECONDS = 20.0
AUTH_SECONDS = 60.0  # PAM with a directory server behind it, and its delay after a wrong password
DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
# gcm first: no separate MAC to compute. paramiko lists it last. ctr stays for old servers, cbc and 3des go.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
# sshd's MaxAuthTries is 6. Password and keyboard-interactive need two of them.
MOST_KEYS, MOST_KEYS_BEFORE_PASSWORD = 6, 4

# Without a handler Python prints warnings of libraries on stderr, in the middle of the progress bars.
logging.getLogger("airseal").addHandler(logging.NullHandler())

Taker = Callable[[Channel], None]
AskPassphrase = Callable[[str], Secret]  # given a key file's path


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in, for all hosts. ``become_password`` is sudo's; where it is None, ``password`` is tried."""

    identities: tuple[str, ...] = ()
    password: Secret | None = None
    become_password: Secret | None = None
    agent: bool = True


@dataclass(frozen=True, slots=True)
class Identity:
    """A private key, ready to sign. ``label`` is what messages call it."""

    label: str
    key: PKey


def load_identities(login: Login, ask: AskPassphrase | None = None, home: Path | None = None) -> tuple[Identity, ...]:
    """Return ``--identity`` files, or else the operator's default keys; a passphrase is asked for the former only.

    Raises UsageError for a named file that is missing, no private key, or locked with another passphrase.
    """
    if login.identities:
        return tuple(_load_named(name, ask) for name in login.identities)
    directory = (home or Path.home()) / ".ssh"
    return tuple(identity for name in DEFAULT_KEYS if (identity := _load_default(directory / name)) is not None)


def _load_named(name: str, ask: AskPassphrase | None) -> Identity:
    import paramiko

    path = Path(name).expanduser()
    try:
        try:
            return Identity(name, paramiko.PKey.from_path(path))
        except (paramiko.PasswordRequiredException, TypeError):  # cryptography: TypeError, "Password was not given"
            if ask is None:
                raise UsageError(f"the key {name} has a passphrase and nobody can be asked", "load it with ssh-add") from None
            # paramiko 5.1 hands it to cryptography as it is, which takes bytes only.
            return Identity(name, paramiko.PKey.from_path(path, ask(name).reveal().encode()))  # type: ignore[arg-type]
    except OSError as error:
        raise UsageError(f"--identity {name}: {error.strerror}", "name a private key file") from None
    except (ValueError, paramiko.SSHException):
        raise UsageError(f"--identity {name}: no private key, or not its passphrase", "name the file without .pub") from None


def _load_default(path: Path) -> Identity | None:
    import paramiko

    try:
        return Identity(f"~/.ssh/{path.name}", paramiko.PKey.from_path(path))
    except (OSError, ValueError, TypeError, paramiko.SSHException):
        return None  # missing, or locked: the agent may hold it


@dataclass(frozen=True, slots=True)
class Reached:
    """A host at the other end of an encrypted transport, with the key it proved to own; nobody has judged it yet."""

    host: Host
    transport: Transport
    key: HostKey

    @property
    def address(self) -> str:
        """The host's address."""
        return self.host.address

    @property
    def alive(self) -> bool:
        """Whether the transport still stands."""
        return bool(self.transport.is_active())

    def close(self) -> None:
        """End it."""
        self.transport.close()

    def listen(self, port: int, take: Taker) -> None:
        """Let the host listen on ``port`` of all its addresses; ``take`` gets each connection, and must return at once.

        RFC 4254, section 7.1. Raises HostUnreachable.
        """
        import paramiko

        try:
            self.transport.request_port_forward("", port, lambda channel, _origin, _server: take(channel))
        except (paramiko.SSHException, OSError, EOFError) as error:
            hint = "its sshd_config needs AllowTcpForwarding and GatewayPorts, and the port must be free"
            raise HostUnreachable(self.address, f"its sshd does not listen on port {port} for us: {error}", hint) from None


def dial(host: Host, kinds: Sequence[str] = ()) -> Reached:
    """Return the host, encrypted but not yet trusted. ``kinds`` of host key are asked for first. Raises HostUnreachable."""
    return greet(host, _connect(host), kinds)


def greet(host: Host, sock: Any, kinds: Sequence[str] = ()) -> Reached:
    """The same over a connection that there is: a socket, or what acts like one. It is the transport's from now on."""
    import paramiko

    from installer_stub.host.transport import OrderedTransport

    transport = OrderedTransport(sock)
    transport.daemon = True
    transport.set_log_channel("airseal.ssh")
    transport.banner_timeout = HANDSHAKE_SECONDS
    transport.auth_timeout = AUTH_SECONDS
    options = transport.get_security_options()
    options.ciphers = tuple(cipher for cipher in CIPHERS if cipher in options.ciphers)
    wanted = [algorithm for kind in kinds for algorithm in _algorithms(kind) if algorithm in options.key_types]
    options.key_types = tuple(dict.fromkeys((*wanted, *options.key_types)))
    try:
        transport.start_client(timeout=HANDSHAKE_SECONDS)
    except paramiko.ssh_exception.IncompatiblePeer as error:
        transport.close()
        raise HostUnreachable(
            host.address, f"no common SSH algorithm: {error}", "allow a current key exchange and cipher in its sshd_config"
        ) from None
    except (paramiko.SSHException, OSError, EOFError) as error:
        transport.close()
        raise HostUnreachable(
            host.address,
            f"port {host.port} answers, but not as an SSH server ({error or 'it hung up'})",
            "see that --port is right; if it is sshd, see its log: it may refuse this client or be too busy (MaxStartups)",
        ) from None
    key = transport.get_remote_server_key()
    return Reached(host, transport, HostKey(key.get_name(), key.get_base64()))


def _algorithms(kind: str) -> tuple[str, ...]:
    return ("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,)


def _connect(host: Host) -> socket.socket:
    try:
        sock = socket.create_connection((host.address, host.port), CONNECT_SECONDS)
    except socket.gaierror:
        raise HostUnreachable(host.address, "this name is not known here", "write the host's IP address") from None
    except ConnectionRefusedError:
        raise HostUnreachable(
            host.address, f"connection refused on port {host.port}", "start sshd on the host, or give its port with --port"
        ) from None
    except TimeoutError:
        raise HostUnreachable(
            host.address,
            f"no answer from port {host.port} within {CONNECT_SECONDS:g} s",
            "is the host on, the address right, and does a firewall drop SSH?",
        ) from None
    except OSError as error:
        no_route = error.errno in {errno.EHOSTUNREACH, errno.ENETUNREACH}
        why = "no route to this address" if no_route else f"cannot connect: {error.strerror}"
        raise HostUnreachable(host.address, why, "check address, cable and this machine's network") from None
    # TCP_USER_TIMEOUT: a host that vanished is noticed after 45 s of unanswered data, not after TCP's 15 minutes.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 45_000)
    return sock


def authenticate(reached: Reached, login: Login, identities: Sequence[Identity]) -> None:
    """Log in: named or default keys, the agent's, then the password. Raises AuthenticationFailed."""
    import paramiko

    host, transport = reached.host, reached.transport
    tried: list[str] = []
    allowed = ""
    with _agent_keys(login) as agent_keys:
        for label, attempt in _ways(transport, host, login, (*identities, *agent_keys)):
            try:
                attempt()
            except paramiko.BadAuthenticationType as error:
                allowed = ", ".join(error.allowed_types)
                continue
            except paramiko.AuthenticationException:
                tried.append(label)
                if not transport.is_active():
                    break
                continue
            except (paramiko.SSHException, OSError, EOFError):
                break  # the server hung up: too many keys, or the line is gone
            if transport.is_authenticated():
                return
            tried.append(f"{label} (taken, but the host asks for more)")
    raise _refused(host, login, tried, allowed, hung_up=not transport.is_active())


def _ways(
    transport: Transport, host: Host, login: Login, keys: Sequence[Identity]
) -> Iterator[tuple[str, Callable[[], object]]]:
    most = MOST_KEYS if login.password is None else MOST_KEYS_BEFORE_PASSWORD
    for identity in keys[:most]:
        yield identity.label, partial(transport.auth_publickey, host.user, identity.key)
    if login.password is not None:
        # Falls back to keyboard-interactive, which is all that some hosts take.
        yield "password", partial(transport.auth_password, host.user, login.password.reveal())
    if not keys and login.password is None:
        yield "none", partial(transport.auth_none, host.user)  # to learn what the host would take


@contextmanager
def _agent_keys(login: Login) -> Iterator[tuple[Identity, ...]]:
    """Give the agent's keys, which sign as long as the block runs."""
    import paramiko

    if not login.agent or not os.environ.get("SSH_AUTH_SOCK"):
        yield ()
        return
    try:
        agent = paramiko.Agent()
    except (paramiko.SSHException, OSError):
        yield ()
        return
    try:
        yield tuple(Identity(f"agent key {key.comment}".rstrip(), key) for key in agent.get_keys())
    finally:
        agent.close()


def _refused(host: Host, login: Login, tried: Sequence[str], allowed: str, *, hung_up: bool) -> AuthenticationFailed:
    keys = [label for label in tried if label not in {"password", "none"}]
    if login.password is not None and "password" in tried:
        problem = f"the password of {host.user} was refused"
        remedy = "give the right one with --ask-pass"
        if host.user == "root":
            remedy += "; many hosts take no password from root at all: use --identity, or --user NAME with sudo"
    elif keys:
        problem, remedy = f"no key was taken for {host.user}", "add a key with ssh-copy-id, name one with --identity, or use --ask-pass"
    else:
        problem, remedy = f"there is no key or password to log in as {host.user}", "give --identity FILE or --ask-pass"
    details = [f"tried: {', '.join(tried)}"] if keys else []
    details += [f"the host takes: {allowed}"] if allowed else []
    details += ["it hung up after too many attempts: name the one key with --identity"] if hung_up and len(keys) > 2 else []
    more = f" ({'; '.join(details)})" if details else ""
    return AuthenticationFailed(host.address, f"{problem}{more}", remedy)
