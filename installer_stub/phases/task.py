"""Task: a long script on a host that outlives our connection, is watched while it runs, and never runs twice at once.

It runs as a transient systemd unit, ``airseal-NAME``, in the slice of everything that runs start. When the installer is
killed it goes on, and leaves its own result on the host's disk when it ends: the next run attaches itself to one that still
runs, and does not repeat one that has ended, if it is the same task. Another one under this name is stopped first.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from installer_stub.agent.place import SLICE
from installer_stub.distro.units import WITHOUT_PROXY
from installer_stub.errors import CommandFailed, HostError
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.host.flush import FLUSH
from installer_stub.phases.task_state import TaskState
from installer_stub.plan.model import STATE
from installer_stub.ui.transfer import duration

_log = logging.getLogger("airseal.task")
_SCRIPTS: Final = "/run/airseal"
_TAIL: Final = 40  # lines of output that an error shows
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")  # kubeadm colours its checks also where nobody sees it
_QUIET_SECONDS: Final = 60.0  # without a line, before that is said; then after twice as long, and so on
_LOOKS: Final = 10  # five a second, before a watch answers

# $1 unit, $2 script, $3 its record without ending.
_STOP: Final = """\
systemctl stop "$1" 2>/dev/null || true
systemctl reset-failed "$1" 2>/dev/null || true
rm -f "$2" "$3.begun" "$3.result" "$3.result.new"
"""

# $1 script, $2 log, $3 digest, $4 record, $5 its directory, $6 seconds that it may take, 0 for any number. No ${…}: systemd would put its own variables there. It ends
# with 0 whatever the script did, so that no unit of an ended task stays behind; the result says how it ended. A killed task
# leaves none.
_WRAPPER: Final = (
    FLUSH
    + """\
umask 077
began=$(date +%s)
if [ "$6" -gt 0 ]; then timeout -k 30 "$6" /bin/sh "$1" >> "$2" 2>&1 </dev/null
else /bin/sh "$1" >> "$2" 2>&1 </dev/null; fi
status=$?
printf "%s %s %s %s\\n" "$3" "$status" "$began" "$(date +%s)" > "$4.result.new"
flush "$2" "$4.result.new"
mv -f "$4.result.new" "$4.result"
flush "$5"
rm -f "$1"
exit 0
"""
)

# $1 unit, $2 script, $3 record, $4 log, $5 digest, $6 slice, $7 wrapper, $8 seconds. The log is emptied before the unit starts, so that
# what is read always belongs to this run; that it was begun is on the disk before it begins.
_START: Final = (
    FLUSH
    + f"""\
systemctl stop "$1" 2>/dev/null || true
systemctl reset-failed "$1" 2>/dev/null || true
umask 077; mkdir -p "${{4%/*}}" "${{3%/*}}"; : > "$4"; rm -f "$3.result" "$3.result.new"
echo "$5 $(date +%s)" > "$3.begun"; flush "$3.begun" "${{3%/*}}"
exec systemd-run --quiet --unit="$1" --slice="$6" --description="airseal $5" \\
  --property=TimeoutStopSec=10 {WITHOUT_PROXY} /bin/sh -c "$7" sh "$2" "$4" "$5" "$3" "${{3%/*}}" "$8"
"""
)

# $1 unit, $2 log, $3 bytes of it that are known, $4 record, $5 how often to look before answering. Answers as soon as the
# task has ended. One question for the whole state: two would see two moments. The state is asked before the result, and
# that before the log's size, so that an ended task's result is there and its log complete.
_WATCH: Final = """\
n=0
while :; do
  state=$(systemctl show --property=LoadState --property=ActiveState --property=SubState --property=Description "$1")
  case $state in *ActiveState=active*|*ActiveState=activating*|*ActiveState=deactivating*) ;; *) break ;; esac
  [ $n -lt "$5" ] || break
  n=$((n+1)); sleep 0.2
done
printf '%s' "$state" | tr '\\n' ';'; echo
echo "$(head -n 1 "$4.result" 2>/dev/null)"
echo "$(head -n 1 "$4.begun" 2>/dev/null)"
size=$(stat -c %s "$2" 2>/dev/null || echo 0); echo "$size"
[ "$size" -le "$3" ] || tail -c "+$(($3 + 1))" "$2" | head -c "$((size - $3))"
"""


# $1 the directory of records: names of tasks that any of them is of.
_NOTED: Final = """\
[ -d "$1" ] || exit 0
cd "$1"
for f in *; do case $f in *.begun|*.result|*.result.new) echo "${f%%.*}" ;; esac; done
"""


@dataclass(frozen=True, slots=True)
class Task:
    """What to run. ``text`` is a ``/bin/sh`` script, which may hold no secret.

    Two tasks are the same if name and text are; ``identity`` stands for the text where a text of other words does the same.
    ``limit`` is how many seconds it may take, 0 for any number: the host itself ends it then, also where nobody looks.
    """

    name: str
    text: str
    identity: str = ""
    limit: int = 0

    @property
    def digest(self) -> str:
        """What tells this task from another one of its name."""
        return hashlib.sha256((self.identity or self.text).encode()).hexdigest()[:32]

    @property
    def unit(self) -> str:
        """The systemd unit."""
        return f"airseal-{self.name}.service"

    @property
    def script(self) -> str:
        """Where the script stands while it runs."""
        return f"{_SCRIPTS}/{self.name}.sh"

    @property
    def record(self) -> str:
        """Where it is written that it was begun and how it ended, before ``.begun`` and ``.result``."""
        return f"{STATE}/tasks/{self.name}"

    @property
    def log(self) -> str:
        """Where its output stands, until a reset."""
        return f"{STATE}/log/{self.name}.log"


class TaskFailed(CommandFailed):
    """A task ended with a non-zero status. ``tail`` is the end of its output, ``how`` says how it ended."""

    def __init__(self, host: str, problem: str, remedy: str, *, status: int, tail: str, how: str) -> None:
        super().__init__(host, problem, remedy, status=status)
        self.tail = tail
        self.how = how


def stop_task(connection: Connection, name: str) -> None:
    """End a task that an earlier run left behind, with all its processes, and forget it. Nothing to do is fine."""
    task = Task(name, "")
    connection.run(Command.shell(_STOP, task.unit, task.script, task.record, changes=f"stop {task.unit} of an earlier run"))


def noted(connection: Connection) -> tuple[str, ...]:
    """Return the names of the tasks that were begun on this host and not forgotten, whether they run or have ended."""
    said = connection.run(Command.shell(_NOTED, f"{STATE}/tasks")).stdout
    return tuple(dict.fromkeys(said.split()))


def look_at(connection: Connection, task: Task) -> TaskState:
    """Return how ``task`` is doing on this host, or did. Raises HostError when the host cannot tell."""
    return _look(connection, task, 0, looks=0)[0]


def settle_task(connection: Connection, task: Task, *, said: Callable[[str], None] = _log.info) -> bool:
    """Let nothing of an earlier run go on: the same task is waited for, however it ends, another one of its name is stopped.

    Return whether it was waited for.
    For whoever looks at what it does before deciding whether to run it: nothing changes under the look then.
    """
    state, _ = _look(connection, task, 0, looks=0)
    same = state.running and state.digest == task.digest
    if same:
        said(f"{connection.host.address}: {task.name} of an earlier run still runs; waiting for its end")
        _follow(connection, task, said, time.monotonic)
    stop_task(connection, task.name)
    return same


def run_task(
    connection: Connection,
    task: Task,
    *,
    once: bool = False,
    said: Callable[[str], None] = _log.info,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Run ``task`` to its end, each line of its output to ``said``. Return the last lines. Raises TaskFailed.

    One that is the same and still runs is attached to. With ``once``, one that is the same and has ended well since it was
    last forgotten is not run again, and its result stays until ``stop_task`` forgets it: for whoever has to note elsewhere
    that it is done.
    """
    address = connection.host.address
    state, _ = _look(connection, task, 0, looks=0)
    if state.running and state.digest == task.digest:
        said(f"{address}: {task.name} of an earlier run still runs; going on with it")
    elif once and not state.running and state.succeeded(task.digest):
        said(f"{address}: {task.name} has ended well since an earlier run began it; not run again")
    else:
        text = task.text.encode()
        connection.put(io.BytesIO(text), task.script, size=len(text), mode=0o700)
        start = (task.unit, task.script, task.record, task.log, task.digest, SLICE, _WRAPPER, str(task.limit))
        connection.run(Command.shell(_START, *start, changes=f"run {task.name}"))
    state, tail = _follow(connection, task, said, clock)
    result = state.result
    if result is None or result.digest != task.digest:
        raise HostError(address, f"{task.name} was ended from outside ({state.words})", "see whether the host restarted")
    if not once or result.status != 0:
        stop_task(connection, task.name)
    last = "\n".join(tail)
    if result.status != 0:
        # coreutils' timeout: 124 after a SIGTERM, 137 where that was not enough.
        late = bool(task.limit) and result.status in {124, 137} and result.ended - result.began >= task.limit
        how = f"did not end within {duration(task.limit)} and was stopped" if late else f"ended with status {result.status}"
        problem = f"{task.name} {how}:\n{last}"
        raise TaskFailed(address, problem, f"the whole output is in {task.log} there", status=result.status, tail=last, how=how)
    return last


def _follow(
    connection: Connection, task: Task, said: Callable[[str], None], clock: Callable[[], float]
) -> tuple[TaskState, deque[str]]:
    """Pass on what it says until it has ended; return how, and its last lines."""
    address, tail = connection.host.address, deque[str](maxlen=_TAIL)
    rest, offset, heard, patience = "", 0, clock(), _QUIET_SECONDS
    while True:
        state, output = _look(connection, task, offset, looks=_LOOKS)
        offset = state.size
        *lines, rest = (rest + output).split("\n")
        for coloured in [*lines, rest] if rest and not state.running else lines:
            line = _COLOUR.sub("", coloured)
            tail.append(line)
            said(f"{address}: {line}")
        if not state.running:
            return state, tail
        if output:
            heard, patience = clock(), _QUIET_SECONDS
        elif clock() - heard >= patience:
            said(f"{address}: {task.name} has said nothing for {clock() - heard:.0f} s; it still runs")
            patience *= 2


def _look(connection: Connection, task: Task, offset: int, *, looks: int) -> tuple[TaskState, str]:
    watch = Command.shell(_WATCH, task.unit, task.log, str(offset), task.record, str(looks))
    said = connection.run(watch).stdout
    try:
        return TaskState.parse(said)
    except ValueError:
        raise HostError(connection.host.address, f"cannot tell how {task.name} is doing: {said[:200]!r}") from None
