"""``host ledger`` and ``host undo``: their options. What does them is imported when they are used."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction
from typing import Final

from installer_stub.agent.words import Answer
from installer_stub.plan.model import STATE

WORDS: Final = ("ledger", "undo")
_FOR_PEOPLE: Final = ("show", "forget-lost")
_ACTIONS: Final = ("open", "remember", "write", "done", "hold", "entries", "restore", "check", *_FOR_PEOPLE)


def define(words: _SubParsersAction[ArgumentParser]) -> None:
    """Add both words."""
    text = (
        "what was changed on this host: show it, or go on where records of it are lost (forget-lost: a reset leaves what they named as it is); "
        "the other actions are for airseal's own use, their request is JSON from the standard input"
    )
    ledger = words.add_parser("ledger", help=text, description=text)
    ledger.add_argument("action", choices=_ACTIONS)
    ledger.add_argument("--state", default=STATE, metavar="DIR")
    text = "put this host back as it was before the installation, from its own ledger; needs no network"
    undo = words.add_parser("undo", help=text, description=text)
    undo.add_argument("--state", default=STATE, metavar="DIR")
    undo.add_argument("--abandon", action="append", default=[], metavar="NAME", help="leave this as it is; can be repeated")
    undo.add_argument("--yes", "-y", action="store_true", help="do not ask")
    undo.add_argument("--json", action="store_true", help="print the report as JSON")


def is_for_people(arguments: Namespace) -> bool:
    """Tell whether ``run`` does it."""
    return arguments.word == "undo" or arguments.action in _FOR_PEOPLE


def run(arguments: Namespace) -> int:
    """Do one of the words for people. Raises LedgerError and UsageError."""
    from installer_stub.ledger import words

    return words.run(arguments)


def answer(arguments: Namespace, stdin: bytes) -> Answer:
    """Do one of the others. Raises LedgerError and UsageError."""
    from installer_stub.ledger import words

    return Answer(out=f"{words.answer(arguments.action, arguments.state, stdin)}\n")
