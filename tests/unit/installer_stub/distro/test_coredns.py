"""The Corefile of a site without a nameserver."""

from __future__ import annotations

import pytest

from installer_stub.distro.coredns import without_forward

KUBEADM_HEAD = """\
.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
"""
KUBEADM_TAIL = """\
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
"""


@pytest.mark.parametrize(
    "forward",
    [
        "    forward . /etc/resolv.conf {\n       max_concurrent 1000\n    }\n",
        "    forward . /etc/resolv.conf\n",
        "    forward . 10.0.0.1 10.0.0.2 { policy sequential }\n",
        "    forward a. 10.0.0.1 {\n       tls {\n       }\n    }\n    forward . 10.0.0.2\n",
    ],
    ids=["as kubeadm writes it", "one line", "block on one line", "nested, twice"],
)
def test_forward_goes_with_its_block_and_nothing_else(forward: str) -> None:
    assert without_forward(KUBEADM_HEAD + forward + KUBEADM_TAIL) == KUBEADM_HEAD + KUBEADM_TAIL


def test_what_has_no_forward_stays_as_it_is() -> None:
    text = KUBEADM_HEAD + "    # forward . nowhere\n" + KUBEADM_TAIL
    assert without_forward(text) == text
