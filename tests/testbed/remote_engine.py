"""A docker engine on another machine, as far as a client can tell: docker in docker behind TLS, with images and networks of its own."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.cluster.host_image import host_image as host_of_builds
from bundler.engine import Engine
from tests.testbed.cache import Cache, TestBedError
from tests.testbed.docker_engine import engine, missing_capabilities
from tests.testbed.progress import step
from tests.testbed.rootfs import RootfsStore, host_image, host_rootfs
from tests.unit.bundler.reporter import Remembering

if TYPE_CHECKING:
    from docker import APIClient

IMAGE = "airseal-testbed/engine"
_SECONDS = 90
_INSTALL = "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends docker.io containerd runc openssl && rm -rf /var/lib/apt/lists/*"
# As a host of the test bed: cgroups made writable; then keys as GitLab's docker:dind makes them, and the engine.
_RUN = """\
mount -o remount,rw /sys; for d in /sys/fs/cgroup /sys/fs/cgroup/*; do [ ! -d $d ] || mount -o remount,bind,rw $d; done; mount --make-rshared /
mkdir -p /certs && cd /certs && address=$(hostname -i | cut -d' ' -f1)
new="openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
$new -x509 -keyout ca-key.pem -out ca.pem -days 2 -subj /CN=ca
for name in server client; do
    $new -keyout $name-key.pem -out $name.csr -subj /CN=$name
    printf 'subjectAltName=IP:%s,DNS:docker\\nextendedKeyUsage=serverAuth,clientAuth\\n' $address > $name.ext
    openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile $name.ext -out $name-cert.pem
done
mkdir -p /etc/docker && echo "$1" > /etc/docker/daemon.json
exec dockerd --tlsverify --tlscacert=ca.pem --tlscert=server-cert.pem --tlskey=server-key.pem -H tcp://0.0.0.0:2376 --bip 10.77.0.1/24"""


class Kind(StrEnum):
    """Whose docker: Debian 12's 20.10, or Debian 13's 26.1 with images in containerd, as docker 29 has it unless told otherwise."""

    BOOKWORM = "bookworm"
    CONTAINERD = "trixie"


_SETTINGS = {Kind.BOOKWORM: '{"oom-score-adjust":0}', Kind.CONTAINERD: '{"features":{"containerd-snapshotter":true}}'}


@contextmanager
def remote_engine(cache: Cache, directory: Path, kind: Kind = Kind.BOOKWORM) -> Iterator[Mapping[str, str]]:
    """Yield the environment that leads there: DOCKER_HOST and its kin. Gone with its data at the end. Raises TestBedError.

    It has the image of a build's hosts already: it comes from Debian's mirrors, which is no matter of where an engine is.
    """
    client = engine(cache)
    image = f"{IMAGE}:{kind}"
    with step("an engine on another machine"):
        local = Engine.connect()
        try:
            hosts = host_of_builds(local, Remembering())
        finally:
            local.close()
        _docker("build", "-t", image, "-", data=f"FROM {_system(cache, client, kind, hosts)}\nRUN {_INSTALL}\n".encode())
        name = f"airseal-engine-{secrets.token_hex(3)}"
        drops = [word for each in missing_capabilities(Path("/proc/self/status").read_text()) for word in ("--cap-drop", each)]
        unconfined = [word for each in ("seccomp", "apparmor", "systempaths") for word in ("--security-opt", f"{each}=unconfined")]
        _docker("run", "-d", "--name", name, "--cap-add", "ALL", *drops, *unconfined, "--device-cgroup-rule", "a *:* rwm", "--cgroupns=private",
                "--device", "/dev/kmsg", "--tmpfs", "/run", "-v", "/var/lib/docker", "-v", "/var/lib/containerd", image, "sh", "-c", _RUN, "sh", _SETTINGS[kind])  # fmt: skip
    try:
        environment = _environment(name, directory, client.inspect_container(name)["NetworkSettings"]["IPAddress"])
        saved = subprocess.Popen(["docker", "save", hosts], stdout=subprocess.PIPE)
        _docker("load", environment=environment, stdin=saved)
        yield environment
    finally:
        client.remove_container(name, force=True, v=True)


def _system(cache: Cache, client: APIClient, kind: Kind, hosts: str) -> str:
    """Return the image that the engine is installed in: a build's host is Debian 12 already."""
    if kind is Kind.BOOKWORM:
        return hosts
    store, name = RootfsStore(cache), host_rootfs("trixie")
    store.build_all(only=(name,))
    store.import_one(client, name, host_image("trixie"))
    return host_image("trixie")


def _environment(name: str, directory: Path, address: str) -> dict[str, str]:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = {"DOCKER_HOST": f"tcp://{address}:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(directory)}
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            for source, target in (("ca", "ca"), ("client-cert", "cert"), ("client-key", "key")):
                file = directory / f"{target}.pem"
                file.touch(0o600)
                file.write_bytes(_docker("exec", name, "cat", f"/certs/{source}.pem"))
            _docker("info", environment=found)
        except TestBedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            return found


def _docker(*words: str, environment: Mapping[str, str] | None = None, data: bytes = b"", stdin: subprocess.Popen[bytes] | None = None) -> bytes:
    given = {"stdin": stdin.stdout} if stdin else {"input": data}
    done = subprocess.run(["docker", *words], capture_output=True, check=False, env={**os.environ, **(environment or {})}, **given)  # type: ignore[call-overload]
    if stdin and stdin.wait():
        raise TestBedError("docker save ended with an error")
    if done.returncode:
        raise TestBedError(f"docker {words[0]}: {done.stderr.decode(errors='replace')[-500:]}")
    return bytes(done.stdout)
