"""Where an agent stands on its host, and how it is started there: ``/run/airseal-agent/RUN``, in a scope of its own.

It holds a lock on ``alive`` in that directory; one whose lock is free belongs to an agent that was killed, and goes.
"""

from __future__ import annotations

import contextlib
import fcntl
import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from installer_stub.agent.family import SCOPE

ROOT: Final = Path("/run/airseal-agent")
SLICE: Final = "airseal-run.slice"  # tasks and agents: all that a run starts can be counted and stopped by this name
_BEGINNING_SECONDS: Final = 120.0  # a directory younger than this may belong to an agent that has not locked it yet

# $1 run, $2 its directory, $3 scope, $4 slice, then the program. systemd-run's own failures are 1 (no bus, no systemd)
# and 127; the agent ends with neither. It is no exec: the directory goes when the agent has, however that ended.
_LAUNCH: Final = """\
run=$1 place=$2 scope=$3 slice=$4; shift 4
status=1
if [ -d /run/systemd/system ]; then
  systemd-run --quiet --scope --unit="$scope" --slice="$slice" "$@"; status=$?
fi
case $status in 1|127) "$@"; status=$? ;; esac
rm -rf "$place"
# After a reset, when the program is gone and no other agent is here, not even the empty slice stays.
rmdir "${place%/*}" 2>/dev/null
if [ ! -e "${place%/*}" ] && [ ! -e "$1" ] && [ -d /run/systemd/system ]; then
  systemctl stop "$slice" "${slice%%-*}.slice" 2>/dev/null
fi
exit $status
"""


def launch(program: tuple[str, ...], run: str, marker: str, *, root: Path = ROOT) -> str:
    """Return the shell text that starts ``program`` as the agent of ``run``, and cleans up behind it."""
    agent = (*program, "host", "agent", "--run", run, "--marker", marker)
    return shlex.join(("/bin/sh", "-c", _LAUNCH, "sh", run, str(root / run), f"{SCOPE}{run}", SLICE, *agent))


@contextmanager
def place_of(run: str, *, root: Path = ROOT) -> Iterator[Path]:
    """Give the directory of ``run``, locked while this process lives, after what killed agents left is gone."""
    own = root / run
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (own / "alive").open("w") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        sweep(root)
        yield own
    (own / "alive").unlink(missing_ok=True)
    for directory in (own, root):
        with contextlib.suppress(OSError):
            directory.rmdir()


def sweep(root: Path) -> None:
    """Remove the directories of agents that were killed, with what older ones had unpacked elsewhere, and said so."""
    for directory in root.iterdir():
        try:
            with (directory / "alive").open() as alive:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
                unpacked = Path(alive.read().strip())
        except FileNotFoundError:
            if time.time() - directory.stat().st_mtime < _BEGINNING_SECONDS:
                continue
            unpacked = Path()
        except OSError:
            continue  # it lives
        if unpacked.is_absolute() and unpacked.name.startswith("_MEI"):
            shutil.rmtree(unpacked, ignore_errors=True)
        shutil.rmtree(directory, ignore_errors=True)


