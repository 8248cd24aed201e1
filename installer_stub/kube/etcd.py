"""etcd as its members see it: who they are, who is well, and letting one go. Asked through a master's own etcd pod."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from installer_stub.distro.datastore import ETCD
from installer_stub.errors import ClusterError
from installer_stub.kube.kubectl import Kubectl

_PATIENCE: Final = ("--command-timeout=5s", "--dial-timeout=2s")


@dataclass(frozen=True, slots=True)
class EtcdMember:
    """One member. ``identity`` is hexadecimal; ``healthy`` None: it was not asked, as it has not started."""

    identity: str
    name: str
    peers: tuple[str, ...]  # peer URLs
    learner: bool
    healthy: bool | None

    def is_at(self, address: str) -> bool:
        """Tell whether this is the member of the master at ``address``."""
        return ETCD.peer(address) in self.peers


def parse_members(members: str, health: str) -> tuple[EtcdMember, ...]:
    """Return the members from ``etcdctl member list`` and ``etcdctl endpoint health --cluster``, both as JSON.

    Raises ClusterError for anything else.
    """
    try:
        listed = json.loads(members)["members"]
        asked = {str(each["endpoint"]): bool(each.get("health")) for each in json.loads(health or "[]")}
        return tuple(_member(item, asked) for item in listed)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ClusterError(f"etcd's list of members cannot be read: {members[:200]!r}") from None


def after_removal(members: tuple[EtcdMember, ...], going: EtcdMember) -> tuple[int, int]:
    """Return how many voters are well once ``going`` has left, and how many are needed then."""
    staying = [member for member in members if member.identity != going.identity and not member.learner]
    return sum(member.healthy is True for member in staying), len(staying) // 2 + 1


class Etcd:
    """etcd through the pod of the master whose node is ``node``."""

    def __init__(self, kubectl: Kubectl, node: str) -> None:
        self._kubectl = kubectl
        self._exec = ("-n", "kube-system", "exec", ETCD.pod(node), "-c", ETCD.container, "--request-timeout=60s", "--", *ETCD.client, *_PATIENCE)

    def members(self) -> tuple[EtcdMember, ...]:
        """Return all members with their health. Raises CommandFailed where etcd has no quorum, ClusterError."""
        listed = self._kubectl.run(*self._exec, "member", "list", "--write-out=json").stdout
        # Status 1: some are not well, and it says which.
        health = self._kubectl.run(*self._exec, "endpoint", "health", "--cluster", "--write-out=json", check=False).stdout
        return parse_members(listed, health)

    def remove(self, member: EtcdMember) -> None:
        """Let a member go."""
        self._kubectl.run(*self._exec, "member", "remove", member.identity, changes=f"remove {member.name or member.identity} from etcd")


def _member(item: Mapping[str, Any], health: Mapping[str, bool]) -> EtcdMember:
    clients = [str(url) for url in item.get("clientURLs") or []]
    known = [health[url] for url in clients if url in health]
    return EtcdMember(
        identity=f"{int(item['ID']):x}",
        name=str(item.get("name", "")),
        peers=tuple(str(url) for url in item.get("peerURLs") or []),
        learner=bool(item.get("isLearner")),
        healthy=any(known) if known else None,
    )
