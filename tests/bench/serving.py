"""``serve``: the site registry against the real distribution registry: time, CPU, memory, and what skopeo sees of it.

The client is tests/bench/puller: it costs as little as one can, and is the same for both. It runs on the same cores as the
server, so the server's CPU is the sharper figure; the time is that of both together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.bench import Bench
from tests.bench.measure import MB, Measure
from tests.bench.process_tree import ProcessTree
from tests.bench.serving_sides import Pull, Side, Stage
from tests.testbed.progress import say

_LARGE, _SMALL = "500mb", "200small"
_SIZES = {_LARGE: (500_000_000,), _SMALL: tuple(4096 + 160 * number for number in range(200))}
_ROUNDS = {_LARGE: 8, _SMALL: 32}  # in all, so that there is CPU time to measure (it comes in ticks of 10 ms)
_CLIENTS = (1, 8, 32)
_LEAST = 3
_MAX_TIME, _MAX_CPU, _MAX_MB = 1.0, 0.5, 150
_WIRES = (("plain", False), ("tls", True))
_NAMED = tuple(f"{image}-{clients}-{wire}" for wire, _ in _WIRES for image in _SIZES for clients in _CLIENTS)
NAMES = (
    *(f"serve-{name}" for name in _NAMED),
    *(f"serve-cpu-{name}" for name in _NAMED),
    *(f"serve-memory-{wire}" for wire, _ in _WIRES),
    *(f"serve-{kind}skopeo-{wire}" for wire, _ in _WIRES for kind in ("", "cpu-")),
)


@dataclass(frozen=True)
class _Pair:
    """Two servers that run, to be asked in turns."""

    ours: Side
    peer: Side
    wire: str
    repetitions: int

    def alternate(self, pull: Callable[[Side], Pull]) -> tuple[list[Pull], list[Pull]]:
        """Return the pulls from each, after one of each that does not count."""
        ours, peers = [], []
        for number in range(self.repetitions + 1):
            ours.append(pull(self.ours))
            peers.append(pull(self.peer))
            if not number:
                ours, peers = [], []
        return ours, peers


def serving(bench: Bench) -> list[Measure]:
    """Measure 1, 8 and 32 clients on one large blob and on many small ones, and skopeo; in clear and through TLS."""
    stage = Stage(bench, _SIZES)
    found: list[Measure] = []
    try:
        for wire, tls in _WIRES:
            with stage.ours(tls=tls) as ours, stage.peer(tls=tls) as peer:
                pair = _Pair(ours, peer, wire, bench.repetitions(_LEAST))
                with ProcessTree(ours.pid) as our_tree, ProcessTree(peer.pid) as peer_tree:
                    for image in _SIZES:
                        for clients in _CLIENTS:
                            found += _pulls(stage, pair, image, clients)
                found.append(_memory(wire, our_tree, peer_tree))
                found += _skopeo(stage, pair)
    finally:
        stage.close()
    return found


def _pulls(stage: Stage, pair: _Pair, image: str, clients: int) -> list[Measure]:
    rounds = max(_ROUNDS[image] // clients, 1)
    values, peers = pair.alternate(lambda side: stage.pull(side, image, clients, rounds))
    what = "one blob of 500 MB" if image == _LARGE else "200 blobs of 4 to 36 KB, each client's on one connection"
    through = "through TLS 1.3" if pair.wire == "tls" else "in clear"
    many = f"{clients} client(s) pull {what}, {through}, {rounds} time(s): {values[0].size / MB:,.0f} MB in all"
    return _both(f"{image}-{clients}-{pair.wire}", many, values, peers, _MAX_TIME)


def _skopeo(stage: Stage, pair: _Pair) -> list[Measure]:
    values, peers = pair.alternate(lambda side: stage.copy(side, _LARGE))
    what = f"`skopeo copy` of an image with one layer of 500 MB to a directory ({pair.wire}); most of the time is skopeo's, which hashes and writes"
    # It varies by more than a server can win or lose here.
    return _both(f"skopeo-{pair.wire}", what, values, peers, 1.1)


def _both(name: str, what: str, values: list[Pull], peers: list[Pull], max_time: float) -> list[Measure]:
    """Return the time and the server's CPU time."""
    say(f"{name}: {values[-1].seconds:.2f} s and {values[-1].cpu:.2f} s of CPU, the peer {peers[-1].seconds:.2f} s and {peers[-1].cpu:.2f} s")
    peer = "the same from the distribution registry v3 (Go), the same blobs, warm page cache, in turns"
    return [
        Measure(
            f"serve-{name}",
            what=f"`airseal serve` as frozen, {what}",
            peer=peer,
            unit="s",
            values=tuple(pull.seconds for pull in values),
            peer_values=tuple(pull.seconds for pull in peers),
            max_ratio=max_time,
        ),
        Measure(
            f"serve-cpu-{name}",
            what=f"CPU time (user and system, all processes) of `airseal serve` while {what}",
            peer=peer,
            unit="s",
            values=tuple(pull.cpu for pull in values),
            peer_values=tuple(pull.cpu for pull in peers),
            max_ratio=_MAX_CPU,
        ),
    ]


def _memory(wire: str, ours: ProcessTree, peer: ProcessTree) -> Measure:
    return Measure(
        f"serve-memory-{wire}",
        what=f"what `airseal serve` has resident at most, all processes, through all of the pulls above ({wire}, up to 32 clients)",
        peer="the distribution registry in the same pulls",
        unit="MB",
        values=(ours.peak / MB,),
        peer_values=(peer.peak / MB,),
        max_value=_MAX_MB,
    )
