"""ControlPlane: the masters of one cluster. Any of them that is ready speaks for all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from installer_stub.errors import ClusterError, HostError
from installer_stub.host.connection import Connection
from installer_stub.kube.kubectl import Kubectl
from installer_stub.plan.model import HostPlan

API_TIMEOUT: Final = 300.0  # seconds; a control plane on an old disk needs minutes after a restart
_LOOK: Final = "look there: journalctl -u kubelet, and crictl or ctr -n k8s.io for the control plane's containers"


@dataclass(frozen=True, slots=True)
class Speaker:
    """A master through which the cluster is asked and changed: over its own API server, not over another's."""

    host: HostPlan
    connection: Connection

    @property
    def kubectl(self) -> Kubectl:
        """Return kubectl on this master, as administrator."""
        return Kubectl(self.connection)


class ControlPlane:
    """Masters of one cluster that we are connected to, in the order in which they are asked.

    Give it members only: what a host says that never joined, or was thrown out, is not what the cluster says.
    """

    def __init__(self, masters: Iterable[Speaker]) -> None:
        self.masters = tuple(masters)

    def any_ready(self) -> Speaker | None:
        """Return the first master whose API server says that it is ready, or None. One that cannot be asked is not."""
        return next((master for master in self.masters if _is_ready(master.kubectl)), None)

    def wait_for_any(
        self,
        *,
        timeout: float = API_TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Speaker:
        """Return a ready master as soon as there is one. Raises ClusterError, naming all masters, after ``timeout`` seconds."""
        deadline = clock() + timeout
        while True:
            ready = self.any_ready()
            if ready is not None:
                return ready
            if clock() >= deadline:
                addresses = [master.host.address for master in self.masters]
                if not addresses:
                    raise ClusterError("no master of the cluster can be reached", "let at least one of them be reached, then run again")
                server = "the API server on" if len(addresses) == 1 else "none of the API servers on"
                did = "did not become" if len(addresses) == 1 else "became"
                raise ClusterError(f"{server} {', '.join(addresses)} {did} ready within {timeout:.0f} s", _LOOK)
            sleep(1.0)


def first_ready(masters: Iterable[Kubectl]) -> Kubectl | None:
    """Return the first whose API server says that it is ready, or None, of masters that stand in no plan."""
    return next((master for master in masters if _is_ready(master)), None)


def _is_ready(master: Kubectl) -> bool:
    try:
        return master.api_ready()
    except HostError:  # the connection was lost: the others are asked
        return False
