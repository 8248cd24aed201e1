"""What systemd says of its units, read as it says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from installer_stub.changes import units
from installer_stub.changes.units import Systemd

LISTED = """\
airseal-host.service   not-found inactive dead    airseal-host.service
airseal-init.service   loaded    failed   failed  kubeadm init
airseal-join.service   not-found active   running a task whose file is gone
● airseal-old.service  not-found inactive dead    airseal-old.service
airseal-keep.service   bad-setting inactive dead  airseal-keep.service
airseal-scrub.service  error     inactive dead    airseal-scrub.service
airseal-task.service   loaded    active   running a CMD
airseal-tasks.slice    loaded    inactive dead    airseal-tasks.slice
"""


def test_what_only_other_units_name_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: kubelet's file, which stayed, names airseal-host.service; its own was gone, and "systemctl stop" failed for ever."""
    script = tmp_path / "systemctl"
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{LISTED}END\n")
    script.chmod(0o755)
    monkeypatch.setattr(units, "environment", lambda: {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert Systemd().listed("airseal-*") == ("airseal-init.service", "airseal-join.service", "airseal-task.service", "airseal-tasks.slice")
