"""Documents with sensible values: a test names only what it is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from installer_stub.keep.document import CertificatePolicy, HostDocument
from installer_stub.keep.kernel import MODULES, SYSCTLS

YEAR = 365 * 86400


def policy(**changes: Any) -> CertificatePolicy:
    return replace(CertificatePolicy(3 * YEAR, "v1.36.3", master=True, position=0, masters=1), **changes)


def host_document(**changes: Any) -> HostDocument:
    return replace(HostDocument("m1", "10.0.0.2", "10.96.0.0/16", "10.0.0.2", MODULES, SYSCTLS, policy()), **changes)
