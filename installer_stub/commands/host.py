"""``host …``: what the installer asks the stub to do on a host. Stable for our own phases, not for people."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

from installer_stub.bundle.cluster_files import parse_cluster_manifest
from installer_stub.bundle.model import ClusterFile
from installer_stub.commands import host_keep, host_ledger, host_registry
from installer_stub.errors import BundleError, UsageError
from installer_stub.hostside.links import Link
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference

WORK_NEEDED = 10  # exit code of check-files


def define(parser: ArgumentParser, verb: str) -> None:
    """Add the words and their options."""
    del verb
    words = parser.add_subparsers(dest="word", metavar="WORD", required=True)
    for word, text in (
        ("fetch-files", "make a directory hold the cluster files; prints what changed as JSON"),
        ("check-files", f"the same, reading only; exit code 0: nothing to do, {WORK_NEEDED}: work is needed"),
    ):
        _define_files(words.add_parser(word, help=text, description=text))
    login = words.add_parser("new-credential", help="make the site registry's login with a random password, if it is not there; prints nothing")
    login.add_argument("--file", type=Path, required=True, metavar="FILE", help="made with mode 0600, kept if it is there")
    login.add_argument("--user", required=True, metavar="NAME")
    agent = words.add_parser("agent", help="serve one run of an installer over stdin and stdout, until it hangs up")
    agent.add_argument("--run", dest="run_id", required=True, metavar="ID", help="letters and digits")
    agent.add_argument("--marker", required=True, metavar="TEXT", help="the line after which frames begin")
    host_keep.define(words)
    host_registry.define(words)
    host_ledger.define(words)
    parser.epilog = "examples:\n  {prog} host issue-registry --ip 10.0.0.2 --ip 127.0.0.1 --dns localhost\n  {prog} host renew-registry"


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


def run(arguments: Namespace) -> int:
    """Do what the word says."""
    if arguments.word in host_keep.WORDS:
        return host_keep.run(arguments)
    if arguments.word in host_ledger.WORDS:
        return host_ledger.run(arguments)
    match arguments.word:
        case "fetch-files" | "check-files":
            return _files(arguments)
        case "new-credential":
            return _new_credential(arguments)
        case "agent":
            return _agent(arguments)
        case _:
            return host_registry.run(arguments)


def _files(arguments: Namespace) -> int:
    from installer_stub.hostside.credential import read_credential
    from installer_stub.hostside.fetch import fetch, outdated
    from installer_stub.hostside.links import LinkRule, missing_links
    from installer_stub.hostside.sources import BundleSource, RegistrySource, Source

    if not arguments.into.is_absolute():
        raise UsageError(f"--into {arguments.into} is not absolute", "write it from /")
    digest = Digest.parse(arguments.manifest)
    rules = [LinkRule.parse(text) for text in arguments.link]
    source: Source
    if arguments.bundle is not None:
        from installer_stub.bundle.reader import Bundle

        source = BundleSource(Bundle.open(arguments.bundle))
    else:
        repository = Reference.parse(arguments.reference).repository
        credential = read_credential(arguments.credential) if arguments.credential is not None else None
        source = RegistrySource(arguments.registry.split(","), repository, arguments.ca, credential)
    files = _listed(source.manifest(digest), digest)
    links = missing_links(files, arguments.into, rules)
    if arguments.word == "check-files":
        wanted = outdated(files, arguments.into)
        print(json.dumps({"needed": len(wanted) + len(links), "files": len(files), "bytes": sum(file.size for file in wanted)}))
        return WORK_NEEDED if wanted or links else 0
    fetched = fetch(files, arguments.into, source)
    _make_links(links, arguments.ledger)
    print(json.dumps({"changed": fetched.changed + len(links), "files": len(files), "bytes": fetched.bytes, "links": len(links)}))
    return 0


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


def _new_credential(arguments: Namespace) -> int:
    from installer_stub.hostside.credential import make_credential

    make_credential(arguments.file, arguments.user)
    return 0


def _agent(arguments: Namespace) -> int:
    from installer_stub.agent.agent import serve_stdio
    from installer_stub.agent.host_lease import HostLease
    from installer_stub.agent.place import place_of

    if not arguments.run_id.isalnum():
        raise UsageError(f"--run {arguments.run_id!r} is no name of a run", "letters and digits")
    with place_of(arguments.run_id):
        serve_stdio(arguments.marker, HostLease())
    return 0
