"""``verify``: recompute everything that this file says about itself. Needs no network and changes nothing."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from installer_stub.bundle.beside import of_this_file
from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.remembered import remember
from installer_stub.commands.bundle_option import add_bundle_option
from installer_stub.commands.trust_option import add_trust_option
from installer_stub.ui.printable import json_text, printable, say
from installer_stub.ui.transfer import size as readable
from installer_stub.verbs.vouched import signature_facts, signature_lines, trusted


def define(parser: ArgumentParser, verb: str) -> None:
    """Add the options."""
    del verb
    add_options(parser)
    add_bundle_option(parser)
    parser.epilog = (
        "examples:\n  ./{prog} verify\n  ./{prog} verify --bundle /media/usb/shop.run\n  ./{prog} verify --bundle /media/usb/shop.run --trust allowed_signers\n\n"
        "Compare the sha256 that it prints with the sender's: a program that somebody altered can say of itself what it likes. Exit code 3: altered, or not trusted,\nor FILE.sha256 or FILE.sig beside it is of another file."
    )


def add_options(parser: ArgumentParser) -> None:
    """Add what does not depend on which file is meant."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_trust_option(parser)


def run(arguments: Namespace) -> int:
    """Ask first whose it is, which takes no time; then verify, with the share that is done on a terminal."""
    with Bundle.open(arguments.bundle) as bundle:
        begun = time.monotonic()
        found = trusted(bundle, arguments.trust, arguments.principal)
        verified = bundle.verify(_progress(bundle.size) if sys.stderr.isatty() and not arguments.json else None)
        seconds = time.monotonic() - begun
        beside = of_this_file(bundle.path, verified.sha256)
        remember(bundle, verified)
        title, path = bundle.info.title, str(bundle.path)
        signed, facts = signature_lines(bundle, found), signature_facts(bundle, found)
    if arguments.json:
        sums = {"digest": str(verified.digest), "sha256": verified.sha256, "size": verified.size, "entries": verified.entries, "beside": list(beside)}
        say(json_text({"ok": True, "file": path, "bundle": title, **sums, **facts}))
        return 0
    say(f"{title} is whole: {verified.entries} entries, {readable(verified.size)} in {seconds:.1f} s\n  digest  {verified.digest}\n  sha256  {verified.sha256} of the file")
    for name in beside:
        say(f"  beside  {printable(name, lines=False)}, which is of this file")
    for line in signed:
        say(f"  signed  {printable(line, lines=False)}")
    return 0


def _progress(total: int) -> Callable[[int], None]:
    done = 0
    shown = -1

    def moved(count: int) -> None:
        nonlocal done, shown
        done += count
        percent = done * 100 // total
        if percent != shown:
            shown = percent
            sys.stderr.write(f"\rverifying {percent:3} %" + ("\r\033[K" if done >= total else ""))
            sys.stderr.flush()

    return moved
