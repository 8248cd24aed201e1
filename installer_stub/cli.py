"""The command line: which verb, and which file knows it. A verb's module is imported when it is used, not before."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import signal
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, Protocol, cast

from installer_stub.errors import InstallerError, Interrupted, UsageError
from installer_stub.stopping import stoppable
from installer_stub.ui.printable import say
from installer_stub.version import VERSION
from registry_snapshot.errors import RegistryError


@dataclass(frozen=True, slots=True)
class Verb:
    """A word of the command line: what it does, and the module in ``installer_stub.commands`` that does it."""

    name: str
    module: str
    help: str  # empty: for our own use on hosts, not listed


VERBS: Final = (
    Verb("install", "install", "prepare the hosts and bring up the cluster and the application (default)"),
    Verb("check", "install", "look at the hosts and say what would stand in the way; changes nothing"),
    Verb("plan", "install", "say what an installation would do, host by host; changes nothing"),
    Verb("join", "install", "add hosts to a site that is installed"),
    Verb("remove", "remove", "take a host out of the cluster, also one that is lost"),
    Verb("status", "status", "say how the site is: hosts, etcd, certificates, registries, who is changing it"),
    Verb("logs", "logs", "collect what support needs from all hosts into one file, without secrets"),
    Verb("init", "clusterfile", "write a Clusterfile from options, or of a site that is installed"),
    Verb("apply", "clusterfile", "bring a site to what a Clusterfile asks for"),
    Verb("reset", "install", "put the hosts back as they were before the installation"),
    Verb("certs", "certs", "show when certificates end, or renew them"),
    Verb("serve", "serve", "serve the images of this file, or of others, as a registry"),
    Verb("inspect", "inspect", "say what this file holds"),
    Verb("images", "images", "list the images, and why each of them is here"),
    Verb("verify", "verify", "recompute every digest and reject any byte that belongs to nothing"),
    Verb("diff", "diff", "say what is different in this file, compared with another one"),
    Verb("extract", "extract", "unpack this file to a directory"),
    Verb("host", "host", ""),
)

_EXAMPLES = """\
examples:
  {prog} --master 10.0.0.2 --node 10.0.0.5,10.0.0.6
  {prog} check --master 10.0.0.2,10.0.0.3,10.0.0.4 --user admin --ask-become-pass
  {prog} verify

every verb has its own help: {prog} VERB --help"""


class Command(Protocol):
    """A module of ``installer_stub.commands``."""

    def define(self, parser: ArgumentParser, verb: str) -> None:
        """Add the verb's options and examples."""

    def run(self, arguments: Namespace) -> int:
        """Do it and return the exit code. Raises InstallerError, RegistryError."""


class _Parser(ArgumentParser):
    """An ArgumentParser whose complaints are UsageErrors, so that all errors look alike."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"{self.prog} --help")


def main(argv: Sequence[str]) -> int:
    """Run the program and return its exit code: 0, that of the error (``installer_stub.errors``), or 130 when stopped."""
    verb = "?"
    try:
        with stoppable():
            verb, rest = _verb(argv)
            return _dispatch(verb, rest)
    except (InstallerError, RegistryError) as error:
        return _report(error.problem, error.remedy, getattr(error, "exit_code", 1))
    except KeyboardInterrupt:
        return _report("stopped", "run the same command again: it goes on where it was", Interrupted.exit_code)
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        return _operating_system(error, verb)
    except Exception as error:  # noqa: BLE001 - the edge of the program
        from installer_stub.crash import report_crash

        return report_crash(error, verb)


def _verb(argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the verb and what follows it. Options without a verb are an installation."""
    if not argv or argv[0] in {"-h", "--help", "help"}:
        return "help", ()
    if argv[0] in {"-V", "--version"}:
        return "version", ()
    return ("install", argv) if argv[0].startswith("-") else (argv[0], argv[1:])


def _dispatch(name: str, rest: Sequence[str]) -> int:
    prog = Path(sys.argv[0]).name if getattr(sys, "frozen", False) else "airseal-stub"
    if name == "help":
        print(_help(prog), flush=True)
        return 0
    if name == "version":
        print(f"airseal {VERSION}", flush=True)
        return 0
    verb = next((verb for verb in VERBS if verb.name == name), None)
    if verb is None:
        raise UsageError(f"there is no verb {name[:40]!r}", f"use one of {', '.join(verb.name for verb in VERBS if verb.help)}")
    command = cast("Command", importlib.import_module(f"installer_stub.commands.{verb.module}"))
    parser = _Parser(prog=f"{prog} {name}", description=verb.help, formatter_class=RawDescriptionHelpFormatter)
    command.define(parser, name)
    parser.epilog = (parser.epilog or "").replace("{prog}", prog)
    code = command.run(parser.parse_args(rest, Namespace(verb=name)))
    sys.stdout.flush()
    return code


def _help(prog: str) -> str:
    lines = [f"usage: {prog} [VERB] [OPTIONS]", "", "Kubernetes and an application in one file, for sites without a network.", "", "verbs:"]
    lines += [f"  {verb.name:9} {verb.help}" for verb in VERBS if verb.help]
    return "\n".join([*lines, "", _EXAMPLES.replace("{prog}", f"./{prog}")])


# What a disk, a stick or a file system of the operator's machine does. Any other number is a mistake of ours.
_DISKS: Final = {
    errno.EIO: "the disk or stick does not answer (dmesg): put it back, or copy the file to another one",
    errno.ENODEV: "the disk or stick is gone: put it back",
    errno.ENXIO: "the disk or stick is gone: put it back",
    errno.ESTALE: "the network file system lost the file: mount it again",
    errno.ENOSPC: "the disk is full: free some space, or work in another directory",
    errno.EDQUOT: "the quota is used up: free some space, or work in another directory",
    errno.EROFS: "it is mounted read-only: work in another directory",
    errno.EACCES: "check the permissions, or work in another directory",
    errno.EPERM: "check the permissions, or work in another directory",
    errno.ENOTCONN: "the file system lost its connection: mount it again",
}


def _operating_system(error: OSError, verb: str) -> int:
    remedy = _DISKS.get(error.errno or 0)
    if remedy is None:
        from installer_stub.crash import report_crash

        return report_crash(error, verb)
    where = f"{error.filename}: " if error.filename else ""
    notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
    return _report(f"this machine: {where}{error.strerror}", f"{remedy}; then run the same command again: it goes on from there{notes}", 1)


def _report(problem: str, remedy: str, code: int) -> int:
    text = f"error: {problem}\n" + (f"what to do: {remedy}\n" if remedy else "")
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        say(text, stream=sys.stderr, end="")
    return code
