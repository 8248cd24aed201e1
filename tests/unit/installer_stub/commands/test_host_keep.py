"""The words of the host's unit: exit codes, and one line of JSON that the installer reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from installer_stub import cli
from installer_stub.facts.certificates import Certificate
from installer_stub.keep import certificates, keeper, renew
from installer_stub.keep.report import Failure, Report
from tests.unit.installer_stub.keep.documents import host_document


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done on the "host", in order."""
    done: list[str] = []

    @contextmanager
    def alone() -> Iterator[None]:
        done.append("alone")
        yield

    def keep(document: object, *, look_only: bool, wait: float) -> Report:
        done.append(f"{'look' if look_only else 'keep'} {wait:g}")
        return REPORT

    monkeypatch.setattr(keeper, "alone", alone)
    monkeypatch.setattr(keeper, "load", host_document)
    monkeypatch.setattr(keeper, "keep", keep)
    monkeypatch.setattr(keeper, "release", lambda _document: done.append("release"))
    monkeypatch.setattr(renew, "keep_certificates", lambda _document, _report: done.append("certificates"))
    return done


REPORT = Report()


@pytest.mark.parametrize(
    "case",
    [
        ((), Report(changed=["x"]), 0, ["alone", "keep 0", "certificates"]),
        (("--no-certificates",), Report(cannot=["x"]), 0, ["alone", "keep 0"]),
        (("--wait", "30"), Report(failed=[Failure("route", "no address")]), 4, ["alone", "keep 30", "certificates"]),
        (("--check",), Report(), 0, ["alone", "look 0"]),
        (("--check",), Report(differs=["route"]), 10, ["alone", "look 0"]),
    ],
)
def test_keep(
    case: tuple[tuple[str, ...], Report, int, list[str]], asked: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words, report, code, done = case
    monkeypatch.setattr(f"{__name__}.REPORT", report)
    assert cli.main(["host", "keep", *words]) == code
    assert asked == done
    said = capsys.readouterr()
    assert Report.decode(said.out) == report
    assert ("no address" in said.err) is bool(report.failed)


def test_release_takes_away_what_no_file_holds(asked: list[str]) -> None:
    assert cli.main(["host", "release"]) == 0
    assert asked == ["alone", "release"]


def test_certificates_are_one_list(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "host_certificates", lambda: (Certificate("/x", 1.0, 2.0, authority=True),))
    assert cli.main(["host", "certificates"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"path": "/x", "begins": 1.0, "ends": 2.0, "authority": True, "problem": ""}]


def test_a_host_without_a_document_is_an_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(keeper, "_LOCK", "/proc/nowhere/lock")
    monkeypatch.setattr("installer_stub.keep.document.PATH", "/proc/nowhere/host.json")
    monkeypatch.setattr(keeper.load, "__defaults__", ("/proc/nowhere/host.json",))
    assert cli.main(["host", "keep"]) == 4
    assert "run the installer" in capsys.readouterr().err


def test_no_report_is_no_success() -> None:
    for text in ("", "what", "[]", "{}", '{"changed": []}', '{"changed": [], "differs": [], "cannot": [], "failed": [1]}'):
        with pytest.raises(ValueError, match=r"no report|Expecting"):
            Report.decode(text)
