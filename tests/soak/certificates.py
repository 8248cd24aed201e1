"""Certificates that grow old: by age, by real time, and while the site sleeps. Nobody runs the installer unless it is said."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.cluster.aging import KUBELET, Life, let_all_end, let_all_live
from tests.cluster.watch import Watch
from tests.demo.__main__ import install_command
from tests.soak.installer import Failed, Installer
from tests.soak.restarts import whole
from tests.soak.scenario import Desk, Scenario, Trial
from tests.testbed.hosts import BlankHost

_HOURS = 4  # of a certificate's life here: a master's slot has three minutes then
_ROUNDS = 3 * 180 * 3  # seconds: three rounds of three masters
_AT_ONCE = "rm -f /run/airseal-keep/next-look"  # as after a boot: the stub looks at the next minute
_ENDS = "openssl x509 -noout -enddate -in %s | cut -d= -f2 | xargs -I@ date -d @ +%%s"
_APISERVER = "/etc/kubernetes/pki/apiserver.crt"


def by_age(desk: Desk, *, masters: int, nodes: int) -> None:
    """Half of every certificate's life is over: all hosts renew, one master at a time, and the API is there all the while."""
    with desk.trial(masters, nodes, "--certificate-validity", f"{_HOURS}h") as trial:
        trial.install().expect(0)
        bed = trial.bed
        let_all_live(bed.masters, bed.hosts, Life.past_half(_HOURS * 3600))
        before = _ends(trial)
        with Watch(bed) as watch:
            for host in bed.hosts:
                host.run(_AT_ONCE)
            _until(lambda: all(end > before[place] for place, end in _ends(trial).items()), _ROUNDS, "every certificate is a new one")
            time.sleep(90)  # the last master's control plane comes back
        desk.figures["the API"] = watch.text().replace("\n", "; ")
        if watch.together():
            raise Failed(f"two masters were away at one moment: {watch.together()}\n{watch.text()}")
        if masters > 1 and len(watch.api_downs) < masters:
            raise Failed(f"not every control plane was started again: {watch.text()}")
        whole(bed)


def by_time(desk: Desk) -> None:
    """Certificates of ten minutes, and nothing but time passes: after twenty-five the cluster is as it was."""
    with desk.trial(1, 1, "--certificate-validity", "10m") as trial:
        trial.install().expect(0)
        before = _ends(trial)
        time.sleep(25 * 60)
        late = {place: end for place, end in _ends(trial).items() if end <= time.time()}
        if late:
            raise Failed(f"ended: {late}")
        desk.figures["certificates"] = f"{min(_ends(trial).values()) - min(before.values()):.0f} s later than at first"
        whole(trial.bed)


def slept(desk: Desk, *, masters: int, nodes: int) -> None:
    """Dark past the end of all certificates: the masters come back by themselves, the nodes with the command that is printed."""
    with desk.trial(masters, nodes) as trial:
        trial.install().expect(0)
        bed = trial.bed
        let_all_end(bed.masters, bed.hosts)
        for host in bed.hosts:
            host.run("sync")
            host.power_off()
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda host: host.power_on(), bed.hosts))
        ready = "kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz"
        _until(lambda: all(host.run(ready, check=False).stdout == "ok" for host in bed.masters), 300, "every master's API is ready")
        desk.figures["masters are back after"] = f"{time.monotonic() - began:.0f} s"
        words = install_command(trial.run, bed, trial.directory / "kubeconfig", "--yes")
        with Installer([words[0], "certs", "renew", *words[1:]], trial.directory / "renew.log") as installer:
            installer.wait().expect(0)
        desk.figures["whole after"] = f"{whole(bed):.0f} s"


def _ends(trial: Trial) -> dict[str, float]:
    """Return when kubelets' and API servers' certificates end."""
    found = {f"{host.name} {KUBELET}": _end(host, KUBELET) for host in trial.bed.hosts}
    return found | {f"{host.name} {_APISERVER}": _end(host, _APISERVER) for host in trial.bed.masters}


def _end(host: BlankHost, path: str) -> float:
    return float(host.run(_ENDS % path).stdout)


def _until(what: Callable[[], bool], within: float, said: str) -> None:
    deadline = time.monotonic() + within
    while not what():
        if time.monotonic() > deadline:
            raise Failed(f"not within {within:.0f} s: {said}")
        time.sleep(5)


def scenarios() -> tuple[Scenario, ...]:
    """Return them."""
    found = [Scenario("certificates-by-time", 40, by_time)]
    for masters, nodes in ((1, 1), (3, 1)):
        name, where = f"{masters}+{nodes}", {"masters": masters, "nodes": nodes}
        found.append(Scenario(f"certificates-by-age-{name}", 50, functools.partial(by_age, **where)))
        found.append(Scenario(f"certificates-slept-{name}", 30, functools.partial(slept, **where)))
    return tuple(found)
