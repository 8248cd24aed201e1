"""What a bundle holds and why: as a table, as JSON, as a page, by its file or by its name."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bundler.cli import run
from bundler.coverage.page import page
from bundler.coverage.remembered import recall, remember
from bundler.coverage.report import Report, left_out, report_json, table
from bundler.errors import BuildError, UsageError
from installer_stub.bundle.coverage import (
    Answer,
    Blocked,
    Coverage,
    Signatures,
    Unresolved,
    Vouched,
    decode_coverage,
    encode_coverage,
)
from installer_stub.bundle.model import ImageLock, LockedImage
from installer_stub.bundle.names import COVERAGE
from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.reasons import Attached, Listed, Reason, Recorded, Scanned
from installer_stub.errors import BundleError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.media_types import OCI_INDEX
from registry_snapshot.oci.reference import Reference
from tests.unit.installer_stub.bundle.sealed import ingredients

ROOT = Descriptor(OCI_INDEX, Digest.of(b"index"), 5)
HOSTILE = "</li><script>alert(1)</script>\"'&\x1b[2J\u202e"


def locked(name: str, *reasons: Reason) -> LockedImage:
    return LockedImage(Reference.parse(name), ROOT, (ROOT.digest,), reasons, 1_500_000)


CRON = Scanned("CronJob shop/nightly", "spec.image")
LOCK = ImageLock((locked("a/ran:1", Recorded("Deployment shop/api", "api"), CRON), locked("a/scanned:1", CRON), locked("a/told:1", CRON, Listed("images.txt:1"))))
OUT = Coverage(
    (Unresolved(Reference.parse("a/gone:1"), Answer.ABSENT, (CRON,)),),
    (Blocked(Reference.parse("a/not:1"), "too large", "images.d/x.txt:2"), Blocked(Reference.parse("a/no:1"), HOSTILE, "images.txt:9", (Scanned(HOSTILE, HOSTILE),))),
    ("widgets.example.com",),
)
REPORT = Report("shop:1.4.0", LOCK, OUT, {Reference.parse("a/ran:1"): 0.0})


def test_the_table_says_how_each_image_came_in_and_what_did_not() -> None:
    lines = list(table(REPORT))
    assert [line.split()[0:4] for line in lines[:3]] == [
        ["docker.io/a/ran:1", "1.4", "MiB", "recorded"],
        ["docker.io/a/scanned:1", "1.4", "MiB", "scanned"],
        ["docker.io/a/told:1", "1.4", "MiB", "listed"],
    ]
    assert lines[0].endswith("Deployment shop/api, container api (and 1 more)")
    assert lines[3] == "3 images: 1 recorded, 1 scanned, 1 listed"
    assert lines[4] == "not in, absent: docker.io/a/gone:1, named by CronJob shop/nightly, at spec.image"
    assert lines[5] == "kept out: docker.io/a/not:1 (images.d/x.txt:2: too large), and nothing names it"
    assert lines[-1] == "not looked through: widgets.example.com"
    assert next(left_out(Report("x:1", LOCK, None, {}))).startswith("this bundle was built without a scan")


def test_what_is_attached_is_no_image_and_who_signed_is_told(tmp_path: Path) -> None:
    signature = locked("a/ran:sha256-0.sig", Attached("signature", "docker.io/a/ran@sha256:0"))
    held = Signatures(Digest.of(b"policy"), (Vouched(Reference.parse("a/ran:1"), "sha256:" + "a" * 64), Vouched(Reference.parse("a/told:1"), unsigned="nobody signs it")))
    report = Report("shop:1.4.0", ImageLock((*LOCK.images, signature)), replace(OUT, signatures=held), {})
    lines = list(table(report))
    assert lines[1].split()[3:] == ["attached", "signature", "of", "docker.io/a/ran@sha256:0"]
    assert lines[4] == "3 images: 1 recorded, 1 scanned, 1 listed; 1 signatures and the like"
    value = report_json(report)["signatures"]
    assert value == {"policy": str(held.policy), "images": [{"reference": str(each.reference), "key": each.key, "unsigned": each.unsigned} for each in held.images]}
    remember(tmp_path, report)
    assert encode_coverage(recall(tmp_path, "shop:1.4.0").coverage or Coverage()) == encode_coverage(report.coverage or Coverage())


def test_signatures_in_the_document_there_and_back_and_nothing_but_their_form() -> None:
    held = Signatures(Digest.of(b"policy"), (Vouched(Reference.parse("a/b:2"), "sha256:" + "a" * 64), Vouched(Reference.parse("a/b:1"), unsigned="x")))
    raw = encode_coverage(replace(OUT, signatures=held))
    value = json.loads(raw)
    assert value["format"] == "airseal.coverage/2"
    assert encode_coverage(decode_coverage(raw)) == raw
    first, second = value["signatures"]["images"]
    images: list[object] = [
        [second, first], [first, first], [{**first, "key": second["key"]}], [{**first, "unsigned": ""}], [{**second, "key": "SHA256:" + "A" * 64}], [{**first, "more": 1}], "x",
    ]  # fmt: skip
    wrong = [{**value, "signatures": {**value["signatures"], "images": each}} for each in images]
    wrong += [{**value, "signatures": {**value["signatures"], "policy": "x"}}, {**value, "format": "airseal.coverage/1"}, {name: each for name, each in value.items() if name != "signatures"}]
    for each in wrong:
        with pytest.raises(BundleError):
            decode_coverage(json.dumps(each, indent=1, ensure_ascii=False).encode() + b"\n")


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_and_obeys_no_name() -> None:
    tags = Tags()
    tags.feed(page(REPORT))
    assert "script" not in tags.tags
    assert not tags.attributes & {"src", "href", "onload", "onclick"}
    assert "</li><script>alert(1)</script>" in tags.text  # shown as what it is
    assert not {"\x1b", "\u202e"} & set(page(REPORT))
    assert "1970-01-01 00:00:00Z" in tags.text
    assert page(REPORT) == page(REPORT)


def test_the_document_there_and_back_and_nothing_but_its_form() -> None:
    raw = encode_coverage(OUT)
    assert encode_coverage(decode_coverage(raw)) == raw
    value = json.loads(raw)
    wrong = [{**value, "more": 1}, {**value, "format": "x"}, {**value, "unresolved": [{}]}, {**value, "unread": 3}, {**value, "unread": ["b", "a"]}, []]
    wrong += [{**value, "unresolved": [{**value["unresolved"][0], "answer": "perhaps"}]}, {**value, "unresolved": [{**value["unresolved"][0], "places": [{"kind": "pulled"}]}]}]
    for each in wrong:
        with pytest.raises(BundleError, match=r"coverage\.json"):
            decode_coverage(json.dumps(each, indent=1).encode() + b"\n")


def test_a_build_is_remembered_and_a_torn_memory_is_said(tmp_path: Path) -> None:
    path = remember(tmp_path, REPORT)
    assert recall(tmp_path, "shop:1.4.0") == Report("shop:1.4.0", LOCK, decode_coverage(encode_coverage(OUT)), REPORT.first_seen)
    with pytest.raises(UsageError, match=r"shop:1\.5\.0"):
        recall(tmp_path, "shop:1.5.0")
    with pytest.raises(UsageError):
        recall(tmp_path, "../shop:1.4.0")
    for text in ("{", "[]", "{}", json.dumps({**json.loads(path.read_text()), "format": "x"}), json.dumps({**json.loads(path.read_text()), "lock": "{}"})):
        path.write_text(text)
        with pytest.raises(BuildError):
            recall(tmp_path, "shop:1.4.0")


def test_the_verb_reads_an_artifact_and_knows_the_times_of_its_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = ingredients(tmp_path)
    sealed = made.seal(tmp_path / "shop.run", documents={COVERAGE: encode_coverage(OUT)})
    with Bundle.open(sealed) as bundle:
        bundle.verify()
        assert bundle.coverage == decode_coverage(encode_coverage(OUT))
    name = made.lock.images[0].reference
    remember(tmp_path, Report(made.info.title, made.lock, OUT, {name: 60.0}))
    html = tmp_path / "coverage.html"
    assert run(["coverage", str(sealed), "--cache", str(tmp_path), "--json", "--html", str(html)]) == 0
    value = json.loads(capsys.readouterr().out)
    assert [image["reference"] for image in value["images"]] == [str(image.reference) for image in made.lock.images]
    assert value["images"][0]["firstSeen"] == "1970-01-01 00:01:00Z"
    assert value["unread"] == ["widgets.example.com"]
    assert html.read_text().startswith("<!DOCTYPE html>")
    assert run(["coverage", made.info.title, "--cache", str(tmp_path)]) == 0
    assert str(name) in capsys.readouterr().out
    assert run(["coverage", "other:1", "--cache", str(tmp_path)]) == 2
    assert run(["coverage", str(tmp_path / "absent.run")]) == 3


def test_a_document_with_more_than_it_says_is_no_whole_bundle(tmp_path: Path) -> None:
    sealed = ingredients(tmp_path).seal(tmp_path / "shop.run", documents={COVERAGE: encode_coverage(OUT) + b" "})
    with Bundle.open(sealed) as bundle, pytest.raises(BundleError, match="says more"):
        bundle.verify()
