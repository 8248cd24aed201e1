"""``memory-build``, ``memory-install``, ``memory-serve``: what a process tree has resident at most."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from installer_stub.bundle.reader import Bundle
from tests.bench.bench import BED, ROOT, Bench
from tests.bench.measure import MB, Measure
from tests.bench.process_tree import ProcessTree
from tests.bench.pulling import everything, pull_at_once, wait_for
from tests.demo.__main__ import install_command, operators_environment
from tests.demo.shop import shop_command
from tests.testbed.cache import TestBedError
from tests.testbed.docker_engine import engine
from tests.testbed.hosts import TestBed
from tests.testbed.internet import Internet

_MAX_MB = 300
_CLIENTS = 8
_SERVE_LEAST = 3
_TIMEOUT = 3600


def memory_build(bench: Bench) -> list[Measure]:
    """Measure ``airseal build`` of the shop, its cache as earlier runs left it."""
    engine(bench.cache)
    Internet(bench.cache).up()
    target = bench.work / "built.run"
    trees = []
    for number in range(bench.repetitions(1)):
        command = shop_command(bench.cache, target)
        with _running(command, bench.work / f"memory-build-{number + 1}.log", env=None) as (process, tree):
            _wait(process, command)
        trees.append(tree)
    with Bundle.open(target) as bundle:
        images = bundle.info.images_size
    target.unlink()
    what = "`airseal build` of examples/shop, its cache as earlier builds left it: the builder and all it starts, without the Docker Engine's daemon"
    return [_measure("memory-build", what, trees, images)]


def memory_install(bench: Bench) -> list[Measure]:
    """Measure the installer where the operator sits, for one master and one node."""
    trees = []
    for number in range(bench.repetitions(1)):
        with TestBed(masters=1, nodes=1, name=BED, cache=bench.cache) as bed:
            command = install_command(bench.run, bed, bench.work / "kubeconfig")
            log = bench.work / f"memory-install-{number + 1}.log"
            with _running(command, log, env=operators_environment()) as (process, tree):
                _wait(process, command)
        trees.append(tree)
    what = f"`{bench.run.name} --master … --node …` for 1 master and 1 node, on the operator's machine"
    return [_measure("memory-install", what, trees, _images(bench.run))]


def memory_serve(bench: Bench) -> list[Measure]:
    """Measure ``serve`` while several clients pull every image at once."""
    with Bundle.open(bench.run) as bundle:
        wanted = everything(bundle)
    trees, moved = [], 0
    for number in range(bench.repetitions(_SERVE_LEAST)):
        address = ("127.0.0.1", _free_port())
        command = [str(bench.run), "serve", "--listen", f"{address[0]}:{address[1]}"]
        log = bench.work / f"memory-serve-{number + 1}.log"
        with _running(command, log, env=operators_environment()) as (process, tree):
            wait_for(address)
            moved = pull_at_once(address, wanted, _CLIENTS)
            process.send_signal(signal.SIGTERM)
            _wait(process, command)
        trees.append(tree)
    what = f"`{bench.run.name} serve` while {_CLIENTS} HTTP clients at once pull every image, {moved / MB:,.0f} MB in all, every byte checked"
    return [_measure("memory-serve", what, trees, _images(bench.run))]


def _measure(name: str, what: str, trees: Sequence[ProcessTree], images: int) -> Measure:
    largest = max((tree.largest for tree in trees), key=lambda found: found[1])
    count = max(tree.peak_count for tree in trees)
    return Measure(
        name,
        what=what,
        peer="the image blobs that pass through, as stored: memory that grew with them would be near 1",
        unit="MB",
        values=tuple(tree.peak / MB for tree in trees),
        peer_values=(images / MB,),
        max_value=_MAX_MB,
        notes=(
            f"the sum over {count} processes of what each has resident, highest of samples 0.2 s apart; shared pages count for each",
            f"the largest single process: {largest[0]}, {largest[1] / MB:.1f} MB (VmHWM)",
        ),
    )


@contextmanager
def _running(
    command: Sequence[str], log: Path, *, env: dict[str, str] | None
) -> Iterator[tuple[subprocess.Popen[bytes], ProcessTree]]:
    """Run a command with its output in ``log`` and its memory watched; it does not outlive the ``with``."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(command),
            cwd=ROOT,
            env=env or dict(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            with ProcessTree(process.pid) as tree:
                yield process, tree
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=120)
    if process.returncode:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise TestBedError(f"{' '.join(command[:4])} ended with {process.returncode}, log {log}\n{end}")


def _wait(process: subprocess.Popen[bytes], command: Sequence[str]) -> None:
    try:
        process.wait(timeout=_TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise TestBedError(f"{' '.join(command[:4])} did not end in {_TIMEOUT} s") from error


def _images(run: Path) -> int:
    with Bundle.open(run) as bundle:
        return bundle.info.images_size


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
