"""``start``: does a program with gigabytes behind it start as fast as the program alone?"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from installer_stub.bundle.reader import Bundle
from tests.bench.bench import Bench, alternate, seconds
from tests.bench.measure import MB, Measure
from tests.bench.resealing import Resealing
from tests.demo.__main__ import operators_environment

_BALLAST = 4 << 30  # past what 32 bits can say
_LEAST = 15
_MAX_RATIO, _MAX_SECONDS = 1.1, 0.5


def start(bench: Bench) -> list[Measure]:
    """Measure ``--help`` of the artifact, and of one that is 4 GiB larger, against the bare stub."""
    stub = bench.work / "stub"
    big, ballast = bench.work / "big.run", bench.work / "ballast"
    try:
        with Bundle.open(bench.run) as bundle:
            with bundle.stub_stream() as stream:
                stub.write_bytes(stream.read())
            stub.chmod(0o755)
            first = _measure("start", bench, bench.run, stub)
            with ballast.open("wb") as file:
                os.ftruncate(file.fileno(), _BALLAST)
            Resealing.of(bundle, bench.work).with_ballast(ballast).seal(big)
        return [first, _measure("start-4GiB", bench, big, stub)]
    finally:
        for path in (stub, big, ballast):
            path.unlink(missing_ok=True)


def _measure(name: str, bench: Bench, run: Path, stub: Path) -> Measure:
    os.sync()  # what was just written is not to be written while a program starts
    for program in (run, stub):
        _help(program)
    values, peer_values = alternate(
        bench.repetitions(_LEAST), lambda: seconds(lambda: _help(run)), lambda: seconds(lambda: _help(stub))
    )
    size, alone = run.stat().st_size, stub.stat().st_size
    return Measure(
        name,
        what=f"`{bench.run.name} --help`, an artifact of {size / MB:,.0f} MB, from exec to exit",
        peer=f"the same of the bare stub, {alone / MB:.1f} MB: bootloader and package without a payload",
        unit="s",
        values=values,
        peer_values=peer_values,
        max_ratio=_MAX_RATIO,
        max_value=_MAX_SECONDS,
        notes=("one start of each before the first that counts; then in turns",),
    )


def _help(program: Path) -> None:
    subprocess.run([program, "--help"], check=True, stdout=subprocess.DEVNULL, env=operators_environment())
