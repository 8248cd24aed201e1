"""Whole hosts: the question, the answers of four of them, and answers that make no sense."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installer_stub.errors import HostError
from installer_stub.facts.base import Fact
from installer_stub.facts.gather import ALL_FACTS, HostFacts, gather, gather_all, parse, question
from installer_stub.facts.kernel import CgroupVersion, Selinux
from installer_stub.host.become import TIMED_OUT
from installer_stub.host.command import Command, CommandResult
from installer_stub.host.model import Host, Role
from tests.unit.installer_stub.facts.recordings import NAMES, answers, facts, stdout

EXPECTED: dict[str, dict[str, object]] = {
    "debian-12-blank-host": {
        "architecture": "amd64",
        "hostname": "m1",
        "systemd": "252",
        "sys_resource": False,
        "conntrack_writable": False,
        "resolv_conf": None,
        "default_route": True,
        "addresses": ("10.78.1.11",),
        "swap": False,
        "selinux": Selinux.DISABLED,
        "engines": (),
    },
    "debian-12-no-init": {"systemd": "", "machine_id": "", "resolv_conf": "/etc/resolv.conf", "listening": frozenset()},
    "rhel-9": {
        "architecture": "amd64",
        "kernel": "5.14.0-427.13.1.el9_4.x86_64",
        "hostname": "Site-A-01.plant.example",
        "cpus": 8,
        "memory": 32611036 * 1024,
        "clock_offset": 0.0,
        "swap": True,
        "sys_resource": True,
        "conntrack_writable": True,
        "selinux": Selinux.ENFORCING,
        "systemd": "252",
        "resolv_conf": "/etc/resolv.conf",
        "default_route": True,
        "addresses": ("10.20.0.11", "2001:db8::11"),
        "listening": frozenset({22, 631, 5000}),
        "engines": (),
    },
    "ubuntu-22.04": {
        "architecture": "arm64",
        "clock_offset": 2.0,
        "swap": False,
        "selinux": Selinux.DISABLED,
        "systemd": "249",
        "resolv_conf": "/run/systemd/resolve/resolv.conf",
        "default_route": False,
        "addresses": ("192.168.7.22", "10.244.1.1"),
        "listening": frozenset({22, 10248, 10250}),
        "engines": ("containerd", "kubelet"),
    },
}


def test_every_recording_is_expected_to_say_something() -> None:
    assert set(EXPECTED) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_recorded_hosts(name: str) -> None:
    found = facts(name)
    assert {field: getattr(found, field) for field in EXPECTED[name]} == EXPECTED[name]


@pytest.mark.parametrize(
    ("name", "version"),
    [("debian-12-blank-host", CgroupVersion.HYBRID), ("debian-12-no-init", CgroupVersion.V1), ("rhel-9", CgroupVersion.V2)],
)
def test_cgroups_of_recorded_hosts(name: str, version: CgroupVersion) -> None:
    cgroups = facts(name).cgroups
    assert cgroups.version is version
    assert {"cpu", "memory", "pids", "cpuset"} <= cgroups.controllers


def test_details_of_recorded_hosts() -> None:
    rhel, ubuntu = facts("rhel-9"), facts("ubuntu-22.04")
    assert (rhel.os.id, rhel.os.version, rhel.os.pretty) == ("rhel", "9.4", "Red Hat Enterprise Linux 9.4 (Plow)")
    assert rhel.disk("/var/lib/etcd").mount == "/var"
    assert rhel.disk("/opt").free == 70922920 * 1024
    assert [str(network) for network in rhel.routes.networks] == ["10.20.0.0/24"]  # the rejecting one leads nowhere
    assert rhel.firewalls.firewalld
    assert not rhel.firewalls.ufw
    assert (ubuntu.firewalls.firewalld, ubuntu.firewalls.ufw) == (False, True)
    assert (ubuntu.membership.cluster, ubuntu.membership.bundle) == ("9f31c0de", "shop:1.3.0")
    assert (ubuntu.membership.joined, ubuntu.membership.server) == (True, "https://192.168.7.20:6443")
    mount = rhel.mount("/var/lib/containerd/x")
    assert mount is not None
    assert (mount.path, "noexec" in mount.options) == ("/var", True)


class HereConnection:
    """A Connection that runs commands on this machine."""

    host = Host("127.0.0.1", Role.MASTER)

    def run(self, command: Command, *, check: bool = True, timeout: float | None = None) -> CommandResult:
        done = subprocess.run(["/bin/sh", "-c", command.text], capture_output=True, text=True, check=check, timeout=timeout)
        return CommandResult(done.returncode, done.stdout, done.stderr)


def test_the_question_works_in_this_machines_shell_and_changes_nothing() -> None:
    assert question().changes == ""
    found = gather(HereConnection())  # type: ignore[arg-type]
    assert isinstance(found, HostFacts)
    assert found.cpus >= 1
    assert abs(found.clock_offset) < 5
    assert found.disk("/var/lib/airseal").total > 0
    assert "sha256sum" in found.tools


def test_one_round_trip_for_all_facts() -> None:
    assert len({fact.name for fact in ALL_FACTS}) == len(ALL_FACTS)
    begun = time.monotonic()
    text = HereConnection().run(question()).stdout
    assert time.monotonic() - begun < 10
    assert text.count("\x1e") == len(ALL_FACTS) + 1


@pytest.mark.parametrize("shell", ["dash", "bash --posix"])
def test_the_question_is_posix_shell(shell: str) -> None:
    script = question().text.replace("/bin/sh", shell, 1)
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert parse(done.stdout, asked=0, answered=0).architecture in {"amd64", "arm64"}


ODD = [
    ("cpus", ""),
    ("clock", "never"),
    ("memory", "MemTotal: much"),
    ("disks", "/\tnone"),
    ("machine", "x"),
    ("cgroups", ""),
    ("leftovers", "no last line"),
    ("names", ""),
    ("routes", "eth0 0 0 zz 0 0 0 0 0 0 0"),
    ("capabilities", "not hex"),
    ("sysctls", "a b"),
    ("listening", "0: 00000000:xxxx 0 0A"),
    ("addresses", "|-- nowhere\n/32 host LOCAL\n"),
]


class Answering:
    """A Connection whose host says this."""

    host = Host("127.0.0.1", Role.MASTER)

    def __init__(self, text: str, status: int = 0, stderr: str = "") -> None:
        self._result = CommandResult(status, text, stderr)

    def run(self, command: Command, *, check: bool = True, timeout: float | None = None) -> CommandResult:
        del command, timeout
        assert not check
        return self._result


def told(text: str, status: int = 0, stderr: str = "") -> HostFacts:
    return gather(Answering(text, status, stderr))  # type: ignore[arg-type]


@pytest.mark.parametrize(("fact", "answer"), ODD)
def test_an_answer_that_makes_no_sense_hides_one_fact_and_no_other(fact: str, answer: str) -> None:
    found = told(stdout({**answers("rhel-9"), fact: answer}))
    (unknown,) = found.unknown
    assert unknown.name == fact
    assert answer[:100] in unknown.why.encode().decode("unicode_escape")
    assert found.hostname == "Site-A-01.plant.example"
    assert found.membership == facts("rhel-9").membership


@pytest.mark.parametrize("name", ["Joe's Linux", 'Tom "the\\', '"', "'", "a\tb", ""])
def test_a_name_that_no_shell_would_take_is_a_name(name: str) -> None:
    found = facts("rhel-9", os_release=f"ID=joe\nVERSION_ID=1\nPRETTY_NAME={name}\n")
    assert found.unknown == ()
    assert found.os.id == "joe"
    assert found.os.pretty


@given(text=st.text(max_size=200), fact=st.sampled_from(ALL_FACTS))
def test_whatever_a_host_answers_it_stays_readable(text: str, fact: Fact[object]) -> None:
    answer = text.replace("\x1e", "")
    found = parse(stdout({**answers("rhel-9"), fact.name: answer}), asked=0, answered=0)
    assert {each.name for each in found.unknown} <= {fact.name}


def test_a_host_that_hung_says_at_what() -> None:
    whole = stdout(answers("rhel-9"))
    order = [fact.name for fact in ALL_FACTS]
    text = stdout({name: answers("rhel-9")[name] for name in order[: order.index("leftovers")]}).removesuffix("end\n") + "leftovers\n"
    found = told(text, TIMED_OUT)
    assert {each.name for each in found.unknown} == {"leftovers", "disks"}
    (last,) = [each for each in found.unknown if each.name == "disks"]
    assert last.why == "the host hung at 'leftovers' for 60 s: a dead network mount, or a bus that does not answer"
    assert told(whole).unknown == ()


def test_a_host_that_ran_out_of_processes_says_so_and_is_not_taken_for_blank() -> None:
    order = [fact.name for fact in ALL_FACTS]
    some = stdout({name: answers("rhel-9")[name] for name in order[:5]}).removesuffix("end\n") + f"{order[5]}\n"
    found = told(some, 2, "sh: 1: Cannot fork\n")
    assert {each.name for each in found.unknown} == set(order[5:])
    assert "with status 2: sh: 1: Cannot fork" in found.unknown[0].why
    for silent in ("", some.partition("\x1emembership")[0]):
        with pytest.raises(HostError, match=r"127\.0\.0\.1: what it is cannot be found out: (hostname|membership): the host stopped answering"):
            told(silent, 2, "sh: 1: Cannot fork\n")


def test_a_program_that_hangs_on_a_real_host_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "df"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr("installer_stub.facts.gather.TIMEOUT", 3.0)

    class Hanging(HereConnection):
        def run(self, command: Command, *, check: bool = True, timeout: float | None = None) -> CommandResult:
            argv = ["timeout", "-k", "1", str(timeout), "/bin/sh", "-c", command.text]
            environment = {"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"}
            done = subprocess.run(argv, capture_output=True, text=True, check=check, env=environment)
            return CommandResult(done.returncode, done.stdout, done.stderr)

    found = gather(Hanging())  # type: ignore[arg-type]
    (unknown,) = [each for each in found.unknown if each.name == "disks"]
    assert "hung at 'disks' for 3 s" in unknown.why
    assert unknown.needed


def test_all_hosts_are_asked() -> None:
    assert set(gather_all({"127.0.0.1": Answering(stdout(answers("rhel-9")))})) == {"127.0.0.1"}  # type: ignore[dict-item]
