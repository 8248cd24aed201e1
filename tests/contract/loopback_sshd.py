"""A real OpenSSH server on a loopback port, with keys, configuration and users of its own, for the life of a test."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from installer_stub.host.known_hosts import HostKeyPolicy
from installer_stub.host.model import Host, Role

SSHD = "/usr/sbin/sshd"


@dataclass(frozen=True)
class Sshd:
    """A running server. ``directory`` has its host keys and ``client``, a key that root and users may log in with."""

    port: int
    directory: Path
    address: str = "127.0.0.1"

    @property
    def client_key(self) -> str:
        return str(self.directory / "client")

    def host(self, user: str = "root") -> Host:
        return Host(self.address, Role.MASTER, self.port, user)

    def policy(self) -> HostKeyPolicy:
        return HostKeyPolicy((), self.directory / "known_hosts", lambda _: True)


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", path], check=True)
    return path


@contextmanager
def running_sshd(directory: Path, extra: str = "") -> Iterator[Sshd]:
    assert Path(SSHD).exists(), "openssh-server is missing: the test bed's package list has it"
    directory.mkdir(parents=True, exist_ok=True)
    for name, kind in (("host_ed25519", "ed25519"), ("host_rsa", "rsa"), ("client", "ed25519")):
        if not (directory / name).exists():
            make_key(directory / name, kind)
    public = Path(tempfile.mkdtemp(prefix="airseal-sshd-"))  # sshd reads it as the user, and pytest's directories are 0700
    public.chmod(0o755)
    shutil.copy(directory / "client.pub", public / "authorized_keys")
    Path("/run/sshd").mkdir(exist_ok=True)
    port = free_port()
    (directory / "sshd_config").write_text(f"""
        ListenAddress 127.0.0.1:{port}
        HostKey {directory}/host_ed25519
        HostKey {directory}/host_rsa
        AuthorizedKeysFile {public}/authorized_keys
        StrictModes no
        PermitRootLogin yes
        UsePAM yes
        PidFile none
        MaxStartups 100
        {extra}
    """)
    log = (directory / "log").open("ab")
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", directory / "sshd_config"], stderr=log, start_new_session=True)
    try:
        _wait_for(port, server)
        yield Sshd(port, directory)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(10)
        log.close()
        shutil.rmtree(public)


@contextmanager
def throwaway_user(sudoers: str = "") -> Iterator[tuple[str, str]]:
    """Make a user with a password, and with ``sudoers`` ("ALL=(ALL) ALL") if given; gone afterwards."""
    assert os.geteuid() == 0, "this test makes users: run it as root"
    name, password = f"airseal-{secrets.token_hex(3)}", secrets.token_urlsafe(12)
    rule = Path(f"/etc/sudoers.d/{name}")
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name], check=True)
    try:
        subprocess.run(["chpasswd"], input=f"{name}:{password}\n".encode(), check=True)
        if sudoers:
            rule.write_text("".join(f"{line.replace('USER', name)}\n" for line in sudoers.splitlines()))
            rule.chmod(0o440)
        yield name, password
    finally:
        rule.unlink(missing_ok=True)
        _remove_user(name)


def _remove_user(name: str) -> None:
    for _ in range(20):  # sshd may still be closing the session
        if subprocess.run(["userdel", "--remove", name], capture_output=True, check=False).returncode in {0, 6, 12}:
            return
        time.sleep(0.25)
    subprocess.run(["userdel", "--remove", "--force", name], capture_output=True, check=False)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        assert isinstance(port, int)
        return port


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert server.poll() is None, "sshd did not start: see its log"
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("sshd does not listen")
