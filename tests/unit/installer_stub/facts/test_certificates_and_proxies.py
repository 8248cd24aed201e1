"""What ends when, read as a host prints it: public parts alone, with the very shell that hosts run."""

from __future__ import annotations

import base64
import subprocess
import time
from pathlib import Path

import pytest

from installer_stub.distro.containerd import is_edited, sealed
from installer_stub.facts.certificates import CERTIFICATES, Certificate, earliest, parse_certificates
from installer_stub.facts.proxies import PROXIES, Proxies, parse_proxies
from installer_stub.facts.runtime_config import RUNTIME_CONFIG, RuntimeConfig
from installer_stub.keep.certificates import host_certificates
from tests.fakes.authority import Authority

NOW = time.time()


def asked(command: str, root: Path, extra: str = "") -> str:
    """Run a fact's shell on a host that is a directory."""
    for place in ("/etc/", "/var/", "/run/", "/usr/"):
        command = command.replace(f" {place}", f" {root}{place}")
    done = subprocess.run(["/bin/sh", "-c", f"{extra}{command}"], capture_output=True, text=True, timeout=20, check=False)
    return done.stdout


@pytest.fixture
def host(tmp_path: Path) -> Path:
    authority = Authority("kubernetes", days=3650)
    pki = tmp_path / "etc/kubernetes/pki"
    (pki / "etcd").mkdir(parents=True)
    (pki / "ca.crt").write_bytes(authority.pem)
    (pki / "ca.key").write_bytes(authority.key_pem)
    leaf, key = authority.leaf("kube-apiserver", days=30)
    (pki / "apiserver.crt").write_bytes(leaf)
    (pki / "apiserver.key").write_bytes(key)
    (pki / "etcd/server.crt").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    admin, admin_key = authority.leaf("kubernetes-admin", days=-2)
    text = (
        "apiVersion: v1\nusers:\n- name: kubernetes-admin\n  user:\n"
        f"    client-certificate-data: {base64.b64encode(admin).decode()}\n    client-key-data: {base64.b64encode(admin_key).decode()}\n"
    )
    (tmp_path / "etc/kubernetes/admin.conf").write_text(text)
    (tmp_path / "etc/kubernetes/kubelet.conf").write_text("    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem\n")
    kubelet = tmp_path / "var/lib/kubelet/pki"
    kubelet.mkdir(parents=True)
    client, client_key = authority.leaf("system:node:m1", days=300)
    (kubelet / "kubelet-client-2026.pem").write_bytes(client + client_key)
    (kubelet / "kubelet-client-current.pem").symlink_to(kubelet / "kubelet-client-2026.pem")
    return tmp_path


def test_over_the_connection_and_on_the_host_the_same_is_read(host: Path) -> None:
    over = CERTIFICATES.parse(asked(CERTIFICATES.command, host).replace(str(host), ""))
    here = host_certificates(str(host))
    assert set(over) == set(here)
    found = {each.path: each for each in here}
    assert sorted(found) == [
        "/etc/kubernetes/admin.conf",
        "/etc/kubernetes/pki/apiserver.crt",
        "/etc/kubernetes/pki/ca.crt",
        "/etc/kubernetes/pki/etcd/server.crt",
        "/var/lib/kubelet/pki/kubelet-client-current.pem",
    ]
    days = {path: round(each.days_left(NOW)) for path, each in found.items() if not each.problem}
    assert days == {
        "/etc/kubernetes/admin.conf": -2,
        "/etc/kubernetes/pki/apiserver.crt": 30,
        "/etc/kubernetes/pki/ca.crt": 3650,
        "/var/lib/kubelet/pki/kubelet-client-current.pem": 300,
    }
    assert found["/etc/kubernetes/pki/ca.crt"].authority
    assert not found["/etc/kubernetes/pki/apiserver.crt"].authority
    assert found["/etc/kubernetes/pki/etcd/server.crt"].problem.startswith("no certificate")
    first = earliest(here)
    assert first is not None
    assert first.path == "/etc/kubernetes/admin.conf"


def test_no_key_is_ever_printed(host: Path) -> None:
    printed = asked(CERTIFICATES.command, host)
    assert "BEGIN CERTIFICATE" in printed
    assert "PRIVATE" not in printed
    for line in (host / "etc/kubernetes/pki/ca.key").read_text().splitlines()[1:-1]:
        assert line not in printed
    assert "client-key-data" not in printed
    (admin,) = [part for part in printed.split("==> ") if "admin.conf" in part]
    assert len(admin.splitlines()) == 2
    assert base64.b64decode(admin.splitlines()[1]).count(b"-----BEGIN") == 1


def test_a_host_without_any_has_none() -> None:
    assert parse_certificates("") == ()
    assert earliest(()) is None
    assert earliest((Certificate("/x", 0, 0, problem="torn"),)) is None


def test_proxies_are_named_and_their_values_with_passwords_are_not(tmp_path: Path) -> None:
    conf = tmp_path / "etc/systemd/system.conf.d"
    conf.mkdir(parents=True)
    (conf / "10-proxy.conf").write_text('[Manager]\nDefaultEnvironment="HTTPS_PROXY=http://me:secret@192.0.2.1:3128"\n')
    (conf / "20-other.conf").write_text("[Manager]\n# HTTP_PROXY=http://x\nDefaultLimitNOFILE=1024\n")
    dropins = tmp_path / "etc/systemd/system/containerd.service.d"
    dropins.mkdir(parents=True)
    (dropins / "http-proxy.conf").write_text("[Service]\n")
    (dropins / "note.txt").write_text("")
    manager = 'systemctl() { printf "LANG=C\\nHTTPS_PROXY=http://me:secret@192.0.2.1:3128\\nno_proxy=a b\\nPATH=/bin\\n"; }; '
    printed = asked(PROXIES.command, tmp_path, manager)
    assert "secret" not in printed
    found = parse_proxies(printed.replace(str(tmp_path), ""))
    assert found == Proxies(
        ("HTTPS_PROXY", "no_proxy"), ("/etc/systemd/system.conf.d/10-proxy.conf",), ("/etc/systemd/system/containerd.service.d/http-proxy.conf",)
    )


def test_no_proxy_nowhere(tmp_path: Path) -> None:
    assert parse_proxies(asked(PROXIES.command, tmp_path, "systemctl() { return 1; }; ")) == Proxies()


def test_an_edit_of_containerds_file_is_seen_and_an_addition_is_none(tmp_path: Path) -> None:
    directory = tmp_path / "etc/containerd/conf.d"
    directory.mkdir(parents=True)
    (directory / "99-nvidia.toml").write_text("version = 3\n")
    config = tmp_path / "etc/containerd/config.toml"

    def read() -> RuntimeConfig:
        printed = asked(RUNTIME_CONFIG.command, tmp_path)
        return RUNTIME_CONFIG.parse(printed.replace(str(tmp_path), ""))

    addition = ("/etc/containerd/conf.d/99-nvidia.toml",)
    assert read() == RuntimeConfig(edited=False, additions=addition)
    config.write_text("version = 2\n[debug]\n")  # somebody else's whole file
    assert read() == RuntimeConfig(edited=False, additions=addition)
    config.write_text(sealed("version = 3\n"))
    assert read() == RuntimeConfig(edited=False, additions=addition)
    config.write_text(sealed("version = 3\n") + "[debug]\n")
    assert read() == RuntimeConfig(edited=True, additions=addition)


@pytest.mark.parametrize("cut", range(1, 70, 7))
def test_every_change_of_a_sealed_text_is_an_edit(cut: int) -> None:
    text = sealed("version = 3\n[a]\n")
    assert not is_edited(text)
    assert is_edited(text + "x")
    assert is_edited(text[:-cut]) or not text[:-cut].startswith("# Made by airseal, sha256")
