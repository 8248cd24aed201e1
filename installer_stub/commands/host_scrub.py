"""``host scrub``: what the timer on masters asks of the stub, about the artifacts that their registry serves."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path
from typing import Final

from installer_stub.plan.model import STATE
from installer_stub.scrub import PACE

DAMAGED: Final = 4  # exit code: so that systemd counts the unit as failed


def define(words: _SubParsersAction[ArgumentParser]) -> None:
    """Add the word and its options."""
    text = "read the artifacts of this master again, from the disk and slowly; what is damaged is written down and not served any more"
    scrub = words.add_parser("scrub", help=text, description=f"{text}. Exit code {DAMAGED}: something is damaged.")
    scrub.add_argument("--store", type=Path, default=Path(STATE) / "bundles", metavar="DIR", help="where the artifacts (*.run) are")
    scrub.add_argument("--pace", type=int, default=PACE, metavar="MIB", help=f"so many MiB a second at the most (default {PACE})")


def run(arguments: Namespace) -> int:
    """Do it. Prints a line of JSON for each artifact."""
    from installer_stub.scrub.scrub import scrub
    from installer_stub.ui.printable import say

    found = scrub(arguments.store, pace=max(arguments.pace, 1) << 20)
    for artifact, damage in found.items():
        said = {"artifact": str(artifact), "whole": damage is None}
        say(json.dumps(said if damage is None else {**said, "damage": str(damage), "entries": list(damage.entries)}))
    return DAMAGED if any(found.values()) else 0
