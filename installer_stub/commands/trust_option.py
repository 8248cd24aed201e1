"""``--trust`` and ``--as``: whose signature an artifact must carry, for every verb that can ask."""

from __future__ import annotations

from argparse import Namespace, _ActionsContainer
from pathlib import Path

from installer_stub.options import UNSIGNED, Trust


def add_trust_option(parser: _ActionsContainer) -> None:
    """Add the options."""
    parser.add_argument("--trust", action="append", default=[], type=Path, metavar="FILE", help="it must be signed by a key in this file: OpenSSH's allowed signers, or a public key; may be repeated")
    parser.add_argument("--as", dest="principal", metavar="NAME", help="and that key must be allowed to sign as this name (ssh-keygen -Y verify has -I for that)")


def add_accept_option(parser: _ActionsContainer) -> None:
    """Add ``--accept-publisher``, for verbs that change a site."""
    parser.add_argument("--accept-publisher", default="", metavar="SHA256:…", help=f"the file is signed by this key, and no longer by those that signed what is installed; {UNSIGNED}: by nobody. The site remembers it from then on")


def trust_of(arguments: Namespace) -> Trust:
    """Return what the arguments say; verbs without these options ask nobody."""
    return Trust(tuple(getattr(arguments, "trust", ())), getattr(arguments, "principal", None), getattr(arguments, "accept_publisher", ""))
