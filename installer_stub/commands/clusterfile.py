"""``init`` and ``apply``: a site's wanted state as a file."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from installer_stub.commands import install
from installer_stub.errors import UsageError
from installer_stub.options import InstallOptions, parse_port

_EXAMPLES = {
    "apply": """\
examples:
  ./{prog} apply -f Clusterfile
  ./{prog} apply -f Clusterfile --check    what install would do; changes nothing
  ./{prog} apply --schema > clusterfile.schema.json

Installs what the file asks for, or brings the site to it. A host that the file leaves out stays; remove takes it out.""",
    "init": """\
examples:
  ./{prog} init --master 10.0.0.2 --node 10.0.0.5,10.0.0.6 -o Clusterfile
  ./{prog} init --via 10.0.0.2 -o Clusterfile    of a site that is installed

Writes a Clusterfile with comments; to stdout without -o.""",
}


def define(parser: ArgumentParser, verb: str) -> None:
    """Add the options."""
    if verb == "apply":
        parser.add_argument("-f", "--file", type=Path, metavar="FILE", help="the Clusterfile")
        parser.add_argument("--schema", action="store_true", help="print the JSON schema of a Clusterfile, and do nothing else")
        parser.add_argument("--check", action="store_true", help="print what would be done, as plan does, and change nothing")
        install.define_login(parser)
        parser.add_argument("--kubeconfig", type=Path, default=Path("kubeconfig"), metavar="FILE", help="where the operator's copy goes (default ./kubeconfig)")
        install.define_values(parser)
        install.define_leftovers(parser)
        install.define_trust(parser)
    else:
        install.define_via(install.define_hosts(parser))
        install.define_login(parser)
        install.define_cluster(parser)
        parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write here; a file that is there stays")
    install.define_answers(parser)
    parser.epilog = _EXAMPLES[verb]


def run(arguments: Namespace) -> int:
    """Do it."""
    return _apply(arguments) if arguments.verb == "apply" else _init(arguments)


def _apply(arguments: Namespace) -> int:
    if arguments.schema:
        from installer_stub.clusterfile.schema import SCHEMA

        print(json.dumps(SCHEMA, indent=2))
        return 0
    if arguments.file is None:
        raise UsageError("no Clusterfile is named", "name one with -f; init writes one")
    from installer_stub.install import main

    return main(options_of(arguments))


def options_of(arguments: Namespace) -> InstallOptions:
    """Return the options that the file and the arguments mean. Raises UsageError with all that is wrong in the file."""
    from installer_stub.clusterfile.read import read

    wanted = read(arguments.file, user=arguments.user, port=parse_port(arguments.port))
    verb = "plan" if arguments.check else "install"
    options = install.parse(Namespace(**{**vars(arguments), "verb": verb, "master": [], "node": [], "via": [], "require": False}))
    return replace(
        options,
        hosts=tuple(sorted(wanted.hosts, key=lambda host: host.role.value)),
        pod_cidr=wanted.pods,
        service_cidr=wanted.services,
        access=wanted.access,
        certificate_validity=wanted.certificate_validity,
        wishes=wanted.wishes,
        settings=wanted.settings,
        dropped=wanted.dropped,
        values=replace(options.values, clusterfile=wanted.values),
        source=str(arguments.file),
    )


def _init(arguments: Namespace) -> int:
    options = install.parse(arguments)
    if options.via:
        from installer_stub.verbs.write_clusterfile import of_site

        text = of_site(options)
    else:
        from installer_stub.verbs.write_clusterfile import of_options

        text = of_options(options)
    if options.output is None:
        sys.stdout.write(text)
        return 0
    try:
        with options.output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{options.output} is there already; it was not changed", "give another name with -o") from None
    except OSError as error:
        raise UsageError(f"{options.output} cannot be written: {error.strerror}", "give another name with -o") from None
    print(f"{options.output} is written; change it, then apply it: apply -f {options.output}", file=sys.stderr)
    return 0
