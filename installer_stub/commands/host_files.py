"""``host fetch-files``, ``check-files`` and ``new-credential``: the cluster files of a host, and the registry's login."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from installer_stub.agent.words import Answer
from installer_stub.bundle.cluster_files import parse_cluster_manifest
from installer_stub.bundle.model import ClusterFile
from installer_stub.errors import BundleError, UsageError
from installer_stub.hostside.links import Link, LinkRule, missing_links
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference

if TYPE_CHECKING:
    from installer_stub.hostside.sources import Source

WORK_NEEDED: Final = 10  # exit code of check-files


def define(words: _SubParsersAction[ArgumentParser]) -> None:
    """Add the words and their options."""
    for word, text in (
        ("fetch-files", "make a directory hold the cluster files; prints what changed as JSON"),
        ("check-files", f"the same, reading only; exit code 0: nothing to do, {WORK_NEEDED}: work is needed"),
    ):
        _define_files(words.add_parser(word, help=text, description=text))
    login = words.add_parser("new-credential", help="make the site registry's login with a random password, if it is not there; prints nothing")
    login.add_argument("--file", type=Path, required=True, metavar="FILE", help="made with mode 0600, kept if it is there")
    login.add_argument("--user", required=True, metavar="NAME")


def _define_files(parser: ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--bundle", type=Path, metavar="FILE", help="take them from an artifact on this disk")
    source.add_argument("--registry", metavar="URL[,URL…]", help="take them from these registries, tried in order")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="CA certificates to trust, in PEM")
    parser.add_argument("--credential", type=Path, metavar="FILE", help="the registries' user:password; mode 0600")
    parser.add_argument("--reference", required=True, help="airseal.internal/cluster/NAME:VERSION")
    parser.add_argument("--manifest", required=True, metavar="DIGEST", help="digest of the cluster artifact's manifest")
    parser.add_argument("--into", type=Path, required=True, metavar="DIR")
    parser.add_argument("--link", action="append", default=[], metavar="SUB=DIR", help="bin=/usr/local/bin; can be repeated")
    parser.add_argument("--ledger", metavar="DIR", help="note links in the ledger below this directory before they are made")


def fetch_files(arguments: Namespace) -> int:
    """Do ``fetch-files``."""
    from installer_stub.hostside import checked
    from installer_stub.hostside.fetch import fetch

    digest, rules = _asked(arguments)
    with _source(arguments) as source:
        files = _listed(source.manifest(digest), digest)
        links = missing_links((file.path for file in files), arguments.into, rules)
        fetched = fetch(files, arguments.into, source)
    checked.remember(arguments.into, digest, checked.look(arguments.into, files))
    _make_links(links, arguments.ledger)
    print(json.dumps({"changed": fetched.changed + len(links), "files": len(files), "bytes": fetched.bytes, "links": len(links)}))
    return 0


def check_files(arguments: Namespace, _stdin: bytes) -> Answer:
    """Do ``check-files``. Files that were right since the host's start, and that nobody has touched, are not read again."""
    from installer_stub.hostside import checked
    from installer_stub.hostside.fetch import outdated

    digest, rules = _asked(arguments)
    known = checked.recall(arguments.into, digest)
    if known is not None:
        return _needed(missing_links(known, arguments.into, rules), (), len(known))
    with _source(arguments) as source:
        files = _listed(source.manifest(digest), digest)
    links = missing_links((file.path for file in files), arguments.into, rules)
    stamps = checked.look(arguments.into, files)  # before they are read: what changes meanwhile is seen the next time
    wanted = outdated(files, arguments.into)
    if not wanted:
        checked.remember(arguments.into, digest, stamps)
    return _needed(links, wanted, len(files))


def new_credential(arguments: Namespace, _stdin: bytes) -> Answer:
    """Do ``new-credential``."""
    from installer_stub.hostside.credential import make_credential

    make_credential(arguments.file, arguments.user)
    return Answer()


def _needed(links: tuple[Link, ...], wanted: tuple[ClusterFile, ...], count: int) -> Answer:
    said = json.dumps({"needed": len(wanted) + len(links), "files": count, "bytes": sum(file.size for file in wanted)})
    return Answer(WORK_NEEDED if wanted or links else 0, f"{said}\n")


def _asked(arguments: Namespace) -> tuple[Digest, tuple[LinkRule, ...]]:
    if not arguments.into.is_absolute():
        raise UsageError(f"--into {arguments.into} is not absolute", "write it from /")
    return Digest.parse(arguments.manifest), tuple(LinkRule.parse(text) for text in arguments.link)


@contextmanager
def _source(arguments: Namespace) -> Iterator[Source]:
    from installer_stub.hostside.sources import BundleSource, RegistrySource

    if arguments.bundle is not None:
        from installer_stub.bundle.reader import Bundle

        with Bundle.open(arguments.bundle) as bundle:
            yield BundleSource(bundle)
        return
    from installer_stub.hostside.credential import read_credential

    repository = Reference.parse(arguments.reference).repository
    credential = read_credential(arguments.credential) if arguments.credential is not None else None
    yield RegistrySource(arguments.registry.split(","), repository, arguments.ca, credential)


def _make_links(links: tuple[Link, ...], state: str | None) -> None:
    from installer_stub.hostside.links import make_links

    if state is None or not links:
        make_links(links)
        return
    from installer_stub.changes import values
    from installer_stub.changes.machine import Machine
    from installer_stub.ledger.ledger import Ledger

    with Ledger.opened(Machine(), state) as ledger:
        for link in links:
            ledger.make(values.Link(str(link.path), str(link.destination)))


def _listed(raw: bytes, digest: Digest) -> tuple[ClusterFile, ...]:
    if Digest.of(raw, digest.algorithm) != digest:
        raise BundleError(f"the manifest is not {digest}", "run verify on the artifact")
    return parse_cluster_manifest(raw)
