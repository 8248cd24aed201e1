"""``doctor``: whether this machine can build."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

_PATIENCE = 5.0  # seconds without an answer of the engine: one that is there takes a tenth of one
_EPILOG = """\
examples:
  airseal doctor
  airseal doctor --json | jq -r '.examined[] | select(.answer != "yes").what'

Downloads nothing; in docker it makes a network for a moment, to see where docker's networks are. Exit code 0: nothing speaks against a build; 4: something does."""


def define(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="the cache of the build (default $AIRSEAL_CACHE or ~/.cache/airseal)")


def run(arguments: Namespace) -> int:
    """Examine, and say everything that was found."""
    import os
    from contextlib import closing

    from bundler.doctor.examine import Answer, Examined, of_clients, of_engine, of_machine, of_way
    from bundler.engine import Engine
    from bundler.errors import BuildError
    from bundler.lab.way import Way, find
    from bundler.options import cache_directory
    from installer_stub.ui.printable import json_text, printable, say

    root = ""
    try:
        with closing(Engine.connect(_PATIENCE)) as engine:
            info = engine.info()
            way = Way.RELAY

            def look() -> Way:
                nonlocal way
                way = find(engine)
                return way

            found = (*of_engine(info), of_way(look))
        root = str(info.get("DockerRootDir", "")) if way is Way.DIRECT else ""
    except BuildError as error:
        found = (Examined("a docker engine", Answer.NO, error.problem, error.remedy),)
    config = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    found += (of_clients(os.environ, config), *of_machine(cache_directory(arguments.cache), root))
    if arguments.json:
        say(json_text({"examined": [{"what": each.what, "answer": each.answer, "found": each.found, "remedy": each.remedy} for each in found]}, indent=1))
    else:
        for each in found:
            for line in each.line().splitlines():
                say(printable(line, lines=False))
    return 4 if any(each.answer is Answer.NO for each in found) else 0
