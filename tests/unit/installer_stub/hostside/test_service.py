"""The service: tells systemd when it is ready, serves what a directory holds, and ends when it is told to."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from installer_stub.bundle.reader import Bundle
from installer_stub.commands.serve import parse_address
from installer_stub.errors import BundleError, UsageError
from installer_stub.hostside.service import sealed_in, server_tls

ROOT = Path(__file__).resolve().parents[4]


def test_it_runs_as_a_unit(bundle: Bundle, authority: Path, tmp_path: Path) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(address))
        notify.settimeout(20)
        arguments = ["--bundle", bundle.path, "--listen", "127.0.0.1:0", "--tls-cert", authority / "registry.crt", "--tls-key", authority / "registry.key"]
        process = subprocess.Popen(
            [sys.executable, "-m", "installer_stub", "serve", *arguments],
            env=os.environ | {"NOTIFY_SOCKET": str(address), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert notify.recv(100) == b"READY=1"
            assert process.stdout is not None
            port = int(process.stdout.readline().strip().rpartition(":")[2])
            context = ssl.create_default_context(cafile=str(authority / "ca.crt"))
            connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
            connection.request("GET", "/v2/pause/manifests/3.10?ns=registry.k8s.io")
            assert connection.getresponse().status == 200
            connection.close()
            process.send_signal(signal.SIGTERM)
            assert notify.recv(100) == b"STOPPING=1"
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.communicate()


def test_a_directory_of_artifacts_or_an_unpacked_one_can_be_served(bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(BundleError, match="no artifact that can be served"):
        sealed_in(tmp_path)
    (tmp_path / "torn.run").write_bytes(bundle.path.read_bytes()[:-5])
    with pytest.raises(BundleError, match="no artifact that can be served"):
        sealed_in(tmp_path)
    assert "torn.run is cut short" in caplog.text
    (tmp_path / "whole.run").hardlink_to(bundle.path)
    (served,) = sealed_in(tmp_path)
    assert list(served.roots) == list(bundle.roots)
    assert isinstance(served, Bundle)
    served.close()

    subprocess.run(["unzip", "-q", bundle.path, "-d", tmp_path / "layout"], check=True)
    (layout,) = sealed_in(tmp_path / "layout")
    assert list(layout.roots) == list(bundle.roots)
    assert layout.blobs.size(bundle.digests[0]) == bundle.blobs.size(bundle.digests[0])


def test_addresses() -> None:
    assert parse_address("0.0.0.0:5443") == ("0.0.0.0", 5443)
    assert parse_address("[::]:0") == ("::", 0)
    for text in ("5443", ":5443", "::1:80", "host:", "host:x", "host:99999"):
        with pytest.raises(UsageError):
            parse_address(text)


def test_tls_needs_both_files_and_they_must_fit(authority: Path) -> None:
    assert server_tls(None, None) is None
    with pytest.raises(UsageError, match="need one another"):
        server_tls(authority / "registry.crt", None)
    with pytest.raises(UsageError, match="cannot be used for TLS"):
        server_tls(authority / "registry.crt", authority / "ca.key")
