"""NodeGrant: what lets nodes join, made for the first of them and shared by all of a run."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from installer_stub.distro.base import JoinGrant

if TYPE_CHECKING:
    from installer_stub.phases.base import Context


class NodeGrant:
    """Lent to as many as ask, and taken back once. What is not taken back ends by itself after minutes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._grant: JoinGrant | None = None

    @property
    def is_lent(self) -> bool:
        """Tell whether there is one."""
        return self._grant is not None

    def lend(self, context: Context) -> JoinGrant:
        """Return the grant; whoever asks first makes it, through the master that speaks then. Raises HostError."""
        from installer_stub.phases.cluster_access import join_grant

        with self._lock:
            if self._grant is None:
                self._grant = self._stack.enter_context(join_grant(context, masters=False))
            return self._grant

    def take_back(self) -> None:
        """Let nobody join with it any more. Safe to call twice, and where there is none."""
        with self._lock:
            self._grant = None
            self._stack.close()
