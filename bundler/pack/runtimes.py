"""Which frozen installer an artifact gets: the portable one wherever that is possible."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from bundler.errors import BuildError
from bundler.pack.freeze import freeze, frozen_in, runtime
from bundler.pack.portable_python import NO_MIRRORS, is_built, obstacle, portable_interpreter
from bundler.pack.stub_runtime import StubRuntime
from installer_stub.phases.base import Reporter
from registry_snapshot.record.mirrors import Mirrors

Choice = Literal["auto", "portable", "host"]


def stub_runtime(cache: Path, choice: Choice, reporter: Reporter, mirrors: Mirrors = NO_MIRRORS) -> StubRuntime:
    """Return the installer to build an artifact around.

    ``portable`` starts on glibc 2.17 and newer, ``host`` only where glibc is as new as on this machine; ``auto`` takes
    the portable one if it is there or can be built, and says so if it had to take the other. Raises BuildError.
    """
    if choice == "host":
        return _of_this_machine(cache, reporter, "")
    reason = "" if is_built(cache) else obstacle()
    if choice == "auto" and reason:
        return _of_this_machine(cache, reporter, reason)
    try:
        return freeze(cache, portable_interpreter(cache, reporter, mirrors), reporter)
    except BuildError as error:
        if choice == "portable":
            raise
        return _of_this_machine(cache, reporter, error.problem)


def frozen_before(cache: Path, digest: str) -> StubRuntime | None:
    """Return the frozen installer whose SHA-256 in hex is ``digest``, if the cache has it still."""
    for facts in (cache / "runtime").glob("*/frozen.json"):
        try:
            found = frozen_in(facts.parent)
            if found.digest == digest:
                os.utime(facts.parent)  # the one that was used longest ago is forgotten first
                return found
        except (OSError, ValueError, KeyError):  # another build has just taken it away
            continue
    return None


def _of_this_machine(cache: Path, reporter: Reporter, reason: str) -> StubRuntime:
    made = runtime(cache, reporter=reporter)
    why = f" (no portable one: {reason})" if reason else ""
    reporter.step(f"the artifact will start only on hosts with glibc {made.glibc} or newer{why}")
    return made
