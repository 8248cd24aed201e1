"""What a site wants of itself beyond hosts and networks: values of a Clusterfile that the record keeps. No secret is among them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

REGISTRY_PORT: Final = 5443
Pairs = tuple[tuple[str, str], ...]  # names and values, sorted by name

# What a Clusterfile calls its patches. Static pods by kubeadm's names: kubernetes.io/docs/setup/production-environment/
# tools/kubeadm/control-plane-flags, "Customizing with patches".
STATIC_PODS: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
MOST_PATCH: Final = 32768  # characters of one of them
KUBELET: Final = "kubelet"
CONTAINERD: Final = "containerd"


@dataclass(frozen=True, slots=True)
class SiteWishes:
    """What a Clusterfile says of the whole site. None: nothing was said, and what is recorded stays."""

    env: Pairs | None = None
    registry_port: int | None = None
    directories: Pairs | None = None
    patches: Pairs | None = None


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """As recorded.

    ``env``: environment of the application's commands, beside the bundle's own. ``directories``: absolute paths by
    "containerd", "etcd", "kubelet". ``patches``: by STATIC_PODS and KUBELET the patch as JSON, by CONTAINERD TOML. ``values``:
    what was set of the bundle's, as JSON by path. ``secrets``: marks of secret ones, which tell whether one is the same.
    """

    env: Pairs = ()
    registry_port: int = REGISTRY_PORT
    directories: Pairs = ()
    patches: Pairs = ()
    values: Pairs = ()
    secrets: Pairs = ()

    def with_wishes(self, wishes: SiteWishes) -> SiteSettings:
        """Return what ``wishes`` make of it."""
        told = {each.name: value for each in fields(wishes) if (value := getattr(wishes, each.name)) is not None}
        return replace(self, **told)

    def directory(self, name: str, default: str) -> str:
        """Return where the data of ``name`` lies."""
        return dict(self.directories).get(name, default)

    def patch(self, name: str) -> str:
        """Return the text of a patch; empty where there is none."""
        return dict(self.patches).get(name, "")


AS_USUAL: Final = SiteSettings()
NOTHING_SAID: Final = SiteWishes()
