"""Every master has the values, for root alone, and a secret that is none any more does not stay."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from installer_stub.phases import keep_values
from installer_stub.phases.base import Context
from installer_stub.phases.keep_values import KeepValues
from installer_stub.values.store import SECRETS, VALUES
from tests.fakes.plans import M1, M2, N1, make_context, make_plan, masters, nodes
from tests.fakes.scripted import ScriptedConnection

FILES = {VALUES: b"{}\n", f"{SECRETS}/db.password": b"hunter22"}


@pytest.fixture
def hosts() -> dict[str, ScriptedConnection]:
    return {address: ScriptedConnection().on("mkdir -p").on("for file in") for address in (M1, M2, N1)}


@pytest.fixture
def context(hosts: dict[str, ScriptedConnection]) -> Context:
    found = make_context(make_plan(*masters(M1, M2), *nodes(N1)), hosts)
    found.values = FILES
    return found


def test_masters_get_them_and_nodes_do_not(context: Context, hosts: dict[str, ScriptedConnection]) -> None:
    assert KeepValues().is_needed(context)
    KeepValues().run(context)
    assert hosts[M1].files == hosts[M2].files == FILES
    assert {hosts[M1].modes[path] for path in FILES} == {0o600}
    assert hosts[N1].files == {}
    assert not KeepValues().is_needed(context)
    assert not any("hunter22" in command.text for host in hosts.values() for command in host.commands)


def test_one_that_lacks_any_gets_it(context: Context, hosts: dict[str, ScriptedConnection]) -> None:
    KeepValues().run(context)
    hosts[M2].files[f"{SECRETS}/db.password"] = b"old"
    assert KeepValues().is_needed(context)
    KeepValues().run(context)
    assert hosts[M2].files == FILES


def test_a_bundle_without_values_has_nothing_to_do(context: Context) -> None:
    context.values = {}
    assert not KeepValues().is_needed(context)


def test_the_sweep_leaves_what_belongs_there(tmp_path: Path) -> None:
    for name in ("a.b", "old one", "-rf"):
        (tmp_path / name).touch()
    subprocess.run(["/bin/sh", "-ec", keep_values._SWEEP, "sh", str(tmp_path), "a.b"], check=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.b"]
    subprocess.run(["/bin/sh", "-ec", keep_values._SWEEP, "sh", str(tmp_path / "none"), "a"], check=True)
