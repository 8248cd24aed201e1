"""Where everything is, for whoever calls the product: the paths it takes, and the hosts of one bed."""

from __future__ import annotations

from typing import Any

from tests.testbed.cache import Cache
from tests.testbed.docker_engine import engine
from tests.testbed.hosts import LABEL
from tests.testbed.ssh import OPS_USER, Credentials, ssh_command


def environment(cache: Cache, bed: str) -> dict[str, Any]:
    """Return paths, and the addresses of the bed's hosts that run."""
    credentials = Credentials.ensure(cache)
    known_hosts = cache.beds / bed / "known_hosts"
    hosts = {}
    for found in engine(cache).containers(filters={"label": f"{LABEL}={bed}"}):
        name = found["Names"][0].rpartition("-")[2]
        (network,) = found["NetworkSettings"]["Networks"].values()
        address = network["IPAddress"]
        command = ssh_command(address, credentials.private_key, known_hosts)
        hosts[name] = {"address": address, "container": found["Names"][0].lstrip("/"), "ssh": command}
    networks = engine(cache).networks(filters={"label": f"{LABEL}={bed}"})
    return {
        "cache": str(cache.root),
        "mirrors": str(cache.mirrors),
        "ca": str(cache.ca),
        "docker_config": str(cache.docker_config),
        "build_args": str(cache.build_args),
        "parts": str(cache.parts),
        "ssh_key": str(credentials.private_key),
        "known_hosts": str(known_hosts),
        "ops_user": OPS_USER,
        "ops_password_file": str(credentials.ops_password),
        "bed": bed,
        "subnet": networks[0]["IPAM"]["Config"][0]["Subnet"] if networks else None,
        "bridge": f"br-{networks[0]['Id'][:12]}" if networks else None,
        "hosts": dict(sorted(hosts.items())),
    }
