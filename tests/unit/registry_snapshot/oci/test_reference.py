"""References: the published test table of github.com/distribution/reference, and that reading undoes printing."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_snapshot.errors import DigestInvalid, ReferenceInvalid
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference, Repository, is_tag, looks_like_registry

DIGEST = f"sha256:{'f' * 64}"
HEX = "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a"
SLASHED = "a/" * 127 + "a"

# reference_test.go, TestReferenceParse: what is read, and the repository, tag and digest in it. That test reads names as
# they are; what normalize.go then makes of a short one is done here too, since every client of ours does it.
PARSED = [
    ("test_com", "docker.io/library/test_com", "latest", ""),
    ("test.com:tag", "docker.io/library/test.com", "tag", ""),
    ("test.com:5000", "docker.io/library/test.com", "5000", ""),
    ("test.com/repo:tag", "test.com/repo", "tag", ""),
    ("test:5000/repo", "test:5000/repo", "latest", ""),
    ("test:5000/repo:tag", "test:5000/repo", "tag", ""),
    (f"test:5000/repo@{DIGEST}", "test:5000/repo", "", DIGEST),
    (f"test:5000/repo:tag@{DIGEST}", "test:5000/repo", "tag", DIGEST),
    ("lowercase:Uppercase", "docker.io/library/lowercase", "Uppercase", ""),
    (f"{SLASHED}:tag-puts-this-over-max", f"docker.io/{SLASHED}", "tag-puts-this-over-max", ""),
    ("sub-dom1.foo.com/bar/baz/quux", "sub-dom1.foo.com/bar/baz/quux", "latest", ""),
    ("sub-dom1.foo.com/bar/baz/quux:some-long-tag", "sub-dom1.foo.com/bar/baz/quux", "some-long-tag", ""),
    ("b.gcr.io/test.example.com/my-app:test.example.com", "b.gcr.io/test.example.com/my-app", "test.example.com", ""),
    ("xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com/myimage", "xn--n3h.com", ""),
    (f"xn--7o8h.com/myimage:xn--7o8h.com@{DIGEST}", "xn--7o8h.com/myimage", "xn--7o8h.com", DIGEST),
    ("foo_bar.com:8080", "docker.io/library/foo_bar.com", "8080", ""),
    ("foo/foo_bar.com:8080", "docker.io/foo/foo_bar.com", "8080", ""),
    ("192.168.1.1", "docker.io/library/192.168.1.1", "latest", ""),
    ("192.168.1.1:tag", "docker.io/library/192.168.1.1", "tag", ""),
    ("192.168.1.1:5000", "docker.io/library/192.168.1.1", "5000", ""),
    ("192.168.1.1/repo", "192.168.1.1/repo", "latest", ""),
    ("192.168.1.1:5000/repo", "192.168.1.1:5000/repo", "latest", ""),
    ("192.168.1.1:5000/repo:5050", "192.168.1.1:5000/repo", "5050", ""),
    ("[2001:db8::1]/repo", "[2001:db8::1]/repo", "latest", ""),
    ("[2001:db8:1:2:3:4:5:6]/repo:tag", "[2001:db8:1:2:3:4:5:6]/repo", "tag", ""),
    ("[2001:db8::1]:5000/repo", "[2001:db8::1]:5000/repo", "latest", ""),
    ("[2001:db8::1]:5000/repo:tag", "[2001:db8::1]:5000/repo", "tag", ""),
    (f"[2001:db8::1]:5000/repo@{DIGEST}", "[2001:db8::1]:5000/repo", "", DIGEST),
    (f"[2001:db8::1]:5000/repo:tag@{DIGEST}", "[2001:db8::1]:5000/repo", "tag", DIGEST),
    ("[2001:db8::]:5000/repo", "[2001:db8::]:5000/repo", "latest", ""),
    ("[::1]:5000/repo", "[::1]:5000/repo", "latest", ""),
    (f"example.com/{'a' * 255}:tag", f"example.com/{'a' * 255}", "tag", ""),
    # Go registers sha512 only when it is imported, and containerd imports it.
    (f"validname@sha512:{'f' * 128}", "docker.io/library/validname", "", f"sha512:{'f' * 128}"),
    # normalize_test.go: TestParseReferenceWithTagAndDigest, TestParseAnyReference
    (f"busybox:latest@{DIGEST}", "docker.io/library/busybox", "latest", DIGEST),
    ("redis", "docker.io/library/redis", "latest", ""),
    ("docker.io/library/redis:latest", "docker.io/library/redis", "latest", ""),
    ("dmcgowan/myapp", "docker.io/dmcgowan/myapp", "latest", ""),
    ("docker.io/mcgowan/myapp:latest", "docker.io/mcgowan/myapp", "latest", ""),
    (f"docker.io/dmcgowan/myapp@{DIGEST}", "docker.io/dmcgowan/myapp", "", DIGEST),
    (HEX[:-1], f"docker.io/library/{HEX[:-1]}", "latest", ""),
    ("dbcc1", "docker.io/library/dbcc1", "latest", ""),
]

REFUSED = [
    # reference_test.go, TestReferenceParse
    "", ":justtag", f"@{DIGEST}", "repo@sha256:ffffffffffffffffffffffffffffffffff", f"validname@invaliddigest:{'f' * 64}", "Uppercase:tag",
    "test:5000/Uppercase/lowercase:tag", f"domain/{'a' * 256}:tag", "aa/asdf$$^/aa", "[2001:db8::1]", "[2001:db8::1]:5000",
    "[2001:db8::1]:tag", "[fe80::1%eth0]:5000/repo", "[fe80::1%@invalidzone]:5000/repo",
    # TestWithNameFailure
    f"example.com/{'a' * 256}",
    # normalize_test.go, TestValidateReferenceName
    "https://github.com/docker/docker", "docker/Docker", "-docker", "-docker/docker", "-docker.io/docker/docker", "docker///docker",
    "docker.io/docker/Docker", "docker.io/docker///docker", "[fc00::1]", "[fc00::1]:5000", "fc00::1:5000/debian",
    "[fe80::1%eth0]:5000/debian", "[2001:db8:3:4::192.0.2.33]:5000/debian", HEX,
    # TestValidateRemoteName
    "docker-/docker", "-docker-/docker", "____/____", "_docker/_docker", "dock..er/docker", "dock_.er/docker", "dock-.er/docker",
    "docker/", "this_is_not_a_valid_namespace_because_its_lenth_is_greater_than_255_" * 4 + "/docker",
    # ours
    "a//b", "a/../b", "quay.io/a:", "quay.io/a:.x", "quay.io/", "quay.io/a b", "quay.io/a\n", "quay.io/a:1\n", "quay.io/ä", "/a",
    f"quay.io/a:{'t' * 129}",
]  # fmt: skip

# normalize_test.go, TestParseRepositoryInfo and the valid names of TestValidateReferenceName and TestValidateRemoteName
NAMES = [
    ("localhost/fooo", "localhost", "fooo"),
    ("localhost/fooo/bar", "localhost", "fooo/bar"),
    ("LOCALDOMAIN/fooo", "LOCALDOMAIN", "fooo"),
    ("LOCALDOMAIN/fooo/bar", "LOCALDOMAIN", "fooo/bar"),
    ("fooo/bar", "docker.io", "fooo/bar"),
    ("index.docker.io/fooo/bar", "docker.io", "fooo/bar"),
    ("ubuntu", "docker.io", "library/ubuntu"),
    ("library/ubuntu", "docker.io", "library/ubuntu"),
    ("nonlibrary/ubuntu", "docker.io", "nonlibrary/ubuntu"),
    ("other/library", "docker.io", "other/library"),
    ("127.0.0.1:8000/private/moonbase", "127.0.0.1:8000", "private/moonbase"),
    ("127.0.0.1:8000/privatebase", "127.0.0.1:8000", "privatebase"),
    ("example.com/private/moonbase", "example.com", "private/moonbase"),
    ("example.com/privatebase", "example.com", "privatebase"),
    ("example.com:8000/private/moonbase", "example.com:8000", "private/moonbase"),
    ("example.com:8000/privatebasee", "example.com:8000", "privatebasee"),
    ("ubuntu-12.04-base", "docker.io", "library/ubuntu-12.04-base"),
    ("index.docker.io/library/ubuntu-12.04-base", "docker.io", "library/ubuntu-12.04-base"),
    ("docker.io/foo", "docker.io", "library/foo"),
    ("library/foo/bar", "docker.io", "library/foo/bar"),
    ("store/foo/bar", "docker.io", "store/foo/bar"),
    ("Foo/bar", "Foo", "bar"),
    ("FOO/bar", "FOO", "bar"),
    ("192.168.0.1:8/debian", "192.168.0.1:8", "debian"),
    ("[fc00::1]:5000/docker/docker", "[fc00::1]:5000", "docker/docker"),
    (f"docker.io/{HEX}", "docker.io", f"library/{HEX}"),
    ("thisisthesongthatneverendsitgoesonandonandonthisisthesongthatnev", "docker.io", "library/thisisthesongthatneverendsitgoesonandonandonthisisthesongthatnev"),
    ("docker---rules/docker", "docker.io", "docker---rules/docker"),
    ("d/docker", "docker.io", "d/docker"),
    ("dock__er/docker", "docker.io", "dock__er/docker"),
    ("registry-1.docker.io/busybox", "docker.io", "library/busybox"),  # ours: where docker.io's API is, and what clients may send
]


@pytest.mark.parametrize(("text", "repository", "tag", "digest"), PARSED)
def test_the_published_table(text: str, repository: str, tag: str, digest: str) -> None:
    reference = Reference.parse(text)
    assert (str(reference.repository), reference.tag or "", str(reference.digest or "")) == (repository, tag, digest)
    assert Reference.parse(str(reference)) == reference


@pytest.mark.parametrize("text", REFUSED)
def test_what_the_published_table_refuses(text: str) -> None:
    with pytest.raises((ReferenceInvalid, DigestInvalid)):
        Reference.parse(text)


@pytest.mark.parametrize(("text", "registry", "path"), NAMES)
def test_names_are_normalised_as_docker_does(text: str, registry: str, path: str) -> None:
    assert Reference.parse(text).repository == Repository(registry, path) == Repository.of(registry, path)


def test_the_same_path_on_two_registries_is_two_repositories() -> None:
    assert Repository.of("quay.io", "a/b") != Repository.of("docker.io", "a/b")


@pytest.mark.parametrize("registry", ["team", "", "a/b", "quay.io/", "https://quay.io", "a_b.io", "quay.io:", ":5000", "quay.io\n"])
def test_a_registry_that_would_read_as_a_path_is_none(registry: str) -> None:
    with pytest.raises(ReferenceInvalid):
        Repository.of(registry, "app")


@pytest.mark.parametrize(("text", "yes"), [("quay.io", True), ("localhost", True), ("host:5000", True), ("team", False), ("Team", True), ("a_b.io", False), ("", False)])
def test_looks_like_registry(text: str, *, yes: bool) -> None:
    assert looks_like_registry(text) is yes


@pytest.mark.parametrize(("text", "yes"), [("1", True), ("v1.2_3-x", True), (".x", False), ("a" * 128, True), ("a" * 129, False), ("a/b", False), ("", False), ("ä", False), ("a\n", False)])
def test_is_tag(text: str, *, yes: bool) -> None:
    assert is_tag(text) is yes


component = st.from_regex(r"[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}", fullmatch=True)
registries = st.one_of(
    st.sampled_from(["docker.io", "localhost", "quay.io:5443", "[fd00::1]:5000", "LOCAL"]),
    st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,5}[a-zA-Z0-9])?\.[a-z]{2,3}(:[0-9]{1,5})?", fullmatch=True),
)
repositories = st.builds(Repository.of, registries, st.lists(component, min_size=1, max_size=4).map("/".join))
tags = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}", fullmatch=True)
digests = st.builds(Digest.of, st.binary(max_size=4), st.sampled_from(["sha256", "sha512"]))
references = st.one_of(
    st.builds(Reference, repositories, tags, st.none()),
    st.builds(Reference, repositories, st.none(), digests),
    st.builds(Reference, repositories, tags, digests),
)


@given(references)
def test_reading_undoes_printing(reference: Reference) -> None:
    assert Reference.parse(str(reference)) == reference


@given(st.one_of(st.text(max_size=80), st.text("aA0.:/@-_[]", max_size=40), references.map(lambda reference: f"{reference}x")))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    with contextlib.suppress(ReferenceInvalid, DigestInvalid):
        reference = Reference.parse(text)
        assert Reference.parse(str(reference)) == reference


@given(st.text("aA0.:[]-_%/", max_size=20), st.text("aA0./-_", max_size=20))
def test_no_two_repositories_are_written_the_same(registry: str, path: str) -> None:
    with contextlib.suppress(ReferenceInvalid):
        repository = Repository.of(registry, path)
        assert Reference.parse(f"{repository}:1").repository == repository
