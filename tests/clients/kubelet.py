"""A real kubelet with ``imagePullPolicy: Always``, on a blank host: alone, with static pods, over containerd 2.x.

Every pod is of one container. What kubelet says of it on its read-only port is what the test reads.
"""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from installer_stub.distro import containerd
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from tests.clients.client import Manners, Place, PullFailedError, Session, digest_in
from tests.clients.images import SANDBOX
from tests.clients.scenarios import AGAIN, SECOND_NAME, TAG_AND_DIGEST, WITH_PORT
from tests.fakes.plans import host_plan
from tests.testbed import docker_engine
from tests.testbed.cache import Cache
from tests.testbed.hosts import BlankHost, TestBed
from tests.testbed.parts import Parts

_PROGRAMS = {"kubernetes": ("kubelet",), "containerd": ("containerd", "containerd-shim-runc-v2", "ctr"), "runc": ("runc",)}
_MANIFESTS = "/etc/kubernetes/manifests"
_PORT = 10255
_SCENARIOS = (
    "by-tag", SECOND_NAME, AGAIN, TAG_AND_DIGEST, "by-digest", "docker-index", "same-path", WITH_PORT, "absent-tag",
)  # fmt: skip
_MANNERS = Manners(frozenset(_SCENARIOS), "root", heads_only=True, also=(SANDBOX,))
_SECONDS = 60

_STOP = """\
systemctl stop kubelet-alone 2>/dev/null
ctr -n k8s.io tasks list -q 2>/dev/null | xargs -r -n1 ctr -n k8s.io tasks kill -s SIGKILL
systemctl stop containerd-alone 2>/dev/null
pkill -9 -x containerd-shim
grep -E ' /(run/containerd|run/netns|var/lib/kubelet)/' /proc/mounts | cut -d' ' -f2 | sort -r | xargs -r -n1 umount -l
rm -rf /etc/kubernetes /run/containerd /var/lib/containerd/* /var/lib/kubelet/*
"""
_START = """\
mkdir -p /etc/kubernetes/manifests
systemd-run --quiet --unit=containerd-alone --property=Delegate=yes --property=KillMode=process containerd
until [ -S /run/containerd/containerd.sock ]; do sleep 0.1; done
systemd-run --quiet --unit=kubelet-alone --property=KillMode=process kubelet --config=/etc/kubernetes/kubelet.yaml
"""


@dataclass(frozen=True)
class BedWorld:
    """A bed of one host: a network without a way out, too."""

    bed: TestBed

    @property
    def host(self) -> BlankHost:
        return self.bed.masters[0]

    @property
    def gateway(self) -> str:
        return self.bed.gateway

    @property
    def client_address(self) -> str:
        return self.host.address

    @property
    def netns(self) -> Path:
        state = docker_engine.engine(Cache.default()).inspect_container(self.host.container)["State"]
        return Path(f"/proc/{state['Pid']}/ns/net")

    @property
    def interface(self) -> str:
        return self.bed.bridge

    @property
    def subnet(self) -> IPv4Network:
        return self.bed.subnet

    @property
    def looked_up(self) -> list[str]:
        return []  # nothing answers there; the sniffer sees what is not for the bed

    def command(self, *words: str | Path) -> list[str]:
        return [*self.host.ssh_command(), *map(str, words)]


@dataclass(frozen=True)
class Kubelet:
    """kubelet. It also pulls the sandbox of every pod."""

    parts: Parts
    name: str = "kubelet"
    manners: Manners = _MANNERS

    @contextmanager
    def session(self, place: Place) -> Iterator[Session]:
        assert isinstance(place.network, BedWorld)
        host = place.network.host
        _install(host, self.parts)
        host.run(_STOP, check=False)
        _configure(host, place.registry)
        host.run(_START)
        session = _KubeletSession(host)
        session.wait_until_it_answers()
        try:
            yield session
        finally:
            session.remove_pods()
            host.run(_STOP, check=False)


@dataclass
class _KubeletSession:
    host: BlankHost
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def pull(self, reference: Reference) -> Digest:
        name = f"pod-{next(self._numbers)}"
        pod = json.dumps(_pod(name, str(reference)))
        # Beside it first: kubelet reads a file as soon as it is there.
        self.host.run(f"cat > /tmp/{name} <<'END'\n{pod}\nEND\nmv /tmp/{name} {_MANIFESTS}/{name}.json")
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            state = self._states().get(name, {})
            if "running" in state.get("state", {}):
                return digest_in(state["imageID"])
            waiting = state.get("state", {}).get("waiting", {})
            if waiting.get("reason") == "ErrImagePull":
                self.host.run(f"rm {_MANIFESTS}/{name}.json")
                raise PullFailedError(waiting["message"])
            time.sleep(0.1)
        raise AssertionError(f"{reference} is neither running nor refused: {self._pods()}")

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                self._pods()
            except urllib.error.URLError:
                assert time.monotonic() < deadline, self.host.run("journalctl -n 30 -u kubelet-alone").stdout
                time.sleep(0.2)
            else:
                return

    def remove_pods(self) -> None:
        """Let kubelet take its pods down, so that nothing holds the next session's directories."""
        self.host.run(f"rm -f {_MANIFESTS}/*", check=False)
        deadline = time.monotonic() + _SECONDS
        while self._pods() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _states(self) -> dict[str, dict[str, Any]]:
        return {
            pod["metadata"]["annotations"]["clients/name"]: status
            for pod in self._pods()
            for status in pod["status"].get("containerStatuses", ())
        }

    def _pods(self) -> list[dict[str, Any]]:
        url = f"http://{self.host.address}:{_PORT}/pods"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["items"] or []


def _pod(name: str, image: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "annotations": {"clients/name": name}},
        "spec": {
            "hostNetwork": True,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "wait", "image": image, "imagePullPolicy": "Always"}],
        },
    }


def _configure(host: BlankHost, registry: str) -> None:
    """Write the product's own texts for containerd, and the least that makes a kubelet go."""
    on_v2 = host.run("test -f /sys/fs/cgroup/cgroup.controllers", check=False).returncode == 0
    driver = "systemd" if on_v2 else "cgroupfs"
    lacks = set(docker_engine.missing_capabilities(host.run("cat /proc/self/status").stdout))
    plan = host_plan(host.address, cgroup_driver=driver, restrict_oom_score="SYS_RESOURCE" in lacks)
    kubelet = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "staticPodPath": _MANIFESTS,
        "readOnlyPort": _PORT,
        "containerRuntimeEndpoint": f"unix://{containerd.SOCKET}",
        "cgroupDriver": driver,
        "failCgroupV1": False,
        "failSwapOn": False,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        # This machine's disk is every host's, and may be fuller than kubelet likes.
        "evictionHard": {"nodefs.available": "1Mi", "imagefs.available": "1Mi", "memory.available": "1Mi"},
        "imageGCHighThresholdPercent": 100,
    }
    files = {
        containerd.CONFIG: containerd.config_toml(plan, pause=SANDBOX),
        containerd.HOSTS: containerd.hosts_toml([f"http://{registry}"], ca_path=""),
        "/etc/kubernetes/kubelet.yaml": json.dumps(kubelet),
    }
    for path, text in files.items():
        host.run(f"mkdir -p $(dirname {path}); cat > {path} <<'END'\n{text}\nEND")


def _install(host: BlankHost, parts: Parts) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for part, programs in _PROGRAMS.items():
            for program in programs:
                tar.add(parts.out(part) / program, program)
    command = [*host.ssh_command(), "tar -xC /usr/local/bin"]
    subprocess.run(command, input=made.getvalue(), capture_output=True, check=True)
