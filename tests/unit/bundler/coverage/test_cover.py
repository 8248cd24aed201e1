"""The verdicts: what the scan adds, what it lists, what stops the build."""

from __future__ import annotations

from typing import Any, cast

import pytest
import yaml

from bundler.cluster.usage import Usage, usage
from bundler.coverage.api import Scan
from bundler.coverage.candidates import Certainty, Found
from bundler.coverage.charts import Charts
from bundler.coverage.cover import Covered, cover
from bundler.coverage.lists import Lists, parse_list
from bundler.errors import RecordingIncomplete
from installer_stub.bundle.coverage import decode_coverage, encode_coverage
from installer_stub.bundle.reasons import Scanned
from installer_stub.errors import ClusterError
from installer_stub.host.command import CommandResult
from registry_snapshot.errors import (
    ManifestUnknown,
    NothingForPlatform,
    RegistryError,
    UpstreamError,
    UpstreamUnauthorized,
    UpstreamUnreachable,
)
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_INDEX
from registry_snapshot.oci.reference import Reference
from registry_snapshot.record.closures import PullFailure
from registry_snapshot.record.snapshot import RecordedImage, Snapshot
from tests.unit.bundler.coverage.test_helm import release, secret
from tests.unit.bundler.reporter import Remembering

ROOT = Descriptor(OCI_INDEX, Digest.of(b"index"), 5)
WORDS: dict[str, RegistryError] = {
    "absent": ManifestUnknown("no such image"),
    "foreign": NothingForPlatform("nothing for linux/amd64"),
    "refused": UpstreamUnauthorized("401", "docker login", status=401),
    "broken": UpstreamError("503", status=503),
    "silent": UpstreamUnreachable("no route"),
}


class Source:
    """A recorder whose registries answer by the image's name: ``a/absent:1`` is not there."""

    def __init__(self, *recorded: str, fails: str = "") -> None:
        self.images = {Reference.parse(name) for name in recorded}
        self.asked: list[str] = []
        self._fails = fails

    def look(self, reference: Reference) -> Descriptor:
        self.asked.append(str(reference))
        if error := WORDS.get(reference.repository.path.rpartition("/")[2]):
            raise error
        return ROOT

    def add(self, reference: Reference, reason: str) -> Descriptor:
        assert reason
        self.images.add(reference)
        return ROOT

    def keep_tag(self, tag: Reference, digest: Digest, reason: str) -> Descriptor | None:
        assert reason
        if tag in self.images or Reference(tag.repository, None, digest) not in self.images:
            return ROOT if tag in self.images else None
        self.images.add(tag)
        return ROOT

    def finish(self) -> Snapshot:
        if failed := self.failures():
            raise RegistryError("not complete", failed[0].error.remedy)
        return Snapshot(tuple(RecordedImage(reference, ROOT) for reference in self.images))

    def failures(self) -> tuple[PullFailure, ...]:
        return tuple(PullFailure(each, RegistryError("a layer is gone", "push it again"), "") for each in self.images if self._fails and self._fails in str(each))


class Api:
    """Lists of objects by kind; a kind that cannot be listed answers with an error."""

    def __init__(self, *texts: str, broken: str = "") -> None:
        self._items: list[Any] = [yaml.safe_load(text) for text in texts]
        self._broken = broken

    def run(self, *arguments: str, check: bool = True) -> CommandResult:
        assert arguments[0] == "api-resources"
        assert not check
        kinds = sorted({f"{item['kind'].lower()}s" for item in self._items} | {"events", "secrets"} | ({self._broken} if self._broken else set()))
        return CommandResult(0, "\n".join(kinds), "")

    def items(self, *arguments: str) -> tuple[Any, ...]:
        kinds = arguments[0].split(",")
        assert "events" not in kinds
        assert kinds != ["secrets"] or "--field-selector=type=helm.sh/release.v1" in arguments
        if self._broken in kinds:
            raise ClusterError(f"the server cannot list {self._broken}")
        return tuple(item for item in self._items if f"{item['kind'].lower()}s" in kinds)


def workload(image: str, *, kind: str = "Deployment", more: str = "") -> str:
    return f"kind: {kind}\nmetadata: {{name: it, namespace: shop{more}}}\nspec: {{template: {{spec: {{containers: [{{name: main, image: '{image}'}}]}}}}}}"


def config(text: str, key: str = "helper") -> str:
    return f"kind: ConfigMap\nmetadata: {{name: it, namespace: shop}}\ndata: {{{key}: '{text}'}}"


def covered(source: Source, api: Api, lists: str = "", used: Usage | None = None, *, strict: bool = False, said: Remembering | None = None) -> Covered:
    return cover(source, api, used or Usage(), parse_list(lists) if lists else Lists(), known={}, strict=strict, reporter=said or Remembering())


def names(result: Covered) -> tuple[list[str], list[str]]:
    return [str(each.reference) for each in result.added], [f"{each.answer} {each.reference}" for each in result.coverage.unresolved]


@pytest.mark.parametrize(
    ("text", "added", "listed"),
    [
        (workload("quay.io/a/b:1"), ["quay.io/a/b:1"], []),
        (workload("quay.io/a/b:1", kind="Database"), ["quay.io/a/b:1"], []),
        (config("quay.io/a/b:1"), ["quay.io/a/b:1"], []),
        (config("quay.io/a/absent:1"), [], ["absent quay.io/a/absent:1"]),
        (config("quay.io/a/absent:1", "image"), [], ["absent quay.io/a/absent:1"]),
        (config("quay.io/a/foreign:1", "image"), [], ["for other platforms quay.io/a/foreign:1"]),
        (config("quay.io/a/refused:1"), [], ["could not tell quay.io/a/refused:1"]),
        (config("a/refused:1", "image"), [], ["could not tell docker.io/a/refused:1"]),
        (config("quay.io/a/silent:1"), [], ["could not tell quay.io/a/silent:1"]),
        (config("quay.io/a/broken:1"), [], ["could not tell quay.io/a/broken:1"]),
    ],
)
def test_what_is_fetched_and_what_is_listed(text: str, added: list[str], listed: list[str]) -> None:
    said = Remembering()
    result = covered(Source("docker.io/x/y:1"), Api(text), said=said)
    assert names(result) == (added, listed)
    assert all(any(name.split()[-1] in line for line in said.steps) for name in added + listed)
    assert decode_coverage(encode_coverage(result.coverage)) == result.coverage
    with pytest.raises(RecordingIncomplete, match="strict"):
        covered(Source("docker.io/x/y:1"), Api(text), strict=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (workload("a/absent:1"), "docker.io/a/absent:1: no such image; named by Deployment shop/it, at spec.template.spec.containers"),
        (workload("a/foreign:1"), "nothing for linux/amd64"),
        (workload("a/refused:1"), "401"),
        (workload("a/silent:1"), "no route"),
        (workload("Not An Image"), "is no image reference"),
        (config("quay.io/a/silent:1", "image"), "no route"),
        (config("quay.io/a/broken:1", "image"), "503"),
        (config("quay.io/a/refused:1", "image"), "401"),  # a registry that is named is meant; docker.io says 401 of what it does not have
        (config("used.example/a/broken:1"), "503"),  # of a registry that this build uses
    ],
)
def test_what_stops_the_build(text: str, words: str) -> None:
    with pytest.raises(RecordingIncomplete) as caught:
        covered(Source("used.example/x/y:1"), Api(text))
    assert words in caught.value.problem
    assert "blocked:" in caught.value.remedy


@pytest.mark.parametrize("name", ["b", "absent", "silent"])
def test_a_line_keeps_one_out_and_nobody_asks_for_it(name: str) -> None:
    source, said = Source(), Remembering()
    result = covered(source, Api(workload(f"a/{name}:1")), f"blocked: a/{name}:1 # only in the manual\n", strict=True, said=said)
    assert source.asked == []
    assert names(result) == ([], [])
    (blocked,) = result.coverage.blocked
    assert [str(place) for place in blocked.places] == ["Deployment shop/it, at spec.template.spec.containers[main].image"]
    assert any("kept out" in line and "only in the manual" in line for line in said.steps)


def test_what_the_cluster_pulled_cannot_be_kept_out() -> None:
    with pytest.raises(RecordingIncomplete, match=r"is blocked in images\.txt:1, and the cluster pulled it"):
        covered(Source("a/b:1"), Api(workload("a/b:1")), "blocked: a/b:1 # why\n")


def test_a_blocked_tag_keeps_out_what_is_pinned_beside_it() -> None:
    """A digest that stands alone somewhere, or beside another tag, is another wish."""
    blocked = "blocked: a/b:1 # why\n"
    source = Source()
    result = covered(source, Api(workload(f"a/b:1@{PINNED}")), blocked, strict=True)
    assert (names(result), source.asked) == (([], []), [])
    assert [str(place) for each in result.coverage.blocked for place in each.places] == ["Deployment shop/it, at spec.template.spec.containers[main].image"]
    for other in (f"a/b@{PINNED}", f"a/b:2@{PINNED}"):
        result = covered(Source(), Api(workload(f"a/b:1@{PINNED}"), config(other)), blocked)
        assert [str(each.reference) for each in result.added] == [f"docker.io/a/b@{PINNED}"]
    with pytest.raises(RecordingIncomplete, match=r"docker\.io/a/b:1 is blocked in images\.txt:1, and the cluster pulled it"):
        covered(Source(f"a/b@{PINNED}"), Api(workload(f"a/b:1@{PINNED}")), blocked, used=ran(f"a/b:1@{PINNED}"))
    result = covered(Source(f"a/b@{PINNED}"), Api(workload(f"a/b@{PINNED}"), config(f"a/b:1@{PINNED}")), blocked, used=ran(f"a/b@{PINNED}"))
    assert len(result.coverage.blocked[0].places) == 1, "a word beside it does not make the tag what the cluster pulled"


def ran(image: str) -> Usage:
    """What a pod of Deployment ``it`` says of itself."""
    owners = [{"kind": "Deployment", "name": "it"}]
    return usage([{"kind": "Pod", "metadata": {"name": "it-1", "namespace": "shop", "ownerReferences": owners}, "spec": {"containers": [{"name": "main", "image": image}]}}], ())


def test_what_a_webhook_replaced_is_no_more_than_a_word() -> None:
    """Seen at istio's gateways: the template's image is ``auto``, the pod's is the proxy."""
    pod = {
        "kind": "Pod",
        "metadata": {"name": "it-1", "namespace": "shop", "ownerReferences": [{"kind": "Deployment", "name": "it"}]},
        "spec": {"containers": [{"name": "main", "image": "a/proxy:1"}]},
    }
    result = covered(Source("a/proxy:1"), Api(workload("absent")), used=usage([pod], ()))
    assert names(result) == ([], ["absent docker.io/library/absent:latest"])


def test_copies_and_pods_that_others_look_after_are_not_read_twice() -> None:
    owners = ", ownerReferences: [{kind: Deployment, name: it}]"
    result = covered(Source(), Api(workload("a/old:1", kind="ReplicaSet", more=owners), "kind: Pod\nmetadata: {name: x, ownerReferences: [{kind: Job}]}\nspec: {image: 'a/b:1'}"))
    assert names(result) == ([], [])
    assert names(covered(Source(), Api(workload("a/new:1", kind="ReplicaSet", more=", ownerReferences: [{kind: Rollout}]"))))[0] == ["docker.io/a/new:1"]


def test_hooks_and_tests_of_releases_and_a_release_that_cannot_be_read() -> None:
    said = Remembering()
    torn = {**secret(b"no release"), "metadata": {"name": "torn", "namespace": "shop"}}
    result = covered(Source("quay.io/web/w:1"), Api(yaml.dump(secret(release())), yaml.dump(torn)), said=said)
    assert names(result)[0] == ["quay.io/test/t:1"]
    assert result.coverage.unread == ("helm release in Secret shop/torn",)


def test_a_kind_that_cannot_be_listed_hides_no_other() -> None:
    said = Remembering()
    api = Api(workload("a/b:1"), broken="widgets.example.com")
    result = covered(Source(), api, said=said)
    assert names(result)[0] == ["docker.io/a/b:1"]
    assert result.coverage.unread == ("widgets.example.com",)
    assert any("not looked through: widgets.example.com" in line for line in said.steps)
    with pytest.raises(RecordingIncomplete, match=r"widgets\.example\.com could not be looked through"):
        covered(Source("a/b:1"), api, strict=True)


def test_an_image_that_is_there_and_does_not_come_is_named_with_its_place() -> None:
    with pytest.raises(RecordingIncomplete, match=r"docker\.io/a/b:1: a layer is gone; named by Deployment shop/it"):
        covered(Source(fails="a/b:1"), Api(workload("a/b:1")))


def test_a_silent_registry_is_asked_once() -> None:
    source = Source()
    covered(source, Api(config("one quay.io/a/silent:1 two quay.io/b/silent:2 three ghcr.io/a/b:1")))
    assert sorted(source.asked) == ["ghcr.io/a/b:1", "quay.io/a/silent:1"]


def test_reasons_of_what_ran_are_not_said_twice() -> None:
    pod = {"kind": "Pod", "metadata": {"name": "it", "namespace": "shop"}, "spec": {"containers": [{"name": "main", "image": "a/b:1"}]}}
    used = usage([pod], ())
    result = covered(Source("a/b:1"), Api(yaml.dump(pod), workload("a/b:1")), used=used)
    assert sorted(map(str, result.reasons[Reference.parse("a/b:1")])) == [
        "Deployment shop/it, at spec.template.spec.containers[main].image",
        "Pod shop/it, container main",
    ]


def test_a_pod_that_is_gone_is_no_reason_where_others_say_enough() -> None:
    def gone(namespace: str) -> dict[str, Any]:
        return {"message": 'Pulling image "a/b:1"', "involvedObject": {"kind": "Pod", "name": "it-x7k2p", "namespace": namespace}}

    used = usage([], [gone("shop"), gone("other")])
    result = covered(Source("a/b:1"), Api(workload("a/b:1")), used=used)
    assert sorted(map(str, result.reasons[Reference.parse("a/b:1")])) == [
        "Deployment shop/it, at spec.template.spec.containers[main].image",
        "a pod that is gone, other/it-…",
    ]


PINNED = f"sha256:{'d' * 64}"


def test_a_tag_that_stands_beside_a_digest_is_kept_and_says_why() -> None:
    source = Source()
    lists = parse_list(f"quay.io/a/listed:2@{PINNED}\nblocked: quay.io/a/blocked:1 # no\n")
    source.images.add(Reference.parse(f"quay.io/a/listed@{PINNED}"))
    api = Api(workload(f"quay.io/a/pinned:1.2@{PINNED}"), config(f"quay.io/a/absent:1@{PINNED}"), config(f"quay.io/a/blocked:1@{PINNED}"))
    result = cover(source, api, Usage(), lists, known={}, strict=False, reporter=Remembering())
    assert {str(reference).partition("@")[0] for reference in source.images if reference.digest is None} == {"quay.io/a/pinned:1.2", "quay.io/a/listed:2"}
    reasons = {str(reference): [*map(str, why)] for reference, why in result.reasons.items()}
    assert reasons["quay.io/a/pinned:1.2"] == ["Deployment shop/it, at spec.template.spec.containers[main].image"]
    assert reasons["quay.io/a/listed:2"] == ["images.txt:1"]
    assert [str(each.reference) for each in result.added] == [f"quay.io/a/pinned@{PINNED}"]


def runtime(name: str, handler: str) -> str:
    return f"kind: RuntimeClass\nmetadata: {{name: {name}}}\nhandler: {handler}"


def node(*handlers: str) -> str:
    told = f"{{runtimeHandlers: [{', '.join(f'{{name: {each}}}' for each in handlers)}]}}" if handlers else "{}"
    return f"kind: Node\nmetadata: {{name: n}}\nstatus: {told}"


def sandboxed(name: str, *, kind: str = "Deployment") -> str:
    return f"kind: {kind}\nmetadata: {{name: it, namespace: shop}}\nspec: {{template: {{spec: {{runtimeClassName: {name}, containers: [{{name: main, image: 'a/b:1'}}]}}}}}}"


@pytest.mark.parametrize(
    ("api", "excused", "said"),
    [
        ([runtime("kata", "kata-qemu"), sandboxed("kata"), node("runc")], (), "RuntimeClass kata: no host of the build has its handler 'kata-qemu'; wanted by Deployment shop/it, at spec.template.spec.runtimeClassName"),
        ([runtime("kata", "kata"), sandboxed("kata"), node("runc"), node("kata")], (), ""),
        ([runtime("kata", "kata"), sandboxed("kata"), node("runc")], [("RuntimeClass", "", "kata")], ""),
        ([runtime("kata", "kata"), sandboxed("kata"), node()], (), ""),  # an old kubelet does not say
        ([sandboxed("gvisor"), node()], (), "RuntimeClass gvisor: there is no such class; wanted by Deployment shop/it"),
        ([sandboxed("gvisor", kind="Database"), node("runc")], (), "wanted by Database shop/it"),
        (["kind: Config\nmetadata: {name: it}\nspec: {runtimeClassName: kata}", node("runc")], (), ""),  # no pod's spec
        ([runtime("kata", "kata"), node("runc")], (), ""),  # nobody wants it
    ],
)
def test_a_runtime_class_that_no_host_of_the_build_has_is_named_with_a_remedy(api: list[str], excused: Any, said: str) -> None:
    reporter = Remembering()
    result = cover(Source("a/b:1"), Api(*api), Usage(), Lists(), known={}, strict=False, reporter=reporter, excused=excused)
    told = [step for step in reporter.steps if step.startswith("cannot run on the hosts of this build: ")]
    assert (said in told[0], "conditions.yaml" in told[0]) == (True, True) if said else told == []
    assert decode_coverage(encode_coverage(result.coverage)).runtimes == result.coverage.runtimes
    if said:
        with pytest.raises(RecordingIncomplete, match="RuntimeClass"):
            cover(Source("a/b:1"), Api(*api), Usage(), Lists(), known={}, strict=True, reporter=reporter, excused=excused)


class Branches:
    """Charts whose texts name images that nothing renders."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def scan(self, result: Scan) -> None:
        result.unchosen += [Found(name, Scanned("chart charts/web: values.yaml", "Values.metrics.image"), Certainty.NAMED) for name in self._names]


def test_what_only_a_branch_of_a_chart_names_is_said_and_not_fetched() -> None:
    names = ["quay.io/a/there:1", "quay.io/a/absent:1", "quay.io/a/silent:1", "quay.io/a/refused:1", "a/refused:1", "quay.io/a/run:1", "quay.io/a/kept-out:1", "quay.io/a/listed:1"]
    source, reporter = Source("quay.io/a/listed:1"), Remembering()
    lists = parse_list("blocked: quay.io/a/kept-out:1 # never chosen\nblocked: quay.io/a/nobody:1 # nothing names it\n")
    api, charts = Api(workload("quay.io/a/run:1")), cast("Charts", Branches(*names))
    result = cover(source, api, Usage(), lists, known={}, strict=False, reporter=reporter, charts=charts)
    assert [str(each.reference) for each in result.added] == ["quay.io/a/run:1"]
    assert {f"{each.answer}: {each.reference}" for each in result.coverage.unresolved} == {
        "in a branch of a chart that no value chose: quay.io/a/there:1", "could not tell: quay.io/a/silent:1", "could not tell: quay.io/a/refused:1",
    }  # fmt: skip
    assert not {"quay.io/a/kept-out:1", "quay.io/a/listed:1"} & {*source.asked}
    assert [len(each.places) for each in result.coverage.blocked] == [1, 0]
    (told,) = [step for step in reporter.steps if step.startswith("not in, only a branch of a chart")]
    assert "quay.io/a/there:1" in told
    assert "images.d" in told
    assert decode_coverage(encode_coverage(result.coverage)).unresolved == tuple(sorted(result.coverage.unresolved, key=lambda each: str(each.reference)))
    with pytest.raises(RecordingIncomplete, match=r"quay\.io/a/there:1: in a branch"):
        cover(source, api, Usage(), lists, known={}, strict=True, reporter=reporter, charts=charts)
