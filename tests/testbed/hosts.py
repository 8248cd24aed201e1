"""Blank hosts: containers with systemd and sshd on a network without a way out, which the machine itself can reach.

    with TestBed(masters=1, nodes=2, name="join") as bed:
        print(bed.masters[0].address, bed.ssh_key, bed.known_hosts)
        bed.nodes[0].run("systemctl is-system-running").stdout

What a site may do to hosts is said by keywords: ``dns``, ``default_route``, ``exec_tmp`` (see ``start.Site``). ``suite`` is
the Debian release, of all or by name: ``{"n1": "bullseye"}``; the others are what the product is developed on.
Beds with different names stand side by side, each with a subnet of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import docker
import docker.errors
import docker.types

from tests.testbed.addresses import address_of, check_name, host_names, subnets
from tests.testbed.blank_host import BlankHost
from tests.testbed.cache import Cache, TestBedError, locked, write_whole
from tests.testbed.docker_engine import engine, privileges, remove_container, remove_network, require_packages
from tests.testbed.progress import say, step
from tests.testbed.rootfs import HOST_IMAGE, HOST_SUITE, RootfsStore, Suite, host_image, host_rootfs
from tests.testbed.ssh import OPS_USER, Credentials
from tests.testbed.start import Dns, Place, Site, start_host

LABEL = "airseal.testbed"
DEFAULT_BED = "default"


class TestBed:
    """Some masters and nodes, up for as long as the ``with`` lasts; ``up`` and ``down`` by hand."""

    __test__ = False

    def __init__(
        self,
        *,
        masters: int = 1,
        nodes: int = 0,
        name: str = DEFAULT_BED,
        dns: Dns = "docker",
        default_route: bool = True,
        exec_tmp: bool = True,
        suite: Suite | Mapping[str, Suite] = HOST_SUITE,
        cache: Cache | None = None,
    ) -> None:
        check_name(name)
        self.name, self._site = name, Site(dns, default_route=default_route, exec_tmp=exec_tmp)
        self._cache = cache or Cache.default()
        self._wanted = host_names(masters, nodes)
        named: Mapping[str, Suite] = dict.fromkeys(self._wanted, suite) if isinstance(suite, str) else suite
        self._suites = {name: named.get(name, HOST_SUITE) for name in self._wanted}
        self._directory = self._cache.beds / name
        self._credentials = Credentials.ensure(self._cache)
        self.hosts: tuple[BlankHost, ...] = ()
        self.subnet = IPv4Network("0.0.0.0/32")
        self.bridge = ""

    @property
    def masters(self) -> tuple[BlankHost, ...]:
        return tuple(host for host in self.hosts if host.role == "master")

    @property
    def nodes(self) -> tuple[BlankHost, ...]:
        return tuple(host for host in self.hosts if host.role == "node")

    @property
    def ssh_key(self) -> Path:
        return self._credentials.private_key

    @property
    def known_hosts(self) -> Path:
        return self._directory / "known_hosts"

    @property
    def ops_user(self) -> str:
        return OPS_USER

    @property
    def ops_password(self) -> str:
        return self._credentials.ops_password.read_text()

    @property
    def gateway(self) -> str:
        """The machine's own address on the hosts' network."""
        return str(self.subnet.network_address + 1)

    def __enter__(self) -> Self:
        """Start from nothing: what an interrupted test left under this name is removed first."""
        down(self._cache, self.name)
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        down(self._cache, self.name)

    def up(self) -> None:
        """Start the hosts that are missing, remove those that are too many; what runs as asked for is left alone."""
        require_packages(self._cache)
        client = engine(self._cache)
        raise_inotify_limits()
        rootfs = RootfsStore(self._cache)
        suites = sorted(set(self._suites.values()))
        rootfs.build_all(only=("host", "debian", *map(host_rootfs, suites)))
        rootfs.import_into(client)
        for suite in suites:
            rootfs.import_one(client, host_rootfs(suite), host_image(suite))
        with (
            locked(self._cache.beds / f".{self.name}.lock"),
            step(f"bed {self.name}: {' '.join(self._wanted)}"),
        ):
            self._adopt_network(client)
            self._remove_superfluous(client)
            self.hosts = tuple(self._host(name) for name in self._wanted)
            capable = privileges(client, HOST_IMAGE)
            with ThreadPoolExecutor(max_workers=8) as pool:
                keys = list(pool.map(lambda host: self._start(client, host, capable), self.hosts))
            lines = [f"{host.address} {key}\n" for host, key in zip(self.hosts, keys, strict=True)]
            write_whole(self.known_hosts, "".join(lines))

    def _start(self, client: docker.APIClient, host: BlankHost, capable: dict[str, Any]) -> str:
        place = Place(
            host.name,
            host.container,
            _network_name(self.name),
            host.address,
            self.gateway,
            {LABEL: self.name},
            host.suite,
        )
        return start_host(
            client,
            place,
            capable=capable,
            site=self._site,
            credentials=self._credentials,
            keys=self._directory / "keys",
        )

    def _host(self, name: str) -> BlankHost:
        return BlankHost(
            name,
            "master" if name.startswith("m") else "node",
            str(address_of(name, self.subnet)),
            _container_name(self.name, name),
            self.ssh_key,
            self.known_hosts,
            self._suites[name],
        )

    def _adopt_network(self, client: docker.APIClient) -> None:
        """Find this bed's network, or make it on the first subnet that nothing else uses."""
        name = _network_name(self.name)
        for found in client.networks(filters={"label": f"{LABEL}={self.name}"}):
            self.subnet = IPv4Network(found["IPAM"]["Config"][0]["Subnet"])
            self.bridge = f"br-{found['Id'][:12]}"
            return
        for subnet in subnets(self.name, DEFAULT_BED):
            pool = docker.types.IPAMPool(subnet=str(subnet), gateway=str(subnet.network_address + 1))
            ipam = docker.types.IPAMConfig(pool_configs=[pool])
            try:
                made = client.create_network(
                    name, driver="bridge", ipam=ipam, internal=True, labels={LABEL: self.name}
                )
            except docker.errors.APIError as error:
                if "overlaps" not in str(error):
                    raise
                continue
            self.subnet, self.bridge = subnet, f"br-{made['Id'][:12]}"
            return
        raise TestBedError(
            f"no subnet is free for bed {self.name}; look at `docker network ls`, remove beds that are not used"
        )

    def _remove_superfluous(self, client: docker.APIClient) -> None:
        wanted = {_container_name(self.name, name) for name in self._wanted}
        for found in client.containers(all=True, filters={"label": f"{LABEL}={self.name}"}):
            if found["Names"][0].lstrip("/") not in wanted:
                say(f"removing {found['Names'][0].lstrip('/')}: not asked for")
                remove_container(client, found["Id"])


def down(cache: Cache, bed: str | None = None) -> int:
    """Remove the hosts and networks of one bed, or of all, with their volumes; return how many hosts there were."""
    client = engine(cache)
    label = f"{LABEL}={bed}" if bed else LABEL
    containers = client.containers(all=True, filters={"label": label})
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(lambda found: remove_container(client, found["Id"]), containers))
    for network in client.networks(filters={"label": label}):
        remove_network(client, network["Id"])
    for directory in [cache.beds / bed] if bed else cache.beds.glob("[!.]*"):
        shutil.rmtree(directory, ignore_errors=True)
    return len(containers)


def beds(cache: Cache) -> dict[str, list[str]]:
    """Return which containers of which bed there are, with their state."""
    found: dict[str, list[str]] = {}
    for container in engine(cache).containers(all=True, filters={"label": LABEL}):
        name, labels = container["Names"][0].lstrip("/"), container["Labels"]
        address = ", ".join(
            network["IPAddress"] or "-" for network in container["NetworkSettings"]["Networks"].values()
        )
        found.setdefault(labels[LABEL], []).append(f"{name} {address} {container['State']}")
    return {bed: sorted(hosts) for bed, hosts in sorted(found.items())}


def raise_inotify_limits() -> None:
    """Raise the machine's limits: all hosts share them, and 128 instances are gone after six to eight hosts."""
    for name, wanted in {"max_user_instances": 8192, "max_user_watches": 1048576}.items():
        path = Path("/proc/sys/fs/inotify") / name
        if int(path.read_text()) >= wanted:
            continue
        try:
            path.write_text(str(wanted))
        except PermissionError as error:
            raise TestBedError(
                f"fs.inotify.{name} is too low for several hosts; run: sudo sysctl fs.inotify.{name}={wanted}"
            ) from error


def _network_name(bed: str) -> str:
    return "airseal-hosts" if bed == DEFAULT_BED else f"airseal-hosts-{bed}"


def _container_name(bed: str, host: str) -> str:
    return f"airseal-{bed}-{host}"
