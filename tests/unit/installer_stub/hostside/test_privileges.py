"""The registry opens what root alone can read, and serves as a user that owns nothing."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from installer_stub.bundle.reader import Bundle
from installer_stub.errors import UsageError
from installer_stub.hostside.privileges import drop_privileges
from registry_snapshot.serve.login import Credential

ROOT = Path(__file__).resolve().parents[4]
UID = 60713


def status(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give root up")
def test_what_root_alone_can_read_is_served_by_a_user_without_any_power(bundle: Bundle, authority: Path, tmp_path: Path) -> None:
    store = tmp_path / "bundles"
    store.mkdir(mode=0o700)
    shutil.copy(bundle.path, store / "shop.run")
    (store / "shop.run").chmod(0o600)
    login = tmp_path / "login"
    login.touch(0o600)
    login.write_text("airseal:a-secret-nobody-guesses\n")
    arguments = ["--store", store, "--listen", "127.0.0.1:0", "--tls-cert", authority / "registry.crt", "--tls-key", authority / "registry.key"]
    process = subprocess.Popen(
        [sys.executable, "-m", "installer_stub", "serve", *arguments, "--credential", login, "--become", str(UID)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().strip().rpartition(":")[2])
        found = status(process.pid)
        assert found["Uid"] == found["Gid"] == [str(UID)] * 4
        assert found["Groups"] == []
        assert {int(found[name][0], 16) for name in ("CapEff", "CapPrm", "CapAmb")} == {0}
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=ssl.create_default_context(cafile=str(authority / "ca.crt")), timeout=10)
        headers = {"Authorization": Credential("airseal", "a-secret-nobody-guesses").authorization()}

        def get(path: str) -> bytes:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            assert answer.status == 200
            return answer.read()

        index = json.loads(get("/v2/pause/manifests/3.10?ns=registry.k8s.io"))
        manifest = json.loads(get(f"/v2/pause/manifests/{index['manifests'][0]['digest']}?ns=registry.k8s.io")) if "manifests" in index else index
        config = manifest["config"]
        assert len(get(f"/v2/pause/blobs/{config['digest']}?ns=registry.k8s.io")) == config["size"]
        assert b"airseal" in get("/metrics")
        connection.close()
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [0, -1])
def test_root_is_no_user_without_privileges(number: int) -> None:
    with pytest.raises(UsageError, match="without privileges"):
        drop_privileges(number)


def refuse(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def nothing(*_: object) -> None:
    """Succeed, and change nothing."""


@pytest.mark.parametrize(("answer", "problem"), [(refuse, "Operation not permitted"), (nothing, "still")])
def test_it_never_serves_as_somebody_else(monkeypatch: pytest.MonkeyPatch, answer: Callable[..., None], problem: str) -> None:
    for name in ("setgroups", "setresgid", "setresuid"):
        monkeypatch.setattr(os, name, answer)
    with pytest.raises(UsageError, match=problem):
        drop_privileges(UID)


def test_the_libraries_of_a_one_file_program_stay_readable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PyInstaller unpacks them into a directory of mode 0700; some are loaded when they are first needed."""
    tmp_path.chmod(0o700)
    monkeypatch.setattr(sys, "_MEIPASS", str(tmp_path), raising=False)
    for name in ("setgroups", "setresgid", "setresuid"):
        monkeypatch.setattr(os, name, refuse)
    with pytest.raises(UsageError):
        drop_privileges(UID)
    assert tmp_path.stat().st_mode & 0o777 == 0o755
