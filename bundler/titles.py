"""What every verb parses: where the cache is, and NAME:VERSION. Apart from ``options``, which knows all of a build and takes as long to import."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from bundler.errors import UsageError
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.reference import Repository

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_NAME = re.compile(r"[a-z0-9]+([._-]+[a-z0-9]+)*")


def cache_directory(option: Path | None) -> Path:
    """Return where everything that is fetched is kept: the option, else $AIRSEAL_CACHE, else the user's cache."""
    if option is not None:
        return option.absolute()
    if named := os.environ.get("AIRSEAL_CACHE"):
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "airseal"


def cache_root(option: Path | None) -> Path:
    """Return ``cache_directory``, there, and its owner's alone if we made it: it holds layers of private images.

    One that somebody named and made keeps its mode, for a cache may be shared on purpose; the user's own is closed if an
    earlier version left it open. Raises UsageError.
    """
    path = cache_directory(option)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(0o700)
        found = path.stat()
        if option is None and not os.environ.get("AIRSEAL_CACHE") and found.st_uid == os.geteuid() and found.st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        raise UsageError(f"the cache {path} cannot be made: {error.strerror}", "name another directory with --cache") from None
    return path


def parse_title(text: str) -> tuple[str, str]:
    """Return name and version of ``NAME:VERSION``. Raises UsageError.

    Both become parts of file names and of a registry's reference, so they follow the rules of image tags.
    """
    name, colon, version = text.partition(":")
    if not colon or not _NAME.fullmatch(name) or len(name) > 100 or not _TAG.fullmatch(version):
        hint = "write NAME:VERSION in lower-case letters, digits, dots and dashes, for example -t shop:1.4.0"
        raise UsageError(f"{text[:200]!r} is not NAME:VERSION", hint)
    try:
        Repository.of("airseal.internal", f"cluster/{name}")
    except RegistryError as error:
        raise UsageError(error.problem, error.remedy) from None
    return name, version
