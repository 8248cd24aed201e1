"""One host of a bed that is up: how it is entered, and how it loses its power or its cable and gets them back.

    host.power_off()            # at once, as when the plug is pulled: no signal, no shutdown script
    host.power_on()             # returns when systemd and sshd are up again
    host.reboot()               # an orderly one
    host.pull_cable()           # no carrier: addresses and routes stay, nothing comes or goes
    host.plug_cable()

What a container cannot show: the page cache outlives it, so bytes that were written and not synced are not lost.
What it shows as a machine does: processes, mounts, /run, network namespace, sysctls and netfilter rules are gone, and
docker writes /etc/hosts anew, as cloud-init's manage_etc_hosts does.
"""

from __future__ import annotations

import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import docker
import docker.errors

from tests.testbed.cache import Cache, TestBedError
from tests.testbed.docker_engine import engine
from tests.testbed.progress import say
from tests.testbed.rootfs import HOST_SUITE, Suite
from tests.testbed.ssh import run_ssh, ssh_command

Role = Literal["master", "node"]
BOOT_TIMEOUT = 90


@dataclass(frozen=True)
class BlankHost:
    """A host, by its name in the bed."""

    name: str
    role: Role
    address: str
    container: str
    ssh_key: Path
    known_hosts: Path
    suite: Suite = HOST_SUITE

    def ssh_command(self, user: str = "root") -> list[str]:
        """Return the ssh command line that enters this host."""
        return ssh_command(self.address, self.ssh_key, self.known_hosts, user=user)

    def run(self, script: str, *, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a shell script as root over SSH. Raises TestBedError if it fails, unless ``check`` is off."""
        done = run_ssh(self.ssh_command(), script, timeout=timeout)
        if check and done.returncode:
            raise TestBedError(f"{self.name}: {script!r} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def power_off(self) -> None:
        """Kill everything on the host at once; one that is off already is as good."""
        try:
            _engine().kill(self.container)
        except docker.errors.APIError as error:
            if error.status_code != 409:  # is not running
                raise

    def power_on(self, *, timeout: float = BOOT_TIMEOUT) -> None:
        """Start a host that is off, and wait for systemd and sshd. Raises TestBedError after ``timeout`` seconds."""
        _engine().start(self.container)
        self.wait(timeout=timeout)

    def reboot(self, *, timeout: float = BOOT_TIMEOUT) -> None:
        """Shut the host down in good order, start it, and wait. Raises TestBedError after ``timeout`` seconds."""
        _engine().stop(self.container, timeout=int(timeout))
        self.power_on(timeout=timeout)

    def pull_cable(self) -> None:
        """Take the carrier away: the other end of the host's link goes down, on the machine. Needs root."""
        self._other_end("down")

    def plug_cable(self) -> None:
        """Give the carrier back."""
        self._other_end("up")

    def wait(self, *, timeout: float = BOOT_TIMEOUT) -> None:
        """Wait until systemd and sshd are up. Raises TestBedError after ``timeout`` seconds."""
        wait_until_up(_engine(), self.container, self.address, timeout=timeout)

    @property
    def root(self) -> Path:
        """The host's file system as this machine sees it, while the host is on. Needs root."""
        return Path(f"/proc/{self._pid()}/root")

    def _pid(self) -> int:
        pid = int(_engine().inspect_container(self.container)["State"]["Pid"])
        if not pid:
            raise TestBedError(f"{self.container} is off; call power_on() first")
        return pid

    def _other_end(self, state: str) -> None:
        index = int((self.root / "sys/class/net/eth0/iflink").read_text())
        links = Path("/sys/class/net")
        name = next((link.name for link in links.iterdir() if _index(link) == index), None)
        if name is None:
            raise TestBedError(f"{self.container}: the other end of eth0 is not on this machine (interface {index})")
        subprocess.run(["ip", "link", "set", name, state], check=True, capture_output=True)


def _index(link: Path) -> int | None:
    try:
        return int((link / "ifindex").read_text())
    except OSError:  # gone since it was listed: another bed's
        return None


def wait_until_up(client: docker.APIClient, container: str, address: str, *, timeout: float = BOOT_TIMEOUT) -> None:
    """Wait until systemd says that the host is up, and sshd answers. Raises TestBedError after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    state = "not asked yet"
    while time.monotonic() < deadline:
        command = client.exec_create(container, ["systemctl", "is-system-running"])
        state = client.exec_start(command).decode(errors="replace").strip()
        if state in {"running", "degraded"} and _ssh_answers(address):
            if state == "degraded":
                say(f"{container}: systemd says degraded; look at `docker exec {container} systemctl --failed`")
            return
        time.sleep(0.5)
    raise TestBedError(
        f"{container} did not come up in {timeout:.0f} s (systemd says {state!r}); "
        f"look at `docker logs {container}` and `docker exec {container} systemctl status`"
    )


def _engine() -> docker.APIClient:
    return engine(Cache.default())


def _ssh_answers(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
