"""Forget the tasks of runs that died: each outlived its run and ended well, but nobody was there to take its notes away."""

from __future__ import annotations

from typing import ClassVar

from installer_stub.host.connection import Connection
from installer_stub.phases.base import Context, HostPhase
from installer_stub.phases.task import noted, stop_task
from installer_stub.plan.model import HostPlan


class ForgetTasks(HostPhase):
    """Only once everything else is done: until then a task's notes may be all that says that it was begun, or how it ended."""

    title: ClassVar[str] = "Forget the tasks of earlier runs"
    after = None

    def is_done(self, context: Context, host: HostPlan, connection: Connection) -> bool:
        """Look for notes of any task."""
        del context, host
        return not noted(connection)

    def do(self, context: Context, host: HostPlan, connection: Connection) -> None:
        """Take them away. One that still runs does what is done already: it is stopped."""
        del context, host
        for name in noted(connection):
            stop_task(connection, name)
