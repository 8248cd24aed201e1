"""The cluster's datastore: etcd, a static pod on every master, asked through that pod with the certificate of its probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from installer_stub.distro.paths import ETCD_PKI
from installer_stub.plan.model import in_url


@dataclass(frozen=True, slots=True)
class Datastore:
    """How its members are asked. ``client`` is the argv of its command line inside ``container``."""

    container: str
    client: tuple[str, ...]

    def pod(self, node: str) -> str:
        """Return the name of the pod on the master whose node is ``node``, in kube-system."""
        return f"{self.container}-{node}"

    def peer(self, address: str) -> str:
        """Return the URL by which the others know the member of the master at ``address``."""
        return f"https://{in_url(address)}:2380"


ETCD: Final = Datastore(
    container="etcd",
    client=(
        "etcdctl",
        "--endpoints=https://127.0.0.1:2379",
        f"--cacert={ETCD_PKI}/ca.crt",
        f"--cert={ETCD_PKI}/healthcheck-client.crt",
        f"--key={ETCD_PKI}/healthcheck-client.key",
    ),
)
