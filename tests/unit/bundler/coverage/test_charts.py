"""Charts among the cluster files: rendered as the next upgrade would, with the release's values."""

from __future__ import annotations

import pytest

from bundler.coverage.api import Scan
from bundler.coverage.candidates import Certainty, Found
from bundler.coverage.charts import MAX_CHARTS, Charts
from bundler.coverage.helm import Release
from installer_stub.bundle.reasons import Scanned
from installer_stub.errors import ClusterError, HostUnreachable
from installer_stub.host.command import Command, CommandResult, Secret

POD = "kind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: main, image: 'a/{name}:1'}}]}}\n---\n"
WEB = Release("shop", "web", 3, "deployed", "", (), ("web", "1.2.0"), '{"password": "hunter2"}')


class Host:
    """A host with charts: answers what helm would. ``fails`` is a chart whose templates do not render."""

    def __init__(self, charts: dict[str, str], *, fails: str = "") -> None:
        self.charts = charts
        self.fails = fails
        self.commands: list[Command] = []
        self.broken: Exception | None = None  # what reading the chart's texts ends with

    def run(self, command: Command, *, check: bool = True, timeout: float | None = None) -> CommandResult:
        self.commands.append(command)
        if "find ." in command.text:
            return CommandResult(0, "\n".join(f"./{path}" if path.endswith(".tgz") else f"./{path}/Chart.yaml" for path in self.charts), "")
        assert timeout
        if "mktemp" in command.text:
            if self.broken:
                raise self.broken
            return CommandResult(0, "\x1evalues.yaml\x1dimage: a/branch:1\n", "")
        assert not check
        chart = next(path for path in sorted(self.charts, key=len, reverse=True) if path in command.text)
        if " show " in command.text:
            return CommandResult(0 if self.charts[chart] else 1, self.charts[chart], "no chart")
        if chart == self.fails:
            return CommandResult(1, "", "nil pointer at hunter2")
        return CommandResult(0, POD.format(name="upgrade" if "--is-upgrade" in command.text else "fresh") + POD.format(name="known"), "")


def scanned(host: Host, *releases: Release) -> Scan:
    result = Scan(found=[Found("a/known:1", Scanned("Deployment shop/web", "x"), Certainty.CONTAINER)], releases=list(releases))
    Charts(host, "/opt/airseal/shop-1").scan(result)
    return result


def test_what_no_value_chose_is_kept_apart() -> None:
    result = scanned(Host({"charts/web": "name: web\nversion: 1.2.0\n"}), WEB)
    assert [(each.text, each.place.object) for each in result.unchosen] == [("a/branch:1", "chart charts/web: values.yaml")]
    assert "a/branch:1" not in {each.text for each in result.found}


def test_texts_that_cannot_be_read_are_noted_and_a_host_that_is_gone_ends_it() -> None:
    host = Host({"charts/web": "name: web\nversion: 1.2.0\n"})
    host.broken = ClusterError("it took too long")
    assert scanned(host, WEB).unread == {"values and templates of chart charts/web": "it took too long"}
    host.broken = HostUnreachable("build", "it does not answer")
    with pytest.raises(HostUnreachable):
        scanned(host, WEB)


def news(result: Scan) -> list[tuple[str, str, Certainty]]:
    return [(each.text, each.place.object, each.certainty) for each in result.found[1:]]


def test_a_release_is_rendered_as_its_next_upgrade_with_its_values_on_stdin() -> None:
    host = Host({"charts/web": "dependencies:\n- name: other\nname: web\nversion: 1.2.0\n", "charts/web/charts/sub": "name: sub\nversion: 1\n"})
    assert news(scanned(host, WEB)) == [("a/upgrade:1", "chart charts/web as release shop/web: Pod upgrade", Certainty.CONTAINER)]
    assert not any("hunter2" in command.text for command in host.commands)
    assert [command.stdin.reveal() for command in host.commands if isinstance(command.stdin, Secret)] == [WEB.values]


def test_a_chart_that_nobody_installed_is_no_more_than_a_word() -> None:
    host = Host({"charts/extra-1.0.tgz": "name: extra\nversion: '1.0'\n"})
    assert news(scanned(host, WEB)) == [("a/fresh:1", "chart charts/extra-1.0.tgz: Pod fresh", Certainty.TEXT)]


@pytest.mark.parametrize(
    ("host", "unread"),
    [
        (Host({"charts/web": "name: web\nversion: 1.2.0\n"}, fails="charts/web"), {"chart charts/web as release shop/web": "helm template fails: with the release's values"}),
        (Host({"charts/web": ""}), {"chart charts/web": "helm show chart: no chart"}),
        (Host({"files/data.tgz": ""}), {}),
        (Host({"charts/lib": "name: lib\nversion: 1\ntype: library\n"}), {}),
        (Host({}), {}),
    ],
)
def test_what_cannot_be_rendered_is_said_without_a_value(host: Host, unread: dict[str, str]) -> None:
    result = scanned(host, WEB)
    assert (news(result), result.unread) == ([], unread)


def test_more_charts_than_anybody_has() -> None:
    result = scanned(Host({f"charts/c{number:03}": f"name: c{number}\nversion: 1\ntype: library\n" for number in range(MAX_CHARTS + 2)}))
    assert list(result.unread) == ["chart charts/c050", "chart charts/c051"]


@pytest.mark.parametrize(("error", "raised"), [(ClusterError("x"), False), (HostUnreachable("h", "gone"), True)])
def test_a_host_that_is_gone_is_not_a_chart_that_cannot_be_read(error: Exception, raised: bool) -> None:  # noqa: FBT001
    class Broken(Host):
        def run(self, command: Command, *, check: bool = True, timeout: float | None = None) -> CommandResult:
            raise error

    if raised:
        with pytest.raises(HostUnreachable):
            scanned(Broken({}))
    else:
        assert scanned(Broken({})).unread == {"charts": "x"}
