"""containerd's configuration: what it runs with, and where every image comes from."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from installer_stub.host.command import Secret
from installer_stub.plan.model import HostPlan

CONFIG: Final = "/etc/containerd/config.toml"
SEAL: Final = "# Made by airseal, sha256 of what follows: "
# Others' files: read after ours, so that they win, and never written or removed by us.
DROPIN_DIRECTORY: Final = "/etc/containerd/conf.d"
DROPINS: Final = f"{DROPIN_DIRECTORY}/*.toml"
SITE_DROPIN: Final = f"{DROPIN_DIRECTORY}/50-airseal-site.toml"  # the one that is ours: what the Clusterfile adds
REGISTRIES: Final = "/etc/containerd/certs.d"
# "_default" answers for every registry that has no directory of its own: docs/hosts.md of containerd.
HOSTS: Final = f"{REGISTRIES}/_default/hosts.toml"
IMAGES: Final = "/var/lib/containerd"  # where layers are unpacked
SOCKET: Final = "/run/containerd/containerd.sock"
# containerd waits 30 s otherwise: docs/hosts.md. Releases that do not know the field ignore it.
_DIAL_TIMEOUT: Final = "2s"
MISSED: Final = "did not come: kubelet will ask for it"  # the end of a line about an image
_PULL_TIMEOUT: Final = 120  # seconds for an image that a join waits for; later kubelet has its own patience


def config_toml(host: HostPlan, *, pause: str, root: str = IMAGES) -> str:
    """Return config.toml (version 3, containerd 2.x). Its first line is the digest of the others: an edit can be seen."""
    lines = [
        f"# Put what you add into {DROPIN_DIRECTORY}: it wins over this file, and stays.",
        "version = 3",
        *([] if root == IMAGES else [f"root = '{root}'"]),
        f"imports = ['{DROPINS}']",
        "",
        "[plugins.'io.containerd.cri.v1.images'.registry]",
        f"  config_path = '{REGISTRIES}'",
        "[plugins.'io.containerd.cri.v1.images'.pinned_images]",
        f"  sandbox = '{pause}'",
        "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]",
        "  runtime_type = 'io.containerd.runc.v2'",
        "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]",
        f"  SystemdCgroup = {str(host.cgroup_driver == 'systemd').lower()}",
    ]
    if host.restrict_oom_score:
        lines += [
            "# This host lacks CAP_SYS_RESOURCE: runc may not lower oom_score_adj below its parent's.",
            "[plugins.'io.containerd.cri.v1.runtime']",
            "  restrict_oom_score_adj = true",
        ]
    return sealed("\n".join(lines) + "\n")


def pull_script(images: Mapping[str, Sequence[str]]) -> str:
    """Return shell text that pulls images side by side, by the same ``hosts.toml`` as kubelet's own pulls. One that does not come is said.

    ``images``: by its digest (``name@sha256:…``) what to call each besides. By all these names, as CRI has them after a pull of its
    own: without the first a pod's status would have the digest of a configuration for its image. Metadata would be of all
    platforms, which a site does not have. ctr itself waits for ever for a registry that fell silent.
    """
    ctr = f"ctr --address {SOCKET} --namespace k8s.io images"
    lines = []
    for digest, names in images.items():
        works = f"timeout -k 5 {_PULL_TIMEOUT} {ctr} pull --hosts-dir {REGISTRIES} --skip-metadata {shlex.quote(digest)}"
        works += f" && {ctr} tag --force {shlex.join((digest, *names))}" if names else ""
        lines.append(f"{{ {{ {works}; }} >/dev/null 2>&1 || echo {shlex.quote(f'{[digest, *names][-1]} {MISSED}')}; }} &")
    return "\n".join([*lines, "wait", ""]) if lines else ""


def sealed(text: str) -> str:
    """Return ``text`` under a line that says what it was when we wrote it."""
    return f"{SEAL}{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def is_edited(text: str) -> bool:
    """Tell whether somebody changed a text that we sealed. One that we never sealed was not."""
    first, _, rest = text.partition("\n")
    return first.startswith(SEAL) and sealed(rest) != text


def rotated(endpoints: Sequence[str], by: int) -> tuple[str, ...]:
    """Return the endpoints beginning with another one for each ``by``, so that hosts spread over the masters."""
    start = by % len(endpoints) if endpoints else 0
    return (*endpoints[start:], *endpoints[:start])


def hosts_toml(endpoints: Sequence[str], *, ca_path: str, authorization: Secret | None = None) -> str:
    """Return the hosts.toml for all registries: these endpoints in this order, and nothing behind them.

    ``authorization`` is the value of the header that every request carries; with it, the text is a secret too. containerd
    sends it before it is asked for it, so a login costs no request (``header`` is a string or a list since containerd 1.5).
    Credentials of a pod's imagePullSecrets do not replace it: containerd uses those only to answer a 401.

    ``server`` is what containerd asks last, and by default that is the registry an image names: the internet. So it
    names an endpoint of ours again. A file that has only ``server`` is ignored by containerd before 1.7.32.
    """
    # On cleartext endpoints "ca" would make containerd try https first.
    ca = f"ca = '{ca_path}'" if ca_path and endpoints[0].startswith("https://") else ""
    header = f"header = {{ Authorization = '{authorization.reveal()}' }}" if authorization is not None else ""
    # A master that is off does not refuse, it is silent, and containerd asks it first at every request of a pull.
    patience = f"dial_timeout = '{_DIAL_TIMEOUT}'" if len(endpoints) > 1 else ""
    settings = ["capabilities = ['pull', 'resolve']", *filter(None, (ca, patience, header))]
    lines = ["# Made by airseal: every image comes from here, none from anywhere else.", f"server = '{endpoints[0]}'", *settings]
    for endpoint in endpoints:
        lines += ["", f"[host.'{endpoint}']", *(f"  {setting}" for setting in settings)]
    return "\n".join(lines) + "\n"
