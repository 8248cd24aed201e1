"""``make demo``: record a live cluster, seal it, cut the network, install it on blank hosts, order something."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.demo.internet import choose_internet
from tests.demo.shop import ROOT, Order, order_something, run_shown, shop_command
from tests.testbed.cache import Cache, TestBedError
from tests.testbed.docker_engine import engine, require_packages
from tests.testbed.hosts import TestBed
from tests.testbed.hosts import down as remove_bed
from tests.testbed.sniffer import Sniffer

BED = "demo"
RUN = ROOT / "dist" / "shop.run"
KUBECONFIG = ROOT / "dist" / "kubeconfig"


def main() -> int:
    """Do the main job from nothing; say at the end what was done."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--masters", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--internet", choices=("auto", "real", "own"), default="auto", help="which internet the build sees")
    options = parser.parse_args()
    try:
        return _demo(Cache.default(), options.masters, options.nodes, options.internet)
    except TestBedError as error:
        print(f"demo: {error}", file=sys.stderr)
    except subprocess.CalledProcessError as error:
        print(f"demo: the command above ended with {error.returncode}; run make demo again, it goes on from there", file=sys.stderr)
    except KeyboardInterrupt:
        print("demo: interrupted; run make demo again, it goes on from there", file=sys.stderr)
        return 130
    return 1


def _demo(cache: Cache, masters: int, nodes: int, internet: str) -> int:
    began = time.monotonic()
    require_packages(cache)
    engine(cache)
    _headline("1. An internet: registries and download sites")
    more = choose_internet(cache, internet)

    _headline("2. Build: record a temporary cluster, seal it into one file")
    RUN.parent.mkdir(exist_ok=True)
    building = run_shown(shop_command(cache, RUN, extra=more))

    _headline("3. Blank hosts on a network without a way out")
    remove_bed(cache, BED)
    KUBECONFIG.unlink(missing_ok=True)
    # The site's nameserver does not answer; docker's own would ask the outside, and so blur the proof that nothing leaves.
    bed = TestBed(masters=masters, nodes=nodes, name=BED, dns="site", cache=cache)
    bed.up()

    _headline("4. Install, with the network cut")
    with Sniffer(bed.bridge, bed.subnet) as sniffer:
        installing = run_shown(install_command(RUN, bed, KUBECONFIG), env=operators_environment())
        _headline("5. Order something through the Service, and read it from the database")
        order = order_something(bed.masters[0], bed.nodes[0] if bed.nodes else bed.masters[0])
    _report(bed, order, sniffer, building=building, installing=installing, total=time.monotonic() - began)
    return 0 if sniffer.report().is_clean else 1


def install_command(run: Path, bed: TestBed, kubeconfig: Path, *more: str) -> list[str]:
    """Return what the operator types."""
    nodes = ["--node", ",".join(host.address for host in bed.nodes)] if bed.nodes else []
    return [
        str(run),
        "--master", ",".join(host.address for host in bed.masters),
        *nodes,
        "--identity", str(bed.ssh_key),
        "--known-hosts", str(bed.known_hosts),
        "--kubeconfig", str(kubeconfig),
        *more,
    ]  # fmt: skip


def operators_environment() -> dict[str, str]:
    """Return an environment with nothing of ours in it: the operator's machine has the file and no more."""
    return {"HOME": os.environ.get("HOME", "/"), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": os.environ.get("TERM", "dumb")}


def _headline(text: str) -> None:
    print(f"\n━━ {text}", flush=True)


def _report(bed: TestBed, order: Order, sniffer: Sniffer, *, building: float, installing: float, total: float) -> None:
    print(
        f"""
━━ Done in {total:.0f} s
  built        {RUN.relative_to(ROOT)}, {RUN.stat().st_size / 1e6:.0f} MB, in {building:.0f} s
  installed    {len(bed.masters)} master(s), {len(bed.nodes)} node(s) in {installing:.0f} s
  the network  {sniffer.report()}
  kubeconfig   {KUBECONFIG.relative_to(ROOT)}
  the answer   POST /orders -> {order.placed}
               GET  /orders -> {order.shown}
               database     -> {order.stored}
  the hosts    run until: make clean-hosts
  look around  {" ".join(bed.masters[0].ssh_command())}
""",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
