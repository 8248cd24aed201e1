"""When a host's certificates end. Read as public PEM text over the connection, or from the host's own files: one parser."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from installer_stub.distro.certificates import FILES, KUBECONFIGS
from installer_stub.facts.base import Fact, Otherwise

OURS: Final = "/etc/airseal/*.crt"
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_END: Final = b"-----END CERTIFICATE-----"
_DAY: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate on a host. Times in seconds since 1970. ``problem`` says why it could not be read; then both are 0."""

    path: str
    begins: float
    ends: float
    authority: bool = False
    problem: str = ""

    @property
    def half(self) -> float:
        """The moment at which half of its life is over: then it is renewed."""
        return (self.begins + self.ends) / 2

    def days_left(self, now: float) -> float:
        """Return how long it still lives, in days; negative once it has ended."""
        return (self.ends - now) / _DAY


def parse_certificates(stdout: str) -> tuple[Certificate, ...]:
    """Return what stands behind each line "==> path": certificates in PEM, or the base64 of such. Nothing there: no entry."""
    found: list[Certificate] = []
    for part in stdout.split("==> ")[1:]:
        path, _, text = part.partition("\n")
        if text.strip():
            found.append(read_certificate(path.strip(), text.encode()))
    return tuple(found)


def read_certificate(path: str, data: bytes) -> Certificate:
    """Return the first certificate in ``data``: a leaf stands before its CA. One that cannot be read says so."""
    from cryptography import x509

    try:
        if _BEGIN not in data:
            data = base64.b64decode(b"".join(data.split()), validate=True)
        begin = data.index(_BEGIN)
        certificate = x509.load_pem_x509_certificate(data[begin : data.index(_END, begin) + len(_END)] + b"\n")
    except (ValueError, binascii.Error) as error:
        return Certificate(path, 0.0, 0.0, problem=f"no certificate: {error}"[:200])
    begins, ends = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    return Certificate(path, begins, ends, authority=_is_authority(certificate))


def embedded(kubeconfig: bytes) -> bytes:
    """Return the client certificate in a kubeconfig, in PEM's base64 as it stands there, or nothing."""
    for line in kubeconfig.splitlines():
        key, _, value = line.strip().partition(b":")
        if key == b"client-certificate-data":
            return value.strip()
    return b""


def earliest(certificates: Iterable[Certificate]) -> Certificate | None:
    """Return the one that ends first, of those that could be read."""
    readable = [each for each in certificates if not each.problem]
    return min(readable, key=lambda each: each.ends) if readable else None


def _is_authority(certificate: object) -> bool:
    from cryptography import x509

    assert isinstance(certificate, x509.Certificate)  # noqa: S101 - for the type checker; imported late
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


# Keys stand beside certificates in two of these: only what lies between the marks is printed, only that one field.
_FILES: Final = (
    f'for file in {" ".join((*FILES, OURS))}; do [ -r "$file" ] && '
    """{ echo "==> $file"; sed -n '/BEGIN CERTIFICATE/,/END CERTIFICATE/p' "$file"; }; done; """
)
_CONFIGS: Final = (
    f'for file in {KUBECONFIGS}; do [ -r "$file" ] && '
    """{ echo "==> $file"; sed -n 's/^ *client-certificate-data: *//p' "$file"; }; done"""
)
CERTIFICATES: Final[Fact[tuple[Certificate, ...]]] = Fact("certificates", _FILES + _CONFIGS, parse_certificates, Otherwise((), "when its certificates end"))
