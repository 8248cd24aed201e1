"""``diff FILE``: what is different in this file, compared with another one."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path

from installer_stub.bundle.difference import Compared, Difference, compare
from installer_stub.bundle.reader import Bundle
from installer_stub.commands.bundle_option import add_bundle_option
from installer_stub.ui.printable import json_text, printable, say
from installer_stub.ui.transfer import size as readable

OTHER = 1  # exit code where --exit-code asks for it: as diff(1) and git have it


def define(parser: ArgumentParser, verb: str) -> None:
    """Add the options."""
    del verb
    parser.add_argument("before", type=Path, metavar="FILE", help="an artifact: what was there before")
    add_options(parser)
    add_bundle_option(parser)
    parser.epilog = (
        "examples:\n  ./{prog} diff old.run\n  ./{prog} diff old.run --json | jq -r '.differences[] | select(.kind == \"image\").name'\n\n"
        "It compares what the documents of both files say, each checked by its digest. Whether every byte of a file is right, verify says."
    )


def add_options(parser: ArgumentParser) -> None:
    """Add what does not depend on which file is meant."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--exit-code", action="store_true", help="end with 1 if the content is another one: what a site would get")


def run(arguments: Namespace) -> int:
    """Print it. Reads only the small documents of both files."""
    with Bundle.open(arguments.before) as before, Bundle.open(arguments.bundle) as after:
        found = compare(before, after)
        head = f"{before.info.title} ({before.path}) → {after.info.title} ({after.path})"
    if arguments.json:
        value = {
            "sameContent": found.same_content,
            "newBytes": found.new,
            "sharedBytes": found.shared,
            "differences": facts_of(found.differences),
        }
        say(json_text(value, indent=1))
    else:
        for line in (head, *_lines(found)):
            say(printable(line, lines=False))
    return OTHER if arguments.exit_code and not found.same_content else 0


def facts_of(differences: Iterable[Difference]) -> list[dict[str, str | None]]:
    """Return differences as JSON values."""
    return [{"kind": each.kind, "name": each.name, "before": each.before, "after": each.after} for each in differences]


def _lines(found: Compared) -> Iterator[str]:
    content = "the same content: a site takes one for the other" if found.same_content else "another content"
    yield f"  {content}; of its blobs {readable(found.new)} are new, {readable(found.shared)} in both"
    yield from lines_of(found.differences)


def lines_of(differences: Iterable[Difference]) -> Iterator[str]:
    """Yield the lines that show differences to a person."""
    for each in differences:
        sign = "+" if each.before is None else "-" if each.after is None else "~"
        yield f"  {sign} {each.kind:11} {each.name}"
        yield from (f"      {value}" for value in (each.before, each.after) if value not in {None, each.name})
