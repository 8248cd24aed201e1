"""The stub of these sources, for a machine: from the cache, or made."""

from __future__ import annotations

import platform
from pathlib import Path

from bundler.pack.stub_runtime import StubRuntime
from installer_stub.phases.reporter import Reporter
from registry_snapshot.record.mirrors import Mirrors
from release.freeze import freeze
from release.portable_python import NO_MIRRORS, portable_interpreter

HERE = platform.machine()


def make_stub(cache: Path, reporter: Reporter, machine: str = HERE, mirrors: Mirrors = NO_MIRRORS) -> StubRuntime:
    """Return the installer that starts on glibc 2.17 and newer, where ``bundler.pack.stubs`` finds it. Raises BuildError.

    The portable Python is compiled once, in ten minutes, and then in ``cache``; other sources of ours are frozen anew, in half a minute.
    """
    return freeze(cache, portable_interpreter(cache, machine, reporter, mirrors), reporter)
