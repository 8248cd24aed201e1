"""A file of allowed signers says here what it says to ssh-keygen; what we do not take of it is refused by file and line."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from installer_stub.errors import NotTrusted, UsageError
from installer_stub.trust.allowed import load_allowed, parse_allowed
from installer_stub.trust.judge import judge
from installer_stub.trust.sshsig import decode
from tests.unit.installer_stub.trust.openssh import Pair, keygen, make, trusts

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)  # as openssh.trusts has it
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"  # with daylight saving time on that day, and without a file of zones

# KEY is the key that signed, OTHER is not.
SAME = [
    "alice KEY",
    "alice KEY comment and more",
    "  alice\t KEY",
    "alice KEY\r",
    "# alice\n\nbob OTHER\nalice KEY",
    "alice OTHER",
    "bob KEY",
    "bob KEY\nalice KEY",
    "alice OTHER\nalice KEY",
    "*li* KEY",
    "!alice,* KEY",
    "bob,alice KEY",
    '"alice" KEY',
    '"bob and,alice" KEY',
    '"al ice" KEY',
    'alice namespaces="airseal" KEY',
    'alice namespaces="file,airseal" KEY',
    'alice namespaces="file" KEY',
    'alice namespaces="" KEY',
    'alice namespaces="*" KEY',
    'alice namespaces="*,!airseal" KEY',
    'alice namespaces="air\\"seal" KEY',
    'alice namespaces="a b,airseal" KEY',
    'alice NameSpaces="airseal" KEY',
    'alice namespaces="file" KEY\nalice KEY',
    'alice namespaces="airseal",valid-before="20270101Z" KEY',
    'alice valid-before="20250101Z" KEY',
    'alice valid-before="20250101Z" KEY\nalice valid-before="20270101Z" KEY',
    'alice valid-after="20270101Z" KEY',
    'alice valid-after="20250101Z",valid-before="20270101Z" KEY',
    'alice valid-before="20260601120000Z" KEY',
    'alice valid-before="20260601115959Z" KEY',
    'alice valid-after="20260601120000Z" KEY',
    'alice valid-after="20260601120001Z" KEY',
    'alice valid-before="202606011200Z" KEY',
    'alice valid-before="202606011159z" KEY',
    'alice valid-before="202606011200UTC" KEY',
    *(f'alice valid-{which}="2026060{clock}" KEY' for which in ("before", "after") for clock in ("1", "2", "11100", "11259", "11300", "11359", "11400", "1140000", "1150000")),
]
# What neither of us takes, and we say why.
NEITHER = {
    "alice": "names, and a key",
    "alice ssh-ed25519": "no key in it",
    "alice ssh-ed25519 AAAA": "is called ssh-ed25519|no public key",
    "alice ssh-ed25519 !": "no base64",
    "alice nonsense KEY": "unknown, given twice or without a value",
    "alice namespaces KEY": "without a value",
    "alice namespaces=airseal KEY": "neither a key nor options",
    'alice namespaces="airseal KEY': "neither a key nor options",
    'alice namespaces="airseal\\" KEY': "neither a key nor options",
    'alice namespaces="airseal",namespaces="airseal" KEY': "given twice",
    'alice namespaces="airseal", KEY': "neither a key nor options",
    'alice namespaces="airseal"valid-before="20270101" KEY': "neither a key nor options",
    'alice valid-before="2027" KEY': ":1: valid-before: this is no time",
    'alice valid-before="20271301Z" KEY': "no such time",
    'alice valid-before="19700101Z" KEY': "before there were computers",
    'alice valid-before="20270101",valid-before="20270101" KEY': "given twice",
    'alice valid-after="20260101Z",valid-before="20250101Z" KEY': "end before it begins",
    'alice valid-after="20270101Z",valid-before="20270101Z" KEY': "end before it begins",
    "alice cert-authority KEY": "certificate authorities",
    'alice namespaces="airseal",CERT-authority KEY': "certificate authorities",
    '"alice KEY': "names, and a key",
}
# What OpenSSH passes over, or understands in a way that nobody means.
STRICTER = {
    "alice KEY\nbob cert-authority OTHER": r"signers:2: certificate authorities",
    "alice KEY\nbob nonsense": r"signers:2: ",
    "alice KEY\nbob ssh-rsa AAAAB3NzaC1yc2E": "ssh-rsa' is not taken",
    "alice KEY\nbob sk-ssh-ed25519@openssh.com AAAA": "sk-ssh-ed25519@openssh.com' is not taken",
    'alice valid-after="20260231Z" KEY': "no such time",
    "alice KEY\nbob\x07 OTHER": "signers:2: there is a control character",
}


@contextmanager
def zone(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as context:
        context.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()


@dataclass(frozen=True)
class Desk:
    """A signature, the key that made it, another key, and a place for files."""

    pair: Pair
    other: Pair
    armored: bytes
    directory: Path

    def written(self, template: str) -> str:
        return template.replace("KEY", self.pair.line).replace("OTHER", self.other.line) + "\n"

    def there(self, template: str, timezone: str = "UTC") -> bool:
        """What ssh-keygen says."""
        return trusts(self.directory, self.armored, self.written(template), timezone=timezone)

    def here(self, template: str) -> bool:
        """What we say; whatever is refused as a file is raised."""
        try:
            found = judge([decode(self.armored)], parse_allowed(self.written(template), "signers"), NOW, principal="alice")
        except NotTrusted:
            return False
        return found.key.text == self.pair.line


@pytest.fixture(scope="module")
def desk(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    directory = tmp_path_factory.mktemp("desk")
    return Desk(pair, make(directory), pair.sign(), directory)


@pytest.mark.parametrize("timezone", ["UTC", BERLIN, "XXX+9"])
def test_the_verdict_is_openssh_s(desk: Desk, timezone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with zone(timezone, monkeypatch):
        here = {template: desk.here(template) for template in SAME}
    assert here == {template: desk.there(template, timezone) for template in SAME}
    assert set(here.values()) == {True, False}


def test_times_are_local_where_they_do_not_end_with_z(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}
    for timezone in ("UTC", BERLIN):
        with zone(timezone, monkeypatch):
            seen[timezone] = parse_allowed(desk.written('alice valid-before="20260601",valid-after="20260101Z" KEY'), "signers")[0]
    assert [str(signer.valid_before) for signer in seen.values()] == ["2026-06-01 00:00:00+00:00", "2026-05-31 23:00:00+00:00"]
    assert len({signer.valid_after for signer in seen.values()}) == 1


@pytest.mark.parametrize(("template", "why"), NEITHER.items())
def test_what_openssh_does_not_read_is_refused_by_file_and_line(desk: Desk, template: str, why: str) -> None:
    assert not desk.there(template)
    with pytest.raises(UsageError, match=why) as caught:
        desk.here(template)
    assert caught.value.problem.startswith("signers:1: ")
    assert caught.value.remedy


@pytest.mark.parametrize(("template", "why"), STRICTER.items())
def test_a_line_that_is_not_understood_is_never_passed_over(desk: Desk, template: str, why: str) -> None:
    assert desk.there(template)
    with pytest.raises(UsageError, match=why):
        desk.here(template)


def test_every_kind_of_key_is_taken(pairs: Mapping[str, Pair], tmp_path: Path) -> None:
    text = "".join(f"alice {pair.line}\n" for pair in pairs.values())
    for pair in pairs.values():
        assert trusts(tmp_path, pair.sign(), text)
        assert judge([decode(pair.sign())], parse_allowed(text, "signers"), NOW).key.text == pair.line


def test_a_public_key_alone_is_a_signer(pair: Pair) -> None:
    named, bare = parse_allowed(pair.pub.read_text() + pair.line, ".pub")
    assert (named.principals, bare.principals) == ("alice@example.com", bare.key.fingerprint)
    assert named.key == bare.key
    assert (named.place, named.namespaces, named.valid_after, named.valid_before) == (".pub:1", None, None, None)


def test_a_public_key_in_pem_is_a_signer(pairs: Mapping[str, Pair]) -> None:
    pair = pairs["ecdsa-sha2-nistp256"]
    pem = keygen("-e", "-m", "PKCS8", "-f", pair.pub).stdout.decode()
    for text in (pem, pem.replace("\n", "\r\n"), f"# ours\n{pem}bob {pair.line}\n"):
        first = parse_allowed(text, "key.pem")[0]
        assert (first.key.text, first.principals) == (pair.line, first.key.fingerprint)
    with pytest.raises(UsageError, match=r"key\.pem:1: this key in PEM has no end"):
        parse_allowed(pem[:60], "key.pem")
    with pytest.raises(UsageError, match=r"key\.pem:2: this is no public key in PEM"):
        parse_allowed("\n" + pem.replace("\n", "\nAAAA", 1), "key.pem")


def test_a_private_key_is_no_signer_and_is_not_repeated(pair: Pair) -> None:
    with pytest.raises(UsageError, match=r"key:1: this is PEM, and no public key") as caught:
        parse_allowed(pair.path.read_text(), "key")
    assert pair.path.read_text().splitlines()[1] not in str(caught.value)


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_a_line_ends_where_it_ends_for_openssh(desk: Desk, separator: str) -> None:
    template = f"bob OTHER x{separator}alice KEY"
    assert not desk.there(template)
    with suppress(UsageError):
        assert not desk.here(template)


@pytest.mark.parametrize("text", ["", "\n\n", "# nobody\n"])
def test_a_file_that_names_nobody_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="names nobody"):
        parse_allowed(text, "signers")


def test_files_are_bounded_and_text(tmp_path: Path, pair: Pair) -> None:
    file = tmp_path / "allowed_signers"
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_allowed(file)
    file.write_text(f"alice {pair.line}\n")
    assert load_allowed(file)[0].place == f"{file}:1"
    for content in (b"#" * (1 << 20) + b"\n", b"\xff\xfe"):
        file.write_bytes(content)
        with pytest.raises(UsageError, match="too large, or no text"):
            load_allowed(file)
    with pytest.raises(UsageError, match="too large"):
        load_allowed(Path("/dev/zero"))
    with pytest.raises(UsageError, match="has more than"):
        parse_allowed("#" * (1 << 20) + "\n", "signers")


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICSsaCwSQYr1DzU1CVErJUE7doQ46Myrx2qynjfLmBao"
WORDS = st.sampled_from([KEY, "ssh-ed25519", "ssh-rsa", "alice", '"a b"', '"', "namespaces=", '"airseal"', "valid-before=", '"20270101Z"', '"99991231"', '"00000000"', "cert-authority", ",", " ", "\t", "\n", "#", "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"])


@given(st.text(max_size=200) | st.lists(WORDS | st.text(max_size=5), max_size=12).map("".join))
@settings(max_examples=300)
@example(f'alice valid-before="99991231" {KEY}')
@example(f'alice valid-before="99991231235959Z" {KEY}')
def test_signers_or_a_named_error(text: str) -> None:
    with suppress(UsageError):
        assert all(signer.place.startswith("signers:") for signer in parse_allowed(text, "signers"))
