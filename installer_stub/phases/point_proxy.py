"""kube-proxy finds the API at the host that it runs on: one configuration for the whole cluster, before nodes join."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, ClassVar, Final

from installer_stub.distro import api_servers
from installer_stub.errors import ClusterError
from installer_stub.kube.kubectl import Kubectl
from installer_stub.kube.rewrite import rewrite
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.cluster_access import kubectl, wait_for_api
from installer_stub.phases.name_api import NameApi
from installer_stub.phases.start_first_master import StartFirstMaster
from installer_stub.plan.model import Endpoint, HostPlan, Plan

_IN = ("-n", "kube-system")
_ENDPOINT_TIMEOUT: Final = 60.0  # seconds; a load balancer's health checks need some until they send anybody here


class PointProxy(Phase):
    """With an endpoint of the site it is that; otherwise 127.0.0.1: the API server on masters, the balancer on nodes."""

    title: ClassVar[str] = "Point kube-proxy at its own host"
    after = (StartFirstMaster, NameApi)
    acts_on_cluster: ClassVar[bool] = True

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """The cluster, through a master."""
        return plan.masters[:1]

    def is_needed(self, context: Context) -> bool:
        """Compare its ConfigMap. A cluster without kube-proxy has nothing to point."""
        config = _config(kubectl(context))
        return config is not None and _changed(context, config) is not None

    def run(self, context: Context) -> None:
        """Replace the ConfigMap and start kube-proxy anew where it runs already: rules stay in the kernel meanwhile."""
        wait_for_api(context)
        cluster = kubectl(context)
        if context.plan.access.endpoint is not None:
            require_endpoint(cluster, context.plan.access.endpoint)
        if not rewrite(lambda: _rewrite(context, cluster)):
            return
        cluster.run(*_IN, "rollout", "restart", f"daemonset/{api_servers.PROXY_CONFIG}", changes="start kube-proxy anew")


def require_endpoint(
    cluster: Kubectl,
    endpoint: Endpoint,
    *,
    timeout: float = _ENDPOINT_TIMEOUT,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return once the site's endpoint leads to this cluster's API, as a master sees it. Raises ClusterError."""
    deadline = clock() + timeout
    while True:
        answer = cluster.run("get", "--raw=/readyz", f"--server={endpoint.url}", "--request-timeout=5s", check=False)
        if answer.ok:
            return
        if clock() >= deadline:
            said = " ".join((answer.stderr or answer.stdout).split())[-300:]
            raise ClusterError(
                f"the endpoint {endpoint} does not lead to this cluster's API: {said}",
                "let it pass TCP through to port 6443 of the masters, or leave --endpoint out: each node then balances by itself",
            )
        sleep(2.0)


def _rewrite(context: Context, cluster: Kubectl) -> bool:
    """Return whether anything was to be changed."""
    config = _config(cluster)
    changed = _changed(context, config) if config is not None else None
    if changed is not None:
        what = f"point kube-proxy at {context.plan.node_api}"
        cluster.run("replace", "-f", "-", changes=what, stdin=json.dumps(changed).encode())
    return changed is not None


def _config(cluster: Kubectl) -> Any:
    arguments = (*_IN, "get", "configmap", api_servers.PROXY_CONFIG, "--ignore-not-found", "--output=json", "--request-timeout=20s")
    text = cluster.run(*arguments).stdout
    try:
        return json.loads(text) if text.strip() else None
    except ValueError as error:
        raise ClusterError(f"the ConfigMap kube-system/{api_servers.PROXY_CONFIG} cannot be read: {text[:200]!r}") from error


def _changed(context: Context, config: Any) -> Any:
    """Return the ConfigMap as it should be, or None where it is so already."""
    data = config.get("data") or {}
    text = data.get(api_servers.PROXY_KEY)
    if text is None:
        return None
    wanted = api_servers.proxy_pointed_at(text, context.plan.node_api)
    return None if wanted == text else {**config, "data": {**data, api_servers.PROXY_KEY: wanted}}
