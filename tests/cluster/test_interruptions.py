"""kill -9 at any moment, run the same command again, and the result is that of a clean install."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from installer_stub.bundle.reader import Bundle
from tests.bench.resealing import Resealing
from tests.cluster.conftest import INSTALL_TIMEOUT, OUTPUT, registry_login
from tests.demo.__main__ import install_command, operators_environment
from tests.demo.shop import ADMIN, order_something
from tests.testbed.blank_host import BlankHost
from tests.testbed.cache import Cache
from tests.testbed.hosts import TestBed

pytestmark = pytest.mark.cluster

# Where the installer dies: while bytes travel, while the control plane comes up, while the application does.
MOMENTS = ("Copy the bundle", "Start the first master", "Run the application's commands")

# A release that is pending for twenty seconds, by a command that is no use twice: "helm install" refuses a name in use.
SLOW = """\
mkdir -p /run/slow/templates
cat > /run/slow/Chart.yaml <<'END'
{apiVersion: v2, name: slow, version: 1.0.0}
END
cat > /run/slow/templates/hook.yaml <<'END'
apiVersion: batch/v1
kind: Job
metadata: {name: slow-hook, annotations: {helm.sh/hook: pre-install}}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 0
      containers: [{name: hook, image: "docker.io/library/busybox:1.36", command: [sleep, "20"]}]
END
cat > /run/slow/templates/made.yaml <<'END'
apiVersion: v1
kind: ConfigMap
metadata: {name: slow-made}
data: {revision: "{{ .Release.Revision }}"}
END
helm install slow /run/slow --namespace default --timeout 10m
"""


@pytest.fixture(scope="module")
def slow_run(shop_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with one command more: its images are those that the example has."""
    target = OUTPUT / "slow.run"
    with Bundle.open(shop_run) as bundle:
        Resealing.of(bundle, tmp_path_factory.mktemp("slow")).with_command(SLOW).seal(target)
    return target


@pytest.fixture(scope="module")
def bed(cache: Cache) -> Iterator[TestBed]:
    """Hosts with no nameserver, no default route and a noexec /tmp, entered as a user who needs a password for sudo."""
    with TestBed(masters=1, nodes=1, name="kill", dns="none", default_route=False, exec_tmp=False, cache=cache) as bed:
        yield bed


def test_killed_three_times_and_started_again_it_reaches_the_same_state(bed: TestBed, slow_run: Path) -> None:
    """A fourth time the master's power goes too, while helm waits for a hook: the release that it leaves would refuse every try."""
    kubeconfig = OUTPUT / "kubeconfig-kill"
    command = install_command(slow_run, bed, kubeconfig, "--user", bed.ops_user, "--ask-pass", "--ask-become-pass")
    for number, moment in enumerate(MOMENTS):
        with (OUTPUT / f"kill-{number}.log").open("wb") as log:
            installer = _start(command, bed, log)
            installer.expect(re.escape(moment), timeout=INSTALL_TIMEOUT)
            time.sleep(1.5)  # into the phase, not onto its border
            _kill_all(installer)
    with (OUTPUT / "kill-helm.log").open("wb") as log:
        installer = _start(command, bed, log)
        installer.expect(r"command (\d+) of \1:", timeout=INSTALL_TIMEOUT)
        _wait_for_the_hook(bed.masters[0], installer)
        assert _releases(bed.masters[0]) == "pending-install"
        _kill_all(installer)
        bed.masters[0].power_off()
    bed.masters[0].power_on()
    with (OUTPUT / "kill-last.log").open("wb") as log:
        installer = _start(command, bed, log)
        installer.expect(pexpect.EOF, timeout=INSTALL_TIMEOUT)
        installer.close()
    said = (OUTPUT / "kill-last.log").read_text()
    assert installer.exitstatus == 0, said[-3000:]
    assert "an earlier run of this command was cut before its end; it runs again" in said
    assert "helm release slow in default, revision 1 (pending-install) was left by it" in said
    assert {number == count for number, count in re.findall(r"command (\d+) of (\d+):", said)} == {True}  # the last one alone
    assert _releases(bed.masters[0]) == "deployed"
    order = order_something(bed.masters[0], bed.nodes[0])
    assert order.stored == f"{order.placed['id']} coffee 2"
    leftovers = bed.masters[0].run("find /var/lib/airseal /opt/airseal -name '*.part' -o -name '*.tmp*'").stdout
    assert leftovers == ""
    assert len({registry_login(host) for host in bed.hosts}) == 1


def _releases(master: BlankHost) -> str:
    labels = "-l owner=helm,name=slow -o jsonpath='{.items[*].metadata.labels.status}'"
    return master.run(f"kubectl {ADMIN} -n default get secrets {labels}").stdout.strip()


def _wait_for_the_hook(master: BlankHost, installer: pexpect.spawn) -> None:
    """Return once helm has begun to wait for it; what the installer says meanwhile is read, or it would stop saying it."""
    deadline = time.monotonic() + 120
    while "slow-hook" not in master.run(f"kubectl {ADMIN} --request-timeout=5s -n default get jobs slow-hook -o name 2>/dev/null", check=False).stdout:
        assert time.monotonic() < deadline, "there is no hook"
        installer.expect(pexpect.TIMEOUT, timeout=0.5)


def test_the_sudo_password_was_seen_by_nobody(bed: TestBed) -> None:
    """Not in our logs, not on the hosts: journals, files of ours, the cluster."""
    password = bed.ops_password
    for log in OUTPUT.glob("kill-*.log"):
        assert password not in log.read_text(errors="replace")
    for host in bed.hosts:
        found = host.run(
            f"grep -rlF -- '{password}' /var/lib/airseal/*.json* /etc/airseal /etc/systemd/system /run/log/journal /var/log 2>/dev/null || true"
        ).stdout
        assert found == ""


def _start(command: list[str], bed: TestBed, log: object) -> pexpect.spawn:
    installer = pexpect.spawn(
        command[0], command[1:], timeout=60, logfile=None, env=operators_environment(), cwd=str(OUTPUT), dimensions=(50, 200)
    )
    for _ in ("ssh", "sudo"):
        installer.expect("(?i)password[^\\n]*: ?")
        installer.sendline(bed.ops_password)
    installer.logfile_read = log
    return installer


def _kill_all(installer: pexpect.spawn) -> None:
    """The frozen program is two processes, a loader and the program itself: both die as in a power cut."""
    children = subprocess.run(["pgrep", "-P", str(installer.pid)], capture_output=True, text=True, check=False).stdout.split()
    for pid in [*map(int, children), installer.pid]:
        os.kill(pid, signal.SIGKILL)
    installer.close(force=True)
