"""SSHConnection against a real sshd on loopback: what a Connection promises, seen to be true."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import re
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import paramiko
import pytest

from installer_stub.agent.client import AgentConnection
from installer_stub.agent.start import start_agent
from installer_stub.errors import (
    AuthenticationFailed,
    CommandFailed,
    HostKeyRejected,
    HostsFailed,
    HostUnreachable,
    InstallerError,
    UsageError,
)
from installer_stub.facts.gather import gather
from installer_stub.host.command import Command, Secret
from installer_stub.host.connect import connect_all
from installer_stub.host.connection import Connection, write
from installer_stub.host.known_hosts import HostKeyPolicy
from installer_stub.host.login import Login, authenticate, dial, load_identities
from installer_stub.host.model import Host, Role
from installer_stub.host.ssh import SSHConnection
from installer_stub.host.transport import OrderedTransport
from tests.contract.loopback_sshd import Sshd, free_port, make_key, running_sshd, throwaway_user
from tests.fakes.local_agent import PROGRAM, local_agent
from tests.fakes.local_host import LocalConnection

MIB = 2**20
SUDO_WITH_PASSWORD = "USER ALL=(ALL) ALL"


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def sudoer() -> Iterator[tuple[str, str]]:
    with throwaway_user(SUDO_WITH_PASSWORD) as user:
        yield user


def connect(sshd: Sshd, user: str = "root", **login: object) -> SSHConnection:
    settings: dict[str, object] = {"identities": (sshd.client_key,), "agent": False, **login}
    return connect_all([sshd.host(user)], Login(**settings), sshd.policy())[sshd.address]  # type: ignore[arg-type]


@dataclass
class Way:
    """One kind of Connection, made anew as often as a test wants."""

    make: Callable[[], Connection]

    def resumable(self) -> SSHConnection | AgentConnection:
        made = self.make()
        assert isinstance(made, (SSHConnection, AgentConnection))
        return made


WAYS = ("root by key", "user with sudo password", "agent here", "agent over ssh", "agent over ssh with sudo password")


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest, sshd: Sshd, sudoer: tuple[str, str]) -> Iterator[Way]:
    below: list[SSHConnection] = []

    def reach() -> SSHConnection:
        made = connect(sshd, sudoer[0], become_password=Secret(sudoer[1])) if "sudo" in request.param else connect(sshd)
        below.append(made)
        return made

    def make() -> Connection:
        if request.param == "agent here":
            return local_agent()
        if "agent" not in request.param:
            return reach()
        return start_agent(reach(), secrets.token_hex(8), program=PROGRAM)

    yield Way(make)
    for made in below:
        made.close()


@pytest.fixture(scope="module")
def connection(way: Way) -> Iterator[Connection]:
    made = way.make()
    yield made
    made.close()


class TestCommands:
    def test_runs_as_root_in_a_clean_environment(self, connection: Connection) -> None:
        result = connection.run(Command.shell("id -un; pwd; env | cut -d= -f1 | sort | tr '\\n' ' '; echo; echo $PATH"))
        user, directory, names, path = result.stdout.splitlines()
        assert (user, directory) == ("root", "/")
        assert set(names.split()) <= {"HOME", "LC_ALL", "LOGNAME", "OLDPWD", "PATH", "PWD", "USER"}
        assert {"/usr/local/bin", "/usr/sbin", "/sbin"} <= set(path.split(":"))

    def test_arguments_arrive_as_they_are(self, connection: Connection) -> None:
        nasty = ("a b", "it's", '"$HOME"', "`id`", "\\n", "-n", "ä\n*", "!x", "")
        assert connection.run(Command.shell('printf "%s\\0" "$@"', *nasty)).stdout.split("\0")[:-1] == list(nasty)

    def test_status_and_both_streams_come_back(self, connection: Connection) -> None:
        result = connection.run(Command.shell("echo out; echo err >&2; exit 7"), check=False)
        assert (result.status, result.stdout, result.stderr) == (7, "out\n", "err\n")

    def test_a_failure_says_what_where_and_why(self, connection: Connection) -> None:
        with pytest.raises(CommandFailed) as caught:
            connection.run(Command.shell("echo first; seq 40 >&2; exit 3", changes="count"))
        text = str(caught.value)
        assert caught.value.status == 3
        assert text.startswith("127.0.0.1: could not count: `")
        assert "status 3" in text
        assert text.rstrip().endswith("40")
        assert "\n      20\n" not in text

    def test_a_missing_program_has_a_remedy(self, connection: Connection) -> None:
        with pytest.raises(CommandFailed, match="install the missing program"):
            connection.run(Command.of("no-such-program"))

    def test_stdin_arrives_and_nothing_else_does(self, connection: Connection) -> None:
        data = bytes(range(256)) * 4096
        hashed = connection.run(Command.of("sha256sum", stdin=data)).stdout.split()[0]
        assert hashed == hashlib.sha256(data).hexdigest()
        assert connection.run(Command.of("cat")).stdout == ""

    def test_a_command_may_ignore_its_stdin(self, connection: Connection) -> None:
        assert connection.run(Command.of("true", stdin=bytes(8 * MIB))).ok

    def test_large_outputs_on_both_streams_with_large_stdin(self, connection: Connection) -> None:
        script = "head -c 6000000 /dev/zero | tr '\\0' e >&2; cat; head -c 6000000 /dev/zero | tr '\\0' o"
        result = connection.run(Command.shell(script, stdin=b"i" * 6_000_000), timeout=120)
        assert (len(result.stdout), len(result.stderr)) == (12_000_000, 6_000_000)

    def test_timeout_ends_the_command_there_too(self, connection: Connection) -> None:
        begun = time.monotonic()
        with pytest.raises(CommandFailed, match="did not end within 1 s") as caught:
            connection.run(Command.shell("sleep 4711.5; echo late"), timeout=1)
        assert time.monotonic() - begun < 8
        assert caught.value.status == 124
        assert b"4711.5" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, check=True).stdout

    def test_a_killed_command_is_no_lost_connection(self, connection: Connection) -> None:
        with pytest.raises(CommandFailed, match="was killed"):
            connection.run(Command.shell("kill -KILL $$"))
        assert connection.run(Command.of("true")).ok

    def test_many_threads_share_one_connection(self, connection: Connection) -> None:
        with ThreadPoolExecutor(16) as pool:
            results = list(pool.map(lambda n: connection.run(Command.of("echo", str(n))).stdout, range(32)))
        assert results == [f"{n}\n" for n in range(32)]


class TestRefusedSessions:
    def test_a_server_that_refuses_many_sessions_at_once_is_waited_for(self, tmp_path: Path) -> None:
        """Refusals that come side by side: each is one, and none a lost connection."""
        with running_sshd(tmp_path, "MaxSessions 2") as server:
            made = connect(server)
            with ThreadPoolExecutor(16) as pool:
                results = list(pool.map(lambda n: made.run(Command.of("echo", str(n))).stdout, range(16)))
            made.close()
        assert results == [f"{n}\n" for n in range(16)]

    def test_one_that_never_has_a_session_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("installer_stub.host.ssh.REFUSED_SECONDS", 0.5)
        with running_sshd(tmp_path, "MaxSessions 1") as server:
            made = connect(server)
            with ThreadPoolExecutor(8) as pool:
                busy = pool.submit(made.run, Command.shell("sleep 2"))
                time.sleep(0.3)
                others = [pool.submit(made.run, Command.of("true")) for _ in range(6)]
                for each in others:
                    with pytest.raises(HostUnreachable, match="refuses another session") as caught:
                        each.result()
                    assert "MaxSessions" in caught.value.remedy
                assert busy.result().ok
            made.close()


class TestSecrets:
    def test_nothing_secret_in_process_lists_logs_or_errors(
        self, sshd: Sshd, sudoer: tuple[str, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        user, password = sudoer
        token = "hunter2-in-stdin-only"
        with caplog.at_level(logging.DEBUG):
            made = connect(sshd, user, become_password=Secret(password))
            look = "read -r secret; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; sleep 0.2"
            seen = made.run(Command.shell(look, stdin=Secret(f"{token}\n"))).stdout
            with pytest.raises(CommandFailed) as caught:
                made.run(Command.shell("cat >&2; exit 1", stdin=Secret(token)))
            made.close()
        assert seen
        mine = Path(f"/proc/{os.getpid()}/environ").read_text(errors="replace")
        assert token not in mine  # else the next lines would prove nothing
        for secret in (token, password):
            assert secret not in seen
            assert secret not in str(caught.value) + repr(caught.value)
            assert secret not in caplog.text
        assert "******" in str(caught.value)


class TestFiles:
    def test_put_and_read(self, connection: Connection, tmp_path: Path) -> None:
        data, target, counts = os.urandom(3 * MIB + 5), tmp_path / "a dir" / "it's", []
        connection.put(io.BytesIO(data), str(target), size=len(data), mode=0o640, moved=counts.append)
        assert target.read_bytes() == data == connection.read(str(target))
        assert target.stat().st_mode & 0o7777 == 0o640
        assert target.parent.stat().st_mode & 0o7777 == 0o755
        assert sum(counts) == len(data)
        assert names(target.parent) == ["it's"]

    def test_put_replaces_by_rename(self, connection: Connection, tmp_path: Path) -> None:
        target = tmp_path / "file"
        target.write_text("old")
        with target.open() as old:
            connection.put(io.BytesIO(b"new"), str(target), size=3)
            assert old.read() == "old"
        assert target.read_text() == "new"

    def test_put_follows_no_link_laid_in_its_way(self, connection: Connection, tmp_path: Path) -> None:
        victim = tmp_path / "victim"
        victim.write_text("mine")
        (tmp_path / ".file.airseal-new").symlink_to(victim)
        connection.put(io.BytesIO(b"new"), str(tmp_path / "file"), size=3)
        assert (victim.read_text(), (tmp_path / "file").read_text()) == ("mine", "new")

    def test_empty_file(self, connection: Connection, tmp_path: Path) -> None:
        connection.put(io.BytesIO(), str(tmp_path / "empty"), size=0)
        assert (tmp_path / "empty").read_bytes() == b""
        assert connection.read(str(tmp_path / "empty")) == b""

    def test_read_of_nothing_and_of_a_directory(self, connection: Connection, tmp_path: Path) -> None:
        assert connection.read(str(tmp_path / "missing")) is None
        assert connection.read(str(tmp_path / "no" / "where")) is None
        with pytest.raises(CommandFailed, match="Is a directory"):
            connection.read(str(tmp_path))

    def test_what_cannot_be_looked_at_is_not_missing(self, connection: Connection, tmp_path: Path) -> None:
        (tmp_path / "a").symlink_to("b")
        (tmp_path / "b").symlink_to("a")
        with pytest.raises(CommandFailed, match="Too many levels"):
            connection.read(str(tmp_path / "a" / "record"))

    def test_write_tells_whether_it_changed_anything(self, connection: Connection, tmp_path: Path) -> None:
        target = str(tmp_path / "conf")
        assert [write(connection, target, text) for text in ("a", "a", "b")] == [True, False, True]

    def test_a_directory_in_the_way(self, connection: Connection, tmp_path: Path) -> None:
        with pytest.raises(CommandFailed, match="is a directory"):
            connection.put(io.BytesIO(b"x"), str(tmp_path), size=1)

    def test_a_source_that_ends_early_leaves_nothing(self, connection: Connection, tmp_path: Path) -> None:
        with pytest.raises(InstallerError, match="ended 90 bytes early"):
            connection.put(io.BytesIO(bytes(10)), str(tmp_path / "short"), size=100)
        assert _eventually(lambda: names(tmp_path) == [])

    def test_a_full_disk_is_named_with_its_path_and_what_is_free(self, connection: Connection, tmp_path: Path) -> None:
        with _small_disk(tmp_path / "small"):
            target = tmp_path / "small" / "bundle"
            with pytest.raises(CommandFailed) as caught:
                connection.put(io.BytesIO(bytes(16 * MIB)), str(target), size=16 * MIB)
            assert re.search(r"disk is full: no room for \S+/bundle \(16\.0 MiB\), 8\.0 MiB free", str(caught.value))
            assert "free space" in caught.value.remedy
            assert names(tmp_path / "small") == []


class TestResume:
    def test_goes_on_where_a_broken_connection_stopped(self, way: Way, tmp_path: Path) -> None:
        data, target = os.urandom(40 * MIB), tmp_path / "bundle"
        first = way.resumable()

        class Broken(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                if self.tell() > 20 * MIB:
                    first.close()
                return super().read(size)

        with pytest.raises(HostUnreachable, match="connection was lost"):
            first.put_resumable(Broken(data), str(target), size=len(data))
        part = tmp_path / "bundle.part"
        assert _eventually(lambda: part.stat().st_size > 10 * MIB and _is_quiet(part))
        kept = part.stat().st_size

        second, counts = way.resumable(), []
        second.put_resumable(io.BytesIO(data), str(target), size=len(data), mode=0o755, moved=counts.append)
        second.close()
        assert target.read_bytes() == data
        assert target.stat().st_mode & 0o777 == 0o755
        assert sum(counts) == len(data)
        assert counts[0] == kept  # in one step: compared, not sent
        assert not part.exists()

    @pytest.mark.parametrize("there", [b"x" * MIB, b"", os.urandom(9 * MIB)], ids=["other bytes", "empty", "too long"])
    def test_a_part_that_is_not_ours_is_sent_anew(self, way: Way, tmp_path: Path, there: bytes) -> None:
        data, target = os.urandom(8 * MIB), tmp_path / "bundle"
        (tmp_path / "bundle.part").write_bytes(there)
        made = way.resumable()
        made.put_resumable(io.BytesIO(data), str(target), size=len(data))
        made.close()
        assert target.read_bytes() == data

    def test_a_complete_part_only_needs_its_name(self, way: Way, tmp_path: Path) -> None:
        data = os.urandom(MIB)
        (tmp_path / "bundle.part").write_bytes(data)
        made = way.resumable()
        made.put_resumable(io.BytesIO(data), str(tmp_path / "bundle"), size=len(data))
        made.close()
        assert (tmp_path / "bundle").read_bytes() == data

    def test_a_full_disk_keeps_the_part_and_says_so(self, way: Way, tmp_path: Path) -> None:
        made = way.resumable()
        with _small_disk(tmp_path / "small"):
            with pytest.raises(CommandFailed, match=r"kept in \S+bundle\.part"):
                made.put_resumable(io.BytesIO(bytes(16 * MIB)), str(tmp_path / "small" / "bundle"), size=16 * MIB)
            assert names(tmp_path / "small") == ["bundle.part"]
        made.close()


class TestLogin:
    def test_password_of_a_user(self, sshd: Sshd, sudoer: tuple[str, str]) -> None:
        user, password = sudoer
        made = connect(sshd, user, identities=(), password=Secret(password))
        assert made.run(Command.of("id", "-un")).stdout == "root\n"  # sudo's password is the same one
        made.close()

    def test_wrong_password(self, sshd: Sshd, sudoer: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(AuthenticationFailed, match=r"password of .* was refused") as caught:
            connect(sshd, sudoer[0], identities=(), password=Secret("not-the-password"))
        assert "--ask-pass" in caught.value.remedy
        assert "not-the-password" not in str(caught.value)

    def test_a_key_that_the_host_does_not_know(self, sshd: Sshd, tmp_path: Path) -> None:
        with pytest.raises(AuthenticationFailed, match="no key was taken for root") as caught:
            connect(sshd, identities=(str(make_key(tmp_path / "other")),))
        assert "ssh-copy-id" in caught.value.remedy

    def test_nothing_to_log_in_with(self, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(AuthenticationFailed, match=r"no key or password .*the host takes: publickey, password"):
            connect(sshd, identities=())

    @pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
    @pytest.mark.parametrize("passphrase", ["", "open sesame"])
    def test_identities_of_every_kind(self, sshd: Sshd, tmp_path: Path, kind: str, passphrase: str) -> None:
        key = make_key(tmp_path / "key", kind, passphrase)
        asked = []

        def ask(path: str) -> Secret:
            asked.append(path)
            return Secret(passphrase)

        (identity,) = load_identities(Login((str(key),)), ask)
        public = (tmp_path / "key.pub").read_text().split()[1]
        assert identity.key.get_base64() == public
        assert asked == ([str(key)] if passphrase else [])

    def test_default_keys_are_found_and_locked_ones_passed_over(self, tmp_path: Path) -> None:
        (tmp_path / ".ssh").mkdir()
        make_key(tmp_path / ".ssh" / "id_ed25519", passphrase="secret")
        make_key(tmp_path / ".ssh" / "id_ecdsa", "ecdsa")
        assert [found.label for found in load_identities(Login(), home=tmp_path)] == ["~/.ssh/id_ecdsa"]

    def test_identity_files_that_are_none(self, tmp_path: Path) -> None:
        key = make_key(tmp_path / "locked", passphrase="right")
        for name, why in ((tmp_path / "missing", "No such file"), (f"{key}.pub", "no private key"), (key, "nobody can be asked")):
            with pytest.raises(UsageError, match=why):
                load_identities(Login((str(name),)))
        with pytest.raises(UsageError, match="not its passphrase"):
            load_identities(Login((str(key),)), lambda _: Secret("wrong"))

    def test_an_agents_key(self, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", tmp_path / "agent"], stdout=subprocess.DEVNULL)
        try:
            assert _eventually((tmp_path / "agent").exists)
            monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
            subprocess.run(["ssh-add", "-q", sshd.client_key], check=True)
            made = connect(sshd, identities=(), agent=True)
            assert made.run(Command.of("true")).ok
            made.close()
        finally:
            agent.terminate()
            agent.wait(5)


class TestSudo:
    @pytest.mark.parametrize(
        ("sudoers", "password", "problem"),
        [
            (SUDO_WITH_PASSWORD, None, "sudo asks .* for a password"),
            (SUDO_WITH_PASSWORD, "wrong", "sudo refused the password"),
            ("", None, "sudo asks .* for a password"),
            ("", "right", "may not use sudo"),
            ("USER ALL=(ALL) /bin/ls", "right", "may not use sudo"),
            (f"Defaults:USER requiretty\n{SUDO_WITH_PASSWORD}", "right", "requiretty"),
        ],
    )
    def test_refusals(self, sshd: Sshd, sudoers: str, password: str | None, problem: str) -> None:
        with throwaway_user(sudoers) as (user, right):
            given = None if password is None else Secret(right if password == "right" else password)
            with pytest.raises(AuthenticationFailed, match=problem) as caught:
                connect(sshd, user, become_password=given)
            assert caught.value.remedy
            assert right not in str(caught.value)

    def test_a_sudo_that_hangs_is_given_up(self, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
        """As behind PAM with a directory server that is gone: here the password prompt itself waits for ever."""
        monkeypatch.setattr("installer_stub.host.ssh.PROBE_SECONDS", 1.0)
        monkeypatch.setattr("installer_stub.host.ssh.GRACE_SECONDS", 1.0)
        monkeypatch.setattr("installer_stub.host.ssh.WITHOUT_PASSWORD", "sleep 30; ")
        with throwaway_user(SUDO_WITH_PASSWORD) as (user, right), pytest.raises(AuthenticationFailed, match="sudo does not answer"):
            connect(sshd, user, become_password=Secret(right))

    @pytest.mark.parametrize("sudoers", ["USER ALL=(ALL) NOPASSWD: ALL", f"Defaults:USER use_pty\n{SUDO_WITH_PASSWORD}"])
    def test_stdin_is_clean_whether_sudo_reads_the_password_or_not(self, sshd: Sshd, sudoers: str) -> None:
        with throwaway_user(sudoers) as (user, right):
            made = connect(sshd, user, become_password=Secret(right))
            data = bytes(range(256)) * 1000
            assert made.run(Command.of("cat")).stdout == ""
            assert made.run(Command.of("sha256sum", stdin=data)).stdout.split()[0] == hashlib.sha256(data).hexdigest()
            made.close()

    @pytest.mark.parametrize(
        "login",
        [
            ("/bin/bash", ".bashrc", "echo Welcome; echo warning >&2\n"),
            ("/usr/bin/tcsh", ".tcshrc", "set prompt='> '\n"),
            ("/usr/bin/tcsh", ".tcshrc", "echo Welcome\necho 0\n"),
        ],
    )
    @pytest.mark.parametrize("sudoers", ["USER ALL=(ALL) NOPASSWD: ALL", SUDO_WITH_PASSWORD])
    def test_any_login_shell_will_do(self, sshd: Sshd, tmp_path: Path, login: tuple[str, str, str], sudoers: str) -> None:
        shell, rc, text = login
        with throwaway_user(sudoers) as (user, right):
            subprocess.run(["usermod", "-s", shell, user], check=True)
            Path(f"/home/{user}/{rc}").write_text(text)
            made = connect(sshd, user, become_password=Secret(right))
            data = bytes(range(256)) * 3000
            assert made.run(Command.of("cat")).stdout == ""
            assert made.run(Command.of("sha256sum", stdin=data)).stdout.split()[0] == hashlib.sha256(data).hexdigest()
            done = made.run(Command.shell("id -u\nprintf '%s' \"$1\"; exit 3", "it's\n!x $y"), check=False)
            assert (done.status, done.stdout) == (3, "0\nit's\n!x $y")
            made.put(io.BytesIO(data), str(tmp_path / "file"), size=len(data))
            assert made.read(str(tmp_path / "file")) == data
            assert gather(made).unknown == gather(LocalConnection()).unknown
            with pytest.raises(CommandFailed, match="did not end within 1 s"):
                made.run(Command.shell("sleep 30\n:"), timeout=1)
            made.close()

    def test_a_sudo_that_records_is_seen(self, sshd: Sshd) -> None:
        rules = "Defaults:USER log_output, !log_input, iolog_dir=/tmp/airseal-iolog\nUSER ALL=(ALL) NOPASSWD: LOG_INPUT: ALL"
        with throwaway_user(rules) as (user, _):
            made = connect(sshd, user)
            assert gather(made).sudo_records == ("log_input", "log_output")
            made.close()
        shutil.rmtree("/tmp/airseal-iolog", ignore_errors=True)

    def test_a_login_shell_that_is_none_is_said(self, sshd: Sshd) -> None:
        with throwaway_user("USER ALL=(ALL) NOPASSWD: ALL") as (user, _):
            subprocess.run(["usermod", "-s", "/usr/sbin/nologin", user], check=True)
            with pytest.raises(AuthenticationFailed, match="sudo"):
                connect(sshd, user)


class TestHostKeys:
    def test_first_contact_is_shown_and_pinned(self, sshd: Sshd, tmp_path: Path) -> None:
        shown: list[str] = []
        login = Login((sshd.client_key,), agent=False)

        def confirm(new: object) -> bool:
            shown.extend(contact.key.fingerprint for contact in new)  # type: ignore[attr-defined]
            return True

        for _ in range(2):
            policy = HostKeyPolicy((), tmp_path / "known_hosts", confirm)
            connect_all([sshd.host()], login, policy)[sshd.address].close()
        said = subprocess.run(["ssh-keygen", "-lf", sshd.directory / "host_ed25519.pub"], capture_output=True, text=True, check=True)
        assert shown == [said.stdout.split()[1]]  # asked once only

    def test_openssh_reads_what_we_pin(self, sshd: Sshd, tmp_path: Path) -> None:
        policy = HostKeyPolicy((), tmp_path / "known_hosts", lambda _: True)
        connect_all([sshd.host()], Login((sshd.client_key,), agent=False), policy)[sshd.address].close()
        options = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={tmp_path}/known_hosts"]
        ssh = ["ssh", *options, "-p", str(sshd.port), "-i", sshd.client_key, "root@127.0.0.1", "true"]
        subprocess.run(ssh, check=True, timeout=20)

    def test_we_read_what_openssh_pins_hashed(self, sshd: Sshd, tmp_path: Path) -> None:
        options = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=accept-new", "-o", "HashKnownHosts=yes"]
        options += ["-o", f"UserKnownHostsFile={tmp_path}/known_hosts", "-o", "HostKeyAlgorithms=rsa-sha2-512"]
        ssh = ["ssh", *options, "-p", str(sshd.port), "-i", sshd.client_key, "root@127.0.0.1", "true"]
        subprocess.run(ssh, check=True, timeout=20, capture_output=True)
        policy = HostKeyPolicy((tmp_path / "known_hosts",), tmp_path / "ours", None)
        assert policy.kinds(sshd.host()) == ("ssh-rsa",)
        connect_all([sshd.host()], Login((sshd.client_key,), agent=False), policy)[sshd.address].close()

    def test_nobody_to_ask(self, sshd: Sshd, tmp_path: Path) -> None:
        with pytest.raises(HostKeyRejected, match=r"SHA256:\S+ is not known") as caught:
            connect_all([sshd.host()], Login((sshd.client_key,)), HostKeyPolicy((), tmp_path / "known_hosts", None))
        said = subprocess.run(["ssh-keygen", "-lf", sshd.directory / "host_ed25519.pub"], capture_output=True, text=True, check=True)
        assert f"--host-key {sshd.address}={said.stdout.split()[1]}" in caught.value.remedy
        assert not (tmp_path / "known_hosts").exists()

    def test_a_changed_key_is_refused_before_any_login(self, sshd: Sshd, tmp_path: Path) -> None:
        other = make_key(tmp_path / "other").with_suffix(".pub").read_text().split()
        known = tmp_path / "known_hosts"
        known.write_text(f"# a comment\n[127.0.0.1]:{sshd.port} {other[0]} {other[1]}\n")
        log = (sshd.directory / "log").stat().st_size
        with pytest.raises(HostKeyRejected, match="CHANGED") as caught:
            connect_all([sshd.host()], Login((sshd.client_key,)), HostKeyPolicy((), known, lambda _: True))
        text = str(caught.value)
        assert f"{known}:2" in text
        assert text.count("SHA256:") == 2
        assert f"ssh-keygen -f {known} -R '[127.0.0.1]:{sshd.port}'" in text
        assert b"Accepted" not in (sshd.directory / "log").read_bytes()[log:]


class TestUnreachable:
    def test_refused_port(self) -> None:
        with pytest.raises(HostUnreachable, match="connection refused"):
            dial(Host("127.0.0.1", Role.NODE, free_port()))

    def test_unknown_name(self) -> None:
        with pytest.raises(HostUnreachable, match="name is not known"):
            dial(Host("no-such-host.invalid", Role.NODE))

    def test_something_else_than_ssh(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            threading.Thread(target=_hang_up, args=(server,), daemon=True).start()
            with pytest.raises(HostUnreachable, match="not as an SSH server"):
                dial(Host("127.0.0.1", Role.NODE, server.getsockname()[1]))

    def test_all_hosts_that_fail_are_named_at_once(self, sshd: Sshd) -> None:
        hosts = [sshd.host(), Host("127.0.0.2", Role.NODE, free_port()), Host("127.0.0.3", Role.NODE, free_port())]
        with pytest.raises(HostsFailed) as caught:
            connect_all(hosts, Login((sshd.client_key,)), sshd.policy())
        assert [getattr(failure, "host", "") for failure in caught.value.failures] == ["127.0.0.2", "127.0.0.3"]

    def test_a_silent_connection_is_noticed(self, sshd: Sshd) -> None:
        """TCP stays up and acknowledges, but nothing comes through any more: a frozen host behind a middle box."""
        with Tunnel(sshd.port) as tunnel:
            host = Host("127.0.0.1", Role.MASTER, tunnel.port)
            reached = dial(host)
            authenticate(reached, Login(agent=False), load_identities(Login((sshd.client_key,))))
            made = SSHConnection(host, reached.transport, heartbeat=0.2, silence=1.0)
            made.become_root(None)
            assert made.run(Command.of("sleep", "1.5")).ok  # beats are answered meanwhile
            tunnel.freeze()
            begun = time.monotonic()
            with pytest.raises(HostUnreachable, match="connection was lost"):
                made.run(Command.of("sleep", "60"))
            assert time.monotonic() - begun < 10
            with pytest.raises(HostUnreachable):
                made.run(Command.of("true"))
            made.close()
            made.close()


class Tunnel:
    """A TCP forwarder that can stop forwarding without closing anything."""

    def __init__(self, target: int) -> None:
        self._target, self._frozen = target, threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.port = self._server.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for sock in (self._server, *self._sockets):
            sock.close()

    def freeze(self) -> None:
        self._frozen.set()

    def _accept(self) -> None:
        near = self._server.accept()[0]
        far = socket.create_connection(("127.0.0.1", self._target))
        self._sockets += [near, far]
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if not self._frozen.is_set():
                    sink.sendall(data)
        except OSError:
            return


class _small_disk:  # noqa: N801
    """An 8 MiB tmpfs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", self._path], check=True)

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", self._path], check=True)


def _hang_up(server: socket.socket) -> None:
    server.accept()[0].close()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def _eventually(condition: object, seconds: float = 10) -> bool:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return True
        except OSError:
            pass
        time.sleep(0.05)
    return False


def _is_quiet(path: Path) -> bool:
    before = path.stat().st_size
    time.sleep(0.3)
    return path.stat().st_size == before


@pytest.mark.parametrize("stdin", [b"", b"x" * 1000])
def test_what_a_close_overtakes_costs_no_connection(sshd: Sshd, monkeypatch: pytest.MonkeyPatch, stdin: bytes) -> None:
    """paramiko lets go of a channel's lock before it sends what it made under it; here it dawdles in between."""
    with contextlib.closing(connect(sshd)) as connection:
        connection.run(Command.of("true"))
        send = paramiko.Transport._send_user_message

        def dawdle(transport: paramiko.Transport, message: paramiko.Message) -> None:
            if message.asbytes()[0] in {94, 96}:  # DATA, EOF
                time.sleep(0.3)
            send(transport, message)

        with monkeypatch.context() as patch:
            patch.setattr(paramiko.Transport, "_send_user_message", dawdle)
            for _ in range(2):
                assert connection.run(Command.of("true", stdin=stdin)).ok
        time.sleep(0.2)  # for the server's last word
        assert connection.run(Command.of("cat", stdin=b"still there")).stdout == "still there"


def test_a_number_that_the_server_gives_out_again_is_a_new_channel_s() -> None:
    """Of a session that we open, of what the server forwards to us, and of any other kind: their first words must not be taken for late ones."""
    pair = socket.socketpair()
    transport = OrderedTransport(pair[0])
    number, other = (7).to_bytes(4, "big"), (8).to_bytes(4, "big")
    session, direct = b"\0\0\0\7session", b"\0\0\0\x0cdirect-tcpip"[:11]
    data, close, request, confirmed, opened = 94, 97, 98, 91, 90
    for first in ((request, number), (confirmed, number), (opened, direct)):
        assert not transport._is_late(data, number)
        transport._is_late(close, number)
        assert transport._is_late(data, number)
        assert not transport._is_late(data, other)
        transport._is_late(opened, session)
        assert transport._is_late(data, number)
        transport._is_late(*first)
        assert not transport._is_late(data, number)
    for end in pair:
        end.close()
