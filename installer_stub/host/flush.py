"""Bytes onto a host's disk, from a script: these files, and nothing else.

``sync`` alone waits for every file system of the host: for ever on a dead NFS mount, for minutes where much is dirty. And
before coreutils 8.24 (RHEL 7) ``sync FILE`` is just that: it warns and ignores the name. dd syncs one file everywhere.
"""

from __future__ import annotations

from typing import Final

# flush FILE-OR-DIRECTORY…: what cannot be synced by name is left to the file system, whose journal orders a rename
# after the data that was synced before it. Fails where a file's bytes could not be written.
FLUSH: Final = r"""
flush() {
  case $(sync --help 2>/dev/null) in
    *--file-system*) sync -- "$@" ;;
    *)
      for each in "$@"; do
        [ -e "$each" ] || return 1  # dd would make it
        [ -d "$each" ] || dd if=/dev/null of="$each" conv=notrunc,fsync 2>/dev/null || return 1
      done
      ;;
  esac
}
"""
