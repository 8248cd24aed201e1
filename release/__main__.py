"""``python -m release``: what a release of airseal runs, and what a checkout needs once."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bundler.errors import BuildError
from bundler.options import cache_directory
from installer_stub.ui.console import console
from registry_snapshot.record.mirrors import Mirrors
from release import recipe
from release.freeze import freeze, of_this_python
from release.stub import HERE, make_stub

_EXAMPLES = """examples:
  python -m release stub                        the installer of this checkout, into the cache (make stub)
  python -m release stub --machine aarch64      cross-built and frozen under emulation
  python -m release stub --host-python          frozen with this Python: half a minute, for hosts as new as this machine
  python -m release wheels -o dist/wheels       airseal and its stubs as wheels, the same bytes each time
"""


def main(words: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0, or that of the BuildError it ended with."""
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, help="where airseal keeps what it made (default: that of airseal build)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    stub = verbs.add_parser("stub", help="make the frozen installer of these sources, once")
    stub.add_argument("--machine", choices=recipe.MACHINES, default=HERE, help="in the words of uname -m (default: this one's)")
    stub.add_argument("--host-python", action="store_true", help="freeze with the Python that runs this: for tests on this machine")
    wheels = verbs.add_parser("wheels", help="make the wheels of a release")
    wheels.add_argument("-o", "--output", type=Path, required=True, help="a directory")
    wheels.add_argument("--machine", choices=recipe.MACHINES, action="append", help="whose stub, may be repeated (default: both)")
    for each in (stub, wheels):
        each.add_argument("--mirrors", type=Path, help="mirrors.yaml of a company, as airseal build takes it")
    arguments = parser.parse_args(words)
    cache, reporter = cache_directory(arguments.cache), console()
    try:
        mirrors = Mirrors.given(arguments.mirrors, (), ())
        if arguments.verb == "wheels":
            from release.wheels import make_wheels

            for path in make_wheels(cache, arguments.output, arguments.machine or recipe.MACHINES, reporter, mirrors):
                print(path)
            return 0
        made = freeze(cache, of_this_python(), reporter) if arguments.host_python else make_stub(cache, reporter, arguments.machine, mirrors)
    except BuildError as error:
        print(f"error: {error.problem}\nwhat to do: {error.remedy}", file=sys.stderr)
        return error.exit_code
    finally:
        reporter.close()
    print(f"{made.package.parent}  {made.needs.machine}, glibc {made.glibc}, {made.size / 1e6:.0f} MB, sha256 {made.digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
