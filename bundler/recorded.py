"""What a recording holds, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from installer_stub.ui.transfer import size as readable
from registry_snapshot.record.journal import Fetched
from registry_snapshot.record.recording import RecordedState, RecordingDirectory


def listing(recording: RecordingDirectory) -> Iterator[str]:
    """Yield a line for every image, and the totals."""
    width = max((len(str(image.reference)) for image in recording.images), default=0)
    for image in recording.images:
        state = readable(image.total_bytes) if not image.problem else f"NOT WHOLE: {image.problem}"
        yield f"{image.reference!s:{width}}  {image.descriptor.digest.encoded[:12]}  {state}"
    yield totals(recording)


def totals(recording: RecordingDirectory) -> str:
    """Return one line of figures."""
    value = totals_json(recording)
    incomplete = f", {value['incomplete']} of them not whole" if value["incomplete"] else ""
    return (
        f"{len(recording.images)} images{incomplete}, {value['blobs']} blobs, {readable(value['size'])}; "
        f"{value['pulls']} pulls, {readable(value['fetched'])} fetched, {value['retries']} retries"
    )


def totals_json(recording: RecordingDirectory) -> dict[str, int]:
    """Return the figures: blobs that images share count once; sizes in bytes."""
    unique = {part.digest: part.size for image in recording.images for part in image.parts}
    return {
        "incomplete": sum(bool(image.problem) for image in recording.images),
        "blobs": len(unique),
        "size": sum(unique.values()),
        "pulls": len(recording.history.pulls),
        "fetched": sum(fetch.bytes for fetch in recording.history.fetches),
        "retries": sum(fetch.retries for fetch in recording.history.fetches),
    }


def explanation(recording: RecordingDirectory, image: RecordedState) -> Iterator[str]:
    """Yield lines that say what an image is, who asked for it, what travelled for it, and what it consists of."""
    yield str(image.reference)
    yield f"  {image.descriptor.digest}  {image.descriptor.media_type}"
    yield f"  NOT WHOLE: {image.problem}" if image.problem else f"  {readable(image.total_bytes)} in {len(image.parts)} blobs"
    yield "  asked for:"
    for pull in recording.history.pulls_of(image.reference):
        retries = f", {pull.retries} retries" if pull.retries else ""
        yield f"    {_when(pull.time)}  {pull.method:6} by {pull.client}, answered by {pull.upstream}{retries}"
    fetches = _fetches(recording, image)
    yield f"  travelled: {readable(sum(fetch.bytes for fetch in fetches))}, {sum(fetch.retries for fetch in fetches)} retries"
    for part in image.parts:
        came = recording.history.fetches_of(part.digest)
        how = f"from {came[-1].upstream} for {came[-1].repository}, {_when(came[-1].time)}" if came else "was here"
        yield f"    {part.digest}  {readable(part.size):>10}  {part.media_type}  {how}"


def image_json(recording: RecordingDirectory, image: RecordedState) -> dict[str, object]:
    """Return one image's JSON: what it is, its problem, who asked, what travelled."""
    fetches = _fetches(recording, image)
    return {
        "reference": str(image.reference),
        "digest": str(image.descriptor.digest),
        "mediaType": image.descriptor.media_type,
        "size": image.total_bytes,
        "problem": image.problem,
        "blobs": [str(part.digest) for part in image.parts],
        "pulls": [pull.to_json() for pull in recording.history.pulls_of(image.reference)],
        "fetched": sum(fetch.bytes for fetch in fetches),
        "retries": sum(fetch.retries for fetch in fetches),
    }


def _fetches(recording: RecordingDirectory, image: RecordedState) -> tuple[Fetched, ...]:
    return tuple(fetch for part in image.parts for fetch in recording.history.fetches_of(part.digest))


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
