"""The cluster's own certificate authority, and with it the certificates of the site registries.

The CA is made on the first master and its key stays there, and on other masters once they join. Each registry's key is
made on its own host; only the request and the certificate travel.
"""

from __future__ import annotations

from typing import ClassVar, Final

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.errors import HostError
from installer_stub.host.command import Command
from installer_stub.host.connection import Connection, write
from installer_stub.phases import stub_verbs
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.member import AUTHORITY
from installer_stub.plan import API_NAME, REGISTRY_CA, HostPlan

CERTIFICATE: Final = "/etc/airseal/registry.crt"
KEY: Final = "/etc/airseal/registry.key"
_REQUEST: Final = "/etc/airseal/registry.csr"
_DAYS: Final = 3650  # as long as kubeadm's CA lives

# A first master of another order of --master has joined, not begun: the CA it works with is the cluster's.
_ADOPT: Final = """\
umask 077
if [ -s /etc/kubernetes/pki/ca.key ] && [ -s "$2" ]; then
  rm -rf "$1.new"; mkdir -p "$1.new"; cp -p /etc/kubernetes/pki/ca.crt /etc/kubernetes/pki/ca.key "$1.new/"
else exit 10; fi
"""
_KEEP: Final = 'chmod 0700 "$1.new"; chmod 0600 "$1.new"/*; sync "$1.new"/*; rm -rf "$1"; mv -T "$1.new" "$1"; sync "${1%/*}"'


class CreateAuthority(Phase):
    """CA on the first master, certificate on every master, CA certificate on every host."""

    title: ClassVar[str] = "Create the certificate authority"

    def is_needed(self, context: Context) -> bool:
        """Look for the CA everywhere, and for registry certificates made with it for the masters' addresses."""
        authority = context.first.read(f"{AUTHORITY}/ca.crt")
        key = context.first.run(Command.of("test", "-s", f"{AUTHORITY}/ca.key"), check=False).ok
        if not authority or not key:
            return True
        trusted = context.each(context.plan.hosts, lambda _host, connection: connection.read(REGISTRY_CA) == authority)
        signed = context.each(
            context.plan.masters,
            lambda host, connection: _is_signed(host, connection, authority),
        )
        return not (all(trusted.values()) and all(signed.values()))

    def run(self, context: Context) -> None:
        """Make what is missing, in the order in which one needs the other."""
        authority = _authority(context)

        def trust(_host: HostPlan, connection: Connection) -> None:
            write(connection, REGISTRY_CA, authority)

        context.each(context.plan.hosts, trust)
        for host in context.plan.masters:
            if not _is_signed(host, context.connection(host), authority):
                _sign(context, host, authority)

    def undo(self, context: Context) -> None:
        """Remove keys and certificates."""
        script = 'rm -rf -- "$@"'
        remove = Command.shell(script, AUTHORITY, f"{AUTHORITY}.new", CERTIFICATE, KEY, _REQUEST, REGISTRY_CA, changes="remove keys")
        context.each(context.reachable(), lambda _host, connection: connection.run(remove))


def _authority(context: Context) -> bytes:
    """Return the CA's certificate; make the CA if there is none. It appears whole or not at all."""
    first = context.first
    key = first.run(Command.of("test", "-s", f"{AUTHORITY}/ca.key"), check=False).ok
    if not key:
        changes = "make the cluster's certificate authority"
        adopted = first.run(Command.shell(_ADOPT, AUTHORITY, REGISTRY_CA, changes=changes), check=False)
        if not adopted.ok:
            first.run(Command.of("rm", "-rf", f"{AUTHORITY}.new", changes=changes))
            first.run(KUBEADM.new_authority(context.plan, f"{AUTHORITY}.new"))
        first.run(Command.shell(_KEEP, AUTHORITY, changes=changes))
    certificate = first.read(f"{AUTHORITY}/ca.crt")
    if not certificate:
        raise HostError(first.host.address, f"there is no {AUTHORITY}/ca.crt", "reset the hosts and install again")
    return certificate


def _stamp(host: HostPlan) -> bytes:
    return f"# airseal registry {host.address}\n".encode()  # readers of PEM skip what is outside the blocks


def _is_signed(host: HostPlan, connection: Connection, authority: bytes) -> bool:
    """The file names the address and ends with the CA; it is written after the key, so the key fits."""
    certificate = connection.read(CERTIFICATE) or b""
    key = connection.run(Command.of("test", "-s", KEY), check=False).ok
    return key and certificate.startswith(_stamp(host)) and certificate.endswith(authority)


def _sign(context: Context, host: HostPlan, authority: bytes) -> None:
    connection = context.connection(host)
    connection.run(Command.of("rm", "-f", CERTIFICATE, changes="remove an old registry certificate"))
    connection.run(
        stub_verbs.new_key(
            KEY,
            _REQUEST,
            name="airseal-registry",
            addresses=(host.address, "127.0.0.1"),
            names=(host.name, API_NAME, "localhost"),
        ),
    )
    request = connection.read(_REQUEST)
    if not request:
        raise HostError(host.address, f"{_REQUEST} was not made")
    signed = context.first.run(stub_verbs.sign(f"{AUTHORITY}/ca.crt", f"{AUTHORITY}/ca.key", request, days=_DAYS))
    if "-----BEGIN CERTIFICATE-----" not in signed.stdout:
        raise HostError(context.first.host.address, "signing the registry's certificate gave no certificate")
    leaf = signed.stdout.strip().encode() + b"\n"
    write(connection, CERTIFICATE, _stamp(host) + leaf + authority)
