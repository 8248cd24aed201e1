"""What a released program may need of a host: glibc 2.17 and the libraries that every glibc brings. Everything else is inside.

Source: PEP 599 (manylinux2014), "Policy"; of its list a program of ours needs the C library's own parts alone.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from bundler.errors import BuildError

# glibc's own: there is no Linux of ours without them. The loader's name is the machine's.
OF_EVERY_HOST: Final = frozenset(
    {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
)
# Every host has its own of these too, and one from here would need a newer glibc than theirs: a library of Rust asks for it.
_OF_THE_COMPILER: Final = frozenset({"libgcc_s.so.1"})
_GLIBC: Final = re.compile(rb"GLIBC_2\.(\d+)")
_NEEDED: Final = re.compile(r"\(NEEDED\).*\[(.+)\]")


def glibc_of(binary: Path) -> int:
    """Return the minor number of the newest glibc 2.x symbol version that ``binary`` names, 0 for none. Raises OSError."""
    return max((int(minor) for minor in _GLIBC.findall(binary.read_bytes())), default=0)


def needed_of(binary: Path) -> tuple[str, ...]:
    """Return the libraries that ``binary`` asks the loader for (DT_NEEDED of elf(5)). Raises BuildError for what is no ELF file."""
    done = subprocess.run(["readelf", "--wide", "--dynamic", binary], capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise BuildError(f"readelf cannot read {binary}: {done.stderr.strip()[-300:]}", "report this")
    return tuple(_NEEDED.findall(done.stdout))


def check_binaries(binaries: Sequence[Path], limit: int, *, inside: Collection[str] = ()) -> int:
    """Return the newest glibc 2.x, as x, that any of them needs. ``inside`` are libraries that travel with them, besides themselves.

    Raises BuildError that names every one that needs a newer glibc than 2.``limit``, or a library that no host need have.
    """
    there = OF_EVERY_HOST | _OF_THE_COMPILER | {path.name for path in binaries} | set(inside)
    problems, newest = [], 0
    for path in binaries:
        minor = glibc_of(path)
        newest = max(newest, minor)
        if minor > limit:
            problems.append(f"{path.name} needs glibc 2.{minor}")
        problems += [f"{path.name} needs {name}" for name in needed_of(path) if name not in there]
    if problems:
        listed = "".join(f"\n  - {problem}" for problem in sorted(problems))
        raise BuildError(f"not every host with glibc 2.{limit} can run this:{listed}", "pin versions that have manylinux2014 wheels")
    return newest
