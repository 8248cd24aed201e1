"""Commands, acceptance, kubeconfig: what turns a cluster into an application one may rely on."""

from __future__ import annotations

import hashlib
import json
import stat
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from installer_stub.bundle.model import ClusterCommand
from installer_stub.errors import ClusterError, CommandFailed, InstallerError, NotAccepted
from installer_stub.host.command import Command, CommandResult, Secret
from installer_stub.phases import run_commands
from installer_stub.phases.accept import Accept, missing
from installer_stub.phases.base import Context
from installer_stub.phases.journal import Journal
from installer_stub.phases.run_commands import RunCommands
from installer_stub.phases.task import Task
from installer_stub.phases.write_kubeconfig import WriteKubeconfig
from installer_stub.plan.model import Access, Endpoint, Member
from tests.fakes.admin_conf import admin_conf, authority, encoded
from tests.fakes.membership import answers_membership, make_member
from tests.fakes.plans import (
    M1,
    M2,
    N1,
    RecordingReporter,
    bundle_info,
    make_context,
    make_plan,
    masters,
    nodes,
    scripted_hosts,
)
from tests.fakes.scripted import ScriptedConnection, failed, succeeded

PLAN = make_plan(*masters(M1, M2), *nodes(N1))
CA_FILE = "/etc/kubernetes/pki/ca.crt"


def members() -> dict[str, ScriptedConnection]:
    """The plan's hosts as a cluster whose masters are members and ready."""
    hosts = scripted_hosts(PLAN)
    for address in (M1, M2):
        answers_membership(hosts[address].on("readyz"))
        make_member(hosts[address])
    return hosts


def node(name: str, *, ready: bool = True) -> dict[str, Any]:
    condition = {"type": "Ready", "status": "True" if ready else "False", "message": "cni plugin not initialized"}
    return {"kind": "Node", "metadata": {"name": name}, "status": {"conditions": [condition]}}


def items(*objects: dict[str, Any]) -> str:
    return json.dumps({"kind": "List", "items": list(objects)})


def _digest(context: Context, index: int) -> str:
    """What tells this command of this bundle and cluster from all others."""
    authority = run_commands._authority(context)
    return Task("x", "", f"{authority} {run_commands.key(context.plan, index)}").digest


class TestRunCommands:
    @pytest.fixture
    def hosts(self) -> dict[str, ScriptedConnection]:
        hosts = members()
        hosts[M1].on("readyz").on("get nodes", items(node("m2")))
        for host in hosts.values():
            host.tasks().journals()

            def removed(_command: Command, host: ScriptedConnection = host) -> CommandResult:
                host.files.pop(run_commands.OLDER, None)
                return succeeded()

            host.on(f"rm -f {run_commands.OLDER}", removed)
        return hosts

    @pytest.fixture
    def context(self, hosts: dict[str, ScriptedConnection]) -> Context:
        return make_context(PLAN, hosts)

    def test_all_run_in_order_once(self, context: Context, hosts: dict[str, ScriptedConnection]) -> None:
        assert RunCommands().is_needed(context)
        RunCommands().run(context)
        assert [command.changes for command in hosts[M1].ran("systemd-run")] == ["run command-1", "run command-2"]
        assert not RunCommands().is_needed(context)
        hosts[M1].commands.clear()
        RunCommands().run(context)
        assert not hosts[M1].ran("systemd-run")

    def test_a_command_finds_its_files_its_environment_and_the_cluster(self, context: Context, hosts: dict[str, ScriptedConnection]) -> None:
        RunCommands().run(context)
        text = hosts[M1].files["/run/airseal/command-1.sh"].decode()
        assert "export GREETING='two words'" in text
        assert "export KUBECONFIG=/etc/kubernetes/admin.conf" in text
        assert "cd /opt/airseal/shop-1.4.0\n" in text
        assert text.rstrip().endswith("exec /bin/sh -ec 'kubectl apply -f net.yml'")
        path = next(line for line in text.splitlines() if line.startswith("export PATH="))
        assert "/opt/airseal/shop-1.4.0/bin:" in path
        assert "/usr/local/bin:" in path

    def test_a_command_sees_the_plan_and_a_kubefile_cannot_say_otherwise(self) -> None:
        plan = PLAN
        bundle = bundle_info(environment={"AIRSEAL_MASTERS": "99", "KUBECONFIG": "/x"})
        text = run_commands.script(replace(plan, bundle=bundle), bundle.commands[0])
        said = dict(line.removeprefix("export ").split("=", 1) for line in text.splitlines() if line.startswith("export "))
        assert said["AIRSEAL_MASTERS"] == str(len(plan.masters))
        assert said["AIRSEAL_NODES"] == str(len(plan.nodes))
        assert (said["AIRSEAL_POD_CIDR"], said["AIRSEAL_SERVICE_CIDR"]) == (plan.pod_cidr, plan.service_cidr)
        assert said["AIRSEAL_ENDPOINT"] == f"https://{M1}:6443"
        assert said["AIRSEAL_REGISTRY"] == ",".join(plan.images.endpoints)
        assert said["AIRSEAL_CLUSTER_DIR"] == "/opt/airseal/shop-1.4.0"
        assert said["KUBECONFIG"] == "/etc/kubernetes/admin.conf"

    def test_values_are_seen_and_another_value_is_another_command(self) -> None:
        plan = replace(PLAN, values=(("AIRSEAL_VALUE_DB_HOST", "db; reboot"),), values_identity="one")
        text = run_commands.script(plan, plan.bundle.commands[0])
        assert "export AIRSEAL_VALUE_DB_HOST='db; reboot'\n" in text
        assert "export AIRSEAL_VALUES=/var/lib/airseal/values/values.yaml\n" in text
        assert "export AIRSEAL_SECRETS=/var/lib/airseal/values/secrets\n" in text
        assert "AIRSEAL_VALUES" not in run_commands.script(PLAN, plan.bundle.commands[0])
        keys = {run_commands.key(each, 0) for each in (PLAN, plan, replace(plan, values_identity="two"))}
        assert len(keys) == 3

    def test_what_a_kubefile_says_cannot_turn_into_shell(self) -> None:
        bundle = bundle_info(environment={"X": "'; reboot; '"}, commands=(ClusterCommand(("echo", "$(reboot)"), 3),))
        text = run_commands.script(replace(PLAN, bundle=bundle), bundle.commands[0])
        assert """export X=''"'"'; reboot; '"'"''""" in text
        assert "exec echo '$(reboot)'" in text

    def test_nodes_are_waited_for_only_after_the_first_command_which_brings_the_network(
        self, context: Context, hosts: dict[str, ScriptedConnection]
    ) -> None:
        RunCommands().run(context)
        order = [command.text for command in hosts[M1].commands]
        first = next(place for place, text in enumerate(order) if "command-1.service" in text and "systemd-run" in text)
        looks = [place for place, text in enumerate(order) if "get nodes" in text]
        assert looks
        assert min(looks) > first

    def test_nodes_that_do_not_become_ready_are_left_to_settling(self, context: Context, hosts: dict[str, ScriptedConnection]) -> None:
        hosts[M1].on("get nodes", items(node("m2", ready=False)))
        now = iter(range(1000))
        run_commands.wait_for_nodes(context, timeout=5, clock=lambda: float(next(now)), sleep=lambda _: None)
        assert isinstance(context.reporter, RecordingReporter)
        assert "cni plugin not initialized" in context.reporter.steps[-1]

    def test_what_was_waited_for_in_vain_is_not_waited_for_before_every_command(self, context: Context, hosts: dict[str, ScriptedConnection]) -> None:
        """Seen on real hosts: a master that is off cost each of five commands two minutes."""
        hosts[M1].on("get nodes", items(node("m2", ready=False)))
        now = iter(range(1000))
        wait = partial(run_commands.wait_for_nodes, context, timeout=5, clock=lambda: float(next(now)), sleep=lambda _: None)
        given_up = wait()
        assert given_up == {"m2"}
        before = next(now)
        assert wait(given_up) == frozenset()
        assert next(now) - before <= 2

    def test_a_host_that_does_not_take_part_is_not_waited_for(self, context: Context, hosts: dict[str, ScriptedConnection]) -> None:
        hosts[M1].on("get nodes", items(node("another", ready=False)))
        assert run_commands.wait_for_nodes(context, timeout=5, clock=lambda: 0.0, sleep=pytest.fail) == frozenset()

    def test_a_failure_names_the_line_the_command_and_its_last_output(self, context: Context, hosts: dict[str, ScriptedConnection]) -> None:
        hosts[M1].tasks((0, ""), (2, "no chart\n"))
        with pytest.raises(ClusterError, match=r"line 9 of the Kubefile: helm install shop\nended with status 2:\nno chart") as caught:
            RunCommands().run(context)
        assert caught.value.exit_code == 6
        assert "/var/lib/airseal/log/command-2.log" in caught.value.remedy

    def test_a_failure_of_a_build_does_not_send_people_to_a_host_that_is_gone(self, context: Context, hosts: dict[str, ScriptedConnection]) -> None:
        hosts[M1].tasks((1, "no\n"))
        context.plan = replace(context.plan, recording=True)
        with pytest.raises(ClusterError) as caught:
            RunCommands().run(context)
        assert "the build's log" in caught.value.remedy
        assert M1 not in caught.value.remedy

    @pytest.mark.parametrize(("text", "said"), [("kubectl apply -f /cluster/net.yml", True), ("curl x/cluster/a $D/cluster/b", False)])
    def test_a_path_of_the_image_is_explained(self, context: Context, hosts: dict[str, ScriptedConnection], text: str, said: bool) -> None:  # noqa: FBT001
        hosts[M1].tasks((1, "no such file\n"))
        context.plan = replace(context.plan, bundle=bundle_info(commands=(ClusterCommand(("/bin/sh", "-ec", text), 3),)))
        with pytest.raises(ClusterError) as caught:
            RunCommands().run(context)
        assert ("AIRSEAL_CLUSTER_DIR" in caught.value.remedy) is said

    def test_what_is_known_to_be_secret_is_masked_in_what_a_command_says(self, context: Context, hosts: dict[str, ScriptedConnection]) -> None:
        context.secrets.append(Secret("hunter22"))
        hosts[M1].tasks((1, "password is hunter22\n"))
        with pytest.raises(ClusterError, match=r"password is \*{6}"):
            RunCommands().run(context)
        assert isinstance(context.reporter, RecordingReporter)
        assert not any("hunter22" in step for step in context.reporter.steps)

    def test_after_a_failure_the_next_run_goes_on_with_the_one_that_failed(
        self, context: Context, hosts: dict[str, ScriptedConnection]
    ) -> None:
        hosts[M1].tasks((0, ""), (2, ""))
        with pytest.raises(ClusterError):
            RunCommands().run(context)
        assert RunCommands().is_needed(context)
        hosts[M1].commands.clear()
        hosts[M1].tasks()
        RunCommands().run(context)
        assert [command.changes for command in hosts[M1].ran("systemd-run")] == ["run command-2"]

    def test_one_that_ended_while_nobody_looked_is_written_down_and_not_run_again(
        self, context: Context, hosts: dict[str, ScriptedConnection]
    ) -> None:
        digest = _digest(context, 0)
        there = "LoadState=not-found;ActiveState=inactive;SubState=dead;Description=x\n"
        ended = f"{there}{digest} 0 100 200\n{digest} 100\n5\nnet!\n"
        hosts[M2].on(r"LoadState.*command-1", ended)
        RunCommands().run(context)
        assert [command.changes for command in hosts[M1].ran("systemd-run")] == ["run command-2"]
        assert not hosts[M2].ran("systemd-run")
        assert not RunCommands().is_needed(context)
        forgotten = hosts[M2].ran("systemctl stop.*command-1")
        assert len(forgotten) == 1  # after it was written down

    def test_one_that_was_cut_runs_again_once_helm_has_forgotten_it(self, context: Context, hosts: dict[str, ScriptedConnection]) -> None:
        digest = _digest(context, 1)
        there = "LoadState=not-found;ActiveState=inactive;SubState=dead;Description=x\n"
        hosts[M2].on(r"LoadState.*command-2", f"{there}\n{digest} 1795697600\n0\n")
        cut = "Secret\tshop\tsh.helm.release.v1.shop.v1\tshop\t1\tpending-install\t2026-11-26T12:53:30Z\tuid-1\n"
        hosts[M1].on("get secrets,configmaps", cut).on("delete --raw")
        RunCommands().run(context)
        order = [command.text for command in hosts[M1].commands]
        taken = next(place for place, text in enumerate(order) if "delete --raw" in text)
        begun = next(place for place, text in enumerate(order) if "command-2.service" in text and "exec systemd-run" in text)
        assert taken < begun
        assert isinstance(context.reporter, RecordingReporter)
        assert any("release shop in shop, revision 1 (pending-install) was left by it" in step for step in context.reporter.steps)

    def test_a_command_that_was_never_cut_asks_helm_nothing(self, context: Context, hosts: dict[str, ScriptedConnection]) -> None:
        RunCommands().run(context)
        assert not hosts[M1].ran("secrets,configmaps")

    def test_every_master_remembers_so_the_first_one_may_be_lost(self, context: Context, hosts: dict[str, ScriptedConnection]) -> None:
        RunCommands().run(context)
        assert Journal(hosts[M2]).facts() == Journal(hosts[M1]).facts() != {}
        del hosts[M1].files["/var/lib/airseal/ledger/log"]
        known = run_commands._done(context)
        assert (len(known[M1]), len(known[M2])) == (0, 2)
        hosts[M1].commands.clear()
        RunCommands().run(context)
        assert not hosts[M1].ran("systemd-run")

    def test_a_master_that_joined_since_is_told_and_nothing_runs_again(self, context: Context, hosts: dict[str, ScriptedConnection]) -> None:
        RunCommands().run(context)
        del hosts[M2].files["/var/lib/airseal/ledger/log"]
        hosts[M1].commands.clear()
        assert RunCommands().is_needed(context)
        RunCommands().run(context)
        assert not hosts[M1].ran("systemd-run")
        assert not hosts[M2].ran("systemd-run.*command-1")
        assert Journal(hosts[M2]).facts() == Journal(hosts[M1]).facts()
        assert not RunCommands().is_needed(context)

    @pytest.mark.parametrize("there", [(M1,), (M2,), (M1, M2)])
    def test_what_an_older_airseal_wrote_down_is_taken_over_once(self, context: Context, hosts: dict[str, ScriptedConnection], there: tuple[str, ...]) -> None:
        authority = hashlib.sha256(hosts[M1].files[CA_FILE]).hexdigest()
        done = [run_commands.key(context.plan, index) for index in range(len(context.plan.bundle.commands))]
        for address in there:
            hosts[address].files[run_commands.OLDER] = json.dumps({"authority": authority, "done": done}).encode()
        assert RunCommands().is_needed(context)
        RunCommands().run(context)
        assert not hosts[M1].ran("systemd-run")
        assert all(hosts[address].ran(f"rm -f {run_commands.OLDER}") for address in there)
        assert not RunCommands().is_needed(context)

    @pytest.mark.parametrize("older", [b"", b'{"authority', b"[]", b"null", b'{"authority": "another", "done": ["x"]}'])
    def test_what_says_nothing_of_this_cluster_is_nothing(self, context: Context, hosts: dict[str, ScriptedConnection], older: bytes) -> None:
        hosts[M1].files[run_commands.OLDER] = older
        RunCommands().run(context)
        assert hosts[M1].ran("systemd-run.*command-1")

    def test_another_cluster_on_the_same_hosts_has_had_no_commands(self, context: Context, hosts: dict[str, ScriptedConnection]) -> None:
        RunCommands().run(context)
        hosts[M1].files[CA_FILE] = b"another CA"
        assert RunCommands().is_needed(context)

    @pytest.mark.parametrize(
        "changes",
        [
            {"commands": (ClusterCommand(("true",), 7), ClusterCommand(("helm", "install", "shop"), 9))},
            {"environment": {"GREETING": "other"}},
        ],
    )
    def test_another_text_or_environment_is_another_command(self, changes: dict[str, Any]) -> None:
        assert run_commands.key(PLAN, 0) != run_commands.key(replace(PLAN, bundle=bundle_info(**changes)), 0)
        assert run_commands.key(PLAN, 0) != run_commands.key(PLAN, 1)


def static_pods(*names: str, ready: str = "True") -> list[dict[str, Any]]:
    return [
        {
            "metadata": {"namespace": "kube-system", "name": f"{part}-{name}"},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }
        for name in names
        for part in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
    ]


EVERYTHING = [node("m2"), node("m3"), node("n5")]


class TestAccept:
    def test_a_whole_cluster_misses_nothing(self) -> None:
        assert missing(PLAN, EVERYTHING, static_pods("m2", "m3")) == []

    @pytest.mark.parametrize(
        ("nodes_seen", "pods", "said"),
        [
            (EVERYTHING[:2], static_pods("m2", "m3"), "node n5 (10.0.0.5) is not in the cluster"),
            ([*EVERYTHING[:2], node("n5", ready=False)], static_pods("m2", "m3"), "node n5: cni plugin not initialized"),
            (EVERYTHING, static_pods("m2", "m3")[:-1], "pod kube-system/kube-scheduler-m3 does not run"),
            (EVERYTHING, static_pods("m2") + static_pods("m3", ready="False"), "pod kube-system/etcd-m3 does not run"),
        ],
    )
    def test_what_is_missing_is_named(self, nodes_seen: list[Any], pods: list[Any], said: str) -> None:
        assert said in missing(PLAN, nodes_seen, pods)

    def test_it_says_so_with_the_exit_code_of_a_cluster_that_is_not_right(self) -> None:
        hosts = members()
        hosts[M1].on("get nodes", items(*EVERYTHING)).on("get pods", items(*static_pods("m2")))
        with pytest.raises(NotAccepted, match="etcd-m3"):
            Accept().run(make_context(PLAN, hosts))

    def test_it_always_looks(self) -> None:
        assert Accept().is_needed(make_context(PLAN))

    def test_figures_are_for_the_summary(self) -> None:
        hosts = members()
        hosts[M1].on("get nodes", items(*EVERYTHING)).on("get pods", items(*static_pods("m2", "m3")))
        for host in hosts.values():
            host.on("sync -f")
        context = make_context(PLAN, hosts)
        Accept().run(context)
        assert context.notes == ["0 containers in 0 pods run 0 images, every one from the bundle"]
        for host in hosts.values():
            assert host.ran("sync -f .* /var/lib/containerd$")

    def test_images_that_are_not_on_a_disk_are_not_accepted(self) -> None:
        hosts = members()
        hosts[M1].on("get nodes", items(*EVERYTHING)).on("get pods", items(*static_pods("m2", "m3")))
        for host in hosts.values():
            host.on("sync -f")
        hosts[M2].on("sync -f", failed(124))
        context = make_context(PLAN, hosts)
        with pytest.raises(CommandFailed, match=M2):
            Accept().run(context)
        assert context.notes == []


ADMIN = yaml.safe_dump(admin_conf()).encode()


class TestWriteKubeconfig:
    @pytest.fixture
    def context(self, tmp_path: Path) -> Context:
        hosts = members()
        for address in (M1, M2):
            hosts[address].files["/etc/kubernetes/admin.conf"] = ADMIN
        for host in hosts.values():
            host.files[CA_FILE] = authority()
        return make_context(PLAN, hosts, kubeconfig=str(tmp_path / "site" / "kubeconfig"))

    def test_it_names_the_first_master_and_only_its_owner_reads_it(self, context: Context) -> None:
        assert WriteKubeconfig().is_needed(context)
        WriteKubeconfig().run(context)
        target = Path(context.kubeconfig)
        value = yaml.safe_load(target.read_text())
        expected = {"server": f"https://{M1}:6443", "certificate-authority-data": encoded(authority())}
        assert value["clusters"][0]["cluster"] == expected
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        assert [path.name for path in target.parent.iterdir()] == ["kubeconfig"]
        assert not WriteKubeconfig().is_needed(context)

    def test_every_master_has_a_context_for_when_another_one_is_off(self, context: Context) -> None:
        WriteKubeconfig().run(context)
        value = yaml.safe_load(Path(context.kubeconfig).read_text())
        servers = {each["name"]: each["cluster"]["server"] for each in value["clusters"]}
        through = {each["name"]: servers[each["context"]["cluster"]] for each in value["contexts"]}
        assert through == {value["current-context"]: f"https://{M1}:6443", "m2": f"https://{M1}:6443", "m3": f"https://{M2}:6443"}

    def test_a_context_has_the_address_that_the_operator_reaches_its_master_at(self, context: Context) -> None:
        members = tuple(Member(host.internal, host.name, host.role, f"{host.name}.outside" if host.name != "m2" else "") for host in context.plan.hosts)
        context.plan = replace(context.plan, members=members)
        WriteKubeconfig().run(context)
        value = yaml.safe_load(Path(context.kubeconfig).read_text())
        servers = {each["name"]: each["cluster"]["server"] for each in value["clusters"]}
        through = {each["name"]: servers[each["context"]["cluster"]] for each in value["contexts"]}
        assert (through["m2"], through["m3"]) == (f"https://{M1}:6443", "https://m3.outside:6443")

    def test_a_master_that_this_run_does_not_reach_keeps_its_context(self, context: Context) -> None:
        first, *rest = context.plan.hosts
        context.plan = replace(context.plan, hosts=tuple(rest), members=tuple(Member(host.address, host.name, host.role) for host in (first, *rest)))
        del context.connections[M1]
        WriteKubeconfig().run(context)
        value = yaml.safe_load(Path(context.kubeconfig).read_text())
        assert {"m2", "m3"} <= {each["name"] for each in value["contexts"]}
        assert value["clusters"][0]["cluster"]["server"] == f"https://{M2}:6443"

    def test_with_the_first_master_off_it_names_a_ready_one(self, context: Context) -> None:
        host = context.connections[M1]
        assert isinstance(host, ScriptedConnection)
        host.on("readyz", failed(1, "connection refused"))
        WriteKubeconfig().run(context)
        assert yaml.safe_load(Path(context.kubeconfig).read_text())["clusters"][0]["cluster"]["server"] == f"https://{M2}:6443"

    def test_an_endpoint_of_the_site_comes_before_any_master(self, context: Context) -> None:
        context.plan = replace(context.plan, access=Access(Endpoint("vip.example", 8443)))
        WriteKubeconfig().run(context)
        assert yaml.safe_load(Path(context.kubeconfig).read_text())["clusters"][0]["cluster"]["server"] == "https://vip.example:8443"

    def test_another_one_that_was_there_is_kept_however_often(self, context: Context) -> None:
        target = Path(context.kubeconfig)
        target.parent.mkdir()
        for text in ("theirs", "theirs too"):
            target.write_text(text)
            WriteKubeconfig().run(context)
        assert target.with_name("kubeconfig.bak").read_text() == "theirs"
        assert target.with_name("kubeconfig.bak.1").read_text() == "theirs too"
        assert any("kubeconfig.bak" in note for note in context.notes)

    def test_one_that_others_can_read_is_written_again(self, context: Context) -> None:
        WriteKubeconfig().run(context)
        Path(context.kubeconfig).chmod(0o644)
        assert WriteKubeconfig().is_needed(context)
        WriteKubeconfig().run(context)
        assert stat.S_IMODE(Path(context.kubeconfig).stat().st_mode) == 0o600
        assert not Path(f"{context.kubeconfig}.bak").exists()

    def test_a_place_that_cannot_be_written_is_said(self, context: Context, tmp_path: Path) -> None:
        (tmp_path / "site").write_text("a file")
        with pytest.raises(InstallerError, match="cannot be written"):
            WriteKubeconfig().run(context)

    @pytest.mark.parametrize("liar", [M1, M2])
    def test_a_ca_that_one_of_the_masters_does_not_know_is_not_written(self, context: Context, liar: str) -> None:
        host = context.connections[liar]
        assert isinstance(host, ScriptedConnection)
        host.files[CA_FILE] = authority("theirs")
        with pytest.raises(ClusterError, match="names another CA"):
            WriteKubeconfig().run(context)
        assert not Path(context.kubeconfig).exists()

    @pytest.mark.parametrize("content", [b"", b"a: [secret", ADMIN.replace(b"client-key-data", b"exec")])
    def test_an_unreadable_one_is_an_error_that_quotes_nothing(self, context: Context, content: bytes) -> None:
        host = context.first
        assert isinstance(host, ScriptedConnection)
        host.files["/etc/kubernetes/admin.conf"] = content
        with pytest.raises(ClusterError) as caught:
            WriteKubeconfig().run(context)
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert not Path(context.kubeconfig).exists()

    def test_a_master_without_one_is_said(self, context: Context) -> None:
        first = context.first
        assert isinstance(first, ScriptedConnection)
        del first.files["/etc/kubernetes/admin.conf"]
        with pytest.raises(ClusterError, match=M1):
            WriteKubeconfig().run(context)


def test_a_failed_look_at_the_cluster_is_not_an_empty_cluster() -> None:
    hosts = members()
    hosts[M1].on("get nodes", failed(1, "connection refused"))
    with pytest.raises(InstallerError, match="connection refused"):
        Accept().run(make_context(PLAN, hosts))
