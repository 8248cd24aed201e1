"""What the test bed tells whoever waits for it: one line when something starts, one when it is done, with the time."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.testbed.cache import TestBedError

_BEGAN = time.monotonic()


def say(text: str) -> None:
    """Print one line with the seconds since the start."""
    print(f"[{time.monotonic() - _BEGAN:6.1f} s] {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step, and how long it took."""
    say(f"{title} …")
    began = time.monotonic()
    yield
    say(f"{title}: done in {time.monotonic() - began:.1f} s")


def run_logged(
    command: Sequence[str | Path],
    *,
    log: Path,
    remedy: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a command with its output appended to ``log``. Raises TestBedError with the output's end and the remedy."""
    words = [str(word) for word in command]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        output.write(f"$ {' '.join(words)}\n".encode())
        output.flush()
        try:
            done = subprocess.run(words, cwd=cwd, env=env, stdout=output, stderr=output, check=False)
        except FileNotFoundError as error:
            raise TestBedError(f"{words[0]} is not installed; {remedy}") from error
    if done.returncode:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise TestBedError(f"{' '.join(words[:4])} ended with {done.returncode}; {remedy}\nlog: {log}\n{end}")
