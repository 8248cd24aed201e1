"""Which record is the site's, when every host has something to say. Pure.

The highest epoch of any master wins: a master that was off while the site changed has an older one. What is unsound is
healed from a sound one by whoever writes next, and is an error where there is no sound one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from installer_stub.errors import ClusterError, RecordError
from installer_stub.site.model import SiteRecord
from installer_stub.site.store import HostMark, OldMark


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the hosts have in common. ``cluster`` is empty where none of them is in one of ours."""

    cluster: str
    record: SiteRecord | None = None
    old: OldMark | None = None
    masters: tuple[str, ...] = ()  # where nodes say the record can be read


def one_cluster(marks: Mapping[str, HostMark]) -> str:
    """Return the id that all hosts with a mark share, or an empty text. Raises ClusterError naming all where they differ."""
    by_cluster: dict[str, list[str]] = {}
    for address, mark in marks.items():
        if mark.cluster:
            by_cluster.setdefault(mark.cluster, []).append(address)
    if len(by_cluster) > 1:
        parts = "; ".join(f"{', '.join(hosts)}: cluster {cluster}{_titles(marks, hosts)}" for cluster, hosts in sorted(by_cluster.items()))
        fewest = min(by_cluster.values(), key=len)
        raise ClusterError(
            f"these hosts belong to different clusters ({parts}); nothing was changed",
            f"name the hosts of one cluster only; to free a host: reset --node {','.join(fewest)}",
        )
    return next(iter(by_cluster), "")


def choose(marks: Mapping[str, HostMark], in_cluster: SiteRecord | None = None) -> Chosen:
    """Return the site's record and what else its hosts agree on.

    ``in_cluster`` is the copy that the API server keeps, where it was asked. Raises ClusterError for hosts of several
    clusters, RecordError for records that contradict each other and for an unsound one where no sound one is.
    """
    cluster = one_cluster(marks)
    sound = [(address, mark.record) for address, mark in marks.items() if mark.record is not None]
    if in_cluster is not None and (not cluster or in_cluster.cluster == cluster):
        sound.append(("the cluster", in_cluster))
    for address, mark in marks.items():
        if mark.unsound is not None and mark.unsound.newer:
            raise RecordError(f"{address}: {mark.unsound.problem}", mark.unsound.remedy, newer=True)
    if sound:
        return Chosen(cluster or sound[0][1].cluster, _highest(sound, in_cluster))
    for address, mark in marks.items():
        if mark.unsound is not None:
            raise RecordError(
                f"{address}: {mark.unsound.problem}, and there is no sound copy; nothing was changed",
                "name the site's other masters too: each has a copy; or bring /var/lib/airseal there back from a backup",
            )
    masters = tuple(dict.fromkeys(master for mark in marks.values() if mark.identity is not None for master in mark.identity.masters))
    old = next((mark.old for mark in marks.values() if mark.old is not None), None)
    return Chosen(cluster, None, old, masters)


def _highest(sound: list[tuple[str, SiteRecord]], in_cluster: SiteRecord | None) -> SiteRecord:
    epoch = max(record.epoch for _, record in sound)
    best = [(where, record) for where, record in sound if record.epoch == epoch]
    different = {record for _, record in best}
    if len(different) > 1:
        if in_cluster in different:
            return in_cluster  # etcd's word: one value for all masters
        places = ", ".join(f"{where} ({record.changed.by}, {record.changed.at})" for where, record in best)
        raise RecordError(
            f"there are different records of the site, all of epoch {epoch}: {places}; nothing was changed",
            "find out which run was the last one, and remove /var/lib/airseal/site.json on the masters that have the other one",
        )
    return best[0][1]


def _titles(marks: Mapping[str, HostMark], hosts: list[str]) -> str:
    titles = tuple(dict.fromkeys(title for address in hosts for title in marks[address].titles))
    return f" ({', '.join(titles)})" if titles else ""
