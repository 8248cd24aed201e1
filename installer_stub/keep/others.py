"""Which masters are there, by the cluster's own word: before one takes its control plane away, the others' should not be away already.

Every API server that runs stands in the EndpointSlice of the Service ``kubernetes``, by a lease of fifteen seconds, and takes itself
out when it ends in order (k8s.io/kubernetes, pkg/controlplane/reconcilers/lease.go).
"""

from __future__ import annotations

import re
from typing import Final

from installer_stub.distro.paths import ADMIN_CONF
from installer_stub.keep.programs import run

_TIMEOUT: Final = 20.0  # seconds
_SLICES: Final = ("endpointslices.discovery.k8s.io", "--namespace=default", "--selector=kubernetes.io/service-name=kubernetes")
_ADDRESS: Final = re.compile(r"address=(\S+)")


def missing(masters: int) -> int:
    """Return how many of so many API servers are not there. 0 where nobody can tell: then nothing is served that could be taken away."""
    if masters < 2:
        return 0
    form = r"jsonpath={range .items[*].endpoints[*]}address={.addresses[0]}{'\n'}{end}"
    done = run(("kubectl", f"--kubeconfig={ADMIN_CONF}", "--request-timeout=10s", "get", *_SLICES, f"--output={form}"), timeout=_TIMEOUT)
    found = set(_ADDRESS.findall(done.output)) if done.ok else set[str]()
    return max(0, masters - len(found)) if found else 0
