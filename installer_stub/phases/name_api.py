"""The names of the API: what the site's record has of them is in kubeadm's configuration and in every API server's certificate."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from installer_stub.distro import api_certificate
from installer_stub.distro.kubeadm_config import dump
from installer_stub.distro.paths import API_CERTIFICATE, CONFIG_MAP
from installer_stub.errors import ClusterError, HostError
from installer_stub.host.connection import Connection
from installer_stub.kube.kubectl import Kubectl
from installer_stub.kube.rewrite import rewrite
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.cluster_access import kubectl, wait_for_api, write_secret
from installer_stub.phases.member import is_member
from installer_stub.phases.start_first_master import StartFirstMaster
from installer_stub.plan.model import HostPlan, Plan
from installer_stub.site.adopt import cluster_configuration

_SHOWN: Final = 150.0  # seconds; an API server looks at its files at every change, and once a minute
_IN: Final = ("-n", "kube-system")


class NameApi(Phase):
    """kubeadm's configuration first: a master that joins meanwhile gets the new names. Then one master after the other."""

    title: ClassVar[str] = "Name the API in its certificates"
    after = (StartFirstMaster,)
    acts_on_cluster: ClassVar[bool] = True
    seconds: ClassVar[float] = 1.0

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """Masters: nodes go on with what they are at."""
        return plan.masters

    def is_needed(self, context: Context) -> bool:
        """Read every master's certificate; kubeadm's configuration too while hosts have not heard of a change yet."""
        return bool(_wrong(context)) or (_is_pending(context) and _changed(context) is not None)

    def run(self, context: Context) -> None:
        """Each API server has to show the new names before the next one is touched. Raises ClusterError, HostError."""
        wait_for_api(context)
        rewrite(lambda: _rewrite_configuration(context))
        cluster = cluster_configuration(_config_map(context))
        for host in _wrong(context):
            context.reporter.step(f"{host.address}: a certificate for {', '.join(context.plan.access.sans) or 'its own names alone'}")
            connection = context.connection(host)
            write_secret(connection, api_certificate.CONFIG, api_certificate.config(cluster, host))
            connection.run(api_certificate.make())
            connection.run(api_certificate.place())
            wait_until_shown(context, host, connection)


def wait_until_shown(
    context: Context,
    host: HostPlan,
    connection: Connection,
    *,
    timeout: float = _SHOWN,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return once the API server of ``host`` is ready under every name it needs. Raises ClusterError: no other one is touched then."""
    master, left = Kubectl(connection), sorted(api_certificate.needed_names(context.plan, host))
    deadline = clock() + timeout
    while left:
        answer = master.run("get", "--raw=/readyz", f"--tls-server-name={left[0].removeprefix('*.')}", "--request-timeout=5s", check=False)
        if answer.ok or left[0].startswith("*."):
            left.pop(0)
        elif clock() >= deadline:
            said = " ".join((answer.stderr or answer.stdout).split())[-300:]
            raise ClusterError(
                f"{host.address}: the API server does not answer as {left[0]} within {timeout:.0f} s: {said}",
                "look there: crictl or ctr -n k8s.io for kube-apiserver, journalctl -u kubelet",
            )
        else:
            sleep(1.0)


def _wrong(context: Context) -> tuple[HostPlan, ...]:
    """Return the masters whose certificate lacks a name, or has one that the site gave up."""
    masters = context.reachable(context.plan.masters)

    def look(host: HostPlan, connection: Connection) -> bool:
        data = connection.read(API_CERTIFICATE)
        if data is None or not is_member(connection):
            return False  # one that joins gets the right ones
        try:
            names = api_certificate.names_in(data)
        except ValueError:
            raise HostError(host.address, f"{API_CERTIFICATE} is no certificate", "certs renew makes a new one") from None
        if api_certificate.needed_names(context.plan, host) - names:
            return True
        return _is_pending(context) and bool(api_certificate.surplus_names(context.plan, host, names))

    found = context.each(masters, look) if masters else {}
    return tuple(host for host in masters if found.get(host.address))


def _is_pending(context: Context) -> bool:
    return context.record is not None and bool(context.record.pending)


def _config_map(context: Context) -> Mapping[str, Any]:
    return kubectl(context).get("configmap", CONFIG_MAP, *_IN)


def _rewrite_configuration(context: Context) -> None:
    changed = _changed(context)
    if changed is not None:
        kubectl(context).run("replace", "-f", "-", changes="give kubeadm the names of the API", stdin=json.dumps(changed).encode())


def _changed(context: Context) -> Mapping[str, Any] | None:
    """Return kubeadm's ConfigMap as it should be, or None where it is so. What else stands in it stays."""
    found = _config_map(context)
    cluster = cluster_configuration(found)
    server = cluster.get("apiServer") or {}
    wanted = list(api_certificate.wanted_names(context.plan))
    if sorted(server.get("certSANs") or []) == sorted(wanted):
        return None
    text = dump({**cluster, "apiServer": {**server, "certSANs": wanted}})
    return {**found, "data": {**found["data"], "ClusterConfiguration": text}}
