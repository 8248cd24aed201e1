"""The parts of another version of Kubernetes, and of what its own kubeadm wants beside it."""

from __future__ import annotations

from tests.testbed.image_table import ControlPlane, kubeadm_images
from tests.testbed.part_table import COREDNS, ETCD, coredns_part, etcd_part, kubernetes_part
from tests.testbed.parts import Parts


def build_version(parts: Parts, version: str) -> ControlPlane:
    """Build what is missing; return what the version's kubeadm names, and the parts that it is made of. Raises TestBedError."""
    programs = kubernetes_part(version, f"kubernetes-{version}")
    parts.build(programs)
    listed = kubeadm_images(parts, programs.name, version)
    tags = {name.rpartition("/")[2]: tag for name, _, tag in (image.rpartition(":") for image in listed)}
    etcd, coredns = f"v{tags['etcd'].partition('-')[0]}", tags["coredns"]
    etcd_name, coredns_name = "etcd", "coredns"
    if etcd != ETCD:
        etcd_name = f"etcd-{etcd}"
        parts.build(etcd_part(etcd, etcd_name))
    if coredns != COREDNS:
        coredns_name = f"coredns-{coredns}"
        parts.build(coredns_part(coredns, coredns_name))
    return ControlPlane(version, tags["etcd"], tags["pause"], coredns, programs.name, etcd_name, coredns_name)
