"""A Clusterfile is a value, or every one of its problems at once with line and path; nothing in it is passed over."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installer_stub import cli
from installer_stub.clusterfile.read import MOST_BYTES, Clusterfile, parse, read
from installer_stub.clusterfile.render import render
from installer_stub.clusterfile.schema import SCHEMA
from installer_stub.errors import UsageError
from installer_stub.host.model import Host, Role
from installer_stub.options import HostWishes, parse_access
from installer_stub.plan.settings import AS_USUAL, NOTHING_SAID, SiteWishes

GOOD = """\
apiVersion: airseal/v1
kind: Cluster
hosts:
  - address: 10.0.0.2
    role: master
  - {address: n5.site, role: node, user: ops, port: 2222}
networks:
  services: 10.9.0.0/16
endpoint: 10.0.0.9:8443
subjectAltNames: [api.site.example]
certificateValidity: "365"
"""


def parsed(text: str) -> Clusterfile:
    return parse(text.encode(), "site.yaml", user="root", port=22)


def problems(text: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        parsed(text)
    return caught.value.problem.splitlines()[1:] or [caught.value.problem]


def test_everything_it_may_say() -> None:
    assert parsed(GOOD) == Clusterfile(
        (Host("10.0.0.2", Role.MASTER), Host("n5.site", Role.NODE, 2222, "ops")),
        None,
        "10.9.0.0/16",
        parse_access("10.0.0.9:8443", ["api.site.example"]),
        365 * 86400,
    )


def test_all_problems_at_once_with_line_and_path() -> None:
    assert problems(
        """\
apiVersion: airseal/v2
hosts:
  - address: 10.0.0
    role: worker
    prot: 22
  - address: root@10.0.0.3
    port: 022
    role: node
networks: {pods: 10.0.0.1/8}
endpoint: ":"
subjectAltNames: api
"""
    ) == [
        "site.yaml:1: apiVersion: airseal/v1 is wanted, not 'airseal/v2'",
        "site.yaml:1: kind: is missing",
        "site.yaml:3: hosts[0].address: '10.0.0' is neither a name nor an address",
        "site.yaml:4: hosts[0].role: master or node is wanted, not 'worker'",
        "site.yaml:5: hosts[0].prot: there is no such field; there are address, internal, role, user, port, labels, taints, env",
        "site.yaml:6: hosts[1].address: 'root@10.0.0.3' has a user in it; that has a field of its own: user",
        "site.yaml:7: hosts[1].port: a whole number is wanted, in decimal",
        "site.yaml:9: networks.pods: '10.0.0.1/8' is no network: 10.0.0.1/8 has host bits set",
        "site.yaml:10: endpoint: ':' is neither a name nor an address, with or without a port",
        "site.yaml:11: subjectAltNames: a list is wanted",
    ]


SETTINGS = """\
env: {SITE: north, EMPTY: ''}
registry: {port: 5444}
dataDirectories: {etcd: /data/etcd, kubelet: /data/kubelet}
patches:
  kubelet: {maxPods: 77, evictionHard: {memory.available: 200Mi}}
  kube-apiserver: [{op: add, path: /spec/containers/0/command/-, value: --event-ttl=2h}]
  etcd: {spec: {priority: 7, hostNetwork: true}}
  containerd: |
    version = 3
    [debug]
      level = 'debug'
"""


def test_settings_of_the_site() -> None:
    settings = parsed(GOOD + SETTINGS).settings
    assert settings.env == (("EMPTY", ""), ("SITE", "north"))
    assert settings.registry_port == 5444
    assert settings.directories == (("etcd", "/data/etcd"), ("kubelet", "/data/kubelet"))
    assert settings.patches == (
        ("containerd", json.dumps("version = 3\n[debug]\n  level = 'debug'\n")),
        ("etcd", '{"spec": {"hostNetwork": true, "priority": 7}}'),
        ("kube-apiserver", '[{"op": "add", "path": "/spec/containers/0/command/-", "value": "--event-ttl=2h"}]'),
        ("kubelet", '{"evictionHard": {"memory.available": "200Mi"}, "maxPods": 77}'),
    )
    assert parsed(GOOD).settings == NOTHING_SAID
    assert parsed(GOOD + "env: {}\npatches: {kubelet: {}}\n").settings == SiteWishes(env=(), patches=())


def test_values_are_given_with_their_lines_and_judged_by_the_bundle() -> None:
    given = parsed(GOOD + "values:\n  replicas: 3\n  db: {host: db1}\n  zones: [a, b]\n").values
    first = given[0].where.rpartition(":")
    assert [(each.path, each.open) for each in given] == [("replicas", True), ("db.host", True), ("zones", True)]
    assert [each.where for each in given] == [f"{first[0]}:{int(first[2]) + line}" for line in range(3)]
    assert parsed(GOOD).values == ()
    again = parsed(render(parsed(GOOD).hosts, settings=replace(AS_USUAL, values=(("db.host", '"db1"'), ("replicas", "3"))))).values
    assert [(each.path, each.node.value) for each in again if not isinstance(each.node, str)] == [("db.host", "db1"), ("replicas", "3")]


def test_what_init_writes_of_settings_is_read_back() -> None:
    wanted = parsed(GOOD + SETTINGS)
    again = parsed(render(wanted.hosts, settings=AS_USUAL.with_wishes(wanted.settings)))
    assert again.settings == wanted.settings
    assert parsed(render(wanted.hosts)).settings == NOTHING_SAID


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("env: {KUBECONFIG: /x}", "env.KUBECONFIG: 'KUBECONFIG' is said by airseal"),
        ("env: {DB_PASSWORD: x}", "env.DB_PASSWORD: 'DB_PASSWORD' looks like a secret"),
        ("env: {api-host: x}", "env.api-host: 'api-host' is no name of a variable"),
        ("env: {A: 7}", "env.A: a text is wanted (write it in quotes)"),
        ('env: {A: "a\\nb"}', "env.A: 'a\\nb' is more than one line"),
        ("registry: {port: 2379}", "registry.port: 2379 is a port of Kubernetes"),
        ("registry: {port: 443}", "registry.port: from 1024 to 65535 is wanted"),
        ("registry: {host: x}", "registry.host: there is no such field"),
        ("dataDirectories: {etcd: data}", "dataDirectories.etcd: 'data' is no directory"),
        ("dataDirectories: {etcd: /data/../etc}", "dataDirectories.etcd: '/data/../etc' is no directory"),
        ("dataDirectories: {etcd: /data/}", "dataDirectories.etcd: '/data/' is no directory"),
        ("dataDirectories: {etcd: '/da ta'}", "dataDirectories.etcd: '/da ta' is no directory"),
        ("dataDirectories: {etcd: /var/lib}", "dataDirectories.etcd: '/var/lib' is a directory of the system"),
        ("dataDirectories: {kubelet: /usr/kubelet}", "dataDirectories.kubelet: '/usr/kubelet' is a directory of the system"),
        ("dataDirectories: {etcd: /var/lib/kubelet/etcd}", "dataDirectories.etcd: /var/lib/kubelet/etcd and /var/lib/kubelet of kubelet lie in each other"),
        ("dataDirectories: {bundles: /data}", "dataDirectories.bundles: bundles lie in /var/lib/airseal/bundles"),
        ("patches: {kubelet: []}", "patches.kubelet: a mapping is wanted"),
        ("patches: {etcd: x}", "patches.etcd: a mapping or a list is wanted"),
        ("patches: {kubelet: {a: 022}}", "patches.kubelet.a: a whole number is wanted, in decimal"),
        ("patches: {kubelet: {a: yes}}", "patches.kubelet.a: 'yes' means true or false to some"),
        ("patches: {kubelet: {a: [2026-11-26]}}", "patches.kubelet.a[0]: a text is wanted here"),
        ("patches: {kubelet: {a: .inf}}", "patches.kubelet.a: a text is wanted here"),
        ("patches: {kubelet: {a: 1, a: 2}}", "patches.kubelet.a: written twice"),
        ("patches: {containerd: 'a = '}", "patches.containerd: 'a = ' is no TOML"),
        ("patches: {containerd: 'version = 2'}", "patches.containerd: 'version = 2' is of version 2; version = 3 is wanted"),
        ("patches: {containerd: 'root = \"/x\"'}", "patches.containerd: 'root = \"/x\"' says root, which airseal says"),
        (f"patches: {{kubelet: {{a: {'x' * 20000}}}}}", "patches.kubelet: is longer than"),
    ],
)
def test_settings_that_cannot_be(more: str, problem: str) -> None:
    (found,) = problems(f"{GOOD}{more}\n")
    assert found.startswith(f"site.yaml:12: {problem}")


def test_two_directories_in_each_other_are_both_named() -> None:
    found = problems(GOOD + "dataDirectories: {etcd: /data/a, kubelet: /data/a/b}\n")
    assert [each.split(": ")[1] for each in found] == ["dataDirectories.etcd", "dataDirectories.kubelet"]


def test_environment_of_a_host() -> None:
    def host(field: str) -> str:
        return GOOD.replace("    role: master\n", f"    role: master\n    {field}\n")

    assert parsed(host("env: {GODEBUG: netdns=go}")).wishes == (("10.0.0.2", HostWishes(env=(("GODEBUG", "netdns=go"),))),)
    again = render(parsed(host("env: {A: b}")).hosts, wishes=dict(parsed(host("env: {A: b}")).wishes))
    assert parsed(again).wishes == (("10.0.0.2", HostWishes(env=(("A", "b"),))),)
    for name in ("HTTPS_PROXY", "PATH", "MY_TOKEN"):
        (problem,) = problems(host(f"env: {{{name}: x}}"))
        assert problem.startswith(f"site.yaml:6: hosts[0].env.{name}: '{name}'")


def test_an_endpoint_and_names_are_given_up_by_word() -> None:
    gone = parsed(GOOD.replace("10.0.0.9:8443", "none").replace("[api.site.example]", "[]"))
    assert gone.access == parse_access(None, ())
    assert gone.dropped == {"endpoint", "san"}
    assert parsed(GOOD).dropped == frozenset()


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (GOOD.replace("n5.site", "10.0.0.2"), "site.yaml:6: hosts[1].address: 10.0.0.2 is hosts[0] already"),
        (GOOD.replace("role: master", "role: node"), "site.yaml:4: hosts: there is no master among them"),
        (GOOD.replace("10.9.0.0/16", "10.244.0.0/20"), "site.yaml:8: networks: pods 10.244.0.0/16 and services 10.244.0.0/20 overlap"),
        (GOOD + "kind: Cluster\n", "site.yaml:12: kind: written twice, first in line 2"),
        (GOOD.replace('"365"', "365"), "site.yaml:11: certificateValidity: a text is wanted (write it in quotes)"),
        (GOOD + "? [a]\n: b\n", "site.yaml:12: (the whole file): a name of a field is a text"),
        ("[]\n", "site.yaml:1: (the whole file): a mapping is wanted"),
        ("hosts: &a []\nx: *a\n", "site.yaml:2: a Clusterfile has no anchors and aliases"),
        ("a: b: c\n", "site.yaml:1: this is no YAML: mapping values are not allowed here"),
        ("", "site.yaml is empty"),
        ("[" * 3000, "site.yaml:1: nested deeper than 50 levels"),
        ("[" * 500_000 + "]" * 500_000, "site.yaml:1: nested deeper than 50 levels"),
        ("hosts:\n" + "".join(f"{' ' * level}a:\n" for level in range(60)), "site.yaml:52: nested deeper than 50 levels"),
    ],
)
def test_what_is_wrong_together_or_is_no_clusterfile(changed: str, problem: str) -> None:
    found = problems(changed)
    assert len(found) == 1
    assert found[0].startswith(problem)


def test_labels_and_taints() -> None:
    text = GOOD.replace("    role: master\n", "    role: master\n    labels: {shop.example/rack: '7', a: b}\n    taints: ['a=b:NoSchedule', c:NoExecute]\n")
    assert parsed(text).wishes == (("10.0.0.2", HostWishes((("a", "b"), ("shop.example/rack", "7")), ("a=b:NoSchedule", "c:NoExecute"))),)
    cleared = parsed(GOOD.replace("    role: master\n", "    role: master\n    labels: {}\n"))
    assert cleared.wishes == (("10.0.0.2", HostWishes((), None)),)
    again = render(parsed(text).hosts, wishes=dict(parsed(text).wishes))
    assert parsed(again).wishes == parsed(text).wishes


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("labels: {a/b/c: x}", "hosts[0].labels.a/b/c: 'a/b/c' is no name of a label"),
        ("labels: {node-role.kubernetes.io/x: x}", "hosts[0].labels.node-role.kubernetes.io/x: 'node-role.kubernetes.io/x' belongs to Kubernetes itself"),
        ("labels: {a: -x}", "hosts[0].labels.a: '-x' is no value of a label"),
        ("labels: {a: 7}", "hosts[0].labels.a: a text is wanted (write it in quotes)"),
        ("taints: [a=b]", "hosts[0].taints[0]: 'a=b' is no taint: key=value:Effect"),
        ("taints: ['a=b:Never']", "hosts[0].taints[0]: 'a=b:Never' is no taint"),
    ],
)
def test_labels_and_taints_that_kubernetes_would_refuse(field: str, problem: str) -> None:
    (found,) = problems(GOOD.replace("    role: master\n", f"    role: master\n    {field}\n"))
    assert found.startswith(f"site.yaml:6: {problem}")


def test_a_file_has_a_bound_and_a_name(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(b" " * (MOST_BYTES + 2))
    with pytest.raises(UsageError, match="larger than"):
        read(big, user="root", port=22)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read(tmp_path / "none", user="root", port=22)


@given(st.integers(0, len(GOOD)), st.text(max_size=6))
def test_any_text_is_a_value_or_a_named_error(at: int, text: str) -> None:
    try:
        assert isinstance(parsed(GOOD[:at] + text + GOOD[at + len(text) :]), Clusterfile)
    except UsageError as error:
        assert "site.yaml" in error.problem  # noqa: PT017


@pytest.mark.parametrize("validity", [None, 86400, 3600 * 7, 600])
def test_what_init_writes_is_read_back(validity: int | None) -> None:
    wanted = parsed(GOOD)
    text = render(wanted.hosts, pods="10.244.0.0/16", services="10.9.0.0/16", endpoint="10.0.0.9:8443", sans=("api.site.example",), validity=validity)
    again = parsed(text)
    assert (again.hosts, again.pods, again.services, again.access) == (wanted.hosts, "10.244.0.0/16", "10.9.0.0/16", wanted.access)
    assert again.certificate_validity == validity
    bare = parsed(render(wanted.hosts))
    assert (bare.pods, bare.services, bare.certificate_validity) == (None, None, None)


def test_init_and_apply_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "Clusterfile"
    assert cli.main(["init", "--master", "10.0.0.2", "--node", "ops@10.0.0.5", "-o", str(target)]) == 0
    assert parsed(target.read_text()).hosts == (Host("10.0.0.2", Role.MASTER), Host("10.0.0.5", Role.NODE, 22, "ops"))
    assert cli.main(["init", "--master", "10.0.0.2", "-o", str(target)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert cli.main(["init"]) == 0
    assert parsed(capsys.readouterr().out).hosts[0].role is Role.MASTER
    assert cli.main(["apply", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(SCHEMA))
    assert cli.main(["apply"]) == 2
    target.write_text(GOOD.replace("master", "boss"))
    assert cli.main(["apply", "-f", str(target)]) == 2
    assert f"{target}:5: hosts[0].role" in capsys.readouterr().err
