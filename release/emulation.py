"""Programs for another machine, run here: qemu's user mode, which the kernel calls by itself (binfmt_misc).

A program that starts programs, as a frozen one does, needs the kernel's help: qemu alone does not follow execve(2) into another machine's.
"""

from __future__ import annotations

import contextlib
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bundler.errors import BuildError

BINFMT: Final = Path("/proc/sys/fs/binfmt_misc")
QEMU: Final = "/usr/bin/qemu-aarch64-static"
SYSROOT: Final = Path("/usr/aarch64-linux-gnu")
# Debian's packages that have them.
TOOLS: Final = {QEMU: "qemu-user-static", "aarch64-linux-gnu-strip": "binutils-aarch64-linux-gnu", str(SYSROOT / "lib" / "ld-linux-aarch64.so.1"): "libc6-arm64-cross"}
_NAME: Final = "airseal-aarch64"
# The head of an ELF program for aarch64, and which of its bits count: qemu's own table (scripts/qemu-binfmt-conf.sh). F: the kernel
# opens qemu now, so it is found from every root directory too.
_MAGIC: Final = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK: Final = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"


@contextmanager
def emulated(machine: str, work: Path) -> Iterator[dict[str, str]]:
    """Yield what a process' environment needs for programs of ``machine`` (uname -m) to run here; nothing for this one's own.

    ``work`` takes an ``ldd`` and an ``objcopy`` for them, which are then to be the first on PATH (``work/emulation``). Raises BuildError.
    """
    if machine == platform.machine():
        yield {}
        return
    if machine != "aarch64":
        raise BuildError(f"programs for {machine} cannot be run on {platform.machine()}", "build that stub on a machine of its kind")
    ours = _register()
    tools = work / "emulation"
    tools.mkdir(parents=True, exist_ok=True)
    loader = SYSROOT / "lib" / "ld-linux-aarch64.so.1"
    ldd = tools / "ldd"
    # Debian's ldd asks this machine's loader, which knows nothing of another's programs.
    ldd.write_text(f'#!/bin/sh\nexec {QEMU} -L {SYSROOT} {loader} --list "$1"\n')
    ldd.chmod(0o755)
    objcopy = tools / "objcopy"  # PyInstaller asks for it by this name
    objcopy.unlink(missing_ok=True)
    objcopy.symlink_to(str(shutil.which(f"{machine}-linux-gnu-objcopy")))
    try:
        yield {"QEMU_LD_PREFIX": str(SYSROOT)}
    finally:
        if ours:
            with contextlib.suppress(OSError):
                (BINFMT / _NAME).write_text("-1")


def _register() -> bool:
    """Let the kernel start such programs; tell whether we did, or whoever was before us."""
    try:
        if not (BINFMT / "register").exists():
            subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT], check=True, capture_output=True)
        if any("qemu-aarch64" in path.read_text() for path in BINFMT.iterdir() if path.name not in {"register", "status"}):
            return False
        (BINFMT / "register").write_text(f":{_NAME}:M::{_MAGIC}:{_MASK}:{QEMU}:F")
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError(f"the kernel was not told how to run programs for aarch64: {error}", "run as root, on a kernel with binfmt_misc") from None
    return True
