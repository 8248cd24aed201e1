"""The cluster's CA is pinned by the hash that kubeadm expects."""

from __future__ import annotations

import hashlib
import subprocess

from installer_stub.distro.kubeadm import KUBEADM
from tests.fakes.certificate import self_signed


def test_the_hash_is_what_kubeadms_own_documentation_computes() -> None:
    """kubernetes.io: openssl x509 -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256."""
    key = subprocess.run(["openssl", "x509", "-pubkey", "-noout"], input=self_signed(), capture_output=True, check=True)
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "der"], input=key.stdout, capture_output=True, check=True)
    assert KUBEADM.authority_hash(self_signed()) == f"sha256:{hashlib.sha256(der.stdout).hexdigest()}"
