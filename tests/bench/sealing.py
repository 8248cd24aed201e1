"""``seal``: sealing against copying the same bytes."""

from __future__ import annotations

import filecmp
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from installer_stub.bundle.reader import Bundle
from tests.bench.bench import Bench, alternate, seconds
from tests.bench.measure import MB, Measure
from tests.bench.resealing import Resealing

_LEAST = 5
_MAX_RATIO = 1.5


def sealing(bench: Bench) -> list[Measure]:
    """Measure ``seal`` against ``cp``, both until the bytes are on the disk."""
    sealed, copied = bench.work / "sealed.run", bench.work / "copied.run"
    try:
        with Bundle.open(bench.run) as bundle:
            content = Resealing.of(bundle, bench.work)
            with bundle.stream() as stream:  # into the page cache: both read the same file
                while stream.read(1 << 20):
                    pass
            values, peer_values = alternate(
                bench.repetitions(_LEAST),
                lambda: _timed(sealed, content.seal),
                lambda: _timed(copied, lambda target: _copy(bench.run, target)),
            )
            same = filecmp.cmp(bench.run, sealed, shallow=False)
            blobs, size = len(bundle.blobs.digests()), bundle.size
    finally:
        sealed.unlink(missing_ok=True)
        copied.unlink(missing_ok=True)
    return [
        Measure(
            "seal",
            what=f"`bundler.pack.artifact.seal` of {blobs} blobs to a new file of {size / MB:.0f} MB, fsync included",
            peer="`cp --reflink=never` of that file to a new one, then fsync",
            unit="s",
            values=values,
            peer_values=peer_values,
            max_ratio=_MAX_RATIO,
            notes=(
                "warm page cache, dirty pages of the run before written out first; sealing also hashes every byte twice (each part, and the file: a core does 1.1 GB/s), reads it twice and checks closures",
                f"what was sealed {'is' if same else 'is NOT'} byte for byte the artifact it was taken from",
            ),
        )
    ]


def _timed(target: Path, write: Callable[[Path], None]) -> float:
    target.unlink(missing_ok=True)
    os.sync()
    return seconds(lambda: write(target))


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "--reflink=never", str(source), str(target)], check=True)
    with target.open("rb") as file:
        os.fsync(file.fileno())
