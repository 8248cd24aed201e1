"""Rules and links: what is new and of the cluster's kind goes, what was there or is of others stays."""

from __future__ import annotations

import pytest

from installer_stub.ledger.network import is_left_over, new_links, new_tables, parse_rules, removal

BEFORE = """\
*filter
:INPUT ACCEPT
:FORWARD ACCEPT
:DOCKER - [0:0]
-A FORWARD -j DOCKER
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
"""
NOW = """\
*nat
:PREROUTING ACCEPT
:KUBE-SERVICES - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:FLANNEL-POSTRTG - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -j RETURN
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
COMMIT
*filter
:INPUT ACCEPT
:FORWARD ACCEPT
:DOCKER - [0:0]
:THEIRS - [0:0]
:KUBE-FORWARD - [0:0]
-A FORWARD -j DOCKER
-A FORWARD -j KUBE-FORWARD
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 80 -j THEIRS
COMMIT
"""


def test_new_chains_of_our_kind_go_with_the_rules_that_lead_there() -> None:
    assert removal(parse_rules(BEFORE), parse_rules(NOW)).splitlines() == [
        "*nat",
        '-D PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        '-D POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG',
        "-F KUBE-SERVICES",
        "-F CNI-HOSTPORT-DNAT",
        "-F FLANNEL-POSTRTG",
        "-X KUBE-SERVICES",
        "-X CNI-HOSTPORT-DNAT",
        "-X FLANNEL-POSTRTG",
        "COMMIT",
        "*filter",
        "-D FORWARD -j KUBE-FORWARD",
        "-F KUBE-FORWARD",
        "-X KUBE-FORWARD",
        "COMMIT",
    ]


def test_what_was_there_before_stays_whatever_its_name() -> None:
    assert removal(parse_rules(NOW), parse_rules(NOW)) == ""
    assert removal(parse_rules(BEFORE), parse_rules(BEFORE)) == ""


def test_links() -> None:
    now = {"lo": "", "eth0": "", "cni0": "", "flannel.1": "", "veth1": "cni0", "veth2": "docker0", "docker0": "", "wg0": ""}
    assert new_links(["lo", "eth0"], now) == ("veth1", "cni0", "flannel.1")
    assert new_links(["lo", "eth0", "cni0"], now) == ("flannel.1",)


def test_tables() -> None:
    assert new_tables(["ip nat"], ["ip nat", "ip kube-proxy", "inet theirs", "ip flannel-ipv4"]) == ("ip flannel-ipv4", "ip kube-proxy")


HOOK = "\t\ttype nat hook prerouting priority dstnat; policy accept;\n"


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("", True),
        (f"\tchain PREROUTING {{\n{HOOK}\t}}\n", True),
        (f"\tchain PREROUTING {{\n{HOOK}\t\tcounter packets 1 bytes 2 jump KUBE-SERVICES\n\t}}\n\tchain KUBE-SERVICES {{\n\t\tdrop\n\t}}\n", True),
        (f"\tchain PREROUTING {{\n{HOOK}\t\ttcp dport 80 drop\n\t}}\n", False),
        (f"\tchain PREROUTING {{\n{HOOK}\t\tjump THEIRS\n\t}}\n", False),
        ("\tchain THEIRS {\n\t}\n", False),
    ],
)
def test_a_table_goes_when_nothing_of_others_is_in_it(inside: str, expected: object) -> None:
    assert is_left_over(f"table ip nat {{\n{inside}}}\n") is expected
