"""Hosts that come back: one by one, all at once, after ten minutes; and nobody runs the installer."""

from __future__ import annotations

import functools
import time
from concurrent.futures import ThreadPoolExecutor

from tests.demo.shop import order_something
from tests.soak.cluster_state import answering, not_ready
from tests.soak.installer import Failed
from tests.soak.scenario import Desk, Scenario
from tests.testbed.hosts import TestBed

WHOLE_WITHIN = 300
"""Seconds after power-on in which a site is whole again: kubelet, etcd, flannel, CoreDNS, then the application."""

# Without a way in meanwhile; the site's own tool puts its default route back, and knows nothing of other routes.
_FLAP = """\
cat > /run/flap <<'F'
route=$(ip -4 route show default)
ip link set eth0 down; sleep 1; ip link set eth0 up
[ -z "$route" ] || ip route replace $route
F
systemd-run --quiet --unit=flap sh /run/flap
sleep 4
"""


def each(desk: Desk, *, masters: int, nodes: int) -> None:
    """Power cut of every host in turn: the site is whole again by itself."""
    with desk.trial(masters, nodes) as trial:
        trial.install().expect(0)
        for host in trial.bed.hosts:
            host.power_off()
            time.sleep(5)
            host.power_on()
            desk.figures[host.name] = f"whole after {whole(trial.bed):.0f} s"


def all_at_once(desk: Desk, *, masters: int, nodes: int, minutes: float) -> None:
    """Power cut of the whole site: it is whole again by itself, and the same command finds nothing to do."""
    with desk.trial(masters, nodes) as trial:
        trial.install().expect(0)
        order = order_something(trial.bed.masters[0], trial.bed.nodes[0])
        for host in trial.bed.hosts:
            host.power_off()
        time.sleep(minutes * 60)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda host: host.power_on(), trial.bed.hosts))
        desk.figures["whole after"] = f"{whole(trial.bed):.0f} s"
        later = order_something(trial.bed.masters[0], trial.bed.nodes[0])
        if int(str(later.placed["id"])) <= int(str(order.placed["id"])):
            raise Failed(f"the application lost its data: order {order.placed} came before {later.placed}")
        trial.install().expect(0)


def one_away(desk: Desk, *, minutes: float) -> None:
    """Each host off for ten minutes while the others go on, the first master before all: then it is one of them again."""
    with desk.trial(3, 1) as trial:
        trial.install().expect(0)
        for host in (trial.bed.masters[0], trial.bed.nodes[0]):
            host.power_off()
            time.sleep(minutes * 60)
            answering(trial.bed)  # the others answer meanwhile
            host.power_on()
            desk.figures[host.name] = f"whole {whole(trial.bed):.0f} s after it came back"
        trial.install().expect(0)


def link_flap(desk: Desk) -> None:
    """The network of every host goes down and up, as netplan and nmcli do: routes of ours are there again by themselves."""
    with desk.trial(1, 1) as trial:
        trial.install().expect(0)
        for host in trial.bed.hosts:
            host.run(_FLAP, check=False)
        desk.figures["whole after"] = f"{whole(trial.bed):.0f} s"


def whole(bed: TestBed, *, within: float = WHOLE_WITHIN) -> float:
    """Wait until every node is Ready, every replica too, and an order goes through. Return seconds; raise Failed."""
    began = time.monotonic()
    said: object = "nothing was asked yet"
    while time.monotonic() - began < within:
        try:
            master = answering(bed)
            missing = not_ready(master)
            if not missing:
                order_something(master, bed.nodes[0] if bed.nodes else master)
                return time.monotonic() - began
            said = missing
        except Exception as error:  # noqa: BLE001 - whatever does not answer yet
            said = str(error)[-400:]
        time.sleep(2)
    raise Failed(f"not whole {within:.0f} s after the power came back: {said}")


def scenarios() -> tuple[Scenario, ...]:
    """Return them."""
    found = [Scenario("link-flap", 15, link_flap)]
    for masters, nodes in ((1, 1), (3, 1)):
        name, where = f"{masters}+{nodes}", {"masters": masters, "nodes": nodes}
        found.append(Scenario(f"restart-each-{name}", 30, functools.partial(each, **where)))
        found.append(Scenario(f"restart-all-{name}", 20, functools.partial(all_at_once, minutes=0.2, **where)))
    found.append(Scenario("restart-all-after-ten-minutes", 35, functools.partial(all_at_once, masters=1, nodes=1, minutes=10)))
    found.append(Scenario("restart-one-after-ten-minutes", 60, functools.partial(one_away, minutes=10)))
    return tuple(found)
