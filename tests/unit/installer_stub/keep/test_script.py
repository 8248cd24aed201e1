"""The shell that runs every minute: it says nothing while all is well, and starts the stub for whatever is not."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from installer_stub.keep.document import Module, Sysctl
from installer_stub.keep.script import NEXT, script
from tests.unit.installer_stub.keep.documents import host_document

HOSTS = "# airseal begin\n10.0.0.2 api.airseal.internal\n# airseal end\n127.0.0.1 localhost\n"
ROUTES = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\neth0\t0000600A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
DOCUMENT = host_document(
    modules=(Module("overlay", "/proc/filesystems"), Module("br_netfilter", "/proc/sys/net/bridge")),
    sysctls=(Sysctl("net.ipv4.ip_forward", 1, required=True), Sysctl("fs.inotify.max_user_instances", 8192, at_least=True)),
)


class Machine:
    """A host's /proc and /etc in a directory, and a stub that says that it was started."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("/etc/hosts", HOSTS)
        self.write("/proc/net/route", ROUTES)
        self.write("/proc/filesystems", "nodev\tsysfs\nnodev\toverlay\n")
        self.write("/proc/sys/net/bridge/x", "")
        self.write("/proc/sys/net/ipv4/ip_forward", "1\n")
        self.write("/proc/sys/fs/inotify/max_user_instances", "65536\n")
        self.write(NEXT, f"{int(time.time()) + 3600}\n")
        self.write("/opt/airseal/bin/airseal", '#!/bin/sh\necho "stub $*"; exit 7\n')
        (root / "opt/airseal/bin/airseal").chmod(0o755)

    def write(self, path: str, text: str) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def remove(self, path: str) -> None:
        (self.root / path.lstrip("/")).unlink()

    def run(self, *arguments: str, shell: str = "/bin/sh") -> tuple[int, str]:
        text = script(DOCUMENT)
        for place in ("/etc/", "/proc/", "/opt/", "/run/", "/var/"):
            text = text.replace(f" {place}", f" {self.root}{place}").replace(f"={place}", f"={self.root}{place}").replace(f"< {place}", f"< {self.root}{place}")
        done = subprocess.run([*shell.split(), "-c", text, "keep.sh", *arguments], capture_output=True, text=True, timeout=20, check=False)
        assert "/proc" not in done.stderr
        return done.returncode, (done.stdout + done.stderr).strip()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("shell", ["dash", "bash --posix"])
def test_while_all_is_well_nothing_is_started(machine: Machine, shell: str) -> None:
    assert machine.run(shell=shell) == (0, "")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/proc/sys/net/ipv4/ip_forward", "0\n"),
        ("/proc/sys/net/ipv4/ip_forward", "what\n"),
        ("/proc/sys/net/ipv4/ip_forward", None),
        ("/proc/sys/fs/inotify/max_user_instances", "128\n"),
        ("/proc/filesystems", "nodev\toverlayfs\n"),
        ("/proc/net/route", ROUTES.replace("0000FFFF", "00000FFF")),
        ("/proc/net/route", ROUTES.splitlines()[0] + "\n"),
        ("/proc/net/route", None),
        ("/etc/hosts", "127.0.0.1 localhost\n"),
        ("/etc/hosts", HOSTS.replace("10.0.0.2", "10.0.0.22")),
        ("/etc/hosts", "# airseal begin\n10.0.0."),
        ("/etc/hosts", None),
        (NEXT, "1000\n"),
        (NEXT, "9999999999\n"),  # the clock was set back
        (NEXT, "torn\n"),
        (NEXT, None),
    ],
)
@pytest.mark.parametrize("shell", ["dash", "bash --posix"])
def test_whatever_differs_starts_the_stub(machine: Machine, path: str, text: str | None, shell: str) -> None:
    if text is None:
        machine.remove(path)
    else:
        machine.write(path, text)
    assert machine.run(shell=shell) == (7, "stub host keep")


def test_a_setting_the_kernel_has_not_and_nothing_needs_differs_for_nobody(machine: Machine) -> None:
    machine.remove("/proc/sys/fs/inotify/max_user_instances")
    assert machine.run() == (0, "")


def test_at_boot_the_stub_looks_itself(machine: Machine) -> None:
    assert machine.run("--wait", "30") == (7, "stub host keep --wait 30")
