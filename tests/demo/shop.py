"""The example application: how it is built, and how one orders something in it."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.build_command import build_command
from tests.testbed.cache import Cache
from tests.testbed.hosts import BlankHost

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "shop"
NODE_PORT = 30080
ADMIN = "--kubeconfig=/etc/kubernetes/admin.conf"


@dataclass(frozen=True)
class Order:
    """What was ordered through the Service, and what the database holds of it."""

    placed: dict[str, object]
    shown: dict[str, object]
    stored: str


def shop_command(cache: Cache, target: Path, *, extra: Sequence[str] = ()) -> list[str]:
    """Return the command that builds the shop against the internet of our own."""
    arguments = [line for line in cache.build_args.read_text().splitlines() if line]
    given = [word for argument in arguments for word in ("--build-arg", argument)]
    return build_command(cache, "shop:1.0.0", target, EXAMPLE, *given, *extra)


def order_something(master: BlankHost, host: BlankHost) -> Order:
    """Order through the web front end's NodePort on ``host``, show the order, and read it from the database itself."""
    base = f"http://{host.address}:{NODE_PORT}"
    placed = _ask(f"{base}/orders", {"item": "coffee", "quantity": 2})
    shown = _ask(f"{base}/orders/{placed['id']}")
    psql = (
        f"kubectl {ADMIN} -n shop exec -i shop-db-0 -- psql --username=shop --dbname=shop -tA "
        f"-v id={int(str(placed['id']))} -c '' -f - <<'SQL'\n"
        "select id || ' ' || item || ' ' || quantity from orders where id = :id;\nSQL"
    )
    return Order(placed, shown, _through_kubelet(master, psql))


def _through_kubelet(master: BlankHost, command: str) -> str:
    """Run what execs into a pod: kubelet asks the API who may, through a balancer that may just have been given other masters."""
    deadline = time.monotonic() + 30
    while (done := master.run(command, check=False)).returncode and "Authorization error" in done.stderr and time.monotonic() < deadline:
        time.sleep(1)
    return (done if done.returncode == 0 else master.run(command)).stdout.strip()


def origins(master: BlankHost) -> dict[str, str]:
    """Return what the two busyboxes of the same path say of where they came from."""
    return {
        registry: master.run(
            f"kubectl {ADMIN} -n shop exec deploy/origin-{registry} -- cat /tmp/www/index.html"
        ).stdout.strip()
        for registry in ("docker-io", "quay-io")
    }


def _ask(url: str, body: dict[str, object] | None = None) -> dict[str, object]:
    """Ask the shop; a Service's endpoints may need a moment after its pods are ready."""
    data = None if body is None else json.dumps(body).encode()
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, data=data, timeout=5) as answer:  # noqa: S310
                value: dict[str, object] = json.load(answer)
                return value
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def run_shown(command: Sequence[str], *, env: dict[str, str] | None = None) -> float:
    """Run a command with its output shown; return its seconds. Raises CalledProcessError."""
    began = time.monotonic()
    print(f"\n$ {' '.join(command)}", flush=True)
    subprocess.run(list(command), check=True, cwd=ROOT, env=env)
    return time.monotonic() - began
