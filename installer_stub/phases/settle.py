"""Wait until the application stands."""

from __future__ import annotations

from typing import ClassVar, Final

from installer_stub.kube.settle import settle
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.cluster_access import kubectl

_TIMEOUT: Final = 1800.0  # seconds: gigabytes of images over a slow network


class Settle(Phase):
    """Looks only, so it runs every time: nothing is called done that was not seen."""

    title: ClassVar[str] = "Wait until every workload is ready"

    def run(self, context: Context) -> None:
        """Raises NotSettled, which names every workload that is not ready."""
        settle(kubectl(context), timeout=_TIMEOUT, quiet=lambda: True, reporter=context.reporter)
