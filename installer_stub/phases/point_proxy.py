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
from installer_stub.plan.model import JOIN_API, Endpoint, HostPlan, Plan

_IN = ("-n", "kube-system")
POINTS_AT: Final = "airseal.internal/points-at"  # an annotation of kube-proxy's pods: where the file that they were started with leads
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
        """Compare its ConfigMap, and what its pods were started with. A cluster without kube-proxy has nothing to point."""
        cluster = kubectl(context)
        config = _config(cluster)
        return config is not None and (_changed(context, config) is not None or _is_behind(context, cluster, config))

    def run(self, context: Context) -> None:
        """Replace the ConfigMap, then start kube-proxy anew: rules stay in the kernel meanwhile.

        Its pods have a note of what they were started with, so who was killed in between, or heard no answer, is not believed.
        """
        wait_for_api(context)
        cluster = kubectl(context)
        if context.plan.access.endpoint is not None:
            require_endpoint(cluster, context.plan.access.endpoint)
        rewrite(lambda: _rewrite(context, cluster))
        noted = _noted(cluster)
        if noted is None:
            return
        if noted != context.plan.node_api:
            note = {"spec": {"template": {"metadata": {"annotations": {POINTS_AT: context.plan.node_api}}}}}
            arguments: tuple[str, ...] = ("patch", "daemonset", api_servers.PROXY_CONFIG, "--type=merge", f"--patch={json.dumps(note)}")
        else:  # somebody had turned the file, and it is turned back
            arguments = ("rollout", "restart", f"daemonset/{api_servers.PROXY_CONFIG}")
        cluster.run(*_IN, *arguments, changes="start kube-proxy anew")


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


def _rewrite(context: Context, cluster: Kubectl) -> None:
    config = _config(cluster)
    changed = _changed(context, config) if config is not None else None
    if changed is not None:
        what = f"point kube-proxy at {context.plan.node_api}"
        cluster.run("replace", "-f", "-", changes=what, stdin=json.dumps(changed).encode())


def _config(cluster: Kubectl) -> Any:
    return _get(cluster, "configmap")


def _get(cluster: Kubectl, kind: str) -> Any:
    arguments = (*_IN, "get", kind, api_servers.PROXY_CONFIG, "--ignore-not-found", "--output=json", "--request-timeout=20s")
    text = cluster.run(*arguments).stdout
    try:
        return json.loads(text) if text.strip() else None
    except ValueError as error:
        raise ClusterError(f"the {kind} kube-system/{api_servers.PROXY_CONFIG} cannot be read: {text[:200]!r}") from error


def _is_behind(context: Context, cluster: Kubectl, config: Any) -> bool:
    """Tell whether pods may run that were started with another file. As kubeadm made it, it needs no note."""
    if (config.get("data") or {}).get(api_servers.PROXY_KEY) is None:
        return False
    noted, wanted = _noted(cluster), context.plan.node_api
    return noted is not None and noted != wanted and bool(noted or wanted != JOIN_API)


def _noted(cluster: Kubectl) -> str | None:
    """Return where the pods' file led when they were started; empty, where nobody noted it; None without such pods."""
    daemons = _get(cluster, "daemonset")
    return None if daemons is None else str((daemons["spec"]["template"]["metadata"].get("annotations") or {}).get(POINTS_AT) or "")


def _changed(context: Context, config: Any) -> Any:
    """Return the ConfigMap as it should be, or None where it is so already."""
    data = config.get("data") or {}
    text = data.get(api_servers.PROXY_KEY)
    if text is None:
        return None
    wanted = api_servers.proxy_pointed_at(text, context.plan.node_api)
    return None if wanted == text else {**config, "data": {**data, api_servers.PROXY_KEY: wanted}}
