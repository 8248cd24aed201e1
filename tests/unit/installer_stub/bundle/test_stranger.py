"""docs/bundle-format.md says enough: a reader made from it alone, in another process without our packages, comes to our answers."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bundler.signing.signing import Signing
from installer_stub.bundle.coverage import (
    Answer,
    Coverage,
    LackingRuntime,
    Signatures,
    Unresolved,
    Vouched,
    encode_coverage,
)
from installer_stub.bundle.names import COVERAGE, RECEIPT, signature_name
from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.reasons import Scanned
from installer_stub.bundle.receipt import Forced, Receipt, encode
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from tests.unit.installer_stub.bundle.forge import Forged
from tests.unit.installer_stub.bundle.sealed import Ingredients, ingredients
from tests.unit.installer_stub.bundle.test_damage import signing
from tests.unit.installer_stub.bundle.test_format import FORGERIES, _a_signature_that_is_none
from tests.unit.installer_stub.trust.openssh import make

STRANGER = Path(__file__).with_name("stranger.py")
PLACES = (Scanned("CronJob shop/nightly", "spec.image"),)
DOCUMENTS = {
    COVERAGE: encode_coverage(Coverage((Unresolved(Reference.parse("a/b:1"), Answer.ABSENT, PLACES),), (), ("secrets",), (LackingRuntime("kata", "", PLACES),))),
    RECEIPT: encode(Receipt(False, "1+1", "ab" * 32, 1_790_000_000, 300, "0.1.0", "v1.36.3", "20.10", (Forced("CronJobs run", 2),), ("größer",))),
}


def ask(path: Path) -> tuple[int, Mapping[str, str], str]:
    """Ask the stranger what is in the file: exit code, what it says, and why not."""
    done = subprocess.run([sys.executable, "-I", "-S", STRANGER, path], capture_output=True, text=True, check=False, timeout=60)
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    return done.returncode, said, done.stderr


def agrees(path: Path) -> None:
    """Both readers take the file, and say the same of it."""
    code, said, why = ask(path)
    assert (code, why) == (0, "")
    with Bundle.open(path) as bundle:
        bundle.verify()
        assert said == {
            "title": bundle.info.title,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "digest": bundle.digest.encoded,
            "content": bundle.content_digest.encoded,
            "images": str([str(reference) for reference, _ in bundle.images()]),
            "files": str([file.path for file in bundle.cluster_files()]),
            "signatures": "[]",
        }


def test_a_stranger_reads_what_we_sealed(run_file: Path, made: Ingredients, tmp_path: Path) -> None:
    agrees(run_file)
    agrees(made.seal(tmp_path / "documents.run", documents=DOCUMENTS))
    held = Signatures(Digest.of(b"policy"), (Vouched(Reference.parse("a/b:2"), unsigned="nobody signs it"), Vouched(Reference.parse("a/b:1"), f"sha256:{'a' * 64}")))
    agrees(made.seal(tmp_path / "signed.run", documents={COVERAGE: encode_coverage(Coverage(signatures=held))}))
    agrees(ingredients(tmp_path, images={}, files={}).seal(tmp_path / "empty.run"))


def test_a_stranger_lists_signatures(made: Ingredients, tmp_path: Path) -> None:
    keys = Signing(tuple(key for number in range(8) for key in signing(number).keys))
    sealed = made.sealed(tmp_path / "signed.run", sign=keys)
    code, said, _ = ask(sealed.path)
    assert (code, said["digest"], said["signatures"]) == (0, sealed.digest.encoded, str(sorted(map(signature_name, keys.fingerprints))))


@pytest.mark.skipif(not (shutil.which("unzip") and shutil.which("ssh-keygen")), reason="needs unzip and ssh-keygen")
def test_a_signature_is_checked_with_the_commands_of_the_page(made: Ingredients, tmp_path: Path) -> None:
    pair = make(tmp_path)
    key = hashlib.sha256(base64.b64decode(pair.line.split()[1])).hexdigest()
    made.sealed(tmp_path / "shop.run", sign=Signing.load([pair.path], pytest.fail))
    (tmp_path / "allowed_signers").write_text(f"publisher@example.com {pair.line}\n")
    page = (Path(__file__).parents[4] / "docs/bundle-format.md").read_text()
    commands = [line.strip().replace("KEY", key) for line in page.splitlines() if line.startswith("    unzip")]
    assert len(commands) == 3
    for command in commands:
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('Good "airseal" signature for publisher@example.com')


@pytest.mark.parametrize("forgery", [each for each in FORGERIES if each is not _a_signature_that_is_none], ids=lambda each: each.__name__.strip("_"))
def test_a_stranger_refuses_what_we_refuse(run_file: Path, tmp_path: Path, forgery: Callable[[Forged], None]) -> None:
    forged = Forged.of(run_file)
    forgery(forged)
    code, said, why = ask(forged.seal(tmp_path / "forged.run"))
    assert (code, said) == (1, {})
    assert why.startswith("refused: "), why


def test_a_stranger_refuses_damage(run_file: Path, tmp_path: Path) -> None:
    whole = run_file.read_bytes()
    damaged = [b"", b"PK", whole[:-1], whole[:5000], b"x" + whole, whole + b"\0", whole[:3000] + b"\1" + whole[3001:], whole[:-40] + b"\xff" * 4 + whole[-36:]]
    for data in damaged:
        path = tmp_path / "damaged.run"
        path.write_bytes(data)
        code, _, why = ask(path)
        assert (code, why[:9]) == (1, "refused: "), why
