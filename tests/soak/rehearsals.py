"""The artifact's rehearsal on more hosts than a build takes: several masters, and hosts with labels and taints of a Clusterfile."""

from __future__ import annotations

import functools
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundler.cluster.host_image import host_image
from bundler.cluster.ownership import Owner
from bundler.engine import Engine
from bundler.lab.topology import Topology
from bundler.rehearsal.rehearse import Rehearsing, rehearse
from installer_stub.bundle.reader import Bundle
from installer_stub.options import HostWishes
from tests.soak.scenario import Desk, Scenario

_LABELLED: Final = Topology(1, 2, (("n1", HostWishes((("disk", "ssd"),), ("dedicated=db:NoSchedule",))),))


@dataclass(frozen=True)
class Log:
    """A reporter that writes down what is said."""

    path: Path

    def step(self, text: str) -> None:
        """Add a line."""
        with self.path.open("a") as file:
            file.write(f"{text}\n")

    def moved(self, what: str, count: int, total: int) -> None:
        """Leave bytes out."""


def rehearsed(desk: Desk, *, topology: Topology) -> None:
    """The finished file installs itself on these hosts, and comes back from all that is forced there."""
    log = Log(desk.directory / "rehearsal.log")
    with closing(Engine.connect()) as engine, Bundle.open(desk.run) as bundle:
        receipt = rehearse(engine, Owner.current(), desk.run, info=bundle.info, how=Rehearsing(host_image(engine, log), topology), reporter=log)
    desk.figures["rehearsal"] = receipt.line()
    desk.figures |= {f"note {number}": note for number, note in enumerate(receipt.notes, 1)}


def scenarios() -> tuple[Scenario, ...]:
    """Return them."""
    return (
        Scenario("rehearsal-3+1", 30, functools.partial(rehearsed, topology=Topology(3, 1))),
        Scenario("rehearsal-1+2-labelled", 25, functools.partial(rehearsed, topology=_LABELLED)),
    )
