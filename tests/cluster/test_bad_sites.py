"""A site where the installation cannot succeed: a clear error, its exit code, and nothing changed."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.cluster.conftest import OUTPUT, install
from tests.demo.__main__ import install_command, operators_environment
from tests.testbed.cache import Cache
from tests.testbed.hosts import TestBed

pytestmark = pytest.mark.cluster
HOME = re.compile(r"[0-9a-f]{16}-[0-9a-f]{12}")  # a stub that is laid out: agent/homes.py


@pytest.fixture(scope="module")
def blank(cache: Cache) -> Iterator[TestBed]:
    with TestBed(masters=1, name="bad", cache=cache) as bed:
        yield bed
        assert bed.masters[0].run("ls -A /opt/airseal /var/lib/airseal 2>/dev/null || true").stdout == "", "a refused install changed the host"


def test_a_torn_file_is_named_before_any_host_is_asked(shop_run: Path, tmp_path: Path) -> None:
    """Cut in the middle, so that even the program at its end is gone: the verb is asked of a whole stub."""
    torn = tmp_path / "torn.run"
    size = shop_run.stat().st_size
    with shop_run.open("rb") as source, torn.open("wb") as target:
        target.write(source.read(size // 3))
    torn.chmod(0o755)
    done = subprocess.run([shop_run, "verify", "--bundle", torn], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stdout + done.stderr
    assert str(torn) in done.stderr
    assert "what to do:" in done.stderr


def test_an_unreachable_host(shop_run: Path, blank: TestBed) -> None:
    away = str(blank.subnet.network_address + 99)
    command = [word.replace(blank.masters[0].address, f"{blank.masters[0].address},{away}") for word in install_command(shop_run, blank, OUTPUT / "x")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=operators_environment())
    assert done.returncode == 4, done.stdout + done.stderr
    assert away in done.stderr


def test_a_wrong_password(shop_run: Path, blank: TestBed) -> None:
    installer = _ask(shop_run, blank, ["--user", blank.ops_user, "--ask-pass"], ["not the password"])
    assert installer[0] == 4, installer[1]
    assert "password" in installer[1].lower()
    assert "not the password" not in installer[1]


def test_a_wrong_sudo_password(shop_run: Path, blank: TestBed) -> None:
    installer = _ask(shop_run, blank, ["--user", blank.ops_user, "--ask-pass", "--ask-become-pass"], [blank.ops_password, "not the password"])
    assert installer[0] == 4, installer[1]
    assert "sudo" in installer[1].lower()
    assert "not the password" not in installer[1]


def test_a_changed_host_key(shop_run: Path, blank: TestBed, tmp_path: Path) -> None:
    key = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    changed = tmp_path / "known_hosts"
    changed.write_text(f"{blank.masters[0].address} {public}\n")
    command = [word.replace(str(blank.known_hosts), str(changed)) for word in install_command(shop_run, blank, OUTPUT / "x", "--yes")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=operators_environment())
    assert done.returncode == 4, done.stdout + done.stderr
    assert "key" in done.stderr
    assert str(changed) in done.stderr


def test_a_disk_too_small_is_found_before_anything_changes(shop_run: Path, blank: TestBed) -> None:
    host = blank.masters[0]
    host.run("mkdir -p /var/lib/airseal-small && mount -t tmpfs -o size=64m tmpfs /opt")
    try:
        done = install(shop_run, blank, OUTPUT / "x")
        assert done.returncode == 5, done.stdout + done.stderr
        assert "/opt" in done.stderr
    finally:
        host.run("umount /opt; rmdir /var/lib/airseal-small")


def test_a_host_of_another_cluster_is_refused(shop_run: Path, blank: TestBed) -> None:
    host = blank.masters[0]
    host.run("mkdir -p /etc/kubernetes && echo 'apiVersion: v1' > /etc/kubernetes/kubelet.conf")
    try:
        done = install(shop_run, blank, OUTPUT / "x")
        assert done.returncode == 5, done.stdout + done.stderr
        assert host.address in done.stderr
        assert "cluster" in done.stderr.lower()
    finally:
        host.run("rm -r /etc/kubernetes")


def test_of_two_installers_in_one_second_one_goes_on_and_the_other_says_who_works(shop_run: Path, cache: Cache, tmp_path: Path) -> None:
    """On blank hosts both have to bring their own program first: neither may get in the other's way."""
    with TestBed(masters=1, nodes=1, name="two", cache=cache) as bed:
        running = {}
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            with (tmp_path / name / "output").open("wb") as output:
                running[name] = subprocess.Popen(
                    install_command(shop_run, bed, tmp_path / name / "kubeconfig"),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=tmp_path / name,
                    env=operators_environment(),
                )
        try:
            deadline = time.monotonic() + 150
            while all(each.poll() is None for each in running.values()) and time.monotonic() < deadline:
                time.sleep(0.2)
            said = {name: (tmp_path / name / "output").read_text() for name in running}
            assert sorted(str(each.poll()) for each in running.values()) == ["10", "None"], said
            loser = next(name for name, each in running.items() if each.poll() == 10)
            assert re.search(r"install by \S+, begun .* is at work on this site", said[loser]), said[loser]
            deadline = time.monotonic() + 60  # the other one may have put its own in the place of the winner's, which then comes again
            while left := [name for host in bed.hosts for name in host.run("ls -A /opt/airseal/bin").stdout.split() if name != "airseal" and not HOME.fullmatch(name)]:
                assert time.monotonic() < deadline, left  # what was on its way is gone; a laid-out stub that lost stays for ten minutes, and runs
                time.sleep(1)
            assert all(host.run("/opt/airseal/bin/airseal --version").stdout for host in bed.hosts)
        finally:
            for each in running.values():
                each.send_signal(signal.SIGINT)
            for each in running.values():
                each.wait(60)


def _ask(run: Path, bed: TestBed, options: list[str], passwords: list[str]) -> tuple[int, str]:
    """Run the installer at a terminal, answer its prompts in order; return its exit code and what it showed."""
    command = install_command(run, bed, OUTPUT / "x", *options)
    at = command.index("--identity")  # the key would let us in
    del command[at : at + 2]
    installer = pexpect.spawn(command[0], command[1:], timeout=60, env=operators_environment(), encoding="utf-8", dimensions=(50, 250))
    for password in passwords:
        installer.expect("(?i)password[^\\n]*: ?")
        installer.sendline(password)
    installer.expect(pexpect.EOF)
    output = installer.before or ""
    installer.close()
    return installer.exitstatus or 0, output
