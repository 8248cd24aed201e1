"""The coverage of the last build of each name and version, in the cache: with the times that are no part of a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from bundler.coverage.report import Report
from bundler.errors import BuildError, UsageError
from bundler.titles import parse_title
from installer_stub.bundle.coverage import decode_coverage, encode_coverage
from installer_stub.bundle.documents import decode_lock, encode_lock
from installer_stub.errors import BundleError
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.disk import write_file

_FORMAT: Final = "airseal.coverage.build/1"
_MAX: Final = 256 << 20  # bytes that are read: ten thousand images take a tenth


def remember(cache: Path, report: Report) -> Path:
    """Keep a report for ``recall``, whole or not at all, and return its file. Raises StoreError, OSError."""
    path = _path(cache, report.title)
    path.parent.mkdir(parents=True, exist_ok=True)
    value = {
        "format": _FORMAT,
        "lock": encode_lock(report.lock).decode(),
        "coverage": encode_coverage(report.coverage).decode() if report.coverage else None,
        "firstSeen": {str(reference): seconds for reference, seconds in sorted(report.first_seen.items(), key=lambda item: str(item[0]))},
    }
    write_file(path, json.dumps(value, indent=1).encode())
    return path


def recall(cache: Path, title: str) -> Report:
    """Return what the last build of ``title`` (``shop:1.4.0``) covered. Raises UsageError if there was none, BuildError."""
    path = _path(cache, title)
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(_MAX))
        coverage = decode_coverage(value["coverage"].encode()) if value["coverage"] is not None else None
        seen = {Reference.parse(name): float(seconds) for name, seconds in value["firstSeen"].items()}
        found = Report(title, decode_lock(value["lock"].encode()), coverage, seen)
    except FileNotFoundError:
        raise UsageError(f"nothing is remembered of a build of {title}", "name the artifact itself, or build it here: airseal build") from None
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError, RegistryError, BundleError) as error:
        raise BuildError(f"{path} cannot be read: {str(error)[:200]}", "name the artifact itself, or build again") from None
    if value["format"] != _FORMAT:
        raise BuildError(f"{path} is of another version of airseal", "name the artifact itself, or build again")
    return found


def first_seen(cache: Path, report: Report) -> Report:
    """Return ``report`` with the times that are remembered of the very same images, if they are."""
    try:
        known = recall(cache, report.title)
    except BuildError:
        return report
    return Report(report.title, report.lock, report.coverage, known.first_seen) if known.lock == report.lock else report


def _path(cache: Path, title: str) -> Path:
    """Return the file; both parts of a title follow the rules of tags, so that neither leaves the directory. Raises UsageError."""
    name, version = parse_title(title)
    return cache / "coverage" / name / f"{version}.json"
