"""``inspect``: what this file holds, in a few lines or as JSON."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from installer_stub.bundle import receipt as receipts
from installer_stub.bundle.coverage import signatures_json
from installer_stub.bundle.reader import Bundle
from installer_stub.commands.bundle_option import add_bundle_option
from installer_stub.ui.printable import json_text, printable, say
from installer_stub.ui.transfer import size as readable
from installer_stub.verbs.vouched import signature_facts, signature_lines

if TYPE_CHECKING:
    from installer_stub.bundle.documents import Needs
    from installer_stub.values.schema import Schema


def define(parser: ArgumentParser, verb: str) -> None:
    """Add the options."""
    del verb
    add_options(parser)
    add_bundle_option(parser)
    parser.epilog = "examples:\n  ./{prog} inspect\n  ./{prog} inspect --json | jq .kubernetes\n  ./{prog} inspect --values    what --set can set\n  ./{prog} inspect --bundle other.run"


def add_options(parser: ArgumentParser) -> None:
    """Add what does not depend on which file is meant."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--values", action="store_true", help="list what a site may set, by --set, --set-file and --values")


def run(arguments: Namespace) -> int:
    """Print it. Reads only the end of the file and its small documents."""
    with Bundle.open(arguments.bundle) as bundle:
        if arguments.values and not arguments.json:
            say(_values(bundle))
            return 0
        say(json_text(_facts(bundle), indent=1) if arguments.json else _text(bundle))
    return 0


def _facts(bundle: Bundle) -> dict[str, object]:
    info, receipt, needs, coverage = bundle.info, bundle.receipt, bundle.document.needs, bundle.coverage
    return {
        "name": info.name,
        "version": info.version,
        "kubernetes": info.kubernetes,
        "platforms": list(info.platforms),
        "airseal": info.airseal,
        "file": str(bundle.path),
        "size": bundle.size,
        "digest": str(bundle.digest),
        "content": str(bundle.content_digest),
        "images": len(bundle.images()),
        "imagesSize": info.images_size,
        "imagesUnpackedSize": info.images_unpacked_size,
        "filesSize": info.files_size,
        "stubSize": bundle.stub_size,
        "stubDigest": f"sha256:{bundle.stub_digest}",
        "needs": {"machine": needs.machine, "glibc": needs.glibc, "kernel": needs.kernel} if needs is not None else None,
        "signers": signature_facts(bundle, None)["signers"],
        "policy": signatures_json(coverage.signatures).get("signatures") if coverage is not None else None,
        "rehearsal": receipts.to_json(receipt) if receipt is not None else None,
        "commands": [command.text() for command in info.commands],
        "labels": dict(info.labels),
        "values": values_facts(_schema(bundle)),
    }


def values_facts(schema: Schema) -> list[dict[str, object]]:
    """Return what a site may set as JSON values; a secret's default is nobody's business."""
    return [
        {"path": field.path, "type": field.limits.kind, "required": field.required, "secret": field.secret, "description": field.description}
        | ({"default": json.loads(field.default)} if field.default is not None and not field.secret else {})
        for field in schema.fields
    ]


def _schema(bundle: Bundle) -> Schema:
    from installer_stub.values.sealed import schema_of

    return schema_of(bundle.cluster_files(), bundle.blobs)


def _values(bundle: Bundle) -> str:
    from installer_stub.values.schema import lines_of

    lines = list(lines_of(_schema(bundle)))
    head = f"what a site may set of {bundle.info.title}" if lines else f"{bundle.info.title} lets a site set nothing"
    return "\n".join(printable(line, lines=False) for line in [head, *lines])


def _needs(needs: Needs | None) -> str:
    if needs is None:
        return "nobody wrote down where: sealed by an airseal that did not say"
    return str(needs)


def _text(bundle: Bundle) -> str:
    info, receipt = bundle.info, bundle.receipt
    lines = [
        info.title,
        f"  Kubernetes  {info.kubernetes or 'none'} for {', '.join(info.platforms)}",
        f"  images      {bundle.lock.count.replace(' images', '', 1)}, {readable(info.images_size)} here, about {readable(info.images_unpacked_size)} on a host",
        f"  files       {len(bundle.cluster_files())}, {readable(info.files_size)} on a host",
        f"  file        {bundle.path}, {readable(bundle.size)} ({bundle.size} bytes)",
        f"  digest      {bundle.digest} of the bundle, which names every part by its own",
        f"  content     {bundle.content_digest}, the same whenever the same is built",
        f"  sealed by   airseal {info.airseal}",
        f"  starts on   {_needs(bundle.document.needs)}",
        *(f"  signed by   {line}" for line in signature_lines(bundle, None)),
        f"  proof       {receipt.line() if receipt is not None else 'none: sealed by an airseal that rehearsed nothing'}",
    ]
    if bundle.coverage is not None and (held := bundle.coverage.signatures) is not None:
        signed = sum(bool(each.key) for each in held.images)
        lines.append(f"  images held to the policy {held.policy}: {signed} signed, {len(held.images) - signed} need no signature")
        lines += [f"    {each}" for each in held.images]
    if receipt is not None:
        lines += [f"    allowed: {each}" for each in receipt.allowed] + [f"    note: {each}" for each in receipt.notes]
    if info.commands:
        lines.append("  commands on the first master")
        lines += [f"    {number}. {command.text()}" for number, command in enumerate(info.commands, 1)]
    # A line of a name or a command of others must not look like one of ours.
    return "\n".join(printable(line, lines=False) for line in lines)
