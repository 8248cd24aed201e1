"""Starts one blank host: a container that systemd takes for a machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import docker
import docker.errors

from tests.testbed.blank_host import wait_until_up
from tests.testbed.cache import key_of, write_whole
from tests.testbed.docker_engine import remove_container
from tests.testbed.rootfs import Suite, host_image
from tests.testbed.ssh import Credentials, identity_archive

Dns = Literal["docker", "none", "stub", "site"]
"""What the host's resolv.conf says: docker's loopback server 127.0.0.11, nothing, systemd-resolved's 127.0.0.53, or the
site's own server, an address that is not loopback and does not answer."""


@dataclass(frozen=True)
class Site:
    """What a site does to hosts that a build machine does not."""

    dns: Dns = "docker"
    default_route: bool = True
    """Without one, a packet to elsewhere dies in the host; with one, at the bridge, where the sniffer sees it."""
    exec_tmp: bool = True


_SETTINGS_LABEL = "airseal.testbed.settings"

# remount without bind answers "busy" for the cgroup controllers; the last of all becomes process 1.
_BOOT = """\
mount -o remount,rw /sys
for d in /sys/fs/cgroup /sys/fs/cgroup/*; do [ -d "$d" ] && mount -o remount,bind,rw "$d" 2>/dev/null; done
mount --make-rshared /
[ ! -e /etc/testbed-password ] || { chpasswd < /etc/testbed-password && rm /etc/testbed-password; }
exec /sbin/init
"""
_RESOLV_CONF = {
    "docker": "",
    "none": "umount /etc/resolv.conf; : > /etc/resolv.conf",
    "stub": "umount /etc/resolv.conf; echo nameserver 127.0.0.53 > /etc/resolv.conf",
    "site": "umount /etc/resolv.conf; echo nameserver GATEWAY > /etc/resolv.conf",
}
_VOLUMES = ["/var/lib/containerd", "/var/lib/kubelet", "/var/lib/etcd"]
"""Anonymous volumes: overlay on overlay fails, and etcd wants a disk."""


@dataclass(frozen=True)
class Place:
    """What a host is called and where it stands."""

    name: str
    container: str
    network: str
    address: str
    gateway: str
    bed: dict[str, str]
    """The labels that say whose it is."""
    suite: Suite


def start_host(
    client: docker.APIClient,
    place: Place,
    *,
    capable: dict[str, Any],
    site: Site,
    credentials: Credentials,
    keys: Path,
) -> str:
    """Start a host unless it runs with these settings; return its public host key once systemd and sshd are up."""
    settings = key_of(
        boot_script(site, place.gateway),
        site,
        place.address,
        json.dumps(capable),
        client.inspect_image(host_image(place.suite))["Id"],
        credentials.public_key.read_text(),
    )
    key_file = keys / place.name
    if not (_runs(client, place.container, settings) and key_file.exists()):
        remove_container(client, place.container)
        key_file.unlink(
            missing_ok=True
        )  # and written last: whoever is interrupted between starts the host anew
        archive, public_key = identity_archive(credentials, place.name)
        made = _create(client, place, site, capable, settings)
        client.put_archive(made, "/", archive)
        client.start(made)
        write_whole(key_file, public_key)
    wait_until_up(client, place.container, place.address)
    return key_file.read_text()


def _create(
    client: docker.APIClient, place: Place, site: Site, capable: dict[str, Any], settings: str
) -> dict[str, Any]:
    host_config = {
        **capable,
        "Tmpfs": {"/run": "", "/tmp": "exec" if site.exec_tmp else "noexec"},
        "CgroupnsMode": "private",
    }
    endpoint = client.create_endpoint_config(ipv4_address=place.address)
    made: dict[str, Any] = client.create_container(
        host_image(place.suite),
        ["/bin/sh", "-c", boot_script(site, place.gateway)],
        name=place.container,
        hostname=place.name,
        labels={**place.bed, _SETTINGS_LABEL: settings},
        volumes=_VOLUMES,
        host_config=host_config,
        networking_config=client.create_networking_config({place.network: endpoint}),
        stop_signal="SIGRTMIN+3",
    )
    return made


def boot_script(site: Site, gateway: str) -> str:
    """Return what the container runs before it is a machine."""
    lines = [_RESOLV_CONF[site.dns].replace("GATEWAY", gateway)]
    lines += [] if site.default_route else ["ip route del default"]
    head, last = _BOOT.rsplit("exec", 1)
    return head + "".join(f"{line}\n" for line in lines if line) + "exec" + last


def _runs(client: docker.APIClient, container: str, settings: str) -> bool:
    try:
        found = client.inspect_container(container)
    except docker.errors.NotFound:
        return False
    return bool(found["State"]["Running"]) and found["Config"]["Labels"].get(_SETTINGS_LABEL) == settings
