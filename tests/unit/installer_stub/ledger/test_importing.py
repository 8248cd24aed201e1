"""A host that an older airseal installed: its journal becomes the ledger, and nothing that it cannot prove is put back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from installer_stub.ledger.importing import import_journal
from installer_stub.ledger.ledger import Ledger
from installer_stub.ledger.opening import open_ledger
from installer_stub.ledger.undo import undo_host
from tests.fakes.machine import FakeHost

STATE = "/var/lib/airseal"


def line(kind: str, name: str, previous: str | None) -> str:
    return json.dumps({"kind": kind, "name": name, "previous": previous}) + "\n"


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path)
    host.put(f"{STATE}/cluster.json", "{}")
    host.put(f"{STATE}/backup/aa", "theirs", 0o640)
    host.put("/etc/theirs.conf", "ours")
    host.put("/etc/new.conf", "ours")
    host.put("/etc/hosts", "127.0.0.1 localhost\n# airseal begin\n10.0.0.2 api.airseal.internal\n# airseal end\n")
    host.put("/proc/sys/net/ipv4/ip_forward", "1\n")
    host.put("/var/lib/kubelet/x", "x")
    host.units.states = {"containerd.service": "enabled active", "kubelet.service": "enabled active"}
    journal = (
        line("directory", "/var/lib/kubelet", None)
        + line("sysctl", "net.ipv4.ip_forward", "0")
        + line("module", "overlay", "loaded")
        + line("block", "/etc/hosts", None)
        + line("file", "/etc/theirs.conf", f"{STATE}/backup/aa")
        + line("file", "/etc/new.conf", None)
        + line("unit", "containerd.service", "enabled")
        + line("unit", "kubelet.service", None)
        + line("file", "/etc/theirs.conf", None)  # the first one counts
        + '{"kind": "file", "na'
    )
    host.put(f"{STATE}/journal.jsonl", journal)
    return host


def test_a_host_of_an_older_airseal_is_put_back(host: FakeHost) -> None:
    report = undo_host(host.machine, processes=host.processes)
    assert report.left == []
    assert not report.measured
    assert host.path("/etc/theirs.conf").read_text() == "theirs"
    assert host.path("/etc/theirs.conf").stat().st_mode & 0o777 == 0o640
    assert not host.path("/etc/new.conf").exists()
    assert host.path("/etc/hosts").read_text() == "127.0.0.1 localhost\n"
    assert host.path("/proc/sys/net/ipv4/ip_forward").read_text() == "0\n"
    assert not host.path("/var/lib/kubelet").exists()
    assert not host.path(STATE).exists()
    assert "disable kubelet.service" in host.units.done


@pytest.mark.parametrize("damage", ["missing", "empty"])
def test_a_backup_that_is_lost_is_named_and_the_file_left(host: FakeHost, damage: str) -> None:
    backup = host.path(f"{STATE}/backup/aa")
    backup.unlink() if damage == "missing" else backup.write_bytes(b"")
    report = undo_host(host.machine, processes=host.processes)
    assert [left.name for left in report.left] == ["/etc/theirs.conf"]
    assert damage in report.left[0].why
    assert host.path("/etc/theirs.conf").read_text() == "ours"
    assert host.path(f"{STATE}/ledger/log").exists()
    assert undo_host(host.machine, abandon=["/etc/theirs.conf"], processes=host.processes).complete


def test_it_is_imported_once_and_a_cut_off_import_goes_on(host: FakeHost) -> None:
    with Ledger.opened(host.machine) as ledger:
        assert import_journal(ledger)
        count = len(ledger.log.records)
        assert import_journal(ledger)
        assert len(ledger.log.records) == count
        assert len(ledger.entries) == 8
    log = host.path(f"{STATE}/ledger/log")
    whole = log.read_bytes()
    for cut in range(0, len(whole), 97):
        log.write_bytes(whole[:cut])
        with Ledger.opened(host.machine) as ledger:
            import_journal(ledger)
            assert len(ledger.entries) == 8


def test_a_host_that_was_changed_already_has_no_before_to_measure(host: FakeHost) -> None:
    with Ledger.opened(host.machine) as ledger:
        assert open_ledger(ledger, measure=True)
        assert ledger.beginning is not None
        assert ledger.beginning.note == ""
