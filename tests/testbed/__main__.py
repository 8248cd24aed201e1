"""The test bed by hand. ``python -m tests.testbed --help`` tells how."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import get_args

from tests.testbed.cache import Cache, TestBedError
from tests.testbed.rootfs import HOST_SUITE, Suite

_EPILOG = """\
examples:
  python -m tests.testbed parts                      build everything there is to build (12 min the first time)
  python -m tests.testbed internet up                our own registries and download sites; writes mirrors.yaml
  python -m tests.testbed up --masters 1 --nodes 2   blank hosts m1 n1 n2 on a network without a way out
  python -m tests.testbed up --masters 3 --name ha   another bed beside it
  python -m tests.testbed env --name ha              paths, addresses and keys as JSON
  python -m tests.testbed ssh m1                     the command that enters a host
  python -m tests.testbed status                     what runs
  python -m tests.testbed down                       remove every bed; the internet stays
  python -m tests.testbed internet down              remove the internet; its data stays in the cache

Every command may be interrupted and run again: what is whole is kept, what is not is made anew. What is made lies in
${XDG_CACHE_HOME:-~/.cache}/airseal/testbed; after both downs that directory and the images airseal-testbed/* are all
that is left, and may be deleted.
It needs root, Go >= 1.26 and a package mirror; on Debian and Ubuntu it installs the rest itself.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return what the shell is to see."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options, Cache.default())
    except TestBedError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("testbed: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.testbed",
        description="Real Kubernetes on this machine: blank hosts without a network, and an internet of our own.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    up = commands.add_parser(
        "up", help="start blank hosts, or add and remove until there are as many as asked for"
    )
    up.add_argument("--masters", type=int, default=1, metavar="N", help="how many masters (default: 1)")
    up.add_argument("--nodes", type=int, default=0, metavar="N", help="how many nodes (default: 0)")
    up.add_argument("--name", default="default", help="the bed; beds with different names stand side by side")
    up.add_argument(
        "--dns",
        choices=("docker", "none", "stub", "site"),
        default="docker",
        help="resolv.conf: docker's loopback server, none, 127.0.0.53, or a server that does not answer (default: docker)",
    )
    up.add_argument("--no-default-route", action="store_true", help="hosts that do not know a way out at all")
    up.add_argument("--noexec-tmp", action="store_true", help="hosts where /tmp is mounted noexec")
    up.add_argument("--suite", choices=get_args(Suite), default=HOST_SUITE, help=f"Debian release of the hosts (default: {HOST_SUITE})")
    up.set_defaults(run=_up)
    down = commands.add_parser(
        "down", help="remove hosts, their networks and volumes; nothing that is not ours"
    )
    down.add_argument("--name", help="only this bed (default: every bed)")
    down.add_argument("--all", action="store_true", help="everything: beds, the internet, and what a killed build left behind")
    down.set_defaults(run=_down)
    commands.add_parser("engine", help="make sure a Docker Engine answers and the packages are there").set_defaults(run=_engine)
    commands.add_parser("parts", help="build every program and root file system").set_defaults(run=_parts)
    internet = commands.add_parser("internet", help="our own registries and download sites")
    internet.add_argument("action", choices=("up", "down"))
    internet.set_defaults(run=_internet)
    commands.add_parser("status", help="what runs").set_defaults(run=_status)
    env = commands.add_parser("env", help="paths, addresses and keys as JSON")
    env.add_argument("--name", default="default", help="the bed (default: default)")
    env.set_defaults(run=_env)
    ssh = commands.add_parser("ssh", help="print the command that enters a host")
    ssh.add_argument("host", help="m1, n1, …")
    ssh.add_argument("--name", default="default", help="the bed (default: default)")
    ssh.set_defaults(run=_ssh)
    return parser


def _up(options: argparse.Namespace, cache: Cache) -> None:
    from tests.testbed.hosts import TestBed

    bed = TestBed(
        masters=options.masters,
        nodes=options.nodes,
        name=options.name,
        dns=options.dns,
        default_route=not options.no_default_route,
        exec_tmp=not options.noexec_tmp,
        suite=options.suite,
        cache=cache,
    )
    bed.up()
    for host in bed.hosts:
        print(f"{host.name}  {host.address}  {' '.join(host.ssh_command())}")


def _down(options: argparse.Namespace, cache: Cache) -> None:
    from tests.testbed.docker_engine import engine, remove_container, remove_network
    from tests.testbed.hosts import down
    from tests.testbed.internet import Internet

    print(f"removed {down(cache, options.name)} host(s)")
    if options.all:
        Internet(cache).down()
        client, of_builds = engine(cache), {"label": "airseal.build"}
        for container in client.containers(all=True, filters=of_builds):
            remove_container(client, container["Id"])
        for network in client.networks(filters=of_builds):
            remove_network(client, network["Id"])


def _engine(options: argparse.Namespace, cache: Cache) -> None:
    from tests.testbed.docker_engine import engine, require_packages

    require_packages(cache)
    print(f"Docker Engine {engine(cache).version()['Version']}")


def _parts(options: argparse.Namespace, cache: Cache) -> None:
    from tests.testbed.docker_engine import require_packages
    from tests.testbed.parts import Parts
    from tests.testbed.rootfs import RootfsStore

    require_packages(cache)
    Parts(cache).build_all()
    RootfsStore(cache).build_all()
    print(f"parts: {cache.parts}\nroot file systems: {cache.rootfs}")


def _internet(options: argparse.Namespace, cache: Cache) -> None:
    from tests.testbed.internet import Internet

    internet = Internet(cache)
    if options.action == "down":
        internet.down()
        return
    internet.up()
    print(f"mirrors: {cache.mirrors}\ndocker config: {cache.docker_config}\nCA: {cache.ca}")


def _status(options: argparse.Namespace, cache: Cache) -> None:
    from tests.testbed.hosts import beds
    from tests.testbed.internet import Internet

    print("internet: " + (" ".join(sorted(Internet(cache).running())) or "down"))
    found = beds(cache)
    for bed, hosts in found.items():
        print(f"bed {bed}:\n  " + "\n  ".join(hosts))
    if not found:
        print("no beds")


def _env(options: argparse.Namespace, cache: Cache) -> None:
    from tests.testbed.environment import environment

    print(json.dumps(environment(cache, options.name), indent=2))


def _ssh(options: argparse.Namespace, cache: Cache) -> None:
    from tests.testbed.environment import environment

    hosts = environment(cache, options.name)["hosts"]
    if options.host not in hosts:
        raise TestBedError(
            f"bed {options.name} has no host {options.host}; it has: {', '.join(hosts) or 'none'}"
        )
    print(" ".join(hosts[options.host]["ssh"]))


if __name__ == "__main__":
    sys.exit(main())
