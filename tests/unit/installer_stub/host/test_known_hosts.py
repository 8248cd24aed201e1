"""The known_hosts format and what follows from it; real servers are in the contract test."""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from installer_stub.errors import HostKeyRejected, HostsFailed, UsageError
from installer_stub.host.known_hosts import (
    FirstContact,
    HostKey,
    HostKeyPolicy,
    matches,
    name_of,
    parse_known_hosts,
)
from installer_stub.host.model import Host, Role

KEY = HostKey("ssh-ed25519", base64.b64encode(b"key one").decode())
OTHER = HostKey("ssh-ed25519", base64.b64encode(b"key two").decode())
HOST, ODD_PORT = Host("10.0.0.2", Role.MASTER), Host("10.0.0.3", Role.NODE, 2222)


def hashed(name: str) -> str:
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, name.encode(), "sha1").digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        ("10.0.0.2", "10.0.0.2", True),
        ("10.0.0.2", "10.0.0.20", False),
        ("db1,10.0.0.2", "10.0.0.2", True),
        ("10.0.0.*", "10.0.0.2", True),
        ("10.0.0.?,!10.0.0.2", "10.0.0.2", False),
        ("!10.0.0.2,10.0.0.*", "10.0.0.3", True),
        ("DB1.corp", "db1.CORP", True),
        ("[10.0.0.2]:2222", "[10.0.0.2]:2222", True),
        ("[10.0.0.2]:2222", "10.0.0.2", False),
        (hashed("10.0.0.2"), "10.0.0.2", True),
        (hashed("10.0.0.2"), "10.0.0.3", False),
        ("|1|torn", "10.0.0.2", False),
    ],
)
def test_patterns(*, patterns: str, name: str, expected: bool) -> None:
    assert matches(patterns, name) is expected


def test_lines_that_name_no_key_are_passed_over() -> None:
    text = "\n".join(
        (
            "# comment",
            "",
            f"10.0.0.2 {KEY.kind} {KEY.blob} root@host",
            "torn line",
            f"@cert-authority *.corp {KEY.kind} {KEY.blob}",
            f"@revoked * {OTHER.kind} {OTHER.blob}",
            "10.0.0.9 ssh-ed25519 not-base64!",
        )
    )
    found = parse_known_hosts(text, Path("file"))
    assert [(known.line, known.key, known.revoked) for known in found] == [(3, KEY, False), (6, OTHER, True)]


def test_names() -> None:
    assert (name_of(HOST), name_of(ODD_PORT)) == ("10.0.0.2", "[10.0.0.3]:2222")


def test_fingerprint_is_openssh_s() -> None:
    assert KEY.fingerprint.startswith("SHA256:")
    assert not KEY.fingerprint.endswith("=")


def test_known_keys_need_no_question(tmp_path: Path) -> None:
    file = tmp_path / "theirs"
    file.write_text(f"{hashed('10.0.0.2')} {KEY.kind} {KEY.blob}\n")
    policy = HostKeyPolicy((file, tmp_path / "missing"), tmp_path / "ours", None)
    policy.check([FirstContact(HOST, KEY)])
    assert policy.kinds(HOST) == (KEY.kind,)
    assert not (tmp_path / "ours").exists()


def test_new_keys_are_asked_about_once_for_all_and_pinned(tmp_path: Path) -> None:
    asked = []
    pin = tmp_path / "site" / "known_hosts"
    policy = HostKeyPolicy((), pin, lambda new: asked.append(len(new)) is None)
    contacts = [FirstContact(HOST, KEY), FirstContact(ODD_PORT, OTHER)]
    policy.check(contacts)
    policy.check(contacts)
    HostKeyPolicy((), pin, None).check(contacts)
    assert asked == [2]
    assert pin.read_text() == f"10.0.0.2 {KEY.kind} {KEY.blob}\n[10.0.0.3]:2222 {OTHER.kind} {OTHER.blob}\n"


def test_a_pin_file_without_its_last_newline_is_not_spoilt(tmp_path: Path) -> None:
    (tmp_path / "pins").write_text(f"10.0.0.9 {KEY.kind} {KEY.blob}")
    HostKeyPolicy((), tmp_path / "pins", lambda _: True).check([FirstContact(HOST, KEY)])
    assert len(parse_known_hosts((tmp_path / "pins").read_text(), tmp_path)) == 2


@pytest.mark.parametrize(("confirm", "why"), [(None, "nobody can be asked"), (lambda _: False, "nobody confirmed")])
def test_unconfirmed_keys_are_all_named(tmp_path: Path, confirm: None, why: str) -> None:
    policy = HostKeyPolicy((), tmp_path / "pins", confirm)
    with pytest.raises(HostsFailed, match=why) as caught:
        policy.check([FirstContact(HOST, KEY), FirstContact(ODD_PORT, OTHER)])
    assert KEY.fingerprint in str(caught.value)
    assert OTHER.fingerprint in str(caught.value)
    assert not (tmp_path / "pins").exists()


def test_a_changed_key_is_refused_whatever_was_allowed_and_nothing_else_is_pinned(tmp_path: Path) -> None:
    file = tmp_path / "theirs"
    file.write_text(f"10.0.0.2 {KEY.kind} {KEY.blob}\n")
    policy = HostKeyPolicy((file,), tmp_path / "ours", lambda _: True)
    with pytest.raises(HostKeyRejected, match="CHANGED") as caught:
        policy.check([FirstContact(HOST, OTHER), FirstContact(ODD_PORT, OTHER)])
    assert f"{file}:1" in str(caught.value)
    assert not (tmp_path / "ours").exists()


def test_another_kind_of_key_is_a_change_too(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text(f"10.0.0.2 {KEY.kind} {KEY.blob}\n")
    policy = HostKeyPolicy((tmp_path / "theirs",), tmp_path / "ours", lambda _: True)
    with pytest.raises(HostKeyRejected, match="CHANGED"):
        policy.check([FirstContact(HOST, HostKey("ssh-rsa", OTHER.blob))])


def test_a_revoked_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text(f"@revoked * {KEY.kind} {KEY.blob}\n10.0.0.2 {KEY.kind} {KEY.blob}\n")
    policy = HostKeyPolicy((tmp_path / "theirs",), tmp_path / "ours", lambda _: True)
    with pytest.raises(HostKeyRejected, match=r"revoked by .*theirs:1"):
        policy.check([FirstContact(HOST, KEY)])


def test_where_nothing_can_be_pinned_there_is_a_remedy(tmp_path: Path) -> None:
    policy = HostKeyPolicy((), tmp_path / "directory" / "known_hosts", lambda _: True)
    (tmp_path / "directory").touch()
    with pytest.raises(UsageError, match="--known-hosts"):
        policy.check([FirstContact(HOST, KEY)])


def test_one_file_alone_with_known_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"10.0.0.2 {KEY.kind} {KEY.blob}\n")
    assert HostKeyPolicy.of(None, None).kinds(HOST) == (KEY.kind,)
    assert HostKeyPolicy.of(str(tmp_path / "mine"), None).kinds(HOST) == ()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path / "home"


def test_pins_stand_in_one_place_from_whatever_directory(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        HostKeyPolicy.of(None, (lambda _: True) if name == "one" else None).check([FirstContact(HOST, KEY)])
        assert list((tmp_path / name).iterdir()) == []
    pins = home / ".config" / "airseal" / "known_hosts"
    assert pins.stat().st_mode & 0o777 == 0o600
    assert pins.parent.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    with pytest.raises(HostKeyRejected):
        HostKeyPolicy.of(None, None).check([FirstContact(HOST, KEY)])


def test_a_file_planted_where_somebody_works_is_not_believed(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not home.exists()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "known_hosts").write_text(f"* {KEY.kind} {KEY.blob}\n")
    with pytest.raises(HostKeyRejected, match="is not known"):
        HostKeyPolicy.of(None, None).check([FirstContact(HOST, KEY)])


@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602, 0o777])
@pytest.mark.parametrize("named", [True, False])
def test_a_file_in_which_others_can_pin_is_refused(home: Path, tmp_path: Path, mode: int, *, named: bool) -> None:
    pins = tmp_path / "pins" if named else home / ".config" / "airseal" / "known_hosts"
    pins.parent.mkdir(parents=True, exist_ok=True)
    pins.write_text(f"* {KEY.kind} {KEY.blob}\n")
    pins.chmod(mode)
    with pytest.raises(UsageError, match="others than you can write") as caught:
        HostKeyPolicy.of(str(pins) if named else None, lambda _: True)
    assert f"chmod 600 {pins}" in caught.value.remedy
    pins.chmod(0o644)
    HostKeyPolicy.of(str(pins) if named else None, None).check([FirstContact(HOST, KEY)])


def test_a_file_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pins = tmp_path / "pins"
    pins.write_text("")
    monkeypatch.setattr("installer_stub.host.known_hosts.os.geteuid", lambda: 12345)
    if pins.stat().st_uid != 0:
        with pytest.raises(UsageError, match="others than you"):
            HostKeyPolicy.of(str(pins), None)
    else:
        HostKeyPolicy.of(str(pins), None)  # root's is everybody's


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_what_is_no_file_is_no_place_for_pins(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "pins")
    with pytest.raises(UsageError, match="is no file"):
        HostKeyPolicy.of(str(tmp_path / "pins"), lambda _: True)


class TestFingerprintsGivenBeforehand:
    GIVEN: ClassVar = {"10.0.0.2": frozenset({KEY.fingerprint})}

    def test_they_are_consent_where_nobody_sits_and_are_pinned(self, tmp_path: Path) -> None:
        HostKeyPolicy((), tmp_path / "pins", None, self.GIVEN).check([FirstContact(HOST, KEY)])
        HostKeyPolicy((), tmp_path / "pins", None).check([FirstContact(HOST, KEY)])

    def test_they_are_for_their_own_host_and_nothing_is_pinned_while_another_is_unknown(self, tmp_path: Path) -> None:
        with pytest.raises(HostKeyRejected, match=r"^10\.0\.0\.3: .* is not known") as caught:
            HostKeyPolicy((), tmp_path / "pins", None, self.GIVEN).check([FirstContact(HOST, KEY), FirstContact(ODD_PORT, KEY)])
        assert f"--host-key 10.0.0.3={KEY.fingerprint}" in caught.value.remedy
        assert not (tmp_path / "pins").exists()

    def test_a_person_is_asked_about_the_others_only(self, tmp_path: Path) -> None:
        asked: list[str] = []
        policy = HostKeyPolicy((), tmp_path / "pins", lambda new: not asked.extend(one.host.address for one in new), self.GIVEN)
        policy.check([FirstContact(HOST, KEY), FirstContact(ODD_PORT, OTHER)])
        assert asked == ["10.0.0.3"]
        assert len(parse_known_hosts((tmp_path / "pins").read_text(), tmp_path)) == 2

    @pytest.mark.parametrize("pinned", [True, False])
    def test_another_key_is_refused_even_if_it_was_pinned(self, tmp_path: Path, *, pinned: bool) -> None:
        if pinned:
            (tmp_path / "pins").write_text(f"10.0.0.2 {OTHER.kind} {OTHER.blob}\n")
        with pytest.raises(HostKeyRejected, match="was to have"):
            HostKeyPolicy((), tmp_path / "pins", lambda _: True, self.GIVEN).check([FirstContact(HOST, OTHER)])

    def test_they_do_not_override_a_key_that_is_known(self, tmp_path: Path) -> None:
        (tmp_path / "pins").write_text(f"10.0.0.2 {OTHER.kind} {OTHER.blob}\n")
        with pytest.raises(HostKeyRejected, match="CHANGED"):
            HostKeyPolicy((), tmp_path / "pins", lambda _: True, self.GIVEN).check([FirstContact(HOST, KEY)])
