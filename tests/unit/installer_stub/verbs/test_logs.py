"""The support bundle: everybody who answers, a word about who does not, and no secret of any kind."""

from __future__ import annotations

import base64
import stat
import tarfile
from pathlib import Path

import pytest

from installer_stub.errors import HostUnreachable, InstallerError
from installer_stub.host.command import Command, CommandResult, Secret
from installer_stub.values.model import Kept
from installer_stub.values.store import GIVEN, encode_kept
from installer_stub.verbs.logs import CLUSTER_QUESTIONS, HOST_QUESTIONS, collect, write_archive
from installer_stub.verbs.masking import mask_known_kinds, secrets_in
from tests.fakes.scripted import ScriptedConnection
from tests.unit.installer_stub.verbs.test_remove import opened

PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIPLANTED\n-----END EC PRIVATE KEY-----\n"
PLANTED = {
    "a key": PEM,
    "a key as JSON": PEM.replace("\n", "\\n"),
    "a key whose end was cut off": PEM[:50],
    "a kubeconfig": f"    client-key-data: {base64.b64encode(PEM.encode()).decode()}\n    token: PLANTED\n",
    "a join token": "kubeadm join --token abcdef.0123456789PLANTD".lower().replace("plantd", "planted")[: 20 + 23],
    "a service account's token": f"eyJhbGciOiJSUzI1NiJ9.{'PLANTED' * 3}.{'PLANTED' * 3}",
    "a header": "header = { Authorization = 'Basic UExBTlRFRA==PLANTED' }",
    "a URL": "proxy http://user:PLANTED@10.0.0.1:3128/",
    "a password": "mysql --password=PLANTED",
    "an environment": '{"name": "DB_PASSWORD", "value": "PLANTED\\"PLANTED"}',
    "an environment over lines": '{\n  "name": "API_TOKEN",\n  "value": "PLANTED"\n}',
    "a certificate key": "certificateKey: PLANTED",
}


@pytest.mark.parametrize("kind", PLANTED)
def test_no_kind_of_secret_is_seen(kind: str) -> None:
    masked = mask_known_kinds(f"before {PLANTED[kind]} after")
    assert "PLANTED" not in masked.upper().replace("before", "")
    assert masked.startswith("before ")


@pytest.mark.parametrize("text", ["https://10.0.0.2:5443/v2/", "sha256:" + "a" * 64, '"name": "KEYBOARD_LAYOUT", "image": "x"', "kubelet.service active", "10.0.0.2:6443"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask_known_kinds(text) == text


def test_the_registrys_login_in_both_its_forms() -> None:
    password, header = secrets_in("airseal:s3cr3t\n")
    assert (password.reveal(), base64.b64decode(header.reveal())) == ("s3cr3t", b"airseal:s3cr3t")
    assert secrets_in("") == secrets_in("nothing") == ()


def test_all_hosts_that_answer_and_a_word_about_the_others() -> None:
    site = opened(up=(2, 3, 5))

    def lost(command: Command) -> CommandResult:
        raise HostUnreachable("10.0.0.5", "the connection was lost")

    for name, connection in site.connections.items():
        assert isinstance(connection, ScriptedConnection)
        connection.files["/etc/airseal/registry.credential"] = b"airseal:s3cr3t"
        connection.files[GIVEN] = encode_kept(Kept("00" * 16, (("db.password", Secret('"a \\"quoted\\" one"')),)))
        connection.on("journalctl|systemctl|uname|ip addr|ps -eo|ctr -n|host certificates|host keep|for f in|^.*cat /var|tail -c|find /var|config.toml", lost if name == "n5" else f"said by {name}, s3cr3t")
    secrets: list[Secret] = []
    files = collect(site, secrets)
    for name, _ in HOST_QUESTIONS:
        assert files[f"hosts/m2/{name}"].startswith("said by m2")
        assert "the connection was lost" in files[f"hosts/n5/{name}"]
    assert "m4 (10.0.0.4) did not answer" in files["hosts/m4/SILENT.txt"]
    assert {"status.txt", "status.json", "record.json"} <= set(files)
    assert {Secret("s3cr3t"), Secret('a "quoted" one'), Secret('"a \\"quoted\\" one"')} <= set(secrets)


def test_the_archive_is_its_owners_and_masked(tmp_path: Path) -> None:
    target = tmp_path / "site.tar.gz"
    write_archive(target, {"a.txt": "password s3cr3t", "b/c.txt": PLANTED["a key"]}, [Secret("s3cr3t")])
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with tarfile.open(target) as archive:
        names = archive.getnames()
        text = "".join((archive.extractfile(name) or pytest.fail(name)).read().decode() for name in names)
    assert names == ["site/a.txt", "site/b/c.txt"]
    assert "s3cr3t" not in text
    assert "PLANTED" not in text
    with pytest.raises(InstallerError, match="cannot be written"):
        write_archive(tmp_path / "no" / "x.tar.gz", {}, [])


def test_no_question_asks_for_a_secret() -> None:
    asked = " ".join([script for _, script in HOST_QUESTIONS] + [" ".join(words) for _, words in CLUSTER_QUESTIONS])
    for word in ("secrets", "/pki", "admin.conf", "kubelet.conf", "credential", ".key", "hosts.toml"):
        assert word not in asked
