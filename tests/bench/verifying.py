"""``verify``: looking whether a file is whole, against hashing as many bytes with coreutils on every core."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from installer_stub.bundle.reader import Bundle
from tests.bench.bench import Bench, alternate, seconds
from tests.bench.measure import MB, Measure

_LEAST = 5
_MAX_RATIO = 1.25  # sha256sum takes at least 0.8 of our time


def verifying(bench: Bench) -> list[Measure]:
    """Measure ``airseal verify FILE`` against ``sha256sum`` of its bytes, cut into one part for each core."""
    cores = os.cpu_count() or 1
    parts = bench.work / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    try:
        with Bundle.open(bench.run) as bundle:
            size, entries = bundle.size, len(bundle.blobs.digests())
        subprocess.run(["split", "-n", str(cores), bench.run, f"{parts}/part."], check=True)
        names = sorted(parts.iterdir())
        values, peer_values = alternate(bench.repetitions(_LEAST), lambda: seconds(lambda: _verify(bench.run)), lambda: seconds(lambda: _sums(names)))
    finally:
        shutil.rmtree(parts)
    return [
        Measure(
            "verify",
            what=f"`airseal verify FILE`, a process of its own, of {entries} blobs in {size / MB:.0f} MB",
            peer=f"`sha256sum` of the same bytes in {cores} files, {cores} processes at once",
            unit="s",
            values=values,
            peer_values=peer_values,
            max_ratio=_MAX_RATIO,
            notes=("warm page cache; verify hashes every byte twice, as its part and as the file, whose SHA-256 it prints to be compared with the sender's, and computes every CRC-32; coreutils hashes slower than OpenSSL, which we have",),
        )
    ]


def _verify(run: Path) -> None:
    subprocess.run([sys.executable, "-m", "bundler", "verify", run], check=True, stdout=subprocess.DEVNULL)


def _sums(names: list[Path]) -> None:
    running = [subprocess.Popen(["sha256sum", name], stdout=subprocess.DEVNULL) for name in names]
    for process in running:
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, process.args)
