"""Rules and links that the cluster's network made: what was not there before, and is of a kind that only it makes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

# Chains of kube-proxy and kubelet, of CNI's portmap, of flannel, calico, cilium, kube-router, weave, antrea.
_CHAIN = re.compile(r"(KUBE-|CNI-|FLANNEL-|cali-|CILIUM_|OLD_CILIUM_|WEAVE|ANTREA-|KUBE_)[\w.:-]*")
# Rules of theirs in chains of the host, that jump to no chain of theirs.
_COMMENT = re.compile(r'--comment "?(kubernetes|kube-|flanneld|cali:|cilium|name: \\?"|cni )')
_BUILT_IN: Final = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})
IPTABLES_TABLE = re.compile(r"(ip|ip6) (filter|nat|mangle|raw|security)")
_TABLE = re.compile(r"(ip|ip6|inet) (kube-proxy|flannel-ipv[46]|cni_hostport|cilium[\w-]*)")
LINK = re.compile(
    r"cni\d+|flannel[\w.-]*|kube-ipvs0|kube-bridge|nodelocaldns|cilium_\w+|lxc[0-9a-f]+|lxc_health|cali[\w-]+|tunl0|vxlan(-v6)?\.calico|weave|datapath|antrea-\w+"
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What ``iptables-save`` prints: by table, its own chains and its rules in order."""

    chains: Mapping[str, tuple[str, ...]]
    rules: Mapping[str, tuple[str, ...]]


def parse_rules(text: str) -> Rules:
    """Parse it, without counters and without built-in chains."""
    chains: dict[str, list[str]] = {}
    rules: dict[str, list[str]] = {}
    table = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("*"):
            table = line[1:]
            chains.setdefault(table, [])
            rules.setdefault(table, [])
        elif line.startswith(":") and line.split()[1:2] == ["-"]:
            chains[table].append(line[1:].split()[0])
        elif line.startswith("-A "):
            rules[table].append(line)
    return Rules({name: tuple(each) for name, each in chains.items()}, {name: tuple(each) for name, each in rules.items()})


def removal(before: Rules, now: Rules) -> str:
    """Return the input of ``iptables-restore --noflush`` that takes our kind's new rules and chains away; empty: none."""
    lines: list[str] = []
    for table in now.chains:
        old_chains, old_rules = set(before.chains.get(table, ())), set(before.rules.get(table, ()))
        chains = [chain for chain in now.chains[table] if _CHAIN.fullmatch(chain) and chain not in old_chains]
        gone = set(chains)
        rules = [rule for rule in now.rules[table] if rule not in old_rules and rule.split()[1] not in gone and _is_ours(rule, gone)]
        if not chains and not rules:
            continue
        lines += [f"*{table}", *(f"-D {rule[3:]}" for rule in rules)]
        lines += [*(f"-F {chain}" for chain in chains), *(f"-X {chain}" for chain in chains), "COMMIT"]
    return "".join(f"{line}\n" for line in lines)


def _is_ours(rule: str, gone: set[str]) -> bool:
    words = rule.split()
    jumps = {target for option, target in itertools.pairwise(words) if option in {"-j", "-g"}}
    return bool(jumps & gone) or _COMMENT.search(rule) is not None


def new_tables(before: Iterable[str], now: Iterable[str]) -> tuple[str, ...]:
    """Return the nftables tables (``ip kube-proxy``) that are new and of our kind."""
    return tuple(sorted(table for table in set(now) - set(before) if _TABLE.fullmatch(table)))


def is_left_over(table: str) -> bool:
    """Tell whether ``nft list table`` shows nothing but iptables' own chains without rules, and chains of our kind."""
    chain, ours = "", False
    for raw in table.splitlines():
        line = raw.strip()
        if line.startswith("chain "):
            chain = line.split()[1]
            ours = _CHAIN.fullmatch(chain) is not None
            if not ours and chain not in _BUILT_IN:
                return False
        elif chain and not ours and line not in {"", "}"} and not line.startswith("type "):
            jumps = re.search(r"(?:jump|goto) (\S+)", line)
            if jumps is None or not _CHAIN.fullmatch(jumps[1]):
                return False
    return True


def new_links(before: Iterable[str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Return the links of our kind that are new: first those that hang on one. ``now`` has each link's master."""
    fresh = set(now) - set(before)
    ours = {name for name in fresh if LINK.fullmatch(name)}
    hanging = {name for name in fresh if now[name] in ours and name.startswith("veth")}
    return (*sorted(hanging - ours), *sorted(ours))


SAVES: Final = (
    ("iptables-save", "iptables-restore"),
    ("ip6tables-save", "ip6tables-restore"),
    ("iptables-legacy-save", "iptables-legacy-restore"),
    ("ip6tables-legacy-save", "ip6tables-legacy-restore"),
    ("iptables-nft-save", "iptables-nft-restore"),
    ("ip6tables-nft-save", "ip6tables-nft-restore"),
)
