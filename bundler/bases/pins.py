"""Pins: which SHA-256 a URL must have. Text in sha256sum's own format, the URL in place of the file name."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Mapping
from pathlib import Path

from bundler.errors import RecipeError
from registry_snapshot.store.bounded import read_file
from registry_snapshot.store.disk import write_file
from registry_snapshot.store.ours import open_lock

_LINE = re.compile(r"(?P<hash>[0-9a-f]{64})(?:  | \*)(?P<name>\S.*?)\s*")
_HASH = re.compile(r"[0-9a-f]{64}")


def load_pins(file: Path) -> dict[str, str]:
    """Return URL → hash of a pins file; nothing where there is no such file. Raises RecipeError with the line."""
    try:
        text = read_file(file).decode()
    except FileNotFoundError:
        return {}
    pins = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise RecipeError(f"{file}:{number}: is not a pin", "write 64 lower-case hex digits, two spaces, the URL")
        pins[match["name"]] = match["hash"]
    return pins


def given_pins(file: Path | None) -> dict[str, str]:
    """Return the pins of a file that the command line names. Raises RecipeError where there is none."""
    if file is None:
        return {}
    if not file.is_file():
        raise RecipeError(f"there is no pins file {file}", "name a file that airseal base pin has written")
    return load_pins(file)


def pins_text(pins: Mapping[str, str], comment: str) -> str:
    """Return a pins file, sorted by URL."""
    lines = [f"# {line}" for line in comment.splitlines()]
    return "\n".join([*lines, *(f"{digest}  {url}" for url, digest in sorted(pins.items()))]) + "\n"


def add_pins(file: Path, pins: Mapping[str, str], comment: str) -> None:
    """Add to a pins file, whole or not at all; two builds that do so at once lose nothing of each other. Raises StoreError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = open_lock(file.with_name(f".{file.name}.lock"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_file(file, pins_text({**load_pins(file), **pins}, comment).encode())
    finally:
        os.close(lock)


def published(text: str, file_name: str, form: str, url: str) -> str:
    """Return the hash that a publisher's checksum file gives for ``file_name``. Raises RecipeError if it has none.

    ``bare`` is the hash alone (dl.k8s.io), ``list`` is sha256sum's output (GitHub releases).
    """
    if form == "bare":
        words = text.split()
        if len(words) in {1, 2} and _HASH.fullmatch(words[0].lower()):
            return words[0].lower()
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match and match["name"].rpartition("/")[2] == file_name:
            return match["hash"]
    raise RecipeError(f"{url}: has no SHA-256 for {file_name}", "look at the file; a proxy may have answered with a page of its own")
