"""A node asks the API for kubelet's next client certificate, at half of the present one's life.

kubelet asks by itself, but not before 70 to 90 % of the life are over: a node that is switched off just before that has a
tenth left. The request is kubelet's own: made as the node, for the node, approved by kubeadm's rule for renewals.
certificates.k8s.io/v1; kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from installer_stub.distro.certificates import KUBELET_CLIENT, KUBELET_CONFIG
from installer_stub.errors import InstallerError

_SIGNER: Final = "kubernetes.io/kube-apiserver-client-kubelet"
_PATH: Final = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_TIMEOUT: Final = 20.0  # seconds of one request
_PATIENCE: Final = 60.0  # until the controller manager has signed
_LIMIT: Final = 1 << 20  # bytes of an answer


class NotAnswered(InstallerError):
    """The API did not answer, or not with a certificate. Nothing has changed; there is time to ask again."""


def ask(
    csr: bytes,
    validity: int,
    *,
    kubeconfig: str = KUBELET_CONFIG,
    client: str = KUBELET_CLIENT,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bytes:
    """Return the certificate, in PEM. Raises NotAnswered."""
    try:
        server, context = _cluster(kubeconfig, client)
        made = _call(server, context, "POST", _PATH, _request(csr, validity))
        name = str(made["metadata"]["name"])
        deadline = clock() + _PATIENCE
        while not (certificate := made.get("status", {}).get("certificate")):
            if any(each.get("type") in {"Denied", "Failed"} for each in made.get("status", {}).get("conditions", ())):
                raise NotAnswered(f"the request {name} for kubelet's next certificate was refused")
            if clock() > deadline:
                raise NotAnswered(f"nobody signed the request {name} for kubelet's next certificate")
            sleep(1.0)
            made = _call(server, context, "GET", f"{_PATH}/{name}", None)
        return base64.b64decode(certificate)
    except (OSError, http.client.HTTPException) as error:
        raise NotAnswered(f"the API does not answer: {error}") from None
    except (ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise NotAnswered(f"the API's answer, or {kubeconfig}, cannot be read: {error!r}"[:300]) from None


def _cluster(kubeconfig: str, client: str) -> tuple[str, ssl.SSLContext]:
    """Return where kubelet finds the API, and whom both sides believe."""
    value = yaml.safe_load(Path(kubeconfig).read_text())
    cluster = value["clusters"][0]["cluster"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    context.load_cert_chain(client)
    return str(cluster["server"]), context


def _request(csr: bytes, validity: int) -> dict[str, Any]:
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"generateName": "airseal-kubelet-"},
        "spec": {
            "request": base64.b64encode(csr).decode(),
            "signerName": _SIGNER,
            "usages": ["digital signature", "client auth"],
            "expirationSeconds": validity,
        },
    }


def _call(server: str, context: ssl.SSLContext, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    url = urlsplit(server)
    connection = http.client.HTTPSConnection(url.hostname or "", url.port or 443, timeout=_TIMEOUT, context=context)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data = answer.read(_LIMIT)
        if answer.status >= 300:
            raise NotAnswered(f"the API answers {answer.status}: {data[:200].decode(errors='replace')}")
        value = json.loads(data)
    finally:
        connection.close()
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004 - one error for every answer that is none
    return value
