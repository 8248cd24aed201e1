"""The nodes' balancer: every master behind it, nothing in front but the node itself, and no privilege."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from installer_stub.bundle.model import BALANCER_LABEL
from installer_stub.distro import balancer
from installer_stub.plan.model import Plan
from tests.fakes.plans import M1, M2, M3, N1, N2, make_plan, masters, nodes

IMAGE = "docker.io/library/haproxy:3.0.11"


def plan_of(*addresses: str, nodes_at: tuple[str, ...] = (N1, N2)) -> Plan:
    return make_plan(*masters(*addresses), *nodes(*nodes_at), labels={BALANCER_LABEL: IMAGE})


def backends(text: str) -> list[str]:
    """Return the addresses with ports that a haproxy.cfg of ours has behind it, in its order."""
    return re.findall(r"(?m)^    server \S+ (\S+)$", text)


def pod(plan: Plan) -> dict[str, Any]:
    value = yaml.safe_load(balancer.manifest(plan, plan.nodes[0]))
    assert isinstance(value, dict)
    return value


def test_every_master_is_behind_it() -> None:
    plan = plan_of(M1, "fd00::3", "m3.site.example")
    assert sorted(backends(balancer.config(plan, plan.nodes[0]))) == sorted([f"{M1}:6443", "[fd00::3]:6443", "m3.site.example:6443"])


def test_only_the_node_itself_reaches_it() -> None:
    plan = plan_of(M1)
    binds = [line.split()[1] for line in balancer.config(plan, plan.nodes[0]).splitlines() if line.strip().startswith("bind ")]
    assert sorted(binds) == ["127.0.0.1:6443", "127.0.0.1:6444"]


def test_nodes_spread_over_the_masters_and_the_order_of_a_command_line_changes_nothing() -> None:
    many = plan_of(M1, M2, M3, nodes_at=tuple(f"10.0.1.{number}" for number in range(30)))
    assert {backends(balancer.config(many, node))[0] for node in many.nodes} == {f"{address}:6443" for address in (M1, M2, M3)}
    one, other = plan_of(M1, M2, M3), plan_of(M3, M1, M2)
    assert balancer.manifest(one, one.nodes[0]) == balancer.manifest(other, other.nodes[0])


def test_another_set_of_masters_is_another_pod() -> None:
    assert pod(plan_of(M1))["metadata"]["annotations"] != pod(plan_of(M1, M2))["metadata"]["annotations"]


def test_it_has_no_privilege_and_goes_last() -> None:
    spec = pod(plan_of(M1))["spec"]
    (container,) = spec["containers"]
    assert spec["priorityClassName"] == "system-node-critical"
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["runAsUser"] != 0
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    assert container["image"] == IMAGE
    assert container["resources"]["limits"]["memory"]
    assert all(mount["readOnly"] for mount in container["volumeMounts"])


def test_its_life_is_not_judged_by_that_of_the_masters() -> None:
    (container,) = pod(plan_of(M1))["spec"]["containers"]
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"host": "127.0.0.1", "port": balancer.HEALTH_PORT, "path": "/healthz"}


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed on this machine")
def test_haproxy_itself_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "haproxy.cfg"
    plan = plan_of(M1, "fd00::3", "no-such-name.invalid")
    file.write_text(balancer.config(plan, plan.nodes[0]))
    checked = subprocess.run(["haproxy", "-c", "-f", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
