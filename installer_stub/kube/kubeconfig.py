"""An administrator's kubeconfig as the three values it is made of. Nothing else in the file of a host passes.

What a host says is data: a kubeconfig may name programs to run (``exec``), proxies, and that nothing is to be verified.
Fields: kubernetes.io/docs/reference/config-api/kubeconfig.v1.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Self

import yaml
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from installer_stub.errors import ClusterError

LIMIT: Final = 1 << 20  # bytes; kubeadm's has 6 KB
_REMEDY: Final = "look who wrote it there; kubeadm init phase kubeconfig admin makes it again"
_USER: Final = "kubernetes-admin"


@dataclass(frozen=True, slots=True)
class AdminAccess:
    """Which API server to believe, and who one is to it."""

    authority: tuple[x509.Certificate, ...]
    certificate: tuple[x509.Certificate, ...]  # the client's own first
    key: PrivateKeyTypes = field(repr=False)

    @classmethod
    def parse(cls, raw: bytes, where: str) -> Self:
        """Return what the current context of a kubeconfig leads to. Raises ClusterError, which names ``where`` and quotes nothing."""
        cluster, user = _current(raw, where)
        access = cls(
            _value(cluster, "certificate-authority-data", x509.load_pem_x509_certificates, where),
            _value(user, "client-certificate-data", x509.load_pem_x509_certificates, where),
            _value(user, "client-key-data", lambda pem: serialization.load_pem_private_key(pem, None), where),
        )
        mine = _public(access.key)
        if mine is None or mine != _public(access.certificate[0]):
            raise ClusterError(f"{where}: its client key is not that of its client certificate", _REMEDY)
        return access

    def check_authority(self, known: bytes, where: str) -> None:
        """Compare public keys with the CA in the PEM text ``known``: a renewed certificate of the same CA is the same CA.

        Raises ClusterError, which names ``where``.
        """
        try:
            expected = {_public(each) for each in x509.load_pem_x509_certificates(known)} - {None}
        except (ValueError, UnsupportedAlgorithm):
            raise ClusterError("the cluster's CA certificate on its hosts is no certificate", "run the same command again") from None
        if not {_public(each) for each in self.authority} <= expected:
            raise ClusterError(
                f"{where} names another CA than the one that this cluster was made with: no kubeconfig is written",
                "find out who changed it: whoever uses that file talks to somebody else's API server",
            )

    def render(self, server: str, cluster: str, others: Mapping[str, str] = MappingProxyType({})) -> bytes:
        """Return a kubeconfig with the API at ``server``. The same values are the same bytes.

        kubectl knows no second address for one cluster. So ``others`` (context → server) are contexts of their own:
        ``kubectl --context m2``.
        """
        from installer_stub.distro.kubeadm_config import dump

        current = f"{_USER}@{cluster}"
        contexts = {current: (cluster, server), **{name: (f"{cluster}-{name}", url) for name, url in others.items()}}
        authority = _certificates(self.authority)
        value = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": name, "cluster": {"server": url, "certificate-authority-data": authority}} for name, url in contexts.values()
            ],
            "users": [
                {
                    "name": _USER,
                    "user": {"client-certificate-data": _certificates(self.certificate), "client-key-data": _private(self.key)},
                }
            ],
            "contexts": [{"name": context, "context": {"cluster": name, "user": _USER}} for context, (name, _) in contexts.items()],
            "current-context": current,
        }
        return dump(value).encode()


def replaces(new: bytes, old: bytes) -> bool:
    """Tell whether a kubeconfig says what ``old`` says but for the client's certificate and key: nothing of it is lost then."""
    try:
        found: list[Any] = [yaml.safe_load(raw) for raw in (new, old) if len(raw) <= LIMIT]
        return len(found) == 2 and _without_client(found[0]) == _without_client(found[1])
    except (yaml.YAMLError, LookupError, TypeError, AttributeError, ValueError, RecursionError):
        return False


def _without_client(value: Any) -> Any:
    own = ("client-certificate-data", "client-key-data")
    users = [{**each, "user": {name: item for name, item in each["user"].items() if name not in own}} for each in value["users"]]
    return {**value, "users": users}


def _current(raw: bytes, where: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return cluster and user of the current context."""
    try:
        # From None: the parser's error would quote the file, and the file has a private key.
        value: Any = yaml.safe_load(raw) if len(raw) <= LIMIT else None
        context = _named(value["contexts"], value["current-context"], "context")
        return _named(value["clusters"], context["cluster"], "cluster"), _named(value["users"], context["user"], "user")
    except (yaml.YAMLError, LookupError, TypeError, ValueError, RecursionError):
        raise ClusterError(f"{where} is no kubeconfig with one current context", _REMEDY) from None


def _named(items: Any, name: Any, kind: str) -> Mapping[str, Any]:
    """Return what the one item of that name holds. Raises LookupError, TypeError."""
    found = [item[kind] for item in items if item["name"] == name]
    if len(found) != 1 or not isinstance(found[0], dict):
        raise LookupError
    return found[0]


def _value(fields: Mapping[str, Any], name: str, load: Callable[[bytes], Any], where: str) -> Any:
    """Return a field, base64 of PEM, as what ``load`` makes of it; several certificates as a tuple."""
    text = fields.get(name)
    pem = "".join(text.split()) if isinstance(text, str) else ""
    try:
        loaded = load(base64.b64decode(pem, validate=True))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ClusterError(f"{where} has no {name} in PEM", _REMEDY) from None
    return tuple(loaded) if isinstance(loaded, list) else loaded


def _public(owner: x509.Certificate | PrivateKeyTypes) -> bytes | None:
    """Return the public key's DER; None for a kind of key that the library does not know."""
    try:
        return owner.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UnsupportedAlgorithm:
        return None


def _certificates(certificates: tuple[x509.Certificate, ...]) -> str:
    return base64.b64encode(b"".join(each.public_bytes(Encoding.PEM) for each in certificates)).decode()


def _private(key: PrivateKeyTypes) -> str:
    return base64.b64encode(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())).decode()
