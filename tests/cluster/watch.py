"""What hosts see while something is done to the site: every registry, and every API server, several times a second."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from tests.testbed.hosts import TestBed

CURL_NOT_BELIEVED = 60  # curl's exit status for a server whose certificate is not signed by whom it was told to believe
_PATIENCE = ("0", "28")  # an answer, and one that takes longer than our patience: a busy machine, not a server that is away
API = 6443
_LOOK = """\
: > /run/watch
while :; do
  for master in %(masters)s; do
    curl -s -o /dev/null -m 3 --cacert /etc/airseal/ca.crt https://$master:5443/v2/; echo "registry $master $? $(date +%%s%%N)"
  done
  curl -skf -o /dev/null -m 3 https://127.0.0.1:%(port)d/readyz; echo "api - $? $(date +%%s%%N)"
  sleep 0.2
done >> /run/watch
"""
NANO = 1_000_000_000


@dataclass
class Watch:
    """Looks on every host from the beginning of a ``with`` to its end. On a node the API is asked through its balancer."""

    bed: TestBed
    lines: dict[str, list[list[str]]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        text = _LOOK % {"masters": " ".join(master.address for master in self.bed.masters), "port": API}
        for host in self.bed.hosts:
            host.run(f"cat > /run/watch.sh <<'W'\n{text}W\nsystemd-run --quiet --unit=watch sh /run/watch.sh")
        return self

    def __exit__(self, *_: object) -> None:
        self.fetch()
        for host in self.bed.hosts:
            host.run("systemctl stop watch", check=False)

    def fetch(self) -> None:
        """Read what was seen until now."""
        for host in self.bed.hosts:
            self.lines[host.name] = [line.split() for line in host.run("cat /run/watch").stdout.splitlines() if len(line.split()) == 4]

    def registries(self, last: int = 0) -> list[tuple[str, int]]:
        """Return host with registry, and curl's exit status; of each only the ``last`` ones, if that is not 0."""
        self.fetch()
        found: list[tuple[str, int]] = []
        for name, lines in self.lines.items():
            for master in self.bed.masters:
                seen = [int(status) for kind, address, status, _ in lines if (kind, address) == ("registry", master.address)]
                found += [(f"{name} {master.address}", status) for status in seen[-last:]]
        return found

    def downs(self, name: str) -> list[tuple[float, float]]:
        """Return from when to when the API did not say on that host that it is ready, in seconds."""
        found: list[tuple[float, float]] = []
        begun = 0
        for kind, _, status, at in self.lines[name]:
            if kind != "api":
                continue
            if status not in _PATIENCE:
                begun = begun or int(at)
            elif begun and status == "0":
                found.append((begun / NANO, int(at) / NANO))
                begun = 0
        return found

    @property
    def api_downs(self) -> dict[str, list[tuple[float, float]]]:
        """Of every master that was away at all."""
        return {master.name: downs for master in self.bed.masters if (downs := self.downs(master.name))}

    def together(self) -> list[tuple[str, str]]:
        """Return the masters whose own API servers were away at one moment."""
        all_of_them = [(name, *down) for name, downs in self.api_downs.items() for down in downs]
        return [(one, two) for one, begin, end in all_of_them for two, other, until in all_of_them if one < two and begin < until and other < end]

    def text(self) -> str:
        """Return it for people."""
        lines = [f"{name}: away {', '.join(f'{end - begin:.1f} s' for begin, end in downs)}" for name, downs in self.api_downs.items()]
        lines += [f"{node.name}, through its balancer: away {[f'{end - begin:.1f} s' for begin, end in self.downs(node.name)]}" for node in self.bed.nodes]
        return "\n".join(lines)
