"""One CA after another: provable, and on each host whole at every moment, wherever it was cut."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509

from installer_stub.errors import InstallerError
from installer_stub.pki import succession
from installer_stub.pki.authority import CERTIFICATE, KEY, Authority, make
from installer_stub.pki.leaf import public_key
from installer_stub.pki.succession import NEXT, STATEMENTS, leads, parse, prepare, switch

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    make(tmp_path / "ca", NOW)
    return tmp_path / "ca"


def present(directory: Path) -> x509.Certificate:
    return Authority.load(directory).certificate


def rotated(directory: Path) -> x509.Certificate:
    prepare(directory, NOW)
    assert switch(directory)
    return present(directory)


def test_the_next_one_changes_nothing_until_it_is_switched_to_and_is_made_once(directory: Path) -> None:
    first = present(directory)
    prepare(directory, NOW)
    following = present(directory / NEXT)
    prepare(directory, NOW)
    assert present(directory / NEXT) == following
    assert present(directory) == first
    assert switch(directory)
    assert present(directory) == following
    assert not switch(directory)
    assert sorted(path.name for path in directory.iterdir()) == [CERTIFICATE, KEY, STATEMENTS]
    assert (directory / KEY).stat().st_mode & 0o777 == 0o600


def test_it_is_proved_who_followed_whom_also_over_several(directory: Path) -> None:
    first, second, third = present(directory), rotated(directory), rotated(directory)
    statements = parse((directory / STATEMENTS).read_bytes())
    assert len(statements) == 2
    assert leads(first, second, statements)
    assert leads(second, third, statements)
    assert leads(first, third, reversed(statements))
    assert not leads(third, first, statements)
    assert not leads(first, third, statements[1:])
    assert not leads(first, third, ())


def test_what_somebody_else_signed_proves_nothing(directory: Path, tmp_path: Path) -> None:
    first = present(directory)
    make(tmp_path / "other", NOW)
    other = Authority.load(tmp_path / "other")
    forged = (x509.load_pem_x509_certificate(other.vouch(other.certificate, NOW)), other.certificate)
    assert not leads(first, other.certificate, forged)
    assert parse(b"torn") == ()


def test_a_statement_is_no_certificate_of_a_server_or_of_a_ca(directory: Path) -> None:
    rotated(directory)
    (statement,) = parse((directory / STATEMENTS).read_bytes())
    assert not statement.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    with pytest.raises(x509.ExtensionNotFound):
        statement.extensions.get_extension_for_class(x509.SubjectAlternativeName)


class CutError(Exception):
    pass


@pytest.mark.parametrize("cut", range(6))
def test_cut_anywhere_a_certificate_stands_beside_its_own_key_and_the_same_call_goes_on(directory: Path, monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    prepare(directory, NOW)
    following = present(directory / NEXT)
    steps = [0]

    def act(name: str) -> None:
        real = getattr(Path, name)

        def counted(self: Path, *arguments: object, **more: object) -> object:
            if steps[0] == cut:
                raise CutError
            steps[0] += 1
            return real(self, *arguments, **more)

        monkeypatch.setattr(Path, name, counted)

    with monkeypatch.context() as patched:
        monkeypatch = patched
        for name in ("unlink", "replace", "rmdir"):
            act(name)
        try:
            switch(directory)
        except CutError:
            assert cut < 5
    if (directory / CERTIFICATE).exists():
        Authority.load(directory)  # raises where key and certificate do not fit
    switch(directory)
    if (directory / NEXT).exists():
        (directory / NEXT).rmdir()
    assert public_key(present(directory)) == public_key(following)
    assert len(parse((directory / STATEMENTS).read_bytes())) == 1


def test_without_a_present_one_there_is_no_next(tmp_path: Path) -> None:
    with pytest.raises(InstallerError, match="cannot be read"):
        prepare(tmp_path, NOW)
    assert not succession.switch(tmp_path)
