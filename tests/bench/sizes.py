"""``size``: what the artifact adds to what it carries."""

from __future__ import annotations

from installer_stub.bundle.reader import Bundle
from tests.bench.bench import Bench
from tests.bench.measure import MB, Measure

_MAX_RATIO = 1.02


def size(bench: Bench) -> list[Measure]:
    """Measure the artifact against its blobs as stored, and against the binaries as hosts have them."""
    with Bundle.open(bench.run) as bundle:
        blobs = bundle.blobs
        stored = sum(blobs.size(digest) for digest in bundle.blobs.digests())
        info, stub, own = bundle.info, bundle.stub_size, bundle.size
        count = len(bundle.blobs.digests())
    what = f"`{bench.run.name}`: {own} bytes"
    return [
        Measure(
            "size",
            what=what,
            peer=f"its {count} unique blobs as stored (images {info.images_size / MB:.1f} MB, the rest cluster files) and the stub, {stub / MB:.1f} MB",
            unit="MB",
            values=(own / MB,),
            peer_values=((stored + stub) / MB,),
            max_ratio=_MAX_RATIO,
        ),
        Measure(
            "size-plain",
            what=what,
            peer=f"image blobs as stored, cluster files uncompressed as hosts have them ({info.files_size / MB:.1f} MB), and the stub",
            unit="MB",
            values=(own / MB,),
            peer_values=((info.images_size + info.files_size + stub) / MB,),
        ),
    ]
