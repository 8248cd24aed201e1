"""Every host gets a route to the cluster's services, and no other."""

from __future__ import annotations

import subprocess
from pathlib import Path

from installer_stub.phases.journal import Journal, parse
from installer_stub.phases.service_route import UNIT, UNIT_FILE, add_route, has_route, unit_text
from tests.fakes.plans import M1, host_plan, make_plan, scripted_hosts
from tests.fakes.scripted import failed

HOST = host_plan(M1)


def test_the_unit_is_journalled_before_it_is_written_and_taken_away_first() -> None:
    plan = make_plan(HOST)
    connection = scripted_hosts(plan)[M1].journals().on("--quiet", failed()).on("systemctl restart", "")
    assert not has_route(plan, HOST, connection)
    add_route(plan, HOST, connection, Journal(connection))
    assert connection.files[UNIT_FILE].decode() == unit_text(plan, HOST)
    noted = [entry.name for entry in parse(connection.read("/var/lib/airseal/journal.jsonl"))]
    assert noted == [UNIT_FILE, UNIT]  # put back from the end: the unit is disabled while its file is still there


def test_the_shell_line_finds_the_interface_of_the_nodes_address(tmp_path: Path) -> None:
    """Run as systemd would run it, ``$$`` made ``$``, with an ip that tells what it was asked."""
    line = next(line for line in unit_text(make_plan(HOST), HOST).splitlines() if line.startswith("ExecStart="))
    script = line.partition(" -ec ")[2].strip("'").replace("$$", "$")
    ip = tmp_path / "ip"
    ip.write_text(
        f'#!/bin/sh\ncase "$*" in *addr*) echo "2: eth7    inet {M1}/24 scope global eth7" ;; *) echo "$*" ;; esac\n'
    )
    ip.chmod(0o755)
    said = subprocess.run(["/bin/sh", "-ec", script], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == f"-4 route replace 10.96.0.0/16 dev eth7 src {M1}"
