"""What the room costs: nothing but the standard library until a key is looked at."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["installer_stub.trust.judge", "installer_stub.trust.sshsig", "bundler.signing.keys"])
def test_to_import_it_pays_for_no_cryptography(module: str) -> None:
    probe = f"import sys, {module}; print(sorted({{'cryptography', 'paramiko', 'bcrypt'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout == "[]\n"
