"""The nodes' load balancer: haproxy as a static pod, on the loopback address alone, with every master behind it.

TLS passes through: kubelet verifies the API server's certificate for 127.0.0.1, which every one of them has. Fields:
docs.haproxy.org/3.0/configuration.html and kubernetes.io/docs/tasks/configure-pod-container/static-pod.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import Any, Final

from installer_stub.distro.containerd import rotated
from installer_stub.distro.kubeadm_config import dump
from installer_stub.plan.model import API_NAME, API_PORT, HostPlan, Plan, in_url

NAME: Final = "airseal-balancer"
DIRECTORY: Final = "/etc/airseal/balancer"
CONFIG: Final = f"{DIRECTORY}/haproxy.cfg"
MANIFEST: Final = f"/etc/kubernetes/manifests/{NAME}.yaml"
# Answers whether haproxy itself lives. Asked through 6443 the answer would be that of the masters.
HEALTH_PORT: Final = 6444
_USER: Final = 99  # haproxy's in the official image; it needs no name

_GLOBAL: Final = f"""\
# Made by airseal.
global
    log stdout format raw local0 notice
    nbthread 2
    # Without these haproxy sizes itself by the host's limit of open files, which may be a thousand million.
    maxconn 2000
    fd-hard-limit 8192

defaults
    mode tcp
    log global
    option dontlognull
    # A master that is off does not answer: the next one is asked after a second, not after the kernel's minutes.
    timeout connect 1s
    timeout queue 5s
    timeout check 2s
    retries 3
    option redispatch 1
    # Watches are quiet for long. Their own keepalives, and a master found down, end them; the clock must not.
    timeout client 24h
    timeout server 24h
    option clitcpka
    option srvtcpka

frontend health
    mode http
    bind 127.0.0.1:{HEALTH_PORT}
    timeout client 5s
    timeout http-request 5s
    monitor-uri /healthz

frontend api
    bind 127.0.0.1:{API_PORT}
    default_backend masters

backend masters
    balance leastconn
    # Its own words, over TLS: an API server that runs but has lost its etcd, or is still starting, is not ready. Where
    # anonymous requests were forbidden it answers 401, and then it is known to serve and not whether it is ready.
    option httpchk
    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host {API_NAME}
    http-check expect rstatus ^(200|401|403)$
    # Two checks missed and its connections are cut: whoever had one comes back at once, to another master.
    default-server check check-ssl verify none inter 2s fastinter 1s downinter 2s fall 2 rise 2 on-marked-down shutdown-sessions init-addr last,libc,none
"""


def config(plan: Plan, host: HostPlan) -> str:
    """Return haproxy.cfg of one node. Nodes differ in the order, so that they do not all begin with the same master.

    The order is the node's own, whatever order a command line names hosts in: another text restarts the balancer.
    """
    masters = rotated(sorted(master.address for master in plan.site_masters), zlib.crc32(host.internal.encode()))
    return _GLOBAL + "".join(f"    server {_label(address)} {in_url(address)}:{API_PORT}\n" for address in masters)


def manifest(plan: Plan, host: HostPlan) -> str:
    """Return the static pod of one node. It names the configuration's hash: another one is another pod, so haproxy restarts."""
    digest = hashlib.sha256(config(plan, host).encode()).hexdigest()
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": NAME,
            "namespace": "kube-system",
            "labels": {"app.kubernetes.io/name": NAME, "app.kubernetes.io/managed-by": "airseal"},
            "annotations": {"internal.airseal/configuration": f"sha256:{digest}"},
        },
        "spec": {
            "hostNetwork": True,
            "priorityClassName": "system-node-critical",
            "priority": 2000001000,  # the class by number, for the time in which no API server can be asked: as kubeadm does
            "securityContext": {"runAsNonRoot": True, "runAsUser": _USER, "runAsGroup": _USER, "seccompProfile": {"type": "RuntimeDefault"}},
            "terminationGracePeriodSeconds": 5,
            "tolerations": [{"operator": "Exists"}],
            "containers": [_container(plan.bundle.balancer)],
            "volumes": [{"name": "configuration", "hostPath": {"path": DIRECTORY, "type": "Directory"}}],
        },
    }
    return f"# Made by airseal.\n{dump(pod)}"


def _container(image: str) -> dict[str, Any]:
    return {
        "name": "haproxy",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["haproxy", "-db", "-f", CONFIG],
        "livenessProbe": {**_health(), "initialDelaySeconds": 5, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        "readinessProbe": {**_health(), "periodSeconds": 2, "timeoutSeconds": 2},
        "resources": {"requests": {"cpu": "25m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "configuration", "mountPath": DIRECTORY, "readOnly": True}],
    }


def _health() -> dict[str, Any]:
    return {"httpGet": {"host": "127.0.0.1", "port": HEALTH_PORT, "path": "/healthz"}}


def _label(address: str) -> str:
    return "master-" + re.sub(r"[^A-Za-z0-9.]", "-", address)
