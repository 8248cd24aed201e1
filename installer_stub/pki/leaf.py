"""Leaf: a server certificate as a reader sees it. What it is for, who signed it, and how much of its life is left."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

_RENEWED_AT = 1 / 3  # of its life: with 90 days there are 30 in which a renewal that fails can be seen and repaired
_URGENT_AT = 1 / 10


@dataclass(frozen=True, slots=True)
class Leaf:
    """The first certificate of a file in PEM."""

    certificate: x509.Certificate

    @classmethod
    def parse(cls, pem: bytes) -> Self:
        """Raises ValueError for what is no certificate in PEM."""
        return cls(x509.load_pem_x509_certificate(pem))

    @property
    def der(self) -> bytes:
        """What a server shows of it in a handshake."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def life(self) -> dt.timedelta:
        """From its first moment to its last."""
        return self.certificate.not_valid_after_utc - self.certificate.not_valid_before_utc

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses it is valid for."""
        names = self._alternatives()
        return () if names is None else tuple(str(address) for address in names.get_values_for_type(x509.IPAddress))

    @property
    def names(self) -> tuple[str, ...]:
        """The names it is valid for."""
        names = self._alternatives()
        return () if names is None else tuple(names.get_values_for_type(x509.DNSName))

    def is_signed_by(self, authority: x509.Certificate) -> bool:
        """Tell whether ``authority`` signed it, under the name that it has now."""
        try:
            self.certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def is_due(self, now: dt.datetime) -> bool:
        """Tell whether it is time for the next one: less than a third of its life is left, or it is not valid yet.

        The latter happens where a clock was once far ahead.
        """
        left = self.certificate.not_valid_after_utc - now
        return now < self.certificate.not_valid_before_utc or left < self.life * _RENEWED_AT

    def is_urgent(self, now: dt.datetime) -> bool:
        """Tell whether what is due cannot wait for hours: a tenth of its life is left, or it is not valid yet."""
        left = self.certificate.not_valid_after_utc - now
        return now < self.certificate.not_valid_before_utc or left < self.life * _URGENT_AT

    def _alternatives(self) -> x509.SubjectAlternativeName | None:
        try:
            return self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return None


def public_key(certificate: x509.Certificate) -> bytes:
    """Return the identity of an authority: its public key (DER). Its certificate can be made anew, and is the same authority."""
    return certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
