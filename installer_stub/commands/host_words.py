"""``host …`` words that answer at once: for whoever starts the stub for one of them, and for an agent that is asked."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, NoReturn

from installer_stub.agent.words import MOST_STDIN, Answer
from installer_stub.commands import host_files, host_keep, host_ledger, host_registry
from installer_stub.errors import UsageError
from installer_stub.ui.printable import say

_ANSWERS: Final[dict[str, Callable[[Namespace, bytes], Answer]]] = {
    "ledger": host_ledger.answer,
    "keep": host_keep.keep,
    "certificates": host_keep.certificates,
    "check-files": host_files.check_files,
    "new-credential": host_files.new_credential,
    "new-authority": host_registry.answer,
    "switch-authority": host_registry.answer,
    "issue-registry": host_registry.answer,
    "renew-registry": host_registry.answer,
}


def is_answered(arguments: Namespace) -> bool:
    """Tell whether this module does the word, and not a module for people."""
    return arguments.word in _ANSWERS and not (arguments.word in host_ledger.WORDS and host_ledger.is_for_people(arguments))


def run(arguments: Namespace) -> int:
    """Answer the word to stdout and stderr; a request comes from stdin."""
    stdin = sys.stdin.buffer.read(MOST_STDIN + 1) if arguments.word == "ledger" else b""
    answer = _ANSWERS[arguments.word](arguments, stdin)
    say(answer.out, end="")
    say(answer.err, stream=sys.stderr, end="")
    return answer.status


def answer(argv: Sequence[str], stdin: bytes) -> Answer:
    """Answer the word that ``argv`` spells, for an agent. Raises what the word raises, and UsageError."""
    arguments = _parser().parse_args(argv)
    if not is_answered(arguments):
        raise UsageError(f"{argv[0]!r} is no word that an agent answers", "start the stub for it")
    return _ANSWERS[arguments.word](arguments, stdin)


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, "this word is for airseal's own use")


@cache
def _parser() -> ArgumentParser:
    from installer_stub.commands import host

    parser = _Parser(prog="host", add_help=False)
    host.define(parser, "host")
    return parser
