"""``host …``: what the installer asks the stub to do on a host. Stable for our own phases, not for people."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from installer_stub.commands import host_files, host_keep, host_ledger, host_registry, host_scrub, host_words
from installer_stub.errors import UsageError


def define(parser: ArgumentParser, verb: str) -> None:
    """Add the words and their options."""
    del verb
    words = parser.add_subparsers(dest="word", metavar="WORD", required=True)
    host_files.define(words)
    agent = words.add_parser("agent", help="serve one run of an installer over stdin and stdout, until it hangs up")
    agent.add_argument("--run", dest="run_id", required=True, metavar="ID", help="letters and digits")
    agent.add_argument("--marker", required=True, metavar="TEXT", help="the line after which frames begin")
    host_keep.define(words)
    host_registry.define(words)
    host_ledger.define(words)
    host_scrub.define(words)
    parser.epilog = "examples:\n  {prog} host issue-registry --ip 10.0.0.2 --ip 127.0.0.1 --dns localhost\n  {prog} host renew-registry"


def run(arguments: Namespace) -> int:
    """Do what the word says."""
    if host_words.is_answered(arguments):
        return host_words.run(arguments)
    if arguments.word in host_ledger.WORDS:
        return host_ledger.run(arguments)
    match arguments.word:
        case "fetch-files":
            return host_files.fetch_files(arguments)
        case "agent":
            return _agent(arguments)
        case "scrub":
            return host_scrub.run(arguments)
        case _:
            return host_keep.run(arguments)


def _agent(arguments: Namespace) -> int:
    from installer_stub.agent.agent import serve_stdio
    from installer_stub.agent.host_lease import HostLease
    from installer_stub.agent.place import place_of

    if not arguments.run_id.isalnum():
        raise UsageError(f"--run {arguments.run_id!r} is no name of a run", "letters and digits")
    with place_of(arguments.run_id):
        serve_stdio(arguments.marker, HostLease(), host_words.answer)
    return 0
