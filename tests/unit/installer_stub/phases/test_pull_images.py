"""While the first master starts, the others have what they will run brought to them: of a bounded size, and nothing stops for it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

from installer_stub.bundle.model import BALANCER_LABEL, ImageLock, LockedImage
from installer_stub.bundle.reasons import Attached, Listed, Pulled, Reason, Recorded
from installer_stub.distro.containerd import pull_script
from installer_stub.phases.pull_images import PullImages, of_every_host
from installer_stub.plan.model import Access, Endpoint
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from tests.fakes.membership import answers_membership, make_member
from tests.fakes.plans import (
    M1,
    M2,
    N1,
    N2,
    RecordingReporter,
    make_context,
    make_plan,
    masters,
    nodes,
    scripted_hosts,
)
from tests.fakes.scripted import ScriptedConnection

PLAN = make_plan(*masters(M1, M2), *nodes(N1, N2))


def cluster(*members: str) -> dict[str, ScriptedConnection]:
    hosts = scripted_hosts(PLAN)
    for address, host in hosts.items():
        answers_membership(host.on("").journals().tasks())
        if address in members:
            make_member(host)
    return hosts


def script(host: ScriptedConnection) -> str:
    return host.files["/run/airseal/pull-images.sh"].decode()


def locked(reference: str, size: int, *reasons: Reason) -> LockedImage:
    digest = Digest.of(reference.encode())
    return LockedImage(Reference.parse(reference), Descriptor("x", digest, 1), (digest,), reasons, size)


def by_digest(image: LockedImage) -> str:
    return f"{image.reference.repository}@{image.descriptor.digest}"


PROXY = locked("registry.k8s.io/kube-proxy:v1.36.3", 66 << 20, Recorded("DaemonSet kube-system/kube-proxy", "kube-proxy"))
NETWORK = locked("ghcr.io/flannel-io/flannel:v1", 62 << 20, Recorded("DaemonSet kube-flannel/kube-flannel-ds", "install-cni"))
DRIVER = locked("nvcr.io/nvidia/driver:595", 900 << 20, Recorded("DaemonSet gpu/driver", "driver"))
BALANCER = locked("docker.io/library/haproxy:3.0.11", 33 << 20, Listed("load balancer of the nodes"))
PAUSE = locked("registry.k8s.io/pause:3.10.2", 300_000, Pulled())
SHOP = locked("docker.io/library/postgres:16", 130 << 20, Recorded("StatefulSet shop/db", "postgres"))
OLD = locked("docker.io/library/agent:1", 0, Recorded("DaemonSet old/agent", "agent"))
IMAGES = ImageLock((SHOP, DRIVER, NETWORK, PROXY, BALANCER, PAUSE, OLD))


def test_hosts_that_are_to_join_have_their_images_before() -> None:
    hosts = cluster()
    plan = replace(PLAN, bundle=replace(PLAN.bundle, labels={BALANCER_LABEL: "haproxy:3.0.11"}))
    context = make_context(plan, hosts, lock=IMAGES)
    assert PullImages().is_needed(context)
    PullImages().run(context)
    master, node = script(hosts[M2]), script(hosts[N1])
    assert "kubeadm config images pull --kubernetes-version v1.36.3 " in master
    assert "kubeadm config images pull" not in node  # a node has no control plane
    for text in (master, node):
        assert [f" tag --force {by_digest(each)} {each.reference};" in text for each in (PAUSE, NETWORK, PROXY, SHOP, DRIVER, OLD)] == [True] * 3 + [False] * 3
    assert [str(BALANCER.reference) in text for text in (master, node)] == [False, True]
    assert not hosts[M1].ran("systemd-run")


def test_a_node_behind_the_sites_own_endpoint_has_no_balancer() -> None:
    hosts = cluster()
    plan = replace(PLAN, bundle=replace(PLAN.bundle, labels={BALANCER_LABEL: "haproxy:3.0.11"}), access=Access(Endpoint("10.0.0.9", 6443)))
    PullImages().run(make_context(plan, hosts, lock=IMAGES))
    assert "haproxy" not in script(hosts[N1])


def test_what_a_join_would_wait_for_long_is_left_to_kubelet() -> None:
    assert list(of_every_host(IMAGES, most=130 << 20)) == [by_digest(each) for each in (PAUSE, NETWORK, PROXY)]
    assert list(of_every_host(IMAGES, most=70 << 20)) == [by_digest(each) for each in (PAUSE, NETWORK)]
    assert of_every_host(None) == {}


def test_a_signature_of_what_every_host_runs_is_no_image() -> None:
    signature = locked(f"registry.k8s.io/pause:sha256-{'0' * 64}.sig", 300, Attached("signature", "registry.k8s.io/pause@sha256:0"))
    assert list(of_every_host(ImageLock((PAUSE, signature)))) == [by_digest(PAUSE)]


def test_an_image_that_is_pinned_has_no_other_name() -> None:
    """``agent:v1`` is another image of the same site; containerd knows a pinned one by its digest alone."""
    digest, daemon = Digest.of(b"agent"), Recorded("DaemonSet a/agent", "agent")
    pinned = replace(locked(f"docker.io/library/agent:v1@{digest}", 1000, daemon), descriptor=Descriptor("x", digest, 1))
    images = of_every_host(ImageLock((pinned, locked("docker.io/library/agent:v1", 1000, Recorded("Deployment a/other", "it")))))
    assert images == {f"docker.io/library/agent@{digest}": []}
    assert " tag " not in pull_script(images)


def test_an_image_of_several_names_comes_once_and_has_them_all() -> None:
    daemon = Recorded("DaemonSet a/agent", "agent")
    one = locked("docker.io/library/agent:v1", 1000, daemon)
    pinned = replace(one, reference=Reference.parse(by_digest(one)))
    other = replace(one, reference=Reference.parse("docker.io/library/agent:latest"))
    assert of_every_host(ImageLock((pinned, one, other)), most=1000) == {by_digest(one): ["docker.io/library/agent:v1", "docker.io/library/agent:latest"]}


def test_a_host_in_doubt_is_left_as_it_is() -> None:
    hosts = cluster(M1, M2, N2)
    hosts[N1].files |= {"/etc/kubernetes/kubelet.conf": b"of a life that nobody has on record"}
    assert not PullImages().is_needed(make_context(PLAN, hosts))


def test_an_image_that_does_not_come_stops_nothing(tmp_path: Path) -> None:
    """The script itself, with a ctr that has no network."""
    (tmp_path / "ctr").write_text("#!/bin/sh\ncase $* in *pause*) exit 0 ;; *) echo no network >&2; exit 1 ;; esac\n")
    (tmp_path / "ctr").chmod(0o755)
    text = f"set -eu\nPATH={tmp_path}:$PATH\n{pull_script(of_every_host(IMAGES))}"
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True)
    assert sorted(done.stdout.splitlines()) == [f"{each.reference} did not come: kubelet will ask for it" for each in (NETWORK, PROXY)]


def test_what_does_not_come_is_said_and_what_comes_is_in_the_log() -> None:
    hosts = cluster()
    hosts[N1].tasks((0, f"[config/images] Pulled it\n{PROXY.reference} did not come: kubelet will ask for it\n"))
    context = make_context(PLAN, hosts, lock=IMAGES)
    PullImages().run(context)
    assert isinstance(context.reporter, RecordingReporter)
    assert context.reporter.steps == [f"{N1}: {PROXY.reference} did not come: kubelet will ask for it"]


def test_members_pull_nothing() -> None:
    hosts = cluster(M1, M2, N1, N2)
    assert not PullImages().is_needed(make_context(PLAN, hosts))
