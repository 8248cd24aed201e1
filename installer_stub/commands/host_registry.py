"""``host …`` for the site registry's certificates."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path

from installer_stub.agent.words import Answer
from installer_stub.plan.model import REGISTRY_AUTHORITY, REGISTRY_CERTIFICATE, REGISTRY_KEY


def define(words: _SubParsersAction[ArgumentParser]) -> None:
    """Add the words and their options."""
    made = words.add_parser("new-authority", help="make the site registry's CA, if it is not there; prints nothing")
    made.add_argument("--next", action="store_true", help="the one after the present one, beside it, which is used after switch-authority")
    switched = words.add_parser("switch-authority", help="let the next CA be the present one, and issue the registry's certificate by it")
    issued = words.add_parser("issue-registry", help="issue the certificate of this master's registry, and make its key if it is not there")
    issued.add_argument("--ip", action="append", default=[], metavar="ADDRESS", help="can be repeated")
    issued.add_argument("--dns", action="append", default=[], metavar="NAME", help="can be repeated")
    renewed = words.add_parser("renew-registry", help="issue the next certificate when a third of its life is left; says what it did")
    for parser in (made, switched, issued, renewed):
        parser.add_argument("--authority", type=Path, default=Path(REGISTRY_AUTHORITY), metavar="DIR", help="where the CA's certificate and key are")
    for parser in (switched, issued, renewed):
        parser.add_argument("--key", type=Path, default=Path(REGISTRY_KEY), metavar="FILE", help="the registry's key; mode 0600")
        parser.add_argument("--cert", type=Path, default=Path(REGISTRY_CERTIFICATE), metavar="FILE", help="the registry's certificate")


def answer(arguments: Namespace, _stdin: bytes) -> Answer:
    """Do what the word says."""
    import datetime as dt

    from installer_stub.pki import authority, registry, succession

    now = dt.datetime.now(dt.UTC)
    if arguments.word == "new-authority":
        (succession.prepare if arguments.next else authority.make)(arguments.authority, now)
        return Answer()
    files = registry.RegistryFiles(arguments.authority, arguments.cert, arguments.key)
    if arguments.word == "switch-authority":
        succession.switch(arguments.authority)
        registry.issue_again(files, now)
        return Answer()
    if arguments.word == "issue-registry":
        registry.issue(files, arguments.ip, arguments.dns, dt.timedelta(days=registry.DAYS), now)
        return Answer()
    return Answer(out=f"{registry.renew(files, now)}\n")
