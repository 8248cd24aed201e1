"""The peer of an installation: what an administrator's own script does with kubeadm, on hosts of the same kind.

Binaries over ``tar | ssh tar`` to all hosts at once, containerd and kubelet configured, ``kubeadm init`` and ``join``, the
application's commands, then wait until everything is ready. Also by itself, on a bed that is up::

    python -m tests.bench.by_hand --run dist/shop.run --masters 1 --nodes 1
"""

from __future__ import annotations

import argparse
import io
import json
import secrets
import shlex
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from installer_stub.bundle.model import BundleInfo
from installer_stub.kube.workloads import KINDS, unready
from tests.bench.by_hand_files import CLUSTER, command_script, host_files, init_config, join_config
from tests.testbed.cache import TestBedError
from tests.testbed.hosts import BlankHost, TestBed
from tests.testbed.oci_image import tar_member
from tests.testbed.progress import say

_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_READY_TIMEOUT = 900.0
_START = """\
set -e
sysctl -qw net.ipv4.ip_forward=1
systemctl daemon-reload
systemctl enable --now containerd kubelet
"""


@dataclass(frozen=True)
class ByHand:
    """One cluster by hand. ``files`` is the application's /cluster, unpacked; ``registries`` upstream name to URL."""

    bed: TestBed
    files: Path
    info: BundleInfo
    pause: str
    registries: Mapping[str, str]

    def install(self) -> float:
        """Do it all; return the seconds until everything was ready. Raises TestBedError."""
        began = time.monotonic()
        first, *others = self.bed.masters
        token, key = f"{secrets.token_hex(3)}.{secrets.token_hex(8)}", secrets.token_hex(32)
        _at_once(self._prepare, self.bed.hosts)
        _stage("hosts prepared", began)
        config = init_config(address=first.address, version=self.info.kubernetes, token=token, key=key)
        _ssh(
            first,
            "umask 077; cat > /root/kubeadm.yaml; kubeadm init --config /root/kubeadm.yaml --upload-certs",
            config,
        )
        _stage("first master", began)
        for master in others:  # one after the other: etcd takes one new member at a time
            _join(master, join_config(first=first.address, token=token, master=master.address, key=key))
        worker = join_config(first=first.address, token=token)
        _at_once(lambda node: _join(node, worker), self.bed.nodes)
        if not self.bed.nodes:  # kubeadm's own advice for one host: https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/create-cluster-kubeadm/
            kubectl(first, "taint nodes --all node-role.kubernetes.io/control-plane-")
        _stage("all joined", began)
        for command in self.info.commands:
            environment = {name: shlex.quote(value) for name, value in self.info.environment.items()}
            _ssh(first, command_script(shlex.join(command.argv), environment, _PATH))
        _stage("commands done", began)
        self._wait(first)
        _stage("everything ready", began)
        return time.monotonic() - began

    def _prepare(self, host: BlankHost) -> None:
        is_first = host == self.bed.masters[0]
        _send(host, self.files / "bin", "/usr/local/bin", () if is_first else ("./helm",))
        _send(host, self.files / "cni", "/opt/cni/bin")
        if is_first:
            _send(host, self.files, CLUSTER, ("./bin", "./cni"))
        files = host_files(self.pause, self.registries, self.bed.gateway)
        _ssh(host, f"tar -C / -x && {{ {_START}}}", _archive(files))

    def _wait(self, first: BlankHost) -> None:
        """Look once a second, with the product's own eyes: what counts as ready is then the same for both."""
        deadline = time.monotonic() + _READY_TIMEOUT
        while True:
            found = unready(
                json.loads(kubectl(first, f"get {KINDS} --all-namespaces --output json"))["items"]
            )
            if not found:
                return
            if time.monotonic() > deadline:
                raise TestBedError("by hand, not ready: " + "; ".join(map(str, found)))
            time.sleep(1)


def kubectl(master: BlankHost, arguments: str) -> str:
    """Return what kubectl prints on a master."""
    return _ssh(master, f"kubectl --kubeconfig /etc/kubernetes/admin.conf {arguments}")


def _join(host: BlankHost, config: str) -> None:
    _ssh(host, "umask 077; cat > /root/join.yaml; kubeadm join --config /root/join.yaml", config)


def _ssh(host: BlankHost, script: str, sent: str | bytes = b"") -> str:
    data = sent.encode() if isinstance(sent, str) else sent
    done = subprocess.run(
        [*host.ssh_command(), script], input=data, capture_output=True, timeout=1200, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise TestBedError(
            f"by hand, {host.name}: {script[-200:]!r} ended with {done.returncode}\n{said[-3000:]}"
        )
    return done.stdout.decode()


def _send(host: BlankHost, directory: Path, target: str, without: Sequence[str] = ()) -> None:
    """Copy a directory: ``tar | ssh tar``."""
    pack = ["tar", "-C", str(directory), *(f"--exclude={name}" for name in without), "-c", "."]
    unpack = [*host.ssh_command(), f"mkdir -p {target} && tar -C {target} --no-same-owner -x"]
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as sender:
        receiver = subprocess.run(unpack, stdin=sender.stdout, capture_output=True, text=True, check=False)
    if sender.returncode or receiver.returncode:
        raise TestBedError(f"by hand: cannot copy {directory} to {host.name}: {receiver.stderr}")


def _archive(files: Mapping[str, str]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, text in files.items():
            data = text.encode()
            member = tar_member(name, tarfile.REGTYPE, 0o644)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return archive.getvalue()


def _at_once(action: Callable[[BlankHost], None], hosts: Sequence[BlankHost]) -> None:
    with ThreadPoolExecutor(max(len(hosts), 1)) as pool:
        list(pool.map(action, hosts))


def _stage(title: str, began: float) -> None:
    say(f"by hand: {title} after {time.monotonic() - began:.1f} s")


def main() -> int:
    """Install one cluster by hand and remove it, to see that the script works."""
    from tests.bench.bench import BED, ROOT, Bench
    from tests.bench.installing import Sides
    from tests.testbed.cache import Cache

    parser = argparse.ArgumentParser(prog="python -m tests.bench.by_hand", description=main.__doc__)
    parser.add_argument(
        "--run", type=Path, default=ROOT / "dist" / "shop.run", metavar="FILE", help="the application"
    )
    parser.add_argument("--masters", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=1)
    options = parser.parse_args()
    work = ROOT / "build" / "bench"
    work.mkdir(parents=True, exist_ok=True)
    sides = Sides(Bench(options.run.resolve(), work, Cache.default()), BED)
    took, pods = sides.by_hand(options.masters, options.nodes)
    print(f"by hand: {took:.1f} s, {pods} pods")
    return 0


if __name__ == "__main__":
    sys.exit(main())
