"""The recorder alone: it records until it is stopped, says what it holds, and what it holds can be read and served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_snapshot.store.layout_index import parse_layout_index
from tests.airseal_process import Airseal, Ended, airseal
from tests.unit.registry_snapshot.artifacts import make_artifact, put_as
from tests.unit.registry_snapshot.images import Image, make_image
from tests.unit.registry_snapshot.upstream_fake import FakeUpstream, plain

INCOMPLETE = 8
NOT_THERE = "quay.io/team/none:1"


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeUpstream]:
    with FakeUpstream(tmp_path_factory.mktemp("upstream")) as server:
        yield server


@pytest.fixture(scope="module")
def image(upstream: FakeUpstream) -> Image:
    image = make_image(upstream.blobs, "a", layer_sizes=(200_000, 0))
    upstream.tag("quay.io/team/app:1", image.descriptor)
    upstream.fault = lambda request: plain(403) if "/secret/" in request.path else None
    return image


def record(upstream: FakeUpstream, into: Path) -> Airseal:
    mirror = f"quay.io={upstream.base_for('quay.io')}"
    return Airseal("record", "--listen", "127.0.0.1:0", "--into", into, "--mirror", mirror, wait_for="recording")


@pytest.fixture(scope="module")
def recorded(upstream: FakeUpstream, image: Image, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """A recording of one HEAD and of one tag that is nowhere, and how its recorder ended."""
    into = tmp_path_factory.mktemp("made") / "recording"
    with record(upstream, into) as recorder:
        assert recorder.get("/v2/team/app/manifests/1?ns=quay.io", "HEAD")[0] == 200
        assert recorder.get("/v2/team/none/manifests/1?ns=quay.io", "HEAD")[0] == 404
        second = airseal("record", "--into", into)
        assert (second.code, "another process records" in second.err) == (1, True)
        return into, recorder.end()


def test_it_ends_when_told_to_and_says_what_it_holds(recorded: tuple[Path, Ended], image: Image) -> None:
    _, ended = recorded
    assert ended.code == 0
    (event,) = [event for event in ended.events if event["event"] == "recorded"]
    (held,) = event["images"]
    assert (held["reference"], held["digest"], held["problem"]) == ("quay.io/team/app:1", str(image.descriptor.digest), "")
    assert held["blobs"] == [str(part.digest) for part in (image.descriptor, image.config, *image.layers)]
    assert [(pull["method"], pull["client"]) for pull in held["pulls"]] == [("HEAD", "127.0.0.1")]
    assert any(NOT_THERE in str(event) for event in ended.events)


def test_what_it_leaves_is_an_oci_layout(recorded: tuple[Path, Ended], image: Image) -> None:
    into, _ = recorded
    assert [(str(name), root) for name, root in parse_layout_index((into / "index.json").read_bytes())] == [("quay.io/team/app:1", image.descriptor)]
    assert json.loads((into / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}


def test_what_it_leaves_is_served_without_its_upstream(recorded: tuple[Path, Ended], upstream: FakeUpstream, image: Image) -> None:
    into, _ = recorded
    asked = len(upstream.requests)
    with Airseal("serve", into, "--listen", "127.0.0.1:0", wait_for="serving") as registry:
        assert registry.get("/v2/team/app/manifests/1?ns=quay.io") == (200, upstream.blobs.read(image.descriptor.digest))
        assert registry.get(f"/v2/quay.io/team/app/blobs/{image.layers[0].digest}") == (200, upstream.blobs.read(image.layers[0].digest))
        assert registry.get("/v2/team/none/manifests/1?ns=quay.io")[0] == 404
        assert registry.end().code == 0
    assert len(upstream.requests) == asked


def test_a_recording_is_listed_and_explained(recorded: tuple[Path, Ended], image: Image) -> None:
    into, _ = recorded
    listing = airseal("snapshot", into)
    assert listing.code == 0
    assert "quay.io/team/app:1" in listing.out
    assert "1 images, 4 blobs" in listing.out
    explained = airseal("snapshot", into, "quay.io/team/app:1")
    for words in ("HEAD   by 127.0.0.1", "quay.io (mirror localhost", *(str(part.digest) for part in image.layers)):
        assert words in explained.out
    unknown = airseal("snapshot", into, NOT_THERE)
    assert (unknown.code, f"{NOT_THERE} was not recorded" in unknown.err) == (2, True)


def test_verification_hashes_every_byte(recorded: tuple[Path, Ended], image: Image, tmp_path: Path) -> None:
    into, _ = recorded
    assert airseal("snapshot", into, "--verify").code == 0
    path = into / "blobs" / "sha256" / image.layers[0].digest.encoded
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    damaged = airseal("snapshot", into, "--verify", "--json")
    path.write_bytes(whole)
    assert damaged.code == INCOMPLETE
    (problem,) = json.loads(damaged.out)["problems"]
    assert str(path) in problem
    assert airseal("snapshot", into).code == 0


def test_a_pull_that_was_refused_is_named_at_the_end(upstream: FakeUpstream, image: Image, tmp_path: Path) -> None:
    with record(upstream, tmp_path / "recording") as recorder:
        assert recorder.get("/v2/team/secret/app/manifests/1?ns=quay.io", "HEAD")[0] == 403
        ended = recorder.end()
    assert ended.code == INCOMPLETE
    assert "quay.io/team/secret/app:1" in ended.out
    assert "docker login" in ended.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--listen", "5000"], 2, "is not an address"),
        (["--listen", "0.0.0.0:0"], 2, "whoever reaches it would pull with this user's logins"),
        (["--listen", "0.0.0.0:0", "--credential", "LOGIN"], 2, "without TLS: everybody on the way could read the login"),
        (["--platform", "amd64"], 2, "is not a platform"),
        (["--mirror", "quay.io"], 1, "is not NAME=URL"),
        (["--ca", "/none.pem"], 1, "there is no file"),
        (["--docker-config", "/none"], 2, "there is no config.json"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_said_before_anything_is_made(words: list[str], code: int, said: str, tmp_path: Path) -> None:
    into, login = tmp_path / "recording", tmp_path / "login"
    login.touch(0o600)
    login.write_text("me:secret\n")
    ended = airseal("record", "--into", into, *(str(login) if word == "LOGIN" else word for word in words))
    assert (ended.code, said in ended.err) == (code, True), ended.err
    assert "what to do:" in ended.err
    assert not into.exists()


def test_whoever_has_no_login_is_not_let_in(upstream: FakeUpstream, image: Image, tmp_path: Path) -> None:
    login = tmp_path / "login"
    login.touch(0o600)
    login.write_text("me:secret\n")
    asked = len(upstream.requests)
    words = ("--mirror", f"quay.io={upstream.base_for('quay.io')}", "--credential", login)
    with Airseal("record", "--listen", "127.0.0.1:0", "--into", tmp_path / "recording", *words, wait_for="recording") as recorder:
        assert recorder.get("/v2/team/app/manifests/1?ns=quay.io")[0] == 401
        assert recorder.end().code == 0
    assert len(upstream.requests) == asked
    assert (tmp_path / "recording" / "references.jsonl").read_bytes() == b""


def test_a_directory_that_is_no_recording_is_named(tmp_path: Path) -> None:
    ended = airseal("snapshot", tmp_path)
    assert (ended.code, "is no recording" in ended.err) == (1, True)


@pytest.mark.parametrize("without", [False, True])
def test_what_upstream_keeps_for_an_image_is_recorded_at_the_end_and_served(without: bool, upstream: FakeUpstream, tmp_path: Path) -> None:  # noqa: FBT001
    image = make_image(upstream.blobs, "signed")
    signature = make_artifact(upstream.blobs, [put_as(upstream.blobs, "application/x.signature", b"{}")])
    tag = f"sha256-{image.descriptor.digest.encoded}.sig"
    upstream.tag("quay.io/team/signed:1", image.descriptor)
    upstream.tag(f"quay.io/team/signed:{tag}", signature)
    words = ["--without-signatures"] if without else []
    mirror = f"quay.io={upstream.base_for('quay.io')}"
    with Airseal("record", "--listen", "127.0.0.1:0", "--into", tmp_path / "made", "--mirror", mirror, *words, wait_for="recording") as recorder:
        assert recorder.get("/v2/team/signed/manifests/1?ns=quay.io", "HEAD")[0] == 200
        assert airseal("record", "--into", tmp_path / "made").code == 1  # by then the first one waits for its signal
        assert recorder.end().code == 0
    with Airseal("serve", tmp_path / "made", "--listen", "127.0.0.1:0", wait_for="serving") as registry:
        found = registry.get(f"/v2/team/signed/manifests/{tag}?ns=quay.io")
        assert found[0] == (404 if without else 200)
        assert without or found[1] == upstream.blobs.read(signature.digest)
        assert registry.end().code == 0
