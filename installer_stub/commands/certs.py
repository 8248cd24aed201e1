"""``certs``: parse, then hand over."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from installer_stub.commands.bundle_option import add_bundle_option
from installer_stub.commands.install import define_hosts, define_login
from installer_stub.errors import UsageError
from installer_stub.host.model import Role
from installer_stub.options import (
    InstallOptions,
    Verb,
    check_hosts,
    parse_host_keys,
    parse_hosts,
    parse_port,
    require_master,
)

_EXAMPLES = """\
examples:
  ./{prog} certs --master 10.0.0.2 --node 10.0.0.5,10.0.0.6
  ./{prog} certs show --master 10.0.0.2 --within 90 --json
  ./{prog} certs renew --master 10.0.0.2,10.0.0.3,10.0.0.4 --node 10.0.0.5
  ./{prog} certs kubeconfig --master 10.0.0.2 --kubeconfig ./site.conf
  ./{prog} certs rotate-registry --master 10.0.0.2    any host of the site leads to all of it

Masters renew certificates by themselves at half of their life, also after a long time without power. renew does it now,
helps nodes that were without power until their certificate had ended, and writes the operator's kubeconfig anew.
kubeconfig does that alone: it is a copy, and ends on its own day.
rotate-registry gives the site's registries another CA while they run; cut, or with hosts that were off, run it again.
Exit code of show: 0, or 11 when something has ended or ends soon, or a host did not answer."""


def define(parser: ArgumentParser, verb: str) -> None:
    """Add the options."""
    del verb
    parser.add_argument("action", nargs="?", choices=("show", "renew", "kubeconfig", "rotate-registry"), default="show", help="default: show")
    define_hosts(parser)
    define_login(parser)
    parser.add_argument("--kubeconfig", type=Path, default=Path("kubeconfig"), metavar="FILE", help="the operator's copy (default ./kubeconfig)")
    parser.add_argument("--within", metavar="DAYS", help="what soon means (default 60 days, or a quarter of a shorter life)")
    parser.add_argument("--yes", "-y", action="store_true", help="answer yes to every question; a host key seen for the first time needs a person, or --host-key")
    parser.add_argument("--json", action="store_true", help="print events as JSON, one a line")
    add_bundle_option(parser)
    parser.epilog = _EXAMPLES


def run(arguments: Namespace) -> int:
    """Parse what argparse could not, and go."""
    from installer_stub.verbs import certs

    options = parse(arguments)
    if arguments.action == "renew":
        require_master(options.hosts)
        return certs.renew(options)
    if arguments.action == "kubeconfig":
        return certs.kubeconfig(options)
    if arguments.action == "rotate-registry":
        from installer_stub.verbs import rotate_registry

        return rotate_registry.main(options)
    return certs.show(options, within=_within(arguments.within))


def parse(arguments: Namespace) -> InstallOptions:
    """Return the options that the arguments mean. Raises UsageError."""
    port = parse_port(arguments.port)
    masters = parse_hosts(arguments.master, Role.MASTER, user=arguments.user, port=port)
    nodes = parse_hosts(arguments.node, Role.NODE, user=arguments.user, port=port)
    if not masters + nodes:
        raise UsageError("no host is named", "add --master, and --node, with the addresses of the hosts")
    return InstallOptions(
        verb=Verb.CERTS,
        hosts=check_hosts(masters + nodes),
        identity=arguments.identity,
        known_hosts=arguments.known_hosts,
        host_keys=parse_host_keys(arguments.host_key, arguments.host_keys),
        ask_pass=arguments.ask_pass,
        ask_become_pass=arguments.ask_become_pass,
        pod_cidr=None,
        service_cidr=None,
        kubeconfig=arguments.kubeconfig,
        yes=arguments.yes,
        json=arguments.json,
        bundle=arguments.bundle,
    )


def _within(text: str | None) -> float | None:
    """Return the seconds of a number of days, or None for none. Raises UsageError."""
    if text is None:
        return None
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days <= 36500:
        raise UsageError(f"--within {text[:20]!r} is no number of days", "write --within 60")
    return days * 86400
