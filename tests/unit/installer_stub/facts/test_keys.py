"""Keys are looked at without being read: a torn one is told from a whole one by its marks, and no other byte is said."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from installer_stub.facts.keys import KEY_FILES, Pem

SECRET = "c2VjcmV0"
KEY = f"-----BEGIN EC PRIVATE KEY-----\n{SECRET}\n-----END EC PRIVATE KEY-----\n"
PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBg==\n-----END EC PARAMETERS-----\n"


def ask(root: Path) -> tuple[str, dict[str, Pem]]:
    """Ask this machine, with another root."""
    command = KEY_FILES.command.replace("/etc/kubernetes", str(root))
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    return done.stdout, {path.removeprefix(f"{root}/"): state for path, state in KEY_FILES.parse(done.stdout).items()}


@pytest.mark.parametrize(
    ("data", "state"),
    [
        (KEY, Pem.WHOLE),
        (KEY.rstrip(), Pem.WHOLE),
        (KEY.replace("\n", "\r\n"), Pem.WHOLE),
        (PARAMETERS + KEY, Pem.WHOLE),
        (KEY[: len(KEY) // 2], Pem.TORN),
        (KEY[: len(KEY) // 2] + "\0" * 100, Pem.TORN),
        (KEY[10:], Pem.TORN),
        ("\0" * 300, Pem.TORN),
        ("", Pem.TORN),
        (KEY + KEY[: len(KEY) // 2], Pem.TORN),
        (KEY.replace("END EC", "END RSA"), Pem.TORN),
        (KEY.replace("\n", ""), Pem.TORN),  # no PEM, and its one line is not said
    ],
)
def test_a_key_is_whole_or_torn(tmp_path: Path, data: str, state: Pem) -> None:
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "sa.key").write_text(data, newline="")
    (tmp_path / "admin.conf").write_text(f"users:\n- user:\n    client-key-data: {base64.b64encode(data.encode()).decode()}\n")
    said, found = ask(tmp_path)
    assert (found["pki/sa.key"], found["admin.conf"], found["pki/ca.crt"]) == (state, state, Pem.GONE)
    assert SECRET not in said


@pytest.mark.parametrize(("first", "state"), [(KEY.rstrip(), Pem.WHOLE), (KEY[: len(KEY) // 2], Pem.TORN), ("", Pem.TORN)])
@pytest.mark.parametrize(("second", "its"), [(KEY, Pem.WHOLE), ("", Pem.TORN), (None, Pem.GONE)])
def test_a_file_without_a_last_newline_hides_nothing_of_the_next_one(tmp_path: Path, first: str, state: Pem, second: str | None, its: Pem) -> None:
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "sa.key").write_text(first)
    if second is not None:
        (tmp_path / "pki" / "sa.pub").write_text(second)
    _, found = ask(tmp_path)
    assert (found["pki/sa.key"], found["pki/sa.pub"]) == (state, its)


def test_a_kubeconfig_that_is_cut_has_lost_its_key(tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    whole = f"    client-certificate-data: aaaa\n    client-key-data: {base64.b64encode(KEY.encode()).decode()}\n"
    for name, text in (("admin", whole), ("scheduler", whole[:-30]), ("controller-manager", whole[:20])):
        (tmp_path / f"{name}.conf").write_text(text)
    _, found = ask(tmp_path)
    assert [found[f"{name}.conf"] for name in ("admin", "scheduler", "controller-manager")] == [Pem.WHOLE, Pem.TORN, Pem.TORN]


def test_a_host_without_a_cluster_says_nothing(tmp_path: Path) -> None:
    assert ask(tmp_path / "kubernetes") == ("", {})


def test_without_the_directory_all_of_it_is_gone(tmp_path: Path) -> None:
    said, found = ask(tmp_path)
    assert said
    assert set(found.values()) == {Pem.GONE}
