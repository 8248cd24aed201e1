"""Task: a long script on a host that outlives our connection, is watched while it runs, and never runs twice at once.

It runs as a transient systemd unit, ``airseal-NAME``. When the installer is killed it goes on; the next run finds the
unit by its name and stops it, with every process it started, before it begins again.
"""

from __future__ import annotations

import io
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from installer_stub.distro.units import WITHOUT_PROXY
from installer_stub.errors import CommandFailed, HostError
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.plan import STATE

_log = logging.getLogger("airseal.task")
_SCRIPTS: Final = "/run/airseal"
_TAIL: Final = 40  # lines of output that an error shows

_STOP: Final = 'systemctl stop "$1" 2>/dev/null || true; systemctl reset-failed "$1" 2>/dev/null || true; rm -f "$2"'

# The log file is emptied before the unit starts, so that what is read always belongs to this run.
_START: Final = f"""\
umask 077; mkdir -p "${{3%/*}}"; : > "$3"
exec systemd-run --quiet --unit="$1" --description="airseal: $1" --property=RemainAfterExit=yes \
  --property=TimeoutStopSec=10 {WITHOUT_PROXY} /bin/sh -c 'exec /bin/sh "$0" >> "$1" 2>&1 </dev/null' "$2" "$3"
"""

# Answers as soon as the task has ended, or after two seconds with what it said until then. The state is asked before
# the log's size, so that an ended task's log is complete.
_WATCH: Final = """\
n=0
while [ $n -lt 10 ] && [ "$(systemctl show --property=SubState "$1")" = SubState=running ]; do sleep 0.2; n=$((n+1)); done
for p in LoadState ActiveState SubState ExecMainStatus; do v=$(systemctl show --property=$p "$1"); printf '%s ' "${v#*=}"; done
size=$(stat -c %s "$2"); echo "$size"
tail -c "+$(($3 + 1))" "$2" | head -c "$((size - $3))"
"""


@dataclass(frozen=True, slots=True)
class Task:
    """What to run. ``name`` is its identity on the host; ``text`` a ``/bin/sh`` script, which may hold no secret."""

    name: str
    text: str

    @property
    def unit(self) -> str:
        """The systemd unit."""
        return f"airseal-{self.name}.service"

    @property
    def script(self) -> str:
        """Where the script stands while it runs."""
        return f"{_SCRIPTS}/{self.name}.sh"

    @property
    def log(self) -> str:
        """Where its output stands, until a reset."""
        return f"{STATE}/log/{self.name}.log"


class TaskFailed(CommandFailed):
    """A task ended with a non-zero status. ``tail`` is the end of its output."""

    def __init__(self, host: str, problem: str, remedy: str, *, status: int, tail: str) -> None:
        super().__init__(host, problem, remedy, status=status)
        self.tail = tail


def stop_task(connection: Connection, name: str) -> None:
    """End a task that an earlier run left behind, with all its processes. Nothing to do is fine."""
    task = Task(name, "")
    connection.run(Command.shell(_STOP, task.unit, task.script, changes=f"stop {task.unit} of an earlier run"))


def run_task(
    connection: Connection,
    task: Task,
    *,
    said: Callable[[str], None] = _log.info,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Run ``task`` to its end, each line of its output to ``said``. Return the last lines. Raises TaskFailed."""
    stop_task(connection, task.name)
    text = task.text.encode()
    connection.put(io.BytesIO(text), task.script, size=len(text), mode=0o700)
    start = Command.shell(_START, task.unit, task.script, task.log, changes=f"run {task.name}")
    connection.run(start)
    tail: deque[str] = deque(maxlen=_TAIL)
    offset, rest = 0, ""
    while True:
        result = connection.run(Command.shell(_WATCH, task.unit, task.log, str(offset)))
        state, _, output = result.stdout.partition("\n")
        words = state.split()
        if len(words) != 5:
            raise HostError(connection.host.address, f"cannot tell how {task.name} is doing: {state[:200]!r}")
        loaded, active, sub, status, offset = words[0], words[1], words[2], int(words[3]), int(words[4])
        *lines, rest = (rest + output).split("\n")
        ended = sub != "running" and active not in {"activating", "deactivating"}
        for line in [*lines, rest] if ended and rest else lines:
            tail.append(line)
            said(f"{connection.host.address}: {line}")
        if ended:
            break
        sleep(0.0)  # the host has waited already
    if loaded == "not-found" or (active != "failed" and sub != "exited"):
        raise HostError(connection.host.address, f"{task.name} was ended from outside ({active}, {sub})", "see whether the host restarted")
    stop_task(connection, task.name)
    if active == "failed" or status != 0:
        last = "\n".join(tail)
        problem = f"{task.name} ended with status {status}:\n{last}"
        raise TaskFailed(connection.host.address, problem, f"the whole output is in {task.log} there", status=status, tail=last)
    return "\n".join(tail)
