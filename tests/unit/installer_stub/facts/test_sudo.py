"""What sudo says of its records; the contract test asks a real one."""

from __future__ import annotations

import re

import pytest

from installer_stub.facts.sudo import parse_recorded
from installer_stub.preflight.finding import Severity
from installer_stub.preflight.recorded import recorded
from tests.unit.installer_stub.preflight.sites import site


@pytest.mark.parametrize(
    ("said", "records"),
    [
        ("listed\n", ()),
        ("Matching Defaults entries for ops on h:\n    env_reset, log_output, use_pty\nlisted\n", ("log_output",)),
        ("Matching Defaults entries for ops on h:\n    log_input, log_output, !log_input\nlisted\n", ("log_output",)),
        ("User ops may run:\n    (ALL) LOG_INPUT: NOLOG_OUTPUT: ALL\nlisted\n", ("log_input",)),
        ("Matching Defaults entries for ops on h:\n    syslog=authpriv, logfile=/var/log/sudo.log\nlisted\n", ()),
    ],
)
def test_what_is_recorded(said: str, records: tuple[str, ...]) -> None:
    assert parse_recorded(said) == records


@pytest.mark.parametrize("said", ["\n", "sudo: unknown user\n", "Matching Defaults entries for ops on h:\n    log_input\n"])
def test_an_answer_without_its_end_is_no_answer(said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_recorded(said)


def test_a_host_that_records_is_a_warning_with_the_line_that_stops_it() -> None:
    (found,) = recorded(site(sudo_records=("log_input", "log_output")))
    assert found.severity is Severity.WARNING
    assert "'Defaults:root !log_input, !log_output' with visudo" in found.remedy
    assert list(recorded(site())) == []
