"""Kubeconfigs turn to another server, whole or not at all; what else is in them is neither changed nor shown."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from installer_stub.distro import api_servers
from installer_stub.errors import CommandFailed
from tests.fakes.local_host import LocalConnection

KUBECONFIG = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Q0E=
    server: https://api.airseal.internal:6443
  name: shop
users:
- name: admin
  user:
    client-key-data: c2VjcmV0
"""


def test_servers_are_read_and_nothing_else_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "admin.conf"
    file.write_text(KUBECONFIG)
    output = LocalConnection().run(api_servers.read_servers(str(file), str(tmp_path / "none"))).stdout
    assert api_servers.parse_servers(output) == {str(file): "https://api.airseal.internal:6443"}
    assert "c2VjcmV0" not in output


def test_a_file_that_cannot_be_read_is_an_error_not_a_file_without_server(tmp_path: Path) -> None:
    file = tmp_path / "admin.conf"
    file.mkdir()
    with pytest.raises(CommandFailed):
        LocalConnection().run(api_servers.read_servers(str(file)))


def test_only_the_server_changes_and_the_mode_stays(tmp_path: Path) -> None:
    file = tmp_path / "admin.conf"
    file.write_text(KUBECONFIG)
    file.chmod(0o600)
    LocalConnection().run(api_servers.point("https://127.0.0.1:6443", str(tmp_path / "none"), str(file)))
    assert file.read_text() == KUBECONFIG.replace("api.airseal.internal", "127.0.0.1")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["admin.conf"]


@pytest.mark.parametrize(
    ("server", "expected"),
    [("https://api.airseal.internal:6443", True), ("https://10.0.0.2:6443", False), ("https://[fd00::2]:6443", False), ("https://127.0.0.1:6443", False)],
)
def test_what_needs_the_name(server: str, expected: bool) -> None:  # noqa: FBT001
    assert api_servers.names_the_endpoint(server) is expected


def test_kube_proxy_s_kubeconfig_turns_too() -> None:
    text = "clusters:\n- cluster:\n    certificate-authority: /ca.crt\n    server: https://api.airseal.internal:6443\n  name: default\n"
    turned = api_servers.proxy_pointed_at(text, "https://127.0.0.1:6443")
    assert turned == text.replace("api.airseal.internal", "127.0.0.1")
    assert api_servers.proxy_pointed_at(turned, "https://127.0.0.1:6443") == turned
