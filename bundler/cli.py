"""The command line of ``airseal``: which verb, which module knows it, and how it ended."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol, cast

from bundler.errors import BuildError, DiskFull, Interrupted, UsageError
from installer_stub.errors import InstallerError
from installer_stub.stopping import stoppable
from installer_stub.version import VERSION
from registry_snapshot.errors import RegistryError


@dataclass(frozen=True, slots=True)
class Verb:
    """A word of the command line, and the module in ``bundler.verbs`` of the same name that does it."""

    name: str
    help: str


VERBS: Final = (
    Verb("init", "write a first Kubefile for manifests, a kustomization or a chart"),
    Verb("doctor", "whether this machine can build, before anything is downloaded"),
    Verb("build", "build an artifact from a Kubefile"),
    Verb("seal", "seal again what a build recorded here, or sign a file: without docker, without a cluster"),
    Verb("push", "push a cluster image to a registry, with what was recorded of it"),
    Verb("pull", "pull a cluster image from a registry, with what was recorded of it if that is wanted"),
    Verb("login", "log in to a registry, and keep the login where docker keeps its own"),
    Verb("verify", "recompute every digest of a file, and ask whose it is; it is never executed"),
    Verb("inspect", "what a file or a cluster image holds, needs, and who signed it; it is never executed"),
    Verb("diff", "what is different between two files or cluster images: images, files, commands, who signed"),
    Verb("images", "the cluster images of this machine"),
    Verb("history", "a cluster image layer by layer: what each added, which line made it, which image it came from"),
    Verb("tag", "give a cluster image one more name"),
    Verb("rm", "take names of cluster images away"),
    Verb("save", "write a cluster image into a file that docker and skopeo read too"),
    Verb("load", "take cluster images out of a file: an OCI layout, or what docker save wrote"),
    Verb("base", "bases: what FROM can name"),
    Verb("coverage", "every image of an artifact, and why it is there; what was seen and is not"),
    Verb("record", "run a registry that fetches what it is asked for, and keep every image that was pulled"),
    Verb("serve", "serve recordings, OCI layouts or artifacts as a read-only registry"),
    Verb("cache", "what builds have left on this machine; take away what nobody needs"),
    Verb("snapshot", "list, verify and explain a recording"),
)
_HELP: Final = """\
usage: airseal VERB [OPTIONS]

Seal a whole Kubernetes application into one file that installs where there is no network.

verbs:
{verbs}

examples:
  airseal build -t shop:1.4.0 -o shop.run .
  airseal seal shop:1.4.0 -o shop.run --sign release.key
  airseal verify shop.run --trust allowed_signers
  airseal history shop:1.4.0
  airseal base list
  airseal record --into recording
  airseal serve recording --listen 0.0.0.0:5000

every verb has its own help: airseal VERB --help

exit codes: 0 done, 2 usage, 3 Kubefile or recipe, or a file that is altered or not trusted, 4 docker, 5 download, 6 image, 7 cluster, 8 recording, 9 disk full,
10 rehearsal, 11 signing, 12 an image is not signed as --require-signatures wants it, 13 no whole installer for the hosts, 130 stopped; any other: 1"""


class Command(Protocol):
    """A module of ``bundler.verbs``."""

    def define(self, parser: ArgumentParser) -> None:
        """Add the verb's options and examples."""

    def run(self, arguments: Namespace) -> int:
        """Do it and return the exit code. Raises BuildError, InstallerError, RegistryError."""


class _Parser(ArgumentParser):
    """An ArgumentParser whose complaints look like all other errors."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"{self.prog} --help")


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code. Never lets an exception out."""
    json = "--json" in argv
    try:
        with stoppable():
            return _dispatch(argv)
    except (BuildError, InstallerError, RegistryError) as error:
        return _report(error.problem, error.remedy, _exit_code(error), json=json)
    except KeyboardInterrupt:
        return _report("stopped", "run it again: everything that was fetched is kept", Interrupted.exit_code, json=json)
    except Exception as error:  # noqa: BLE001 - the edge of the program
        return _unforeseen(error, argv[0], json=json)


def _dispatch(argv: Sequence[str]) -> int:
    name = argv[0] if argv else ""
    if name in {"-h", "--help", "help"}:
        print(_HELP.format(verbs="\n".join(f"  {verb.name:9} {verb.help}" for verb in VERBS)))
        return 0
    if name in {"-V", "--version", "version"}:
        print(f"airseal {VERSION}")
        return 0
    verb = next((verb for verb in VERBS if verb.name == name), None)
    if verb is None:
        said = f"there is no verb {name[:40]!r}" if name else "there is no verb"
        raise UsageError(said, f"use one of {', '.join(verb.name for verb in VERBS)}; airseal --help says more")
    command = cast("Command", importlib.import_module(f"bundler.verbs.{verb.name}"))
    parser = _Parser(prog=f"airseal {name}", description=f"{verb.help}.", formatter_class=RawDescriptionHelpFormatter)
    command.define(parser)
    return command.run(parser.parse_args(argv[1:]))


def _exit_code(error: Exception) -> int:
    """Return the error's own code; a store that failed because its disk is full ends like every full disk."""
    code = int(getattr(error, "exit_code", 1))
    return DiskFull.exit_code if code == 1 and _is_full_disk(error.__cause__) else code


def _is_full_disk(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def _unforeseen(error: Exception, verb: str, *, json: bool) -> int:
    """Return the exit code for what none of our errors says: a full disk, a reader that went away, a bug."""
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    if isinstance(error, OSError) and _is_full_disk(error):
        where = error.filename or "the cache's file system"
        return _report(f"no space left: {where}", "free some space, or name another cache with --cache", DiskFull.exit_code, json=json)
    from installer_stub.crash import report_crash

    return report_crash(error, verb)


def _report(problem: str, remedy: str, code: int, *, json: bool) -> int:
    with suppress(OSError):
        sys.stdout.flush()
    if json:
        from installer_stub.ui.console import console

        console(json_events=True).event("error", problem, remedy=remedy, code=code)
    from installer_stub.ui.printable import say

    with suppress(OSError):
        say(f"error: {problem}" + (f"\nwhat to do: {remedy}" if remedy else ""), stream=sys.stderr)
    return code
