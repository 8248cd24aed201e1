"""The names in an API server's certificate, and how kubeadm makes one with others.

kubeadm leaves a certificate alone that is there, so the new one is made in memory beside a copy of the CA, and then ``airseal host
place-certificate`` puts it in its place: kube-apiserver reads its own pair again whenever the files change (k8s.io/apiserver,
dynamiccertificates).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any, Final

from installer_stub.distro import units
from installer_stub.distro.kubeadm_config import cluster_configuration, dump
from installer_stub.distro.paths import API_CERTIFICATE
from installer_stub.host.command import Command
from installer_stub.plan.model import API_NAME, API_PORT, STUB, HostPlan, Plan

CONFIG: Final = "/run/airseal/api-certificate.yaml"
_MADE: Final = "/run/airseal/api-certificate"  # in memory, for root alone: a copy of the CA's key lies there for a second
# What kubeadm adds by itself: cmd/kubeadm/app/util/pkiutil, GetAPIServerAltNames.
_ALWAYS: Final = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", API_NAME)

_MAKE: Final = f"""\
PATH={units.PATH}; export PATH; unset {' '.join(units.PROXIES)}; umask 077
rm -rf "$1"; mkdir -p "$1"; trap 'rm -f "$1/ca.crt" "$1/ca.key" "$2"' EXIT
cp /etc/kubernetes/pki/ca.crt /etc/kubernetes/pki/ca.key "$1"
kubeadm init phase certs apiserver --config "$2" >/dev/null
"""


def names_in(certificate: bytes) -> frozenset[str]:
    """Return the names and addresses that a certificate in PEM is for. Raises ValueError for no certificate."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    addresses = (str(address) for address in found.get_values_for_type(x509.IPAddress))
    return frozenset((*found.get_values_for_type(x509.DNSName), *addresses))


def needed_names(plan: Plan, host: HostPlan) -> frozenset[str]:
    """Return the names without which somebody of this site would not believe the API server of ``host``."""
    return frozenset(map(_plain, (API_NAME, "127.0.0.1", host.name, host.internal, host.address, *plan.access.sans)))


def wanted_names(plan: Plan) -> tuple[str, ...]:
    """Return ``certSANs`` as kubeadm's ClusterConfiguration should have them."""
    return tuple(cluster_configuration(plan)["apiServer"]["certSANs"])


def surplus_names(plan: Plan, host: HostPlan, names: Iterable[str]) -> frozenset[str]:
    """Return those of ``names`` that nobody wants any more."""
    service = str(next(ip_network(plan.service_cidr).hosts()))
    return frozenset(names) - {*_ALWAYS, _plain(service), host.name, *needed_names(plan, host), *map(_plain, wanted_names(plan))}


def config(cluster: Mapping[str, Any], host: HostPlan) -> str:
    """Return kubeadm's configuration for the certificate of ``host``; ``cluster`` is the cluster's own ClusterConfiguration."""
    init = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        "localAPIEndpoint": {"advertiseAddress": host.internal, "bindPort": API_PORT},
        "nodeRegistration": {"name": host.name},
    }
    return dump(init, {**cluster, "certificatesDir": _MADE})


def make() -> Command:
    """Return a command that makes the certificate from CONFIG, beside the one that is in use."""
    return Command.shell(_MAKE, _MADE, CONFIG, changes=f"make {API_CERTIFICATE} anew")


def place() -> Command:
    """Return a command that puts what ``make`` made in its place, certificate and key or neither."""
    # A program of its own: it waits for its turn with the host's unit, longer than an agent may be busy with one word.
    return Command.of(STUB, "host", "place-certificate", _MADE, changes=f"put the new {API_CERTIFICATE} in its place")


def _plain(name: str) -> str:
    """Return an address in its one spelling, and a name in lower case."""
    try:
        return str(ip_address(name))
    except ValueError:
        return name.lower()
