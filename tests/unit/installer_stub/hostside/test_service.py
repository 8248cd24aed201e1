"""The service: tells systemd when it is ready, serves what a directory holds, and ends when it is told to."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from installer_stub.bundle.reader import Bundle
from installer_stub.cli import main
from installer_stub.commands.serve import parse_address
from installer_stub.errors import BundleError, UsageError
from installer_stub.hostside.service import sealed_in, server_tls
from registry_snapshot.serve.login import Credential

ROOT = Path(__file__).resolve().parents[4]


def test_it_runs_as_a_unit(bundle: Bundle, authority: Path, tmp_path: Path) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(address))
        notify.settimeout(20)
        login = tmp_path / "login"
        login.touch(0o600)
        login.write_text("airseal:a-secret-nobody-guesses\n")
        arguments = ["--bundle", bundle.path, "--listen", "127.0.0.1:0", "--tls-cert", authority / "registry.crt", "--tls-key", authority / "registry.key"]
        arguments += ["--credential", login, "--verbose"]
        process = subprocess.Popen(
            [sys.executable, "-m", "installer_stub", "serve", *arguments],
            env=os.environ | {"NOTIFY_SOCKET": str(address), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert notify.recv(100) == b"READY=1"
            assert process.stdout is not None
            port = int(process.stdout.readline().strip().rpartition(":")[2])
            context = ssl.create_default_context(cafile=str(authority / "ca.crt"))
            connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
            for login_given, status in ((Credential("airseal", "a-secret-nobody-guesses"), 200), (Credential("airseal", "a-guess"), 401)):
                headers = {"Authorization": login_given.authorization()}
                connection.request("GET", "/v2/pause/manifests/3.10?ns=registry.k8s.io", headers=headers)
                answer = connection.getresponse()
                assert (answer.status, len(answer.read()) > 0) == (status, True)
            connection.close()
            process.send_signal(signal.SIGTERM)
            assert notify.recv(100) == b"STOPPING=1"
            said = "".join(process.communicate(timeout=20))
            assert process.returncode == 0
        finally:
            process.kill()
            process.communicate()
    assert "no login, or a wrong one" in said
    assert "nobody-guesses" not in said
    assert "Basic" not in said


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
    assert layout.blobs.size(bundle.blobs.digests()[0]) == bundle.blobs.size(bundle.blobs.digests()[0])


def test_a_login_in_cleartext_is_refused_where_it_would_leave_this_machine(bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    login = tmp_path / "login"
    login.touch(0o600)
    login.write_text("u:hunter2\n")
    for address in ("0.0.0.0:0", "[::]:0", "10.0.0.2:5000"):
        assert main(["serve", "--bundle", str(bundle.path), "--listen", address, "--credential", str(login)]) == 2
        said = capfd.readouterr().err
        assert f"--credential on {address} without TLS" in said
        assert "add --tls-cert and --tls-key, or listen on 127.0.0.1:5000" in said
        assert "hunter2" not in said
    login.chmod(0o644)
    assert main(["serve", "--bundle", str(bundle.path), "--credential", str(login)]) == 2
    assert f"chmod 600 {login}" in capfd.readouterr().err


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


def old_client(ca: Path, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that speaks ``version`` at most; at security level 0, else OpenSSL itself would refuse to be that old."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client = ssl.create_default_context(cafile=str(ca))
        client.set_ciphers("ALL:@SECLEVEL=0")
        client.minimum_version = client.maximum_version = version
    return client


def handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> str:
    """Return the version that both agree on, all in memory. Raises SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(4):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return ends[0].version() or ""


def test_tls_before_1_2_is_refused_and_newer_is_not(authority: Path, tls: ssl.SSLContext) -> None:
    lenient = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    lenient.load_cert_chain(authority / "registry.crt", authority / "registry.key")
    lenient.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        lenient.minimum_version = ssl.TLSVersion.TLSv1
        for version, name in ((ssl.TLSVersion.TLSv1, "TLSv1"), (ssl.TLSVersion.TLSv1_1, "TLSv1.1")):
            client = old_client(authority / "ca.crt", version)
            assert handshake(client, lenient) == name  # this client does connect where it is let
            tls_of_a_site = server_tls(authority / "registry.crt", authority / "registry.key")
            assert tls_of_a_site is not None
            tls_of_a_site.set_ciphers("ALL:@SECLEVEL=0")  # so that it is the version alone that is refused
            with pytest.raises(ssl.SSLError, match=r"(?i)unsupported.protocol|protocol.version"):
                handshake(client, tls_of_a_site)
    for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        assert handshake(old_client(authority / "ca.crt", version), tls) == name
