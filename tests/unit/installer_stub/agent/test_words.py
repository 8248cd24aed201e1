"""Words of the stub over a real agent. There is no stub on this machine: whatever is answered here was answered in its process."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from installer_stub.agent.client import AgentConnection
from installer_stub.changes.machine import Machine
from installer_stub.errors import CommandFailed, InstallerError, LedgerDamaged, NotPutBack
from installer_stub.host.command import Command, Secret
from installer_stub.ledger.ledger import Ledger
from installer_stub.phases.journal import Journal, Kind
from installer_stub.plan.model import STUB
from tests.fakes.local_agent import local_agent
from tests.unit.installer_stub.agent.pair import Pair


@pytest.fixture(scope="module")
def agent() -> Iterator[AgentConnection]:
    connection = local_agent()
    yield connection
    connection.close()


def _request(**request: object) -> bytes:
    return json.dumps(request).encode()


def test_the_journal_needs_no_stub_over_an_agent(agent: AgentConnection, tmp_path: Path) -> None:
    assert not Path(STUB).exists()
    target, journal = tmp_path / "a.conf", Journal(agent, str(tmp_path / "state"))
    target.write_text("theirs\n")
    assert journal.write(str(target), "ours\n" * 300_000)  # more than one frame, and more than fits into a header
    assert target.read_text() == "ours\n" * 300_000
    assert [entry.name for entry in journal.entries()] == [str(target)]
    assert journal.restore() == ()
    assert target.read_text() == "theirs\n"


def test_errors_of_the_ledger_come_back_by_name_and_host(agent: AgentConnection, tmp_path: Path) -> None:
    state = tmp_path / "state"
    journal = Journal(agent, str(state))
    journal.begin(measure=False)
    with pytest.raises(NotPutBack, match=r"^127\.0\.0\.1: .* is a directory, not a file") as refused:
        agent.run(Command.of_stub("ledger", "write", "--state", str(state), stdin=_request(files=[{"path": str(tmp_path), "content": "", "mode": 420}])))
    assert refused.value.remedy == "move it away, then run again"
    log = state / "ledger" / "log"
    log.write_bytes(b"torn\n" + log.read_bytes())
    with pytest.raises(LedgerDamaged, match=r"^127\.0\.0\.1: .* is damaged at line 1"):
        journal.done((Kind.FILE, "/x"))
    unchecked = agent.run(Command.of_stub("ledger", "entries", "--state", str(state), stdin=b"{}"), check=False)
    assert (unchecked.status, unchecked.stdout) == (LedgerDamaged.exit_code, "")
    assert "is damaged at line 1" in unchecked.stderr


def test_requests_at_once_wait_for_each_other_and_for_other_processes(agent: AgentConnection, tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    names = [str(tmp_path / f"{number}.conf") for number in range(16)]
    journal = Journal(agent, state)
    journal.begin(measure=False)
    threads = [threading.Thread(target=journal.write, args=(name, "ours")) for name in names]
    with Ledger.opened(Machine(), state):  # another process, as far as the lock goes
        for thread in threads:
            thread.start()
        threads[0].join(0.5)
        assert not any(Path(name).exists() for name in names)
    for thread in threads:
        thread.join(30)
    assert sorted(entry.name for entry in journal.entries()) == sorted(names)


@pytest.mark.parametrize(
    ("word", "problem"),
    [(("dance",), "invalid choice"), (("undo", "--yes"), "no word that an agent answers"), (("ledger", "show"), "no word that an agent answers")],
)
def test_what_an_agent_does_not_answer_is_said(agent: AgentConnection, word: tuple[str, ...], problem: str) -> None:
    with pytest.raises(CommandFailed, match=problem):
        agent.run(Command.of_stub(*word))


def test_a_request_that_is_none_fails_alone(agent: AgentConnection, tmp_path: Path) -> None:
    with pytest.raises(InstallerError, match="no JSON"):
        agent.run(Command.of_stub("ledger", "write", "--state", str(tmp_path), stdin=Secret("{")))
    pair = Pair(tmp_path / "lease")
    pair.send(1, "word", argv="ledger")
    assert pair.answer(1).fields["problem"] == "word: argv is no list of texts"
    pair.send(2, "word", argv=["ledger"])
    pair.send(2, "end")
    assert "no word ['ledger'] here" in pair.answer(2).fields["problem"]  # an agent that was given no words
    pair.hang_up()


def test_what_is_sent_is_not_logged(agent: AgentConnection, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="airseal")
    Journal(agent, str(tmp_path / "state")).write(str(tmp_path / "login"), "user:hunter2secret")
    assert "host ledger write" in caplog.text
    assert "hunter2secret" not in caplog.text
    assert "aHVudGVyMnNlY3JldA" not in caplog.text


def test_answers_are_what_the_stub_prints(agent: AgentConnection, tmp_path: Path) -> None:
    said = agent.run(Command.of_stub("ledger", "open", "--state", str(tmp_path / "state"), stdin=b'{"measure": false}'))
    assert json.loads(said.stdout) == {"begun": True}
