"""Evidence: what lies on a host that speaks for or against its being in a cluster, asked in one round trip.

Every look answers yes, no, or could not tell: "no" only when the host says that there is no such file. An answer that was
cut short (no memory to fork, a killed shell, a lost line) is no answer.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from installer_stub.errors import HostInDoubt
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection
from installer_stub.membership import record
from installer_stub.plan.model import STATE

_LIMIT: Final = 65536  # bytes of a file that are read: a CA file has some 1,100
_TIMEOUT: Final = 60.0  # seconds: an answer from a host whose disk hangs never comes
_LOOK_AT: Final = "look at the host's disk and memory (dmesg, df, free) and run again; nothing was changed"

# LC_ALL=C: the kernel's words for ENOENT and ENOTDIR are the only ones that mean absence. The last line proves that all was asked.
_SCRIPT: Final = """\
LC_ALL=C; export LC_ALL
look() {
  if said=$(ls -ld -- "$2" 2>&1); then echo "$1 yes"
  else case $said in *"No such file or directory"|*"Not a directory") echo "$1 no" ;; *) echo "$1 unclear $said" ;; esac
  fi
}
full() {
  if said=$(ls -A -- "$2" 2>&1); then [ -n "$said" ] && echo "$1 yes" || echo "$1 no"
  else case $said in *"No such file or directory"|*"Not a directory") echo "$1 no" ;; *) echo "$1 unclear $said" ;; esac
  fi
}
hold() {
  if said=$(cat -- "$2" 2>&1 > /dev/null); then echo "$1 yes $(wc -c < "$2") $(head -c LIMIT -- "$2" | base64 | tr -d '\\n')"
  else case $said in *"No such file or directory"|*"Not a directory") echo "$1 no" ;; *) echo "$1 unclear $said" ;; esac
  fi
}
while [ $# -gt 0 ]; do "$1" "$2" "$3"; shift 3; done
echo all-asked
""".replace("LIMIT", str(_LIMIT))


@dataclass(frozen=True, slots=True)
class Traces:
    """Where a distribution leaves traces of a membership. ``authority`` is the cluster CA's certificate."""

    authority: str
    files: tuple[str, ...]  # any of them: something of a cluster is here
    directories: tuple[str, ...]  # the same, where one with something in it counts


@dataclass(frozen=True, slots=True)
class Evidence:
    """What lies there. ``record`` is None where there is none; an empty or torn one is ``b""`` or its bytes."""

    record: bytes | None
    authority: bytes | None
    machine_id: str
    earlier_mark: bool  # the mark of releases before the record: whoever has it had completed
    traces: tuple[str, ...] = field(default=())


_RECORD: Final = "record"
_AUTHORITY: Final = "authority"
_MACHINE_ID: Final = "machine-id"
_EARLIER: Final = "earlier"
EARLIER_MARK: Final = f"{STATE}/member"


def question(traces: Traces) -> Command:
    """Return the one command that asks for all of it."""
    looks: list[str] = ["hold", _RECORD, record.PATH, "hold", _AUTHORITY, traces.authority, "hold", _MACHINE_ID, "/etc/machine-id"]
    looks += ["full", _EARLIER, EARLIER_MARK]
    for path in traces.files:
        looks += ["look", path, path]
    for path in traces.directories:
        looks += ["full", path, path]
    return Command.shell(_SCRIPT, *looks)


def gather(connection: Connection, traces: Traces) -> Evidence:
    """Return the evidence on one host. Raises HostInDoubt for whatever it could not tell, HostError."""
    host = connection.host.address
    result = connection.run(question(traces), check=False, timeout=_TIMEOUT)
    lines = result.stdout.splitlines()
    if not result.ok or lines[-1:] != ["all-asked"]:
        said = " ".join((result.stderr or result.stdout).split())[-200:]
        raise HostInDoubt(host, f"cannot tell whether it is in a cluster: its shell ended with status {result.status}: {said or 'no word'}", _LOOK_AT)
    return parse(host, lines[:-1], traces)


def parse(host: str, lines: list[str], traces: Traces) -> Evidence:
    """Return the evidence in the answer's lines. Raises HostInDoubt where one says that it could not tell, or is missing."""
    answers: dict[str, str] = {}
    for line in lines:
        name, _, answer = line.partition(" ")
        answers[name] = answer
    wanted = (_RECORD, _AUTHORITY, _MACHINE_ID, _EARLIER, *traces.files, *traces.directories)
    for name in wanted:
        answer = answers.get(name, "unclear (it did not answer)")
        if answer.startswith("unclear"):
            raise HostInDoubt(host, f"cannot tell whether it is in a cluster: {name}: {answer.removeprefix('unclear ')}", _LOOK_AT)
    present = tuple(path for path in (*traces.files, *traces.directories) if answers[path] == "yes")
    return Evidence(
        record=_held(host, answers, _RECORD),
        authority=_held(host, answers, _AUTHORITY),
        machine_id=(_held(host, answers, _MACHINE_ID) or b"").decode(errors="replace").strip(),
        earlier_mark=answers[_EARLIER] == "yes",
        traces=present,
    )


def _held(host: str, answers: Mapping[str, str], name: str) -> bytes | None:
    if answers[name] == "no":
        return None
    try:
        _, size, *encoded = answers[name].split()
        content = base64.b64decode("".join(encoded), validate=True)
        if len(content) == min(int(size), _LIMIT):
            return content
    except ValueError:
        pass
    raise HostInDoubt(host, f"cannot tell whether it is in a cluster: {name} came torn", _LOOK_AT)
