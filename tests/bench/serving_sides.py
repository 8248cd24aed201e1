"""Both sides of ``serve``: our frozen installer and the real distribution registry, with the same images, and their client."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bundler.options import cache_directory
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.disk import DiskBlobStore
from registry_snapshot.store.layout_index import OCI_LAYOUT, layout_index
from release.stub import make_stub
from tests.bench.bench import Bench
from tests.bench.process_tree import cpu_seconds
from tests.bench.resealing import Quiet
from tests.contract.loopback_sshd import free_port
from tests.testbed.cache import TestBedError
from tests.testbed.certificates import Authority
from tests.testbed.docker_engine import require_packages
from tests.testbed.parts import Parts
from tests.unit.registry_snapshot.images import Image, make_image

_PULLER = Path(__file__).with_name("puller")
_CONFIG = """\
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: DATA}
  cache: {blobdescriptor: inmemory}
http:
  addr: "ADDRESS"
"""


_START_SECONDS = 30


@dataclass(frozen=True)
class Pull:
    """What a pull by all clients took: seconds on the clock, and the server's CPU seconds."""

    seconds: float
    cpu: float
    size: int


@dataclass(frozen=True)
class Side:
    """A registry that runs. ``authority`` is whose certificate it shows, None in clear."""

    pid: int
    address: str
    authority: Path | None


class Stage:
    """The images, in an OCI layout and in the distribution's data; the programs; a certificate for loopback."""

    def __init__(self, bench: Bench, sizes: Mapping[str, tuple[int, ...]]) -> None:
        require_packages(bench.cache)
        parts = Parts(bench.cache)
        parts.build_all(only=("registry",))
        self._registry = parts.out("registry") / "registry"
        self._work = bench.work / "serving"
        shutil.rmtree(self._work, ignore_errors=True)
        self._layout = DiskBlobStore(self._work / "layout")
        self.images: Mapping[str, Image] = {name: make_image(self._layout, name, layer_sizes=of) for name, of in sizes.items()}
        names = [(Reference.parse(f"docker.io/bench/{name}:1"), image.descriptor) for name, image in self.images.items()]
        (self._layout.root / "oci-layout").write_bytes(OCI_LAYOUT)
        (self._layout.root / "index.json").write_bytes(layout_index(names))
        authority = Authority(self._work / "authority")
        authority.issue(self._work / "tls", ["127.0.0.1"])
        # A directory of its own: skopeo takes every key in it for a client's.
        self._authority = self._work / "trust" / "ca.crt"
        self._authority.parent.mkdir()
        shutil.copyfile(authority.certificate, self._authority)
        self._program = self._work / "airseal"
        self._program.write_bytes(make_stub(cache_directory(None), Quiet()).open().read())
        self._program.chmod(0o755)
        self._puller = self._work / "puller"
        subprocess.run(["go", "build", "-o", self._puller, "."], cwd=_PULLER, check=True)
        with self.peer(tls=False) as side:
            for name in sizes:
                source = f"oci:{self._layout.root}:docker.io/bench/{name}:1"
                target = f"docker://{side.address}/bench/{name}:1"
                # As they are: skopeo would compress layers that it finds are not.
                command = ["skopeo", "copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false", source, target]
                subprocess.run(command, check=True, capture_output=True)

    @contextmanager
    def ours(self, *, tls: bool) -> Iterator[Side]:
        """Run ``airseal serve`` over the layout."""
        address = f"127.0.0.1:{free_port()}"
        command = [str(self._program), "serve", "--store", str(self._layout.root), "--listen", address]
        if tls:
            command += ["--tls-cert", str(self._work / "tls" / "tls.crt"), "--tls-key", str(self._work / "tls" / "tls.key")]
        with self._running(command, address, tls=tls) as side:
            yield side

    @contextmanager
    def peer(self, *, tls: bool) -> Iterator[Side]:
        """Run the distribution registry."""
        address = f"127.0.0.1:{free_port()}"
        config = self._work / "config.yml"
        text = _CONFIG.replace("DATA", str(self._work / "data")).replace("ADDRESS", address)
        if tls:
            text += f"  tls: {{certificate: {self._work}/tls/tls.crt, key: {self._work}/tls/tls.key}}\n"
        config.write_text(text)
        with self._running([str(self._registry), "serve", str(config)], address, tls=tls) as side:
            yield side

    def pull(self, side: Side, image: str, clients: int, rounds: int) -> Pull:
        """Let ``clients`` pull every layer of an image at once, ``rounds`` times. Raises TestBedError."""
        asked = "".join(f"/v2/bench/{image}/blobs/{layer.digest} {layer.size}\n" for layer in self.images[image].layers)
        command = [str(self._puller), "-address", side.address, "-clients", str(clients), "-rounds", str(rounds)]
        command += ["-ca", str(side.authority)] if side.authority else []
        before = cpu_seconds(side.pid)
        done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
        cpu = cpu_seconds(side.pid) - before
        if done.returncode:
            raise TestBedError(f"{image} could not be pulled from {side.address}: {done.stderr.strip()}")
        took, size = done.stdout.split()
        return Pull(float(took), cpu, int(size))

    def copy(self, side: Side, image: str) -> Pull:
        """Let skopeo copy an image to a directory, every blob hashed."""
        target = self._work / "copy"
        shutil.rmtree(target, ignore_errors=True)
        trust = f"--src-cert-dir={self._authority.parent}" if side.authority else "--src-tls-verify=false"
        command = ["skopeo", "copy", "--quiet", trust, f"docker://{side.address}/bench/{image}:1", f"dir:{target}"]
        before, began = cpu_seconds(side.pid), time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        took = time.perf_counter() - began
        size = sum(layer.size for layer in self.images[image].layers)
        return Pull(took, cpu_seconds(side.pid) - before, size)

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self._work)

    @contextmanager
    def _running(self, command: list[str], address: str, *, tls: bool) -> Iterator[Side]:
        log = self._work / f"{Path(command[0]).name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            _wait_for(address, log)
            yield Side(process.pid, address, self._authority if tls else None)
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait_for(address: str, log: Path) -> None:
    host, _, port = address.rpartition(":")
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError as error:
            if time.monotonic() > until:
                raise TestBedError(f"nothing answers at {address}: {error}\n{log.read_text(errors='replace')}") from error
            time.sleep(0.05)
        else:
            return
