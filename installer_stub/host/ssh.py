"""SSHConnection: a host over SSH. Everything runs as root, in a clean environment; nothing is needed there but coreutils.

paramiko is imported by ``login`` inside its functions, so ``--help`` does not pay for it.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from installer_stub.errors import FrameError, HostUnreachable
from installer_stub.host.become import (
    PROBE,
    TIMED_OUT,
    WITH_PASSWORD,
    WITHOUT_PASSWORD,
    Become,
    proves_root,
    refusal,
    was_understood,
)
from installer_stub.host.command import READ_SECONDS, Command, CommandResult, Secret, deadline_of, masked
from installer_stub.host.connection import MISSING, READ, BytesMoved
from installer_stub.host.duplex import SHELL, begin
from installer_stub.host.exchange import NO_STATUS, Feed, Outcome, Send, TooMuchOutput, exchange
from installer_stub.host.model import Host
from installer_stub.host.outcome import command_failed, too_much_output
from installer_stub.host.retry import retry
from installer_stub.host.transfer import Upload

if TYPE_CHECKING:
    from paramiko import Channel, Transport

HEARTBEAT_SECONDS = 15.0
SILENCE_SECONDS = 45.0  # without an answer to a heartbeat: a lost host surfaces within a minute
SESSIONS = 8  # sshd's MaxSessions is 10 per connection
OPEN_SECONDS = 60.0
PROBE_SECONDS = 60.0  # sudo with a directory server or a second factor behind PAM
REFUSED_SECONDS = 10.0
GRACE_SECONDS = 15.0  # after timeout(1) on the host should have ended a command
KILLED = 137  # what a shell reports for a process that died of SIGKILL

_log = logging.getLogger("airseal.host")


class SSHConnection:
    """Implements Connection over an authenticated transport. Methods may be called from several threads at once."""

    def __init__(
        self, host: Host, transport: Transport, *, heartbeat: float = HEARTBEAT_SECONDS, silence: float = SILENCE_SECONDS
    ) -> None:
        self._host = host
        self._transport = transport
        self._become = Become()
        self._through_shell = False
        self._sessions = threading.BoundedSemaphore(SESSIONS)
        self._closed = threading.Event()
        threading.Thread(target=self._beat, args=(heartbeat, silence), daemon=True).start()

    @property
    def host(self) -> Host:
        """The host at the other end."""
        return self._host

    def become_root(self, password: Secret | None) -> None:
        """Find out how to be root: logged in as root, sudo without a password, sudo with ``password``.

        Raises AuthenticationFailed. The password is only ever sent to a sudo that was seen to ask for one. A login shell
        that does not take our scripts as they stand, or talks of its own, is left for /bin/sh from here on.
        """
        result = self._probe()
        if not was_understood(result):
            result = self._probe_through_shell() or result
        if proves_root(result):
            return
        if self._host.user == "root":
            raise refusal(self._host, result, password=False)
        self._become = Become(WITHOUT_PASSWORD)
        result = self._probe()
        if proves_root(result):
            return
        if password is None or "a password is required" not in result.stderr:
            raise refusal(self._host, result, password=False)
        self._become = Become(WITH_PASSWORD, password)
        result = self._probe()
        if not proves_root(result):
            raise refusal(self._host, result, password=True)

    def run(self, command: Command, *, check: bool = True, timeout: float | None = None) -> CommandResult:
        """Run as root and wait. With ``check``, a non-zero status raises CommandFailed. ``timeout`` in seconds."""
        stdin = command.stdin
        data = stdin.reveal().encode() if isinstance(stdin, Secret) else stdin or b""
        timeout = deadline_of(command, timeout)
        result = _result(self._execute(command, _sending(data), timeout))
        if check and not result.ok:
            raise command_failed(self._host, command, result, secrets=self._secrets(command), timeout=timeout)
        return result

    def put(self, source: BinaryIO, target: str, *, size: int, mode: int = 0o644, moved: BytesMoved | None = None) -> None:
        """Write ``size`` bytes to ``target``: a temporary file beside it, the hash compared, synced, renamed.

        Missing parent directories are made. Raises CommandFailed when the disk is full or the bytes arrived wrong.
        """
        self._upload(target, size, mode, moved).whole(source)

    def put_resumable(
        self, source: BinaryIO, target: str, *, size: int, mode: int = 0o644, moved: BytesMoved | None = None
    ) -> None:
        """Do as ``put``, for gigabytes. ``source`` can seek.

        What a broken connection left in ``target.part`` is compared with the source's beginning and not sent again;
        ``moved`` counts it as well.
        """
        self._upload(target, size, mode, moved).resumed(source)

    def read(self, path: str) -> bytes | None:
        """Return a small file's content, or None where there is none."""
        command = Command.shell(READ, path)
        outcome = self._execute(command, _sending(b""), READ_SECONDS)
        if outcome.status == MISSING:
            return None
        if outcome.status != 0:
            raise command_failed(self._host, command, _result(outcome))
        return outcome.stdout

    def duplex(self, text: str) -> tuple[Channel, bytes]:
        """Start the shell text ``text`` as root; return the channel to it, and what it has said already.

        Raises HostUnreachable, also when what answers is no shell.
        """
        return self._shell(text, None)

    def _open(self, text: str, timeout: float | None) -> tuple[Channel, bytes, bytes]:
        """Return the channel to ``text`` as root, what it has said already, and what its stdin has to begin with."""
        if self._through_shell:
            return *self._shell(text, timeout), b""
        return self._start(self._become.line(text, timeout)), b"", self._become.stdin()

    def _shell(self, text: str, timeout: float | None) -> tuple[Channel, bytes]:
        channel = self._start(SHELL)
        try:
            return channel, begin(channel, self._become, text, timeout=timeout)
        except (FrameError, OSError, EOFError) as error:
            channel.close()
            if not self._transport.is_active():
                raise self._lost(None) from None
            raise HostUnreachable(self._host.address, f"the login shell of {self._host.user} starts no /bin/sh: {error}") from None

    def close(self) -> None:
        """End the connection. Safe to call twice."""
        self._closed.set()
        self._transport.close()

    def _upload(self, target: str, size: int, mode: int, moved: BytesMoved | None) -> Upload:
        def stream(command: Command, feed: Feed) -> CommandResult:
            return _result(self._execute(command, feed, None))

        return Upload(self._host, target, size, mode, self.run, stream, moved)

    def _probe(self) -> CommandResult:
        return _result(self._execute(Command(PROBE), _sending(b""), PROBE_SECONDS))

    def _probe_through_shell(self) -> CommandResult | None:
        """Probe through a shell of our own, which costs a round trip more for each command. None: it is not to be had."""
        self._through_shell = True
        try:
            result = self._probe()
        except HostUnreachable:
            if not self._transport.is_active():
                raise
            result = None
        self._through_shell = result is not None and was_understood(result)
        return result if self._through_shell else None

    def _secrets(self, command: Command) -> tuple[Secret, ...]:
        mine = () if self._become.password is None else (self._become.password,)
        return (*mine, command.stdin) if isinstance(command.stdin, Secret) else mine

    def _execute(self, command: Command, feed: Feed, timeout: float | None) -> Outcome:
        """Run and return however it ended. Raises HostUnreachable."""
        begun = time.monotonic()
        with self._sessions:
            channel, said, first = self._open(command.text, timeout)

            def feed_all(send: Send) -> None:
                if first:
                    send(first)
                feed(send)

            try:
                outcome = exchange(channel, feed_all, deadline=None if timeout is None else timeout + GRACE_SECONDS)
                outcome = replace(outcome, stdout=said + outcome.stdout)
            except TooMuchOutput as error:
                raise too_much_output(self._host, command, error.limit, secrets=self._secrets(command)) from None
        if outcome.late:
            outcome = Outcome(TIMED_OUT, outcome.stdout, outcome.stderr)
        elif outcome.status == NO_STATUS:
            if not self._transport.is_active():
                raise self._lost(command)
            outcome = Outcome(KILLED, outcome.stdout, outcome.stderr)
        complaint = outcome.stderr[-2000:].decode(errors="replace").strip()
        took = time.monotonic() - begun
        text = f"{' '.join(str(command).split())} -> {outcome.status} in {took:.2f} s {complaint}"
        _log.debug("%s: %s", self._host, masked(text, self._secrets(command)))
        return outcome

    def _start(self, line: str) -> Channel:
        import paramiko

        def start() -> Channel:
            channel, begun = None, time.monotonic()
            try:
                channel = self._transport.open_session(timeout=OPEN_SECONDS)
                channel.exec_command(line)
            except paramiko.SSHException as error:
                if channel is not None:
                    channel.close()
                if not self._transport.is_active() or (channel is None and time.monotonic() >= begun + OPEN_SECONDS):
                    raise
                # No session, or sshd had no process to give: it says so before anything of the command runs. paramiko keeps a refusal's
                # reason in one place for all threads: of two at once, one comes without it and of another type.
                raise paramiko.ChannelException(0, str(error) if channel is None else "no process could be started for it") from None
            return channel

        try:
            # sshd counts a session until both sides have closed it, which is a moment after we have.
            return retry(start, paramiko.ChannelException, seconds=REFUSED_SECONDS, pause=0.1)
        except paramiko.ChannelException as error:
            problem = f"the host refuses another session: {error}"
            raise HostUnreachable(self._host.address, problem, "raise MaxSessions in its sshd_config") from None
        except (paramiko.SSHException, OSError, EOFError):
            raise self._lost(None) from None

    def _lost(self, command: Command | None) -> HostUnreachable:
        during = f" during `{command}`" if command is not None else ""
        return HostUnreachable(
            self._host.address, f"the connection was lost{during}", "see that the host is up and run the same command again"
        )

    def _beat(self, every: float, silence: float) -> None:
        """Ask for a sign of life now and then; close the transport where none comes, which wakes everyone who waits."""
        while not self._closed.wait(every) and self._transport.is_active():
            watch = threading.Timer(silence, self._transport.close)
            watch.daemon = True
            watch.start()
            try:
                # Any answer will do; OpenSSH refuses this request, and that is how its own client does it.
                self._transport.global_request("keepalive@openssh.com", wait=True)
            except (OSError, EOFError):
                return
            finally:
                watch.cancel()


def _sending(data: bytes) -> Feed:
    def feed(send: Send) -> None:
        if data:
            send(data)

    return feed


def _result(outcome: Outcome) -> CommandResult:
    return CommandResult(outcome.status, outcome.stdout.decode(errors="replace"), outcome.stderr.decode(errors="replace"))
