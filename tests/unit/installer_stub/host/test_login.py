"""What cannot be had from a loopback server: networks that fail in every way, and agents full of keys."""

from __future__ import annotations

import errno
import socket
from types import SimpleNamespace

import paramiko
import pytest

from installer_stub.errors import AuthenticationFailed, HostUnreachable
from installer_stub.host import login
from installer_stub.host.command import Secret
from installer_stub.host.known_hosts import HostKey
from installer_stub.host.login import Identity, Login, Reached, authenticate, dial
from installer_stub.host.model import Host, Role

HOST = Host("10.0.0.2", Role.MASTER)


@pytest.mark.parametrize(
    ("error", "problem", "remedy"),
    [
        (socket.gaierror(-2, "Name or service not known"), "this name is not known here", "IP address"),
        (ConnectionRefusedError(), "connection refused on port 22", "start sshd"),
        (TimeoutError("timed out"), "no answer from port 22 within 10 s", "firewall"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no route to this address", "cable"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "no route to this address", "network"),
        (OSError(errno.EACCES, "Permission denied"), "cannot connect: Permission denied", "check"),
    ],
)
def test_each_way_to_be_unreachable_has_its_own_words(
    monkeypatch: pytest.MonkeyPatch, error: OSError, problem: str, remedy: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(socket, "create_connection", fail)
    with pytest.raises(HostUnreachable) as caught:
        dial(HOST)
    assert caught.value.problem == f"10.0.0.2: {problem}"
    assert remedy in caught.value.remedy


def test_a_login_shows_no_password() -> None:
    assert "hunter2" not in repr(Login(password=Secret("hunter2"), become_password=Secret("hunter2")))


class RefusingTransport:
    """Takes nothing, and hangs up after as many attempts as sshd does."""

    def __init__(self, attempts: int = 6) -> None:
        self.tried: list[str] = []
        self._left = attempts

    def _refuse(self, what: str) -> None:
        if self._left == 0:
            raise paramiko.SSHException("No existing session")
        self._left -= 1
        self.tried.append(what)
        raise paramiko.AuthenticationException("Authentication failed.")

    def auth_publickey(self, _user: str, key: str) -> None:
        self._refuse(key)

    def auth_password(self, _user: str, _password: str) -> None:
        self._refuse("password")

    def is_active(self) -> bool:
        return self._left > 0

    def is_authenticated(self) -> bool:
        return False


def reached(transport: RefusingTransport) -> Reached:
    return Reached(HOST, transport, HostKey("ssh-ed25519", "a2V5"))  # type: ignore[arg-type]


def crowded(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    keys = [SimpleNamespace(comment=f"n{number}") for number in range(count)]
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    monkeypatch.setattr(paramiko, "Agent", lambda: SimpleNamespace(get_keys=lambda: keys, close=lambda: None))


def test_an_agent_full_of_keys_leaves_room_for_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    crowded(monkeypatch, 20)
    transport = RefusingTransport()
    with pytest.raises(AuthenticationFailed, match="password of root was refused"):
        authenticate(reached(transport), Login(password=Secret("x")), ())
    assert transport.tried[-1] == "password"
    assert len(transport.tried) == login.MOST_KEYS_BEFORE_PASSWORD + 1


def test_named_keys_go_first_and_too_many_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    crowded(monkeypatch, 20)
    transport = RefusingTransport()
    with pytest.raises(AuthenticationFailed, match="hung up after too many attempts: name the one key with --identity") as caught:
        authenticate(reached(transport), Login(), (Identity("mine", "key"),))  # type: ignore[arg-type]
    assert transport.tried[0] == "key"
    assert "tried: mine, agent key n0, agent key n1" in str(caught.value)
