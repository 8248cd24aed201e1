"""Whom a client of docker speaks to, and what it needs for it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bundler.cluster import dial
from bundler.cluster.dial import by_ssh, through
from bundler.errors import DockerMissing


def test_tls_without_anybody_to_trust_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).touch()
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    monkeypatch.delenv("DOCKER_TLS_VERIFY", raising=False)
    with pytest.raises(DockerMissing, match="whom to trust") as caught:
        dial.connect(5)
    assert "DOCKER_TLS_VERIFY=1" in caught.value.remedy


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ssh://build.corp", ["--", "build.corp"]),
        ("ssh://me@build.corp:2222", ["-l", "me", "-p", "2222", "--", "build.corp"]),
    ],
)
def test_an_engine_behind_ssh(url: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(dial, "through", ran.append)
    monkeypatch.setattr(dial.shutil, "which", lambda name: f"/usr/bin/{name}")
    by_ssh(url)()
    assert ran == [["ssh", "-o", "ConnectTimeout=20", "-T", *words, "docker", "system", "dial-stdio"]]


@pytest.mark.parametrize(("url", "ssh"), [("ssh://", "/usr/bin/ssh"), ("ssh://me@build.corp", None)])
def test_where_ssh_cannot_be_used_it_is_said(url: str, ssh: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial.shutil, "which", lambda _name: ssh)
    with pytest.raises(DockerMissing, match="cannot be reached"):
        by_ssh(url)


def test_a_program_is_heard_after_its_input_has_ended() -> None:
    with through(["/bin/sh", "-c", "echo before; cat; echo after"]) as sock:
        sock.settimeout(20)
        sock.sendall(b"words\n")
        sock.shutdown(socket.SHUT_WR)
        said = b""
        while piece := sock.recv(4096):
            said += piece
    assert said == b"before\nwords\nafter\n"
