"""The command line of ``airseal``: parse, do, say how it ended. Heavy imports wait until a verb needs them."""

from __future__ import annotations

import errno
import os
import signal
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter, _SubParsersAction
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from bundler.errors import BuildError, DiskFull, Interrupted, UsageError
from installer_stub.errors import InstallerError
from installer_stub.stopping import stoppable
from installer_stub.version import VERSION
from registry_snapshot.errors import RegistryError

_DESCRIPTION: Final = "Seal a whole Kubernetes application into one file that installs where there is no network."
_EXAMPLES: Final = """\
examples:
  airseal build -t shop:1.4.0 -o shop.run .
  airseal build -t shop:1.4.0 -o shop.run --build-arg TAG=1.4.0 --mirror docker.io=https://mirror.example.com shop/
  airseal base list
  airseal base pin kubernetes:v1.36.3 --write v1.36.3.sha256

exit codes: 0 done, 2 usage, 3 Kubefile or recipe, 4 docker, 5 download, 6 image, 7 cluster, 8 recording, 9 disk full,
130 stopped; any other: 1"""
_BUILD: Final = """\
examples:
  airseal build -t shop:1.4.0 -o shop.run .
  airseal build -t shop:1.4.0 -o shop.run -f deploy/Kubefile --build-arg TAG=1.4.0 .
  airseal build -t shop:1.4.0 -o shop.run --mirrors mirrors.yaml --ca corporate-root.pem --json .

Docker's own builder makes the cluster image; a temporary cluster in one privileged container runs the application, and
every image that it pulls is recorded. The registries' logins are docker's own."""


class _Parser(ArgumentParser):
    """An ArgumentParser whose complaints look like all other errors."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"{self.prog} --help")


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code. Never lets an exception out."""
    json = "--json" in argv
    try:
        with stoppable():
            return _dispatch(_parser().parse_args(argv))
    except (BuildError, InstallerError, RegistryError) as error:
        return _report(error.problem, error.remedy, getattr(error, "exit_code", 1), json=json)
    except KeyboardInterrupt:
        return _report("stopped", "run it again: everything that was fetched is kept", Interrupted.exit_code, json=json)
    except Exception as error:  # noqa: BLE001 - the edge of the program
        return _unforeseen(error, json=json)


def _unforeseen(error: Exception, *, json: bool) -> int:
    """Return the exit code for what none of our errors says: a full disk, a reader that went away, a bug."""
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        where = error.filename or "the cache's file system"
        return _report(f"no space left: {where}", "free some space, or name another cache with --cache", DiskFull.exit_code, json=json)
    from installer_stub.crash import report_crash

    return report_crash(error, "build")


def _dispatch(arguments: Namespace) -> int:
    action: Callable[[Namespace], int] = arguments.action
    return action(arguments)


def _parser() -> ArgumentParser:
    parser = _Parser(prog="airseal", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--version", "-V", action="version", version=f"airseal {VERSION}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    _define_build(verbs)
    _define_base(verbs)
    return parser


def _define_build(verbs: _SubParsersAction[_Parser]) -> None:
    build = verbs.add_parser(
        "build", help="build an artifact from a Kubefile", epilog=_BUILD, formatter_class=RawDescriptionHelpFormatter
    )
    build.set_defaults(action=_build)
    build.add_argument("context", type=Path, metavar="CONTEXT_DIR", help="the directory that holds what the Kubefile copies")
    build.add_argument("-t", "--tag", required=True, metavar="NAME:VERSION", help="what the artifact is called")
    build.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="where the artifact goes, for example shop.run")
    build.add_argument("-f", "--file", type=Path, metavar="KUBEFILE", help="the Kubefile (default CONTEXT_DIR/Kubefile)")
    build.add_argument("--build-arg", action="append", default=[], metavar="K=V", help="a value for an ARG of the Kubefile; may be repeated")
    build.add_argument("--platform", default="linux/amd64", metavar="OS/ARCH", help="what hosts are (default linux/amd64)")
    _add_sources(build)
    record = build.add_argument_group("recording")
    record.add_argument("--docker-config", type=Path, metavar="DIR", help="where docker's config.json with the registries' logins is (default ~/.docker)")
    record.add_argument("--build-host-image", default="", metavar="REF", help="an image with systemd for the temporary host, instead of ours")
    record.add_argument("--settle-timeout", type=float, default=900, metavar="S", help="how long workloads may take to become ready (default 900)")
    record.add_argument("--quiet-period", type=float, default=10, metavar="S", help="how long nothing may be pulled before the recording ends (default 10)")
    record.add_argument("--keep-cluster", action="store_true", help="leave the temporary cluster running, to look at it")
    build.add_argument("--runtime", choices=("auto", "portable", "host"), default="auto", help="Python of the frozen installer: portable starts on glibc 2.17 and newer, host only where glibc is as new as here, auto is portable if it can be built (default auto)")
    build.add_argument("--json", action="store_true", help="print events as JSON, one a line")


def _define_base(verbs: _SubParsersAction[_Parser]) -> None:
    base = verbs.add_parser("base", help="bases: what FROM can name", formatter_class=RawDescriptionHelpFormatter)
    actions = base.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the bases there are recipes for")
    listing.set_defaults(action=_base_list)
    make = actions.add_parser("build", help="download, verify and build a base now")
    make.set_defaults(action=_base_build)
    pin = actions.add_parser("pin", help="write the SHA-256 of everything that a base downloads")
    pin.set_defaults(action=_base_pin)
    pin.add_argument("--write", type=Path, metavar="FILE", help="where to (default: standard output)")
    for action in (make, pin):
        action.add_argument("name", metavar="NAME", help="for example kubernetes:v1.36.3")
        action.add_argument("--platform", default="linux/amd64", metavar="OS/ARCH", help="default linux/amd64")
        _add_sources(action)
    for action in (listing, make, pin):
        action.add_argument("--json", action="store_true", help="print events as JSON, one a line")


def _add_sources(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("where things come from")
    group.add_argument("--mirrors", type=Path, metavar="FILE", help="a YAML file of mirrors for registries and downloads, and of CAs")
    group.add_argument("--mirror", action="append", default=[], metavar="NAME=URL", help="one mirror: a registry's name or a URL prefix; may be repeated")
    group.add_argument("--ca", action="append", default=[], type=Path, metavar="FILE", help="trust this authority too; may be repeated")
    group.add_argument("--pins", type=Path, metavar="FILE", help="SHA-256 sums that downloads of bases must have, before all others (airseal base pin writes such a file)")
    group.add_argument("--cache", type=Path, metavar="DIR", help="where everything fetched is kept (default $AIRSEAL_CACHE or ~/.cache/airseal)")


def _build(arguments: Namespace) -> int:
    from bundler.commands import build_artifact

    return build_artifact(arguments)


def _base_list(arguments: Namespace) -> int:
    from bundler.commands import list_bases

    return list_bases(arguments)


def _base_build(arguments: Namespace) -> int:
    from bundler.commands import build_base

    return build_base(arguments)


def _base_pin(arguments: Namespace) -> int:
    from bundler.commands import pin_base

    return pin_base(arguments)


def _report(problem: str, remedy: str, code: int, *, json: bool) -> int:
    with suppress(OSError):
        sys.stdout.flush()
    if json:
        from installer_stub.ui.console import console

        console(json_events=True).event("error", problem, remedy=remedy, code=code)
    with suppress(OSError):
        sys.stderr.write(f"error: {problem}\n" + (f"what to do: {remedy}\n" if remedy else ""))
        sys.stderr.flush()
    return code
