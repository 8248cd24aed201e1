"""What a builder's keys sign: the bundle, inside of the file, and the finished file, beside it.

The signatures inside travel with the file and are asked at every site. The one beside it, ``FILE.sig``, is of the whole file, so that
``ssh-keygen -Y verify -n airseal`` checks a copy without any program of ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundler.errors import UsageError
from bundler.signing.certificates import CertifiedKey, load_certified
from bundler.signing.keys import Ask, SigningKey, load_signer, sign_digest
from installer_stub.bundle.beside import SIGNATURE
from installer_stub.bundle.names import MOST_SIGNATURES, signature_name
from installer_stub.trust.sshsig import encode


@dataclass(frozen=True, slots=True)
class Signing:
    """The keys that sign, the first one also the whole file. Without any, nothing is signed. ``certified`` signs the sums beside it."""

    keys: tuple[SigningKey, ...] = ()
    certified: CertifiedKey | None = None

    @classmethod
    def load(cls, paths: Sequence[Path], ask: Ask, x509: Path | None = None) -> Signing:
        """Return the keys in these files, ready to sign. Raises UsageError for one named twice, what ``load_signer`` and ``load_certified`` raise."""
        if len(paths) > MOST_SIGNATURES:
            raise UsageError(f"{len(paths)} keys: a file holds at most {MOST_SIGNATURES} signatures", "name fewer with --sign")
        keys = tuple(load_signer(path, ask) for path in paths)
        if len({key.public for key in keys}) < len(keys):
            raise UsageError("one key is named twice to sign with", "name each once with --sign")
        return cls(keys, load_certified(x509, ask) if x509 is not None else None)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The keys, as ``ssh-keygen -l`` shows them."""
        return tuple(key.public.fingerprint for key in self.keys)

    def of_bundle(self, raw: bytes) -> Mapping[str, bytes]:
        """Return the signatures of ``airseal/bundle.json`` by the names of their entries. Raises SigningError."""
        digest = hashlib.sha512(raw).digest()
        return {signature_name(key.public.fingerprint): encode(sign_digest(key, digest)) for key in self.keys}

    def of_file(self, sha256: str) -> bytes:
        """Return the signature of the whole file that has this SHA-256 in hex, by the first key. Raises SigningError."""
        return encode(sign_digest(self.keys[0], bytes.fromhex(sha256), "sha256"))


UNSIGNED: Final = Signing()


def path_of(artifact: Path) -> Path:
    """Return where the signature of a whole artifact is written."""
    return artifact.with_name(f"{artifact.name}{SIGNATURE}")


def ask_for(prompt: str) -> str:
    """Return a passphrase that is typed at the terminal, unseen. Raises UsageError where nobody sits, Interrupted."""
    from installer_stub.ui.prompts import ask_secret, is_interactive

    if not is_interactive():
        raise UsageError(f"{prompt.rstrip(': ')}: nobody to ask", "add the key to an ssh-agent (ssh-add) and name its .pub file with --sign")
    return ask_secret(prompt.rstrip(": ")).reveal()
