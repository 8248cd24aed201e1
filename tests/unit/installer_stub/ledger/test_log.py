"""The log: whole records or none. A torn end is cut, a hole is named, nothing is ever passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from installer_stub.changes.disk import Disk
from installer_stub.changes.image import ABSENT, Form, Image
from installer_stub.changes.things import Kind, Thing
from installer_stub.errors import LedgerDamaged, LedgerError
from installer_stub.ledger.log import Log, parse, read_what_can_be
from installer_stub.ledger.record import Record, Step, decode, encode

FULL = Image(Form.FILE, "ab" * 32, 12, 0o4755, 7, 8, "t", "v", (("security.selinux", "00ff"),), 1234567890123456789)
RECORDS = (
    Record(1, Step.OPENED, note="00", time=1795444000),
    Record(2, Step.INTENT, Thing(Kind.FILE, "/etc/ünïcode and blanks\n"), FULL, time=2),
    Record(3, Step.INTENT, Thing(Kind.SYSCTL, "net.ipv4.ip_forward"), ABSENT, Image(Form.VALUE, value="1")),
    Record(4, Step.UNDONE, Thing(Kind.FILE, "/etc/x")),
)


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    line = encode(record)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line[:-1]) == record


def test_any_flipped_bit_makes_it_no_record() -> None:
    line = encode(RECORDS[1])[:-1]
    for at in range(len(line)):
        for bit in range(8):
            assert decode(line[:at] + bytes([line[at] ^ (1 << bit)]) + line[at + 1 :]) is None


def test_every_cut_leaves_the_records_before_it() -> None:
    lines = [encode(record) for record in RECORDS]
    data = b"".join(lines)
    for cut in range(len(data) + 1):
        records, good = parse(data[:cut], "log", None)
        whole = 0
        while whole < len(lines) and sum(map(len, lines[: whole + 1])) <= cut:
            whole += 1
        assert records == RECORDS[:whole]
        assert good == sum(map(len, lines[:whole]))


@pytest.mark.parametrize("torn", [b"\0" * 512, b"deadbeef {}\n", b"\n\n", b"x", encode(RECORDS[3])[:-1]])
def test_whatever_a_power_cut_leaves_at_the_end_is_cut_and_the_next_record_stands(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(encode(RECORDS[0]) + torn)
    log = Log(Disk(tmp_path), "/log")
    log.load(None, writing=True)
    log.append(RECORDS[1])
    again = Log(Disk(tmp_path), "/log")
    again.load(None, writing=False)
    assert again.records == [RECORDS[0], RECORDS[1]]


@pytest.mark.parametrize(
    "data",
    [
        encode(RECORDS[0]) + b"deadbeef {}\n" + encode(RECORDS[1]),
        encode(RECORDS[0]) + encode(RECORDS[2]),  # one is missing
        encode(RECORDS[0]) + encode(RECORDS[0]),  # one twice
        encode(RECORDS[1]),  # the beginning is missing
        b"\0" * 100 + b"\n" + encode(RECORDS[0]),
    ],
)
def test_a_hole_is_an_error_with_a_name_and_nothing_is_cut(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(data)
    with pytest.raises(LedgerDamaged, match="/log is damaged at line"):
        Log(Disk(tmp_path), "/log").load(None, writing=True)
    assert path.read_bytes() == data


def test_a_full_disk_adds_nothing_and_the_next_try_stands_alone(tmp_path: Path) -> None:
    class Full(Disk):
        full = True

        def append(self, name: str, data: bytes) -> None:
            if self.full:
                super().append(name, data[:10])
                raise OSError(28, "No space left on device", name)
            super().append(name, data)

    disk = Full(tmp_path)
    log = Log(disk, "/log")
    log.load(None, writing=True)
    with pytest.raises(LedgerError, match="the disk is full"):
        log.append(RECORDS[0])
    disk.full = False
    log.append(RECORDS[0])
    log.append(RECORDS[1])
    assert parse((tmp_path / "log").read_bytes(), "log", None)[0] == RECORDS[:2]


def test_a_damaged_log_can_still_be_shown() -> None:
    shown = read_what_can_be(encode(RECORDS[0]) + b"garbage\n" + encode(RECORDS[2]), None)
    assert len(shown) == 3
    assert "line 2 is torn or altered" in shown[1]
    assert "net.ipv4.ip_forward" in shown[2]
