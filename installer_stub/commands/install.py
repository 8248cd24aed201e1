"""``install``, ``join``, ``check``, ``plan``, ``reset``: parse, then hand over to the installer."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _ArgumentGroup
from pathlib import Path

from installer_stub.commands.bundle_option import add_bundle_option
from installer_stub.commands.trust_option import add_accept_option, add_trust_option, trust_of
from installer_stub.errors import UsageError
from installer_stub.host.model import Host, Role
from installer_stub.options import (
    POD_CIDR,
    SERVICE_CIDR,
    InstallOptions,
    Verb,
    check_hosts,
    check_networks,
    parse_access,
    parse_dropped,
    parse_host_keys,
    parse_hosts,
    parse_port,
    parse_take,
    parse_validity,
    require_master,
)
from installer_stub.plan.model import CERTIFICATE_VALIDITY
from installer_stub.values.sources import Sources

_EXAMPLES = {
    "install": """\
examples:
  ./{prog} install --master 10.0.0.2 --node 10.0.0.5,10.0.0.6
  ./{prog} install --master 10.0.0.2,10.0.0.3,10.0.0.4 --user admin --ask-become-pass
  ./{prog} install --master root@m1:2222 --identity ~/.ssh/site --kubeconfig ./site.conf --host-keys ./site.keys

Running it again is safe at any time: it does what is left to do, and nothing on a finished cluster.""",
    "check": """\
examples:
  ./{prog} check --master 10.0.0.2 --node 10.0.0.5,10.0.0.6
  ./{prog} check --master 10.0.0.2 --json

Changes nothing. Exit code 0: the installation can begin; 5: there are findings that forbid it.""",
    "join": """\
examples:
  ./{prog} join --node 10.0.0.7 --via 10.0.0.2
  ./{prog} join --master 10.0.0.3,10.0.0.4 --via 10.0.0.2    one master becomes three

--via names any host of the site: the record there tells the rest. Hosts that are in the site already are left as they are.""",
    "plan": """\
examples:
  ./{prog} plan --master 10.0.0.2 --node 10.0.0.5,10.0.0.6
  ./{prog} plan --master 10.0.0.3 --via 10.0.0.2 --json

Prints what install would do, host by host and in order, and changes nothing. Exit code 0: it can begin; 5: something forbids it.""",
    "reset": """\
examples:
  ./{prog} reset --master 10.0.0.2 --node 10.0.0.5,10.0.0.6
  ./{prog} reset --node 10.0.0.6

Removes the cluster and its data from these hosts and puts back what the installation changed. It asks with the names of
cluster and application, after it has looked at the hosts. To take one host out of a cluster that stays: ./{prog} remove.""",
}


def define(parser: ArgumentParser, verb: str) -> None:
    """Add the options; those users know from ssh have ssh's names."""
    hosts = define_hosts(parser)
    if verb != "reset":
        define_via(hosts)
    define_login(parser)
    if verb == "reset":
        parser.add_argument("--abandon", action="append", default=[], metavar="NAME", help="what shall stay as it is, by the name that a reset gave it; can be repeated")
        parser.add_argument("--cluster", default="", metavar="ID", help="the cluster that is meant, where another file installed it")
    else:
        define_cluster(parser)
        define_values(parser)
        define_leftovers(parser)
        define_trust(parser)
    define_answers(parser)
    parser.epilog = _EXAMPLES[verb]


def define_hosts(parser: ArgumentParser) -> _ArgumentGroup:
    """Add ``--master`` and ``--node``, and return their group."""
    hosts = parser.add_argument_group("hosts", "[user@]address[:port][=INTERNAL], several with commas; both options can be repeated. INTERNAL is how the other hosts reach it, where that is another address")
    hosts.add_argument("--master", action="append", default=[], metavar="A[,B,C]", help="hosts of the control plane, the first one first")
    hosts.add_argument("--node", action="append", default=[], metavar="D[,E]", help="workers")
    return hosts


def define_cluster(parser: ArgumentParser) -> None:
    """Add what a cluster can be told when it begins."""
    cluster = parser.add_argument_group("cluster")
    cluster.add_argument("--endpoint", metavar="HOST[:PORT]", help="load balancer or virtual address in front of the masters, if the site has one; default: as recorded, or each node balances by itself; none: not any more")
    cluster.add_argument("--san", action="append", default=[], metavar="NAME[,ADDRESS]", help="more names and addresses that the API is reached by, for its certificates: all of them; default: as recorded; none: not any more")
    cluster.add_argument("--pod-cidr", metavar="CIDR", help=f"network of pods (default: as recorded at the site, or {POD_CIDR})")
    cluster.add_argument("--service-cidr", metavar="CIDR", help=f"network of services (default: as recorded at the site, or {SERVICE_CIDR})")
    days = CERTIFICATE_VALIDITY // 86400
    cluster.add_argument("--certificate-validity", metavar="DAYS", help=f"how long certificates live; hosts renew them at half of it (default: as recorded, or {days})")
    cluster.add_argument("--kubeconfig", type=Path, default=Path("kubeconfig"), metavar="FILE", help="where the operator's copy goes (default ./kubeconfig)")


def define_values(parser: ArgumentParser) -> None:
    """Add how the bundle's values are set; what is not said stays as recorded, or at its default."""
    values = parser.add_argument_group("values", "what the bundle lets a site decide: inspect --values lists it; what is not said stays as recorded")
    values.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="one value, for example --set db.host=db1; null takes it back to its default; can be repeated")
    values.add_argument("--set-file", action="append", default=[], metavar="PATH=FILE", help="one value from a file: the way for secrets; can be repeated")
    values.add_argument("--values", action="append", default=[], type=Path, metavar="FILE", help="values from a YAML file; can be repeated, later ones count")


def define_leftovers(parser: ArgumentParser) -> None:
    """Add what may be done to what others left."""
    others = parser.add_argument_group("what others left")
    others.add_argument("--take", action="append", default=[], metavar="DIR", help="rename DIR, in which data of an earlier life lies, out of the way; a reset renames it back")
    others.add_argument("--force-rejoin", action="append", default=[], metavar="ADDRESS", help="this host, of which nobody can tell what it is, may be wiped and joined again")


def define_trust(parser: ArgumentParser) -> None:
    """Add whose file it has to be."""
    whose = parser.add_argument_group("whose file it is", "before anything is sent, and by the file itself: who does not trust the file asks another program, airseal verify or the one of an earlier file")
    add_trust_option(whose)
    add_accept_option(whose)


def define_via(hosts: _ArgumentGroup) -> None:
    """Add ``--via`` to the group of hosts."""
    hosts.add_argument("--via", action="append", default=[], metavar="A[,B]", help="hosts of the site that tell of it: where its record is read; nothing is asked of them")


def define_answers(parser: ArgumentParser) -> None:
    """Add what every verb on hosts has: how it asks, how it answers, which bundle."""
    parser.add_argument("--yes", "-y", action="store_true", help="answer yes to every question about the site; a host key seen for the first time needs a person, or --host-key")
    parser.add_argument("--json", action="store_true", help="print events as JSON, one a line")
    add_bundle_option(parser)


def define_login(parser: ArgumentParser) -> None:
    """Add the options of logging in, which have ssh's names."""
    login = parser.add_argument_group("login")
    login.add_argument("--user", default="root", help="user to log in as (default root); others become root by sudo")
    login.add_argument("--port", default="22", help="SSH port (default 22)")
    login.add_argument("--identity", "-i", type=Path, metavar="FILE", help="private key; default: the agent and ~/.ssh/id_*")
    login.add_argument("--known-hosts", type=Path, metavar="FILE", help="where host keys are looked up and new ones pinned, that file alone; default: ~/.ssh/known_hosts and the system's are read, ~/.config/airseal/known_hosts is where new ones are pinned")
    login.add_argument("--host-key", action="append", default=[], metavar="ADDRESS=SHA256:…", help="a key that is taken without a question, for runs without a person; can be repeated")
    login.add_argument("--host-keys", type=Path, metavar="FILE", help="the same from a file, one a line")
    login.add_argument("--ask-pass", "-k", action="store_true", help="ask for the login password")
    login.add_argument("--ask-become-pass", "-K", action="store_true", help="ask for the sudo password")


def run(arguments: Namespace) -> int:
    """Parse what argparse could not, and go."""
    options = parse(arguments)
    from installer_stub.install import main

    return main(options)


def parse(arguments: Namespace) -> InstallOptions:
    """Return the options that the arguments mean. Raises UsageError."""
    from installer_stub.distro import containerd
    from installer_stub.distro.kubeadm import KUBEADM

    port = parse_port(arguments.port)
    masters = parse_hosts(arguments.master, Role.MASTER, user=arguments.user, port=port)
    nodes = parse_hosts(arguments.node, Role.NODE, user=arguments.user, port=port)
    pods, services = check_networks(
        getattr(arguments, "pod_cidr", None), getattr(arguments, "service_cidr", None)
    )
    validity = getattr(arguments, "certificate_validity", None)
    endpoint, sans, dropped = parse_dropped(getattr(arguments, "endpoint", None), getattr(arguments, "san", ()))
    via = parse_hosts(getattr(arguments, "via", []), Role.MASTER, user=arguments.user, port=port)
    hosts = check_hosts(masters + nodes)
    if getattr(arguments, "require", True):
        hosts = _hosts(arguments.verb, hosts, via)
    return InstallOptions(
        verb=Verb(arguments.verb),
        hosts=hosts,
        identity=arguments.identity,
        known_hosts=arguments.known_hosts,
        host_keys=parse_host_keys(arguments.host_key, arguments.host_keys),
        ask_pass=arguments.ask_pass,
        ask_become_pass=arguments.ask_become_pass,
        pod_cidr=pods,
        service_cidr=services,
        kubeconfig=getattr(arguments, "kubeconfig", Path("kubeconfig")),
        yes=arguments.yes,
        json=arguments.json,
        bundle=arguments.bundle,
        take=parse_take(getattr(arguments, "take", ()), (*(path for path, _ in KUBEADM.own_directories), containerd.CONFIG)),
        force_rejoin=frozenset(getattr(arguments, "force_rejoin", ())),
        access=parse_access(endpoint, sans),
        dropped=dropped,
        certificate_validity=parse_validity(validity) if validity is not None else None,
        via=tuple(host for host in via if host.address not in {each.address for each in hosts}),
        abandon=tuple(getattr(arguments, "abandon", ())),
        cluster=getattr(arguments, "cluster", ""),
        targets=tuple(getattr(arguments, "targets", ())),
        lost=getattr(arguments, "lost", False),
        force=getattr(arguments, "force", False),
        output=getattr(arguments, "output", None),
        trust=trust_of(arguments),
        values=Sources(tuple(getattr(arguments, "set", ())), tuple(getattr(arguments, "set_file", ())), tuple(getattr(arguments, "values", ()))),
    )


def _hosts(verb: str, hosts: tuple[Host, ...], via: tuple[Host, ...]) -> tuple[Host, ...]:
    """Return ``hosts`` if the verb can begin with them: a new site needs a master, what stands already any of its hosts."""
    if verb in {"install", "check", "plan"} and not via:
        require_master(hosts)
    elif verb == "init":
        return hosts
    elif verb == "join" and not hosts:
        raise UsageError("no host is named that should join", "add --master or --node with its address, and --via with a host of the site")
    elif not hosts and not via:
        raise UsageError("no host is named", "add --master or --node with the address of a host of the site")
    return hosts
