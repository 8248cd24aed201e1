"""The real kernel, in a network namespace of its own: routes by netlink, and the shell that runs every minute."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from installer_stub.keep.document import Sysctl
from installer_stub.keep.script import NEXT, script
from tests.unit.installer_stub.keep.documents import host_document

# lo stands for eth0: it is brought up without any ip program, and has 127.0.0.1 and ::1.
INSIDE = """
import fcntl, json, socket, struct, subprocess, sys, time
from ipaddress import ip_address, ip_network
from pathlib import Path
from installer_stub.keep import rtnetlink
from installer_stub.keep.document import decode
from installer_stub.keep.report import Report
from installer_stub.keep.route import keep_route, release_route

def link(up):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sh14x", b"lo", 1 if up else 0))  # SIOCSIFFLAGS, IFF_UP

document = decode(sys.argv[1].encode())
Path("/proc/sys/net/ipv4/ip_forward").write_text("1\\n")
out = {}
def note(name, look_only):
    report = Report()
    keep_route(document, report, look_only=look_only)
    out[name] = {"changed": report.changed, "differs": report.differs, "failed": [str(each) for each in report.failed]}
    check = subprocess.run(["/bin/sh", "-c", sys.argv[2]], capture_output=True, text=True)
    out[name + " by shell"] = check.stdout.strip() + check.stderr.strip()

note("down", False)
link(True)
note("up", True)
note("kept", False)
note("again", False)
Path("/proc/sys/net/ipv4/ip_forward").write_text("0\\n")
note("forwards no more", True)
Path("/proc/sys/net/ipv4/ip_forward").write_text("1\\n")
link(False); link(True)
note("after a flap", True)
note("kept again", False)
release_route(document); release_route(document)
note("released", True)
print(json.dumps(out))
"""


def inside(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    instances = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    sysctls = (Sysctl("net.ipv4.ip_forward", 1), Sysctl("fs.inotify.max_user_instances", instances, at_least=True))
    document = host_document(modules=(), sysctls=sysctls, api="", **changes)
    (tmp_path / "next").write_text("99999999999\n")
    text = script(document).replace("/opt/airseal/bin/airseal host keep", "echo stub").replace(NEXT, str(tmp_path / "next"))
    text = text.replace("/var/lib/airseal", str(tmp_path)).replace('"$((next - now))" -gt 21600', "1 -gt 2")
    argv = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", INSIDE, document.encode().decode(), text]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("address", "services"), [("127.0.0.1", "10.96.0.0/16"), ("127.0.0.1", "10.96.0.0/12"), ("::1", "fd01:2::/108")], ids=["16", "12", "IPv6"]
)
def test_the_route_is_made_seen_lost_by_a_flap_and_made_again(tmp_path: Path, address: str, services: str) -> None:
    found = inside(tmp_path, address=address, services=services)
    what = f"route to {services}"
    assert found["down"]["failed"]  # no address, or an interface that is down
    assert found["up"]["differs"] == [what]
    assert found["kept"]["changed"] == [what]
    assert found["again"] == {"changed": [], "differs": [], "failed": []}
    assert found["after a flap"]["differs"] == [what]
    assert found["kept again"]["changed"] == [what]
    assert found["released"]["differs"] == [what]
    # The shell sees the same, and starts the stub exactly then.
    for name in ("down", "up", "forwards no more", "after a flap", "released"):
        assert found[f"{name} by shell"] == "stub", name
    for name in ("kept", "again", "kept again"):
        assert found[f"{name} by shell"] == "", name


def test_a_host_that_has_lost_its_address_says_so(tmp_path: Path) -> None:
    found = inside(tmp_path, address="10.9.9.9")
    assert found["kept"]["failed"] == ["route to 10.96.0.0/16: no interface has the address 10.9.9.9"]


LINKS = """
import socket, subprocess
from installer_stub.keep import rtnetlink
for kind in ("bridge", "dummy"):
    made = subprocess.run(["ip", "link", "add", "cni0", "type", kind], capture_output=True)
    if made.returncode == 0:
        break
names = lambda: [name for _, name in socket.if_nameindex()]
assert "cni0" in names(), made.stderr
rtnetlink.delete_link("cni0")
assert "cni0" not in names()
rtnetlink.delete_link("cni0")  # not there: fine
try:
    rtnetlink.delete_link("lo")
except OSError as error:
    print(error.strerror)
"""


def test_an_interface_is_deleted_without_any_program_and_a_refusal_is_named() -> None:
    argv = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", LINKS]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
