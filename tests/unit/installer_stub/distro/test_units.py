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
    assert setting(text, "NotifyAccess") == ["main"]  # nothing is between systemd and it: the stub does not fork to start


def test_the_registry_keeps_nothing_of_roots_powers_but_to_give_root_up() -> None:
    text = units.registry(serves="shop")
    assert setting(text, "ExecStart")[0].endswith(f" --become {units.REGISTRY_UID}")
    assert units.REGISTRY_UID not in {0, 65534}
    assert setting(text, "CapabilityBoundingSet") == ["CAP_SETUID CAP_SETGID"]
    assert setting(text, "NoNewPrivileges") == ["yes"]
    for hidden in ("InaccessiblePaths", "InaccessibleDirectories"):
        assert {"-/etc/kubernetes", "-/var/lib/airseal/registry-authority"} <= set(setting(text, hidden)[0].split())


def test_the_registry_notes_what_it_began_with_and_what_older_ones_unpacked_goes(tmp_path: Path) -> None:
    text = units.registry(serves="shop")
    (prepare,) = setting(text, "ExecStartPre")
    shell, option, script = shlex.split(prepare)
    files = {name: tmp_path / name.replace("/", "_") for name in re.findall(r"/[\w./-]+", script)}
    for name, path in files.items():
        script = script.replace(name, str(path))
    unpacked, started, bundles = files["/opt/airseal/registry"], files[units.REGISTRY_STARTED], files["/var/lib/airseal/bundles"]
    bundles.mkdir()
    damage = bundles / "shop.run.damage"
    damage.write_text("known when it began")
    stale = unpacked / "_MEIstale"
    stale.mkdir(parents=True)
    (stale / "libssl.so").touch()
    for path in set(files.values()) - {unpacked, started, bundles}:
        path.write_text(path.name)
    assert subprocess.run([shell, option, script], check=False).returncode == 0
    assert not unpacked.exists()
    assert stat.S_IMODE(started.stat().st_mode) == 0o600
    check = ["sha256sum", "--status", "-c", started]
    assert subprocess.run(check, check=False).returncode == 0
    damage.unlink()
    assert subprocess.run(check, check=False).returncode == 1, "a copy without damage wants a registry that knows of none"
    damage.write_text("known when it began")
    files["/etc/airseal/registry.crt"].write_text("renewed")
    assert subprocess.run(check, check=False).returncode == 1


def test_bundles_are_read_again_after_everything_else_and_leave_nothing() -> None:
    for name, wanted in (("Nice", ["19"]), ("IOSchedulingClass", ["idle"]), ("Type", ["oneshot"])):
        assert setting(units.SCRUB, name) == wanted
    assert int(setting(units.SCRUB, "TimeoutStartSec")[0]) >= 24 * 3600 // 2, "100 GB at 64 MiB/s, on a disk that others want"
    assert setting(units.SCRUB_CLOCK, "Persistent") == [], "a file of systemd's that no reset knows"
    assert setting(units.SCRUB_CLOCK, "OnActiveSec") == ["12h"], "a master that is off at night reads it, too"
    assert setting(units.SCRUB_CLOCK, "OnBootSec") == [], "it is over on a host that is up already: then it begins in the middle of an installation"


def test_no_unit_has_a_place_to_unpack_a_program() -> None:
    for text in (units.registry(serves="shop"), units.SCRUB, units.HOST, units.KEEP, units.CONTAINERD, units.KUBELET):
        assert "TMPDIR" not in text


def test_containers_outlive_containerd() -> None:
    assert "KillMode=process" in units.CONTAINERD
    assert "Delegate=yes" in units.CONTAINERD


def test_the_hosts_own_unit_comes_before_what_needs_it_and_the_timer_never_ends() -> None:
    assert "Before=containerd.service kubelet.service\n" in units.HOST
    assert "airseal-host.service" in units.CONTAINERD[units.CONTAINERD.index("After=") :].splitlines()[0]
    assert "airseal-host.service" in units.KUBELET[units.KUBELET.index("After=") :].splitlines()[0]
    assert "OnCalendar=" in units.TIMER
    assert f"Unit={units.KEEP_UNIT}\n" in units.TIMER
    assert "RemainAfterExit" not in units.KEEP  # one that remains is not started again


def test_systemd_understands_the_units(tmp_path: Path) -> None:
    """By systemd's own eyes, where this machine has them; the programs named are not here, so only the text is judged."""
    names = (units.HOST_UNIT, units.KEEP_UNIT, units.KEEP_TIMER, "containerd.service", "kubelet.service")
    for name, text in zip(names, (units.HOST, units.KEEP, units.TIMER, units.CONTAINERD, units.KUBELET), strict=True):
        (tmp_path / name).write_text(re.sub(r"/(opt|usr/local)/\S*/(airseal|containerd|kubelet)\b", "/bin/true", text))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--generators=no", *(str(tmp_path / name) for name in names)],
        capture_output=True, text=True, timeout=60, check=False, env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{tmp_path}:/lib/systemd/system"},
    )
    ours = [line for line in done.stderr.splitlines() if any(name in line for name in names) or str(tmp_path) in line]
    assert ours == []
