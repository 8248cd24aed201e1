"""Round trips are counted from what a run logs; the words are those of the installer's own log lines."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from installer_stub.host.command import Command
from installer_stub.ui.logfile import log_file
from tests.bench.watching import asked_in
from tests.fakes.local_agent import local_agent


def test_what_agents_were_asked_and_what_was_asked_before_them_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="airseal")
    with log_file("airseal-install", directory=tmp_path) as path:
        logging.getLogger("airseal.host").debug("10.0.0.2: id -u -> 0 in 0.01 s")
        agent = local_agent()
        for _ in range(3):
            agent.run(Command.of("true"))
        agent.read("/etc/hostname")
        agent.close()
        agent.close()
    assert asked_in(path.read_text()) == 5
