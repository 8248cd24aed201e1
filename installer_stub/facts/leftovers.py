"""What lies already where the cluster's data will be: another life's certificates, a stopped etcd, networks of others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.facts.base import Fact, Otherwise


@dataclass(frozen=True, slots=True)
class Leftover:
    """A directory with something in it. ``changed`` is the newest time found near its top, in seconds since 1970."""

    path: str
    size: int  # bytes on its disk; 0 where that could not be counted
    changed: int
    mount_point: bool  # a file system of its own: it cannot be renamed


def parse_leftovers(stdout: str) -> tuple[Leftover, ...]:
    """Return them from lines of path, KiB, time and "mount" or "-", and a last line that proves that all was asked.

    Raises ValueError for anything else: a directory that could not be looked into is not an empty one.
    """
    *lines, last = stdout.splitlines() or [""]
    if last != "asked":
        raise ValueError(stdout[-200:])
    rows = [line.split("\t") for line in lines]
    return tuple(Leftover(path, int(size or 0) * 1024, int(changed or 0), kind == "mount") for path, size, changed, kind in rows)


# Directories alone are nothing: packages make them. etcd's has to be empty altogether (kubeadm: DirAvailable--var-lib-etcd).
_SCRIPT: Final = """\
LC_ALL=C; export LC_ALL
holds() {
  names=$(ls -A -- "$1") || exit 9
  [ -n "$names" ] || return 1
  [ "$2" = files ] || return 0
  for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    { [ -e "$entry" ] || [ -L "$entry" ]; } || continue
    if [ -d "$entry" ] && [ ! -L "$entry" ]; then
      ( holds "$entry" files ); inner=$?
      [ $inner -ne 9 ] || exit 9
      [ $inner -ne 0 ] || return 0
    else return 0; fi
  done
  return 1
}
for place in PLACES; do
  path=${place#*:} kind=${place%%:*}
  if ! said=$(ls -ld -- "$path" 2>&1); then
    case $said in *"No such file or directory"|*"Not a directory") continue ;; *) exit 1 ;; esac
  fi
  [ -d "$path" ] || { printf '%s\\t0\\t%s\\t-\\n' "$path" "$(stat -c %Y -- "$path")"; continue; }
  ( holds "$path" "$kind" ); status=$?
  [ $status -ne 9 ] || exit 1
  [ $status -eq 0 ] || continue
  size=$(du -skx -- "$path" | cut -f1)
  changed=$(stat -c %Y -- "$path" "$path"/* "$path"/*/* | sort -n | tail -n 1)
  mount=-; while read -r _ target _; do [ "$target" != "$path" ] || mount=mount; done < /proc/self/mounts
  printf '%s\\t%s\\t%s\\t%s\\n' "$path" "$size" "$changed" "$mount"
done
echo asked
"""


def script(places: tuple[tuple[str, bool], ...]) -> str:
    """Return the question. Each place is a path, and whether it has to be empty altogether or only without files."""
    return _SCRIPT.replace("PLACES", " ".join(f"{'any' if empty else 'files'}:{path}" for path, empty in places))


LEFTOVERS: Fact[tuple[Leftover, ...]] = Fact("leftovers", script(KUBEADM.own_directories), parse_leftovers, Otherwise((), "whether data of others lies where the cluster's will be", needed=True))
