"""The cluster's CA: made without guessing an address, pinned by the hash that kubeadm expects."""

from __future__ import annotations

import hashlib
import subprocess

import yaml

from installer_stub.distro.kubeadm import KUBEADM
from tests.fakes.certificate import self_signed
from tests.fakes.plans import M1, make_plan, masters


def test_the_hash_is_what_kubeadms_own_documentation_computes() -> None:
    """kubernetes.io: openssl x509 -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256."""
    key = subprocess.run(["openssl", "x509", "-pubkey", "-noout"], input=self_signed(), capture_output=True, check=True)
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "der"], input=key.stdout, capture_output=True, check=True)
    assert KUBEADM.authority_hash(self_signed()) == f"sha256:{hashlib.sha256(der.stdout).hexdigest()}"


def test_no_address_is_left_to_guess() -> None:
    command = KUBEADM.new_authority(make_plan(*masters(M1)), "/var/lib/airseal/authority.new")
    assert isinstance(command.stdin, bytes)
    init, cluster = yaml.safe_load_all(command.stdin)
    assert init["localAPIEndpoint"]["advertiseAddress"] == M1
    assert cluster["certificatesDir"] == "/var/lib/airseal/authority.new"
