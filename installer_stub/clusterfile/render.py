"""Writing a Clusterfile: commented, and read back to the same value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from installer_stub.clusterfile.schema import API_VERSION, KIND
from installer_stub.host.model import Host
from installer_stub.options import POD_CIDR, SERVICE_CIDR, HostWishes
from installer_stub.plan.settings import AS_USUAL, REGISTRY_PORT, Pairs, SiteSettings
from installer_stub.values.schema import tree

_HEAD: Final = """\
# Clusterfile: a site as it is wanted. Change it and run {prog} apply -f {file}
# What it does not say stays as the site's record has it; a host that is left out stays. apply --schema prints all fields.
"""


def render(
    hosts: Sequence[Host],
    *,
    pods: str | None = None,
    services: str | None = None,
    endpoint: str = "",
    sans: Sequence[str] = (),
    validity: int | None = None,
    wishes: Mapping[str, HostWishes] | None = None,
    settings: SiteSettings = AS_USUAL,
    prog: str = "./app.run",
    file: str = "Clusterfile",
) -> str:
    """Return the text. Networks None: the defaults, as comments. ``validity`` in seconds."""
    lines = [_HEAD.format(prog=prog, file=file), f"apiVersion: {API_VERSION}", f"kind: {KIND}", ""]
    lines += ["# Masters first, in the order in which they begin: one, three or five.", "hosts:"]
    for host in hosts:
        lines += [f"  - address: {_quoted(host.address)}", f"    role: {host.role.value}"]
        lines += [f"    internal: {_quoted(host.internal)}  # how the other hosts reach it"] if host.internal not in {"", host.address} else []
        lines += [f"    user: {_quoted(host.user)}"] if host.user != "root" else []
        lines += [f"    port: {host.port}"] if host.port != 22 else []
        wished = (wishes or {}).get(host.address, HostWishes())
        lines += [f"    labels: {json.dumps(dict(wished.labels))}"] if wished.labels else []
        lines += [f"    taints: {json.dumps(list(wished.taints))}"] if wished.taints else []
        lines += [f"    env: {json.dumps(dict(wished.env))}"] if wished.env else []
    lines += ["", "# The cluster's own address ranges. They stay for the life of the cluster."]
    if pods is None and services is None:
        lines += ["# networks:", f'#   pods: "{POD_CIDR}"', f'#   services: "{SERVICE_CIDR}"']
    else:
        lines += ["networks:", f"  pods: {_quoted(pods or POD_CIDR)}", f"  services: {_quoted(services or SERVICE_CIDR)}"]
    lines += ["", "# A load balancer or virtual address in front of the masters, where the site has one."]
    lines.append(f"endpoint: {_quoted(endpoint)}" if endpoint else '# endpoint: "10.0.0.9:6443"')
    lines += ["", "# More names and addresses that the API is reached by."]
    lines += ["subjectAltNames:", *(f"  - {_quoted(name)}" for name in sans)] if sans else ["# subjectAltNames:", "#   - api.site.example"]
    lines += ["", "# How long certificates live; hosts renew them at half of it."]
    lines.append(f"certificateValidity: {_quoted(_validity(validity))}" if validity is not None else '# certificateValidity: "1095"')
    return "\n".join([*lines, *_settings(settings)]) + "\n"


def _settings(settings: SiteSettings) -> list[str]:
    """Return what most sites never say: comments where this one does not."""
    lines = ["", "# Environment of the application's commands; another value runs them again. No passwords: the site's record keeps it."]
    lines += ["env:", *_pairs(settings.env)] if settings.env else ["# env:", "#   SITE: north"]
    lines += ["", "# What the bundle lets a site decide. Secrets are given with --set-file and stand nowhere here. What there is: inspect --values"]
    lines += [f"values: {json.dumps(tree(dict(settings.values)))}"] if settings.values else ["# values: {}"]
    lines += ["", "# The rest stays for the life of the cluster, but for containerd's patch."]
    port = settings.registry_port
    lines += ["registry:", f"  port: {port}"] if port != REGISTRY_PORT else ["# registry:", f"#   port: {port}"]
    lines += ["dataDirectories:", *_pairs(settings.directories)] if settings.directories else ["# dataDirectories:", '#   etcd: "/data/etcd"']
    if not settings.patches:
        return [*lines, "# patches:", "#   kubelet: {maxPods: 200}"]
    return [*lines, "patches:", *(f"  {name}: {text}" for name, text in settings.patches)]  # JSON is YAML


def _pairs(pairs: Pairs) -> list[str]:
    return [f"  {name}: {_quoted(value)}" for name, value in pairs]


def _quoted(text: str) -> str:
    return json.dumps(text)  # a JSON text is a YAML text, whatever it looks like


def _validity(seconds: int) -> str:
    for unit, length in (("", 86400), ("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds // 60}m"
