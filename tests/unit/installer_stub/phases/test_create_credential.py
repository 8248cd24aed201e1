"""The site registry's login: one for all hosts, made once, kept for ever, and seen by nobody on its way."""

from __future__ import annotations

import pytest

from installer_stub.errors import HostError
from installer_stub.host.command import Command, CommandResult, Secret
from installer_stub.phases.create_credential import CreateCredential, authorization
from installer_stub.plan.model import CREDENTIAL, ImageSource
from registry_snapshot.serve.login import Credential
from tests.fakes.plans import M1, M2, N1, make_context, make_plan, masters, nodes, scripted_hosts
from tests.fakes.scripted import ScriptedConnection, succeeded

PLAN = make_plan(*masters(M1, M2), *nodes(N1))
MADE, OTHER = b"airseal:made-on-the-first-master\n", b"airseal:of-another-time\n"


def scripted() -> dict[str, ScriptedConnection]:
    """Hosts where ``stat`` and ``rm`` work on the files in memory, and the stub makes MADE."""
    hosts = scripted_hosts(PLAN)
    for connection in hosts.values():

        def new(command: Command, connection: ScriptedConnection = connection) -> CommandResult:
            connection.files[CREDENTIAL], connection.modes[CREDENTIAL] = MADE, 0o600
            return succeeded()

        def mode(command: Command, connection: ScriptedConnection = connection) -> CommandResult:
            return succeeded(f"{connection.modes.get(CREDENTIAL, 0o600):o}\n")

        def remove(command: Command, connection: ScriptedConnection = connection) -> CommandResult:
            connection.files.pop(CREDENTIAL, None)
            return succeeded()

        connection.on("host new-credential", new).on("^stat -c %a", mode).on("^rm -f", remove)
    return hosts


def test_the_first_master_makes_it_and_every_host_gets_it_for_root_alone() -> None:
    hosts = scripted()
    context = make_context(PLAN, hosts)
    assert CreateCredential().is_needed(context)
    CreateCredential().run(context)
    assert {host.files[CREDENTIAL] for host in hosts.values()} == {MADE}
    assert {hosts[address].modes[CREDENTIAL] for address in (M1, M2, N1)} == {0o600}
    assert [address for address, host in hosts.items() if host.ran("new-credential")] == [M1]
    assert not CreateCredential().is_needed(context)


def test_a_second_run_writes_nothing() -> None:
    hosts = scripted()
    CreateCredential().run(make_context(PLAN, hosts))
    for host in hosts.values():
        host.commands.clear()
    context = make_context(PLAN, hosts)
    assert not CreateCredential().is_needed(context)
    CreateCredential().run(context)
    assert [host.changes for host in hosts.values()] == [[], [], []]


@pytest.mark.parametrize("have", [(M1,), (M1, M2), (M1, N1), (M2,), (N1,), (M2, N1)])
def test_killed_half_way_or_lost_on_the_first_master_it_stays_the_same(have: tuple[str, ...]) -> None:
    """Also another order of --master: the first master is then one that was given it."""
    hosts = scripted()
    for address in have:
        hosts[address].files[CREDENTIAL] = OTHER
    context = make_context(PLAN, hosts)
    assert CreateCredential().is_needed(context)
    CreateCredential().run(context)
    assert {host.files[CREDENTIAL] for host in hosts.values()} == {OTHER}
    assert not any(host.ran("new-credential") for host in hosts.values())
    assert all(f"write {CREDENTIAL}" not in hosts[address].changes for address in have)


def test_a_host_of_the_cluster_with_another_login_gets_the_first_masters() -> None:
    hosts = scripted()
    for address, text in ((M1, MADE), (M2, MADE), (N1, OTHER)):
        hosts[address].files[CREDENTIAL] = text
    CreateCredential().run(make_context(PLAN, hosts))
    assert hosts[N1].files[CREDENTIAL] == MADE
    assert hosts[M1].changes == hosts[M2].changes == []


@pytest.mark.parametrize("torn", [b"", b"airseal", b"airseal:", b"\xff\xfe"])
def test_what_is_no_login_is_replaced(torn: bytes) -> None:
    hosts = scripted()
    for host in hosts.values():
        host.files[CREDENTIAL] = torn
    context = make_context(PLAN, hosts)
    assert CreateCredential().is_needed(context)
    CreateCredential().run(context)
    assert {host.files[CREDENTIAL] for host in hosts.values()} == {MADE}


def test_a_file_that_others_can_read_is_made_roots_alone_again() -> None:
    hosts = scripted()
    context = make_context(PLAN, hosts)
    CreateCredential().run(context)
    hosts[M2].modes[CREDENTIAL] = 0o644
    assert CreateCredential().is_needed(context)
    CreateCredential().run(context)
    assert hosts[M2].modes[CREDENTIAL] == 0o600


def test_nobody_sees_it_on_its_way_and_the_log_would_mask_it() -> None:
    hosts = scripted()
    context = make_context(PLAN, hosts)
    CreateCredential().run(context)
    header = authorization(context, context.connections[N1])
    assert header is not None
    secret = Credential.parse(MADE.decode())
    seen = "\n".join(host.seen() for host in hosts.values()) + repr(context.plan) + repr(context.secrets)
    for text in (secret.password, secret.authorization(), secret.authorization().split()[1]):
        assert text not in seen
    assert context.secrets == [Secret(secret.password), Secret(secret.authorization())]


def test_a_stub_that_makes_none_is_an_error() -> None:
    hosts = scripted()
    hosts[M1].on("host new-credential", "")
    with pytest.raises(HostError, match="was not made"):
        CreateCredential().run(make_context(PLAN, hosts))


def test_the_header_is_the_hosts_own_and_a_recording_has_none() -> None:
    hosts = scripted()
    context = make_context(PLAN, hosts)
    with pytest.raises(HostError, match=f"no login for the site registry in {CREDENTIAL}"):
        authorization(context, hosts[N1])
    hosts[N1].files[CREDENTIAL] = OTHER
    assert authorization(context, hosts[N1]) == Secret(Credential.parse(OTHER.decode()).authorization())
    recording = make_plan(*masters(M1), recording=True, images=ImageSource(("http://172.18.0.1:5001",)))
    assert authorization(make_context(recording, scripted()), hosts[N1]) is None
