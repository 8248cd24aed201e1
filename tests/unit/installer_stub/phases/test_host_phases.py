"""What happens on each host before there is a cluster: settings, files, certificates, registry, runtime."""

from __future__ import annotations

from dataclasses import replace

import pytest

from installer_stub.changes.things import Kind, Thing
from installer_stub.distro import containerd, site_files, units
from installer_stub.distro.containerd import HOSTS
from installer_stub.distro.kubeadm_config import PATCHES
from installer_stub.errors import HostError, HostsFailed
from installer_stub.host.command import CommandResult
from installer_stub.host.model import Role
from installer_stub.keep.document import HostDocument, decode
from installer_stub.keep.report import Failure, Report
from installer_stub.phases.base import Context
from installer_stub.phases.configure_runtime import ConfigureRuntime
from installer_stub.phases.install_files import InstallFiles
from installer_stub.phases.prepare_hosts import PrepareHosts, own_directories
from installer_stub.plan import model as plan
from installer_stub.plan.model import ImageSource
from installer_stub.plan.settings import SiteSettings
from registry_snapshot.serve.login import Credential
from tests.fakes.membership import answers_membership, make_member
from tests.fakes.plans import M1, M2, M3, N1, make_context, make_plan, masters, nodes, scripted_hosts
from tests.fakes.scripted import ScriptedConnection, failed

PLAN = make_plan(*masters(M1, M2), *nodes(N1))


def in_journal(connection: ScriptedConnection) -> set[str]:
    return set(connection.noted())


def test_directories_of_a_site_are_noted_after_those_above_them() -> None:
    settings = SiteSettings(directories=(("etcd", "/data/deep/etcd"), ("kubelet", "/data/kubelet")))
    assert list(own_directories(replace(PLAN, settings=settings))) == [
        Thing(Kind.PARENT, "/data"),
        Thing(Kind.PARENT, "/data/deep"),
        Thing(Kind.DIRECTORY, "/data/deep/etcd"),
        Thing(Kind.PARENT, "/data"),
        Thing(Kind.DIRECTORY, "/data/kubelet"),
    ]


class TestPrepareHosts:
    """What the stub does on the host is tested where it is; here it answers with a report."""

    def host(self, connection: ScriptedConnection, report: Report) -> ScriptedConnection:
        answers_membership(connection.journals()).on("systemctl disable --now").on("^systemctl is-", failed(3))
        connection.on("^/opt/airseal/bin/airseal host keep --no-certificates$", CommandResult(4 if report.failed else 0, report.encode(), ""))
        connection.on("^/opt/airseal/bin/airseal host keep --check$")

        def started(command: object) -> CommandResult:
            connection.on("^systemctl is-")
            return CommandResult(0, "", "")

        return connection.on("systemctl enable", started)

    def prepared(self, report: Report | None = None) -> tuple[Context, dict[str, ScriptedConnection]]:
        hosts = scripted_hosts(PLAN)
        for connection in hosts.values():
            self.host(connection, report or Report())
        return make_context(PLAN, hosts), hosts

    def document(self, host: ScriptedConnection) -> HostDocument:
        return decode(host.files["/var/lib/airseal/host.json"])

    def test_a_second_look_finds_nothing_to_do(self) -> None:
        context, _ = self.prepared()
        assert PrepareHosts().is_needed(context)
        PrepareHosts().run(context)
        assert not PrepareHosts().is_needed(context)
        assert context.notes == []

    def test_what_is_changed_stands_in_the_journal(self) -> None:
        context, hosts = self.prepared()
        PrepareHosts().run(context)
        expected = {"net.ipv4.ip_forward", "br_netfilter", "/etc/hosts", "/var/lib/containerd", *units.HOST_FILES, units.HOST_UNIT, units.KEEP_TIMER}
        assert expected <= in_journal(hosts[N1])
        # Before the host is changed, not after.
        changes = hosts[N1].changes
        assert changes.index("write the journal") < changes.index("make the host what it must stay")

    def test_a_second_run_asks_the_kernel_and_not_a_unit(self) -> None:
        context, hosts = self.prepared()
        PrepareHosts().run(context)
        hosts[N1].on("^/opt/airseal/bin/airseal host keep --check$", failed(10))
        assert PrepareHosts().is_needed(context)

    @pytest.mark.parametrize("path", ["/var/lib/airseal/host.json", "/var/lib/airseal/keep.sh", *units.HOST_FILES])
    def test_a_file_of_it_that_is_lost_or_torn_is_made_anew(self, path: str) -> None:
        context, hosts = self.prepared()
        PrepareHosts().run(context)
        whole = hosts[N1].files[path]
        for torn in (b"", whole[:-20]):
            hosts[N1].files[path] = torn
            assert PrepareHosts().is_needed(context)
            PrepareHosts().run(context)
            assert hosts[N1].files[path] == whole
        del hosts[N1].files[path]
        assert PrepareHosts().is_needed(context)

    def test_what_an_older_airseal_left_in_its_place_goes(self) -> None:
        context, hosts = self.prepared()
        PrepareHosts().run(context)
        hosts[N1].files["/etc/sysctl.d/90-airseal.conf"] = b"net.ipv4.ip_forward = 1\n"
        assert PrepareHosts().is_needed(context)
        PrepareHosts().run(context)
        assert "take away what host.json replaces" in hosts[N1].changes
        (command,) = hosts[N1].ran("90-airseal.conf")[-1:]
        assert "airseal-service-route.service" in command.text

    def test_a_setting_that_is_refused_is_noted_and_not_waited_for(self) -> None:
        context, hosts = self.prepared(Report(cannot=["fs.inotify.max_user_instances"]))
        PrepareHosts().run(context)
        assert any("fs.inotify.max_user_instances" in note for note in context.notes)
        assert self.document(hosts[N1]).cannot == ("fs.inotify.max_user_instances",)
        assert b"max_user_instances" not in hosts[N1].files["/var/lib/airseal/keep.sh"]
        assert not PrepareHosts().is_needed(context)

    def test_without_forwarding_nothing_works_so_it_stops(self) -> None:
        context, _ = self.prepared(Report(failed=[Failure("net.ipv4.ip_forward = 1", "Read-only file system")]))
        with pytest.raises(HostsFailed, match="ip_forward = 1: Read-only file system"):
            PrepareHosts().run(context)

    def test_a_stub_that_says_nothing_is_an_error_and_not_a_success(self) -> None:
        context, hosts = self.prepared()
        hosts[N1].on("^/opt/airseal/bin/airseal host keep --no-certificates$", CommandResult(0, "", "Illegal instruction"))
        with pytest.raises(HostError, match="Illegal instruction"):
            PrepareHosts().run(context)

    def test_everybody_looks_for_the_api_at_the_first_master_until_a_master_is_complete(self) -> None:
        context, hosts = self.prepared()
        make_member(hosts[M2])
        make_member(hosts[N1])
        PrepareHosts().run(context)
        assert {address: self.document(host).api for address, host in hosts.items()} == {M1: M1, M2: M2, N1: M1}

    def test_each_master_has_a_place_of_its_own_in_the_order_of_renewals(self) -> None:
        context, hosts = self.prepared()
        PrepareHosts().run(context)
        policies = [self.document(hosts[address]).certificates for address in (M1, M2, N1)]
        assert [(each.master, each.position, each.masters) for each in policies] == [(True, 0, 2), (True, 1, 2), (False, 0, 2)]
        assert {each.validity for each in policies} == {PLAN.certificate_validity}


class TestInstallFiles:
    def test_masters_use_their_own_artifact_and_nodes_the_registries_in_rotated_order(self) -> None:
        plan = make_plan(*masters(M1, M2, M3), *nodes(N1))
        hosts = scripted_hosts(plan)
        for connection in hosts.values():
            connection.on("check-files", failed(10))
        context = make_context(plan, hosts)
        assert InstallFiles(Role.MASTER).is_needed(context)
        assert InstallFiles(Role.NODE).is_needed(context)
        on_master, on_node = hosts[M2].commands[0].text, hosts[N1].commands[0].text
        assert "--bundle /var/lib/airseal/bundles/shop-1.4.0.run" in on_master
        assert "--registry" not in on_master
        assert f"--registry https://{M1}:5443,https://{M2}:5443,https://{M3}:5443 --ca /etc/airseal/ca.crt --credential /etc/airseal/registry.credential " in on_node
        assert "--credential" not in on_master
        assert "--reference airseal.internal/cluster/shop:1.4.0" in on_node
        assert f"--manifest {plan.bundle.cluster.digest}" in on_node
        assert "--link bin=/usr/local/bin --link cni=/opt/cni/bin" in on_node

    def test_a_recording_takes_them_from_the_recorder_without_a_ca(self) -> None:
        plan = make_plan(*masters(M1), recording=True, images=ImageSource(("http://172.18.0.1:5001",)))
        hosts = scripted_hosts(plan)
        hosts[M1].on("check-files", "")
        assert not InstallFiles(Role.MASTER).is_needed(make_context(plan, hosts))
        text = hosts[M1].commands[0].text
        assert "--registry http://172.18.0.1:5001 --reference" in text
        assert "--ca" not in text
        assert "--credential" not in text

    def test_only_hosts_that_lack_something_fetch(self) -> None:
        hosts = scripted_hosts(PLAN)
        hosts[M1].on("check-files", "")
        hosts[M2].on("check-files", failed(10)).tasks()
        InstallFiles(Role.MASTER).run(make_context(PLAN, hosts))
        assert not hosts[M1].ran("systemd-run")
        assert b"fetch-files" in hosts[M2].files["/run/airseal/fetch-files.sh"]
        assert hosts[N1].commands == []


class TestConfigureRuntime:
    @pytest.fixture
    def hosts(self) -> dict[str, ScriptedConnection]:
        hosts = scripted_hosts(PLAN)
        for connection in hosts.values():
            connection.journals()
            connection.on("containerd.service.d").on("^rm -f --").on("^test -x").on("images list", "registry.k8s.io/pause:3.10.2\n")
            connection.on("^systemctl is-", failed(3)).on("systemctl stop").on("systemctl enable").on("systemctl start")
            connection.files[plan.CREDENTIAL] = b"airseal:a-secret-nobody-guesses\n"
        return hosts

    def test_a_configured_host_is_left_alone(self, hosts: dict[str, ScriptedConnection]) -> None:
        context = make_context(PLAN, hosts)
        assert ConfigureRuntime().is_needed(context)
        ConfigureRuntime().run(context)
        for connection in hosts.values():
            connection.on("^systemctl is-")
        assert not ConfigureRuntime().is_needed(context)

    def test_containerd_is_stopped_before_its_files_change_and_not_for_hosts_toml(self, hosts: dict[str, ScriptedConnection]) -> None:
        context = make_context(PLAN, hosts)
        ConfigureRuntime().run(context)
        changes = hosts[M1].changes
        assert changes.index("stop containerd, to start it with new files") < changes.index("write /etc/containerd/config.toml")
        hosts[M1].commands.clear()
        hosts[M1].files["/etc/containerd/certs.d/_default/hosts.toml"] = b"old"
        ConfigureRuntime().run(context)
        assert "stop containerd, to start it with new files" not in hosts[M1].changes
        assert "write /etc/containerd/certs.d/_default/hosts.toml" in hosts[M1].changes

    def test_every_file_it_writes_stands_in_the_journal(self, hosts: dict[str, ScriptedConnection]) -> None:
        ConfigureRuntime().run(make_context(PLAN, hosts))
        written = {name for name in hosts[N1].files if name.startswith("/etc/")} - {plan.CREDENTIAL}
        assert written
        assert written <= in_journal(hosts[N1])

    def test_the_login_stands_in_hosts_toml_for_root_alone_and_is_seen_nowhere_else(self, hosts: dict[str, ScriptedConnection]) -> None:
        context = make_context(PLAN, hosts)
        # What the version before logins left: other text, and everybody may read it.
        hosts[N1].files[HOSTS] = b"old"
        hosts[N1].modes[HOSTS] = 0o644
        assert ConfigureRuntime().is_needed(context)
        ConfigureRuntime().run(context)
        header = Credential("airseal", "a-secret-nobody-guesses").authorization()
        assert header in hosts[N1].files[HOSTS].decode()
        assert {name for name, content in hosts[N1].files.items() if header.encode() in content} == {HOSTS}
        assert {hosts[address].modes[HOSTS] for address in (M1, M2, N1)} == {0o600}
        for text in ("nobody-guesses", header.split()[1]):
            assert text not in hosts[N1].seen()
            assert text.encode() not in hosts[N1].files["/var/lib/airseal/ledger/log"]

    def test_an_earlier_lifes_dropins_are_set_aside_before_our_units_and_later_ones_stay(self, hosts: dict[str, ScriptedConnection]) -> None:
        theirs = "/etc/systemd/system/containerd.service.d/http-proxy.conf"
        hosts[N1].on("containerd.service.d", f"{theirs}\n")
        context = make_context(PLAN, hosts)
        ConfigureRuntime().run(context)
        assert theirs in in_journal(hosts[N1])
        changes = hosts[N1].changes
        aside = changes.index("set aside what changes containerd's and kubelet's units")
        assert changes.index("write the journal") < aside < changes.index("write /etc/systemd/system/containerd.service")
        hosts[N1].commands.clear()
        hosts[N1].files["/etc/containerd/certs.d/_default/hosts.toml"] = b"old"
        ConfigureRuntime().run(context)
        assert not hosts[N1].ran("service.d")

    def test_what_a_clusterfile_adds_is_written_and_goes_with_it(self, hosts: dict[str, ScriptedConnection]) -> None:
        settings = SiteSettings(patches=(("containerd", '"version = 3\\n"'), ("etcd", "{}"), ("kube-apiserver", "[]"), ("kubelet", '{"maxPods": 7}')))
        wished = replace(PLAN, settings=settings, hosts=tuple(replace(host, env=(("A", 'a "b" 50% \\'),)) for host in PLAN.hosts))
        for connection in hosts.values():
            connection.on("kubelet.conf")
        ConfigureRuntime().run(make_context(wished, hosts))
        files = hosts[M1].files
        assert files[containerd.SITE_DROPIN].endswith(b"Clusterfile.\nversion = 3\n")
        assert b'Environment="A=a \\"b\\" 50%% \\\\"\n' in files[site_files.KUBELET_ENV]
        added = {name for name in files if name.startswith(PATCHES) and "-site" in name}
        assert added == {f"{PATCHES}/{name}" for name in ("etcd-site+strategic.json", "kube-apiserver-site+json.json", "kubeletconfiguration-site+merge.json")}
        assert {name for name in hosts[N1].files if "-site+" in name} == {f"{PATCHES}/kubeletconfiguration-site+merge.json"}
        assert {containerd.SITE_DROPIN, site_files.KUBELET_ENV} <= in_journal(hosts[M1])
        for connection in hosts.values():
            connection.on("^systemctl is-")
        assert not ConfigureRuntime().is_needed(make_context(wished, hosts))
        plain = make_context(replace(PLAN, settings=replace(settings, patches=settings.patches[1:])), hosts)
        assert ConfigureRuntime().is_needed(plain)
        hosts[M1].commands.clear()
        ConfigureRuntime().run(plain)
        assert hosts[M1].ran(f"^rm -f -- {' '.join(site_files.PASSING)}")
        changes = hosts[M1].changes
        gone = changes.index("remove what the Clusterfile does not want any more")
        assert changes.index("stop containerd, to start it with new files") < gone < changes.index("start containerd") < changes.index("start kubelet")

    def test_no_proxy_of_the_site_reaches_containerd_or_kubelet(self, hosts: dict[str, ScriptedConnection]) -> None:
        ConfigureRuntime().run(make_context(PLAN, hosts))
        for path in (units.CONTAINERD_UNIT, units.KUBELET_UNIT, units.KUBELET_DROPIN):
            starts = [line for line in hosts[N1].files[path].decode().splitlines() if line.startswith("ExecStart=/")]
            assert starts
            assert all(line.startswith(f"ExecStart={units.WITHOUT_PROXY} ") for line in starts)

    def test_a_host_without_the_login_is_named(self, hosts: dict[str, ScriptedConnection]) -> None:
        del hosts[N1].files[plan.CREDENTIAL]
        with pytest.raises(HostError, match=f"{N1}: there is no login for the site registry"):
            ConfigureRuntime().run(make_context(PLAN, hosts))

    def test_a_kubeadm_that_names_no_pause_image_stops_it(self, hosts: dict[str, ScriptedConnection]) -> None:
        hosts[N1].on("images list", failed(127, "kubeadm: not found"))
        with pytest.raises(HostError, match="pause image"):
            ConfigureRuntime().run(make_context(PLAN, hosts))
