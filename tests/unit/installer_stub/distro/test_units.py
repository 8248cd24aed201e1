"""Units start again for ever, and another certificate, stub or bundle is another text."""

from __future__ import annotations

import pytest

from installer_stub.distro import units


@pytest.mark.parametrize("text", [units.CONTAINERD, units.KUBELET, units.registry(certificate="/c", key="/k", credential="/l", serves="x")])
def test_no_unit_ever_gives_up(text: str) -> None:
    assert "Restart=always" in text
    unit_section = text[text.index("[Unit]") : text.index("[Service]")]
    assert "StartLimitIntervalSec=0" in unit_section  # systemd ignores it in [Service]


def test_the_registry_serves_over_tls_to_those_who_log_in_and_tells_when_it_is_ready() -> None:
    text = units.registry(certificate="/c", key="/k", credential="/l", serves="shop")
    assert "ExecStart=/opt/airseal/bin/airseal serve --store /var/lib/airseal/bundles --listen 0.0.0.0:5443" in text
    assert "--tls-cert /c --tls-key /k --credential /l\n" in text
    assert "Type=notify" in text
    assert "NotifyAccess=all" in text


def test_containers_outlive_containerd() -> None:
    assert "KillMode=process" in units.CONTAINERD
    assert "Delegate=yes" in units.CONTAINERD
