"""``serve``: artifacts as a read-only registry. As a systemd unit on masters; by hand wherever it helps."""

from __future__ import annotations

import logging
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from installer_stub.bundle.content import Sealed
from installer_stub.bundle.reader import Bundle
from installer_stub.errors import UsageError
from installer_stub.options import parse_port

_DEFAULT = "127.0.0.1:5000"  # cleartext should not leave this machine unless somebody says so


def define(parser: ArgumentParser, verb: str) -> None:
    """Add the options."""
    del verb
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--bundle", type=Path, action="append", default=[], metavar="FILE", help="an artifact; can be repeated; default: the running program itself")
    what.add_argument("--store", type=Path, metavar="DIR", help="a directory of artifacts (*.run), or an OCI layout made by extract")
    add_listening(parser)
    parser.epilog = (
        "examples:\n  ./{prog} serve\n  skopeo inspect --tls-verify=false docker://127.0.0.1:5000/registry.k8s.io/pause:3.10\n"
        "  ./{prog} serve --store /srv/bundles --listen [::]:5443 --tls-cert registry.crt --tls-key registry.key --credential login\n\n"
        "Ends on SIGTERM, after running answers. Under systemd: Type=simple, or Type=notify with NotifyAccess=all."
    )


def add_listening(parser: ArgumentParser) -> None:
    """Add the options of everything that serves artifacts; ``serve_sealed`` reads them."""
    parser.add_argument("--listen", default=_DEFAULT, metavar="ADDR:PORT", help=f"default {_DEFAULT}; all addresses: 0.0.0.0:5443 or [::]:5443")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate chain in PEM; without it, cleartext")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key in PEM")
    parser.add_argument("--credential", type=Path, metavar="FILE", help="serve only to clients that log in: user:password in the first line of a file of mode 0600")
    parser.add_argument("--become", type=int, metavar="UID", help="serve as this user and group, once the files that root alone can read are open")
    parser.add_argument("--json", action="store_true", help="say where it serves as one line of JSON")
    parser.add_argument("--verbose", action="store_true", help="log connections too")


def run(arguments: Namespace) -> int:
    """Serve until stopped."""
    from installer_stub.hostside.service import sealed_in

    if arguments.store is not None:
        return serve_sealed(sealed_in(arguments.store), arguments)
    return serve_sealed(tuple(Bundle.open(path) for path in arguments.bundle or [None]), arguments)


def serve_sealed(sealed: Sequence[Sealed], arguments: Namespace) -> int:
    """Serve ``sealed`` as the options of ``add_listening`` say, until stopped. Raises UsageError, BundleError, StoreError.

    A login is asked for over TLS, or on this machine alone (ADR 0009).
    """
    from installer_stub.hostside.credential import is_loopback, read_credential
    from installer_stub.hostside.service import serve, server_tls

    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.WARNING, format="%(levelname)s %(message)s")
    address = parse_address(arguments.listen)
    tls = server_tls(arguments.tls_cert, arguments.tls_key)
    credential = read_credential(arguments.credential) if arguments.credential is not None else None
    if credential is not None and tls is None and not is_loopback(address[0]):
        raise UsageError(
            f"--credential on {arguments.listen} without TLS: everybody on the way could read the login",
            f"add --tls-cert and --tls-key, or listen on {_DEFAULT}",
        )
    serve(sealed, address, tls, credential, become=arguments.become, json_events=arguments.json)
    return 0


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``ADDR:PORT``; port 0 lets the system choose. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise UsageError(f"{text!r} is not an address to listen on", "write 0.0.0.0:5443 or [::]:5443")
    return host.strip("[]"), 0 if port == "0" else parse_port(port)
