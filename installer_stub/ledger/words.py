"""``host ledger …`` and ``host undo``: the ledger's words on a host. What is asked comes as JSON from the standard input.

``host undo`` is for people too: at a host's own console, without the ``.run`` and without a network.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from installer_stub.changes.machine import Machine
from installer_stub.changes.things import Kind, Thing
from installer_stub.changes.values import WriteFile
from installer_stub.errors import Interrupted, LedgerDamaged, LedgerError, UsageError
from installer_stub.ledger.intact import damaged, mend, mendable
from installer_stub.ledger.ledger import Entry, Ledger
from installer_stub.ledger.log import read_what_can_be
from installer_stub.ledger.opening import open_ledger
from installer_stub.ledger.report import Left, Report
from installer_stub.ledger.sign import read_sign
from installer_stub.ledger.undo import Undo, undo_host
from installer_stub.ui.printable import say

MOST: Final = 128 << 20  # bytes of one request: a file of the most that is kept, in base64


def run(arguments: Namespace) -> int:
    """Do ``undo``, ``ledger show`` or ``ledger forget-lost``: the words for people. Raises LedgerError and UsageError."""
    if arguments.word == "undo":
        return _undo(arguments)
    return _show(arguments.state) if arguments.action == "show" else _forget_lost(arguments.state)


def answer(action: str, state: str, data: bytes) -> str:
    """Do an action whose request is the JSON in ``data``; return its answer as JSON. Raises LedgerError and UsageError."""
    request = _request(data)
    if action == "check":
        return _check(state)
    with Ledger.opened(Machine(), state) as ledger:
        return json.dumps(_ACTIONS[action](ledger, request))


def _undo(arguments: Namespace) -> int:
    if os.geteuid() != 0:
        raise UsageError("only root can undo what was changed on this host", "run it with sudo")
    if not arguments.yes:
        if not sys.stdin.isatty():
            raise UsageError("this removes the cluster from this host, and nobody can be asked here", "add --yes")
        if input("Remove the cluster from this host, and put back what was there before? [y/N] ").strip().lower() not in {"y", "yes"}:
            raise Interrupted("nothing was changed")
    try:
        report = undo_host(Machine(), state=arguments.state, abandon=arguments.abandon, say=lambda line: say(line, stream=sys.stderr))
    except LedgerDamaged as error:
        if not arguments.json:
            raise
        report = Report(left=[Left("ledger", error.problem, error.remedy)])  # whoever asked for it prints it
    say(report.to_json() if arguments.json else report.text())
    return 0 if report.complete else LedgerError.exit_code


def _show(state: str) -> int:
    path = Path(f"{state}/ledger/log")
    try:
        sign = read_sign(Machine().disk, state)
        data = path.read_bytes() if path.exists() or sign is None else b""
    except OSError as error:
        raise LedgerError(f"{error.filename or path} cannot be read: {error.strerror}", "see whether airseal changed this host at all: ls /var/lib/airseal") from error
    for line in read_what_can_be(data, sign):
        say(line)
    return 0


def _forget_lost(state: str) -> int:
    if os.geteuid() != 0:
        raise UsageError("only root can mend this host's ledger", "run it with sudo")
    with Ledger.opened(Machine(), state, forget_lost=True) as ledger:
        lost = ledger.what_is_lost
    say(f"going on, though {lost}: a reset leaves what they named as it is" if lost else "nothing of this host's ledger is lost")
    return 0


def _request(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data) if data.strip() else {}
    except ValueError as error:
        raise UsageError(f"the request is no JSON: {error}", "this word is for airseal's own use") from error
    if not isinstance(value, dict) or len(data) > MOST:
        raise UsageError("the request is no JSON object of a sensible size", "this word is for airseal's own use")
    return value


def _things(request: dict[str, Any]) -> list[Thing]:
    try:
        return [Thing(Kind(each["kind"]), str(each["name"])) for each in request["things"]]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"the request names no things: {error}", "this word is for airseal's own use") from error


def _open(ledger: Ledger, request: dict[str, Any]) -> object:
    begun = open_ledger(ledger, measure=request.get("measure") is True)
    mend(ledger)
    return {"begun": begun}


def _remember(ledger: Ledger, request: dict[str, Any]) -> object:
    open_ledger(ledger, measure=False)
    return {"noted": [str(thing) for thing in ledger.remember(_things(request))]}


def _write(ledger: Ledger, request: dict[str, Any]) -> object:
    open_ledger(ledger, measure=False)
    try:
        changes = [
            WriteFile(str(each["path"]), base64.b64decode(each["content"], validate=True), int(each["mode"])) for each in request["files"]
        ]
    except (KeyError, TypeError, ValueError):
        raise UsageError("the request describes no files", "this word is for airseal's own use") from None
    return {"changed": [change.path for change in changes if ledger.make(change)]}


def _done(ledger: Ledger, request: dict[str, Any]) -> object:
    ledger.done(_things(request))
    return {}


def _hold(ledger: Ledger, request: dict[str, Any]) -> object:
    facts = request.get("facts")
    if not isinstance(facts, dict) or not all(name and not set(name) & set(" \n") and isinstance(value, str) for name, value in facts.items()):
        raise UsageError("the request names no facts", "this word is for airseal's own use")
    open_ledger(ledger, measure=False)
    ledger.hold(facts)
    return {}


def _entries(ledger: Ledger, _request: dict[str, Any]) -> object:
    return {"entries": [_plain(entry) for entry in ledger.entries]}


def _check(state: str) -> str:
    """Look only: without the lock, and nothing is made, cut or signed."""
    ledger = Ledger(Machine(), state)
    ledger.load()
    lost = [{"name": left.name, "why": left.why} for left in damaged(ledger)]
    return json.dumps({"lost": lost, "mendable": list(mendable(ledger))})


def _plain(entry: Entry) -> dict[str, object]:
    return {
        "kind": entry.thing.kind.value,
        "name": entry.thing.name,
        "state": entry.state.value,
        "before": entry.before.to_json(),
    }


def _restore(ledger: Ledger, _request: dict[str, Any]) -> object:
    from installer_stub.ledger.containers import Processes

    report: Report = Undo(ledger, Processes(), lambda _line: None, frozenset()).entries_only()
    return json.loads(report.to_json())


_ACTIONS: Final[dict[str, Callable[[Ledger, dict[str, Any]], object]]] = {
    "open": _open,
    "remember": _remember,
    "write": _write,
    "done": _done,
    "hold": _hold,
    "entries": _entries,
    "restore": _restore,
}
