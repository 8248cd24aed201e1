"""Units start again for ever, and another certificate, stub or bundle is another text."""

from __future__ import annotations

import re
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

from installer_stub.distro import units


@pytest.mark.parametrize("text", [units.CONTAINERD, units.KUBELET, units.registry(serves="x")])
def test_no_unit_ever_gives_up(text: str) -> None:
    assert "Restart=always" in text
    unit_section = text[text.index("[Unit]") : text.index("[Service]")]
    assert "StartLimitIntervalSec=0" in unit_section  # systemd ignores it in [Service]


def setting(text: str, name: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{name}=")]


def test_the_registry_serves_over_tls_to_those_who_log_in_and_tells_when_it_is_ready() -> None:
    (command,) = setting(units.registry(serves="shop"), "ExecStart")
    assert command.startswith("/opt/airseal/bin/airseal serve --store /var/lib/airseal/bundles --listen 0.0.0.0:5443 ")
    assert "--tls-cert /etc/airseal/registry.crt --tls-key /etc/airseal/registry.key --credential /etc/airseal/registry.credential " in command
    text = units.registry(serves="shop")
    assert setting(text, "Type") == ["notify"]
    assert setting(text, "NotifyAccess") == ["all"]


def test_the_registry_keeps_nothing_of_roots_powers_but_to_give_root_up() -> None:
    text = units.registry(serves="shop")
    assert setting(text, "ExecStart")[0].endswith(f" --become {units.REGISTRY_UID}")
    assert units.REGISTRY_UID not in {0, 65534}
    assert setting(text, "CapabilityBoundingSet") == ["CAP_SETUID CAP_SETGID"]
    assert setting(text, "NoNewPrivileges") == ["yes"]
    for hidden in ("InaccessiblePaths", "InaccessibleDirectories"):
        assert {"-/etc/kubernetes", "-/var/lib/airseal/registry-authority"} <= set(setting(text, hidden)[0].split())


def test_the_registry_unpacks_itself_where_nothing_is_swept_and_programs_may_run(tmp_path: Path) -> None:
    text = units.registry(serves="shop")
    (directory,) = (value.removeprefix("TMPDIR=") for value in setting(text, "Environment") if value.startswith("TMPDIR="))
    assert directory.startswith("/opt/airseal/")
    (prepare,) = setting(text, "ExecStartPre")
    shell, option, script = shlex.split(prepare)
    files = {name: tmp_path / name.replace("/", "_") for name in re.findall(r"/[\w./-]+", script)}
    for name, path in files.items():
        script = script.replace(name, str(path))
    unpacked, started = files[directory], files[units.REGISTRY_STARTED]
    stale = unpacked / "_MEIstale"
    stale.mkdir(parents=True)
    (stale / "libssl.so").touch()
    for path in set(files.values()) - {unpacked, started}:
        path.write_text(path.name)
    assert subprocess.run([shell, option, script], check=False).returncode == 0
    assert list(unpacked.iterdir()) == []
    assert stat.S_IMODE(started.stat().st_mode) == 0o600
    check = ["sha256sum", "--status", "-c", started]
    assert subprocess.run(check, check=False).returncode == 0
    files["/etc/airseal/registry.crt"].write_text("renewed")
    assert subprocess.run(check, check=False).returncode == 1


def test_containers_outlive_containerd() -> None:
    assert "KillMode=process" in units.CONTAINERD
    assert "Delegate=yes" in units.CONTAINERD
