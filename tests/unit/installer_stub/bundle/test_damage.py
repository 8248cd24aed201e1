"""What sticks, mail gateways and disks do to a file: a bit turned, the end missing, something behind it. All of it is found, and said."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bundler.pack.stub_runtime import StubRuntime
from bundler.signing.keys import FileKey
from bundler.signing.signing import Signing
from installer_stub.bundle.reader import Bundle
from installer_stub.errors import BundleError
from installer_stub.trust.public_key import PublicKey
from tests.unit.installer_stub.bundle.sealed import ingredients

FLIPS = 1000
FOOTER = b"\r\n-- \r\nThis message was scanned and is believed to be clean.\r\n"


class Patient:
    """An artifact, open for writing, that is damaged and healed again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.whole = path.read_bytes()
        self.fd = os.open(path, os.O_RDWR)

    def heal(self) -> None:
        os.pwrite(self.fd, self.whole, 0)
        os.ftruncate(self.fd, len(self.whole))

    def complaint(self) -> str:
        """Open and verify; empty if nothing is wrong. Any other error than a BundleError, or one without a remedy, fails the test."""
        try:
            with Bundle.open(self.path) as bundle:
                bundle.verify()
        except BundleError as error:
            return error.problem if error.remedy else f"without a remedy: {error.problem}"
        return ""


def signing(number: int = 0) -> Signing:
    """Return a key that nobody keeps."""
    private = Ed25519PrivateKey.from_private_bytes(b"a key of no value, of 32 bytes." + bytes([number]))
    return Signing((FileKey(PublicKey.of(private.public_key()), private),))


def sealed(root: Path, images: Mapping[str, int]) -> Patient:
    """Seal a small file around an installer of some hundred bytes, signed."""
    made = ingredients(root, images=images, files={"bin/kubectl": (b"#!kubectl\n", 0o755)})
    bootloader, package = made.runtime.bootloader, made.runtime.package
    bootloader.write_bytes(bootloader.read_bytes()[:300])
    package.write_bytes(b"package" * 40)
    made.runtime = StubRuntime.of(bootloader, package, glibc="2.17")
    patient = Patient(made.sealed(root / "shop.run", sign=signing()).path)
    assert patient.complaint() == ""
    return patient


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    found = sealed(tmp_path_factory.mktemp("patient"), {"docker.io/library/busybox:1.36": 3000})
    yield found
    assert found.path.read_bytes() == found.whole
    assert found.complaint() == ""
    os.close(found.fd)


def test_every_bit_that_is_turned_is_found(patient: Patient) -> None:
    chance = random.Random(20_261_128)  # noqa: S311 - the same bits each time
    missed = []
    for _ in range(FLIPS):
        offset, bit = chance.randrange(len(patient.whole)), chance.randrange(8)
        os.pwrite(patient.fd, bytes([patient.whole[offset] ^ 1 << bit]), offset)
        said = patient.complaint()
        if not said or "without a remedy" in said:
            missed.append((offset, bit, said))
        os.pwrite(patient.fd, patient.whole[offset : offset + 1], offset)
    assert missed == []


def test_every_length_that_is_too_short_is_found(tmp_path: Path) -> None:
    small = sealed(tmp_path, {})
    missed = []
    for length in range(len(small.whole) - 1, -1, -1):
        os.ftruncate(small.fd, length)
        said = small.complaint()
        if not said or "without a remedy" in said:
            missed.append((length, said))
    os.close(small.fd)
    assert missed == []


@pytest.mark.parametrize("filler", [b"\0", b"\n", b"P", b"PK\5\6", b"\xff"])
def test_every_byte_behind_the_end_is_found(patient: Patient, filler: bytes) -> None:
    tails = [(filler * 64)[:count] for count in range(1, 65)]
    for tail in [*tails, FOOTER, patient.whole[-22:], patient.whole]:
        os.pwrite(patient.fd, tail, len(patient.whole))
        assert f"is {len(tail)} bytes longer than it was sealed" in patient.complaint()
        patient.heal()


def test_a_block_of_zeros_or_of_another_place_is_found(patient: Patient) -> None:
    """What a disk gives that lost a write, or a copy that was joined in another order."""
    block = 4096
    for start in range(0, len(patient.whole), block):
        there = patient.whole[start : start + block]
        for other in (bytes(len(there)), patient.whole[: len(there)], patient.whole[-len(there) :]):
            if other != there:
                os.pwrite(patient.fd, other, start)
                said = patient.complaint()
                assert said
                assert "without a remedy" not in said
                patient.heal()
