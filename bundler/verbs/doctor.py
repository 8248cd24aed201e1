"""``doctor``: whether this machine can build."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

_EPILOG = """\
examples:
  airseal doctor
  airseal doctor --json | jq -r '.examined[] | select(.answer != "yes").what'

Downloads nothing and changes nothing. Exit code 0: nothing speaks against a build; 4: something does."""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="the cache of the build (default $AIRSEAL_CACHE or ~/.cache/airseal)")


def run(arguments: Namespace) -> int:
    """Examine, and say everything that was found."""
    import os
    from contextlib import closing

    from bundler.doctor.examine import Answer, Examined, of_engine, of_machine
    from bundler.engine import Engine
    from bundler.errors import BuildError
    from bundler.options import cache_directory
    from installer_stub.ui.printable import json_text, printable, say

    root = ""
    try:
        with closing(Engine.connect()) as engine:
            info = engine.info()
        found = of_engine(info, os.environ.get("DOCKER_HOST", ""))
        root = str(info.get("DockerRootDir", ""))
    except BuildError as error:
        found = (Examined("a docker engine", Answer.NO, error.problem, error.remedy),)
    found += of_machine(cache_directory(arguments.cache), root)
    if arguments.json:
        say(json_text({"examined": [{"what": each.what, "answer": each.answer, "found": each.found, "remedy": each.remedy} for each in found]}, indent=1))
    else:
        for each in found:
            for line in each.line().splitlines():
                say(printable(line, lines=False))
    return 4 if any(each.answer is Answer.NO for each in found) else 0
