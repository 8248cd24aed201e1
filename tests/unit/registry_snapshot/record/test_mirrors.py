"""Mirrors from a file and from options; every mistake is told with its line."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_snapshot.errors import RegistryError
from registry_snapshot.record.destinations import Destinations
from registry_snapshot.record.mirrors import Mirrors

FILE = """\
registries:
  registry.k8s.io: https://mirror.example.com/k8s/
  docker.io: https://harbor.example.com/v2/hub
downloads:
  https://dl.k8s.io: https://mirror.example.com/dl
  https://dl.k8s.io/cni: https://cni.example.com
ca: [ca.pem]
"""


def write(directory: Path, text: str) -> Path:
    (directory / "ca.pem").write_text("anything")
    path = directory / "mirrors.yaml"
    path.write_text(text)
    return path


def test_load(tmp_path: Path) -> None:
    mirrors = Mirrors.load(write(tmp_path, FILE))
    assert mirrors.mirror_of("registry.k8s.io") == "https://mirror.example.com/k8s"
    assert mirrors.mirror_of("quay.io") is None
    assert mirrors.ca_files == (tmp_path / "ca.pem",)
    assert Mirrors.load(write(tmp_path, "# nothing\n")) == Mirrors()


@pytest.mark.parametrize(
    ("registry", "url"),
    [
        ("registry.k8s.io", "https://mirror.example.com/k8s/v2"),
        ("docker.io", "https://harbor.example.com/v2/hub"),
        ("quay.io", "https://quay.io/v2"),
        ("quay.io:5443", "https://quay.io:5443/v2"),
        ("localhost:5000", "http://localhost:5000/v2"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000/v2"),
        ("[::1]:5000", "http://[::1]:5000/v2"),
        ("127.0.0.1.example.com", "https://127.0.0.1.example.com/v2"),
    ],
)
def test_base_url(tmp_path: Path, registry: str, url: str) -> None:
    assert Mirrors.load(write(tmp_path, FILE)).base_url(registry) == url


def test_the_hub_has_another_host() -> None:
    assert Mirrors().base_url("docker.io") == "https://registry-1.docker.io/v2"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://dl.k8s.io/v1.34/kubeadm", "https://mirror.example.com/dl/v1.34/kubeadm"),
        ("https://dl.k8s.io", "https://mirror.example.com/dl"),
        ("https://dl.k8s.io?x=1", "https://mirror.example.com/dl?x=1"),
        ("https://dl.k8s.io/cni/plugins.tgz", "https://cni.example.com/plugins.tgz"),
        ("https://dl.k8s.io/cniplugins.tgz", "https://mirror.example.com/dl/cniplugins.tgz"),
        ("https://dl.k8s.io.evil.example.com/x", "https://dl.k8s.io.evil.example.com/x"),
        ("http://dl.k8s.io/x", "http://dl.k8s.io/x"),
    ],
)
def test_rewrite(tmp_path: Path, url: str, expected: str) -> None:
    assert Mirrors.load(write(tmp_path, FILE)).rewrite(url) == expected


def test_overrides_come_last(tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text("x")
    loaded = Mirrors.load(write(tmp_path, FILE))
    mirrors = loaded.with_overrides(
        ["registry.k8s.io=http://localhost:5000", "https://dl.k8s.io=https://b.example.com/", "index.docker.io=https://h.example.com"],
        [other, tmp_path / "ca.pem"],
    )
    assert mirrors.mirror_of("registry.k8s.io") == "http://localhost:5000"
    assert mirrors.mirror_of("docker.io") == "https://h.example.com"
    assert mirrors.rewrite("https://dl.k8s.io/x") == "https://b.example.com/x"
    assert mirrors.ca_files == (tmp_path / "ca.pem", other)
    assert loaded.mirror_of("registry.k8s.io") == "https://mirror.example.com/k8s"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("registries:\n  a.io: [x\n", 3, "no YAML"),
        ("registries:\n  a.io: ftp://x\n", 2, "no base URL"),
        ("registries:\n  a.io: https://x:99999\n", 2, "no base URL"),
        ("registries:\n  a.io: https://x/?q=1\n", 2, "no base URL"),
        ("registries:\n  a.io: https://me:secret@x\n", 2, "login does not belong"),
        ("registries:\n  a.io: ftp://me:secret@x\n", 2, "no base URL"),
        ("registries:\n\n  busybox: https://x\n", 3, "no registry name"),
        ("registries: x\n", 1, "NAME: VALUE"),
        ("registries:\n  a.io: [b]\n", 2, "must be a text"),
        ("registries:\n  a.io: {b: c}\n", 2, "has url and login"),
        ("registries:\n  a.io:\n    url: http://x.example\n    login: a.io\n", 3, "anybody on the way could read"),
        ("registries:\n  a.io:\n    url: https://x\n    login: me\n", 4, "no registry name"),
        ("private:\n- a.io\n- 'a io'\n", 3, "no host, suffix or network"),
        ("token_servers: a.io\n", 1, "must be a list"),
        ("registries:\n  a.io: https://x\n  a.io: https://y\n", 3, "twice"),
        ("downloads:\n  dl.k8s.io: https://x\n", 2, "no base URL"),
        ("ca: x.pem\n", 1, "must be a list"),
        ("ca:\n- ca.pem\n- none.pem\n", 3, "no file"),
        ("mirrors:\n  a.io: https://x\n", 2, "no setting"),
        ("- a\n", 1, "NAME: VALUE"),
    ],
)
def test_mistakes_in_the_file(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(RegistryError, match=words) as caught:
        Mirrors.load(path)
    assert caught.value.problem.startswith(f"{path}:{line}: ")
    assert caught.value.remedy
    assert "secret" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"none\.yaml cannot be read"):
        Mirrors.load(tmp_path / "none.yaml")
    (tmp_path / "latin").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(RegistryError, match="latin"):
        Mirrors.load(tmp_path / "latin")


@pytest.mark.parametrize("text", ["a.io", "busybox=https://x", "a.io=x", "https://x=y", "a.io=https://u:p@x"])
def test_mistakes_in_options(text: str) -> None:
    with pytest.raises(RegistryError) as caught:
        Mirrors().with_overrides([text])
    assert caught.value.remedy
    with pytest.raises(RegistryError, match="there is no file"):
        Mirrors().with_overrides(ca=["/nowhere.pem"])


paths = st.lists(st.sampled_from(["/a", "/b", "/ab"]), max_size=3).map("".join)
prefixes = st.builds("{}{}{}".format, st.sampled_from(["http://", "https://"]), st.sampled_from(["x.io", "y.io"]), paths)
tails = st.builds("{}{}".format, paths, st.sampled_from(["", "?q=1", "b", "/"]))


@given(st.dictionaries(prefixes, prefixes, max_size=5), prefixes, tails)
def test_a_rewritten_url_is_one_prefix_replaced_and_nothing_else(downloads: dict[str, str], base: str, tail: str) -> None:
    url = base + tail
    mirrors = Mirrors((), tuple(downloads.items()))
    matching = [prefix for prefix in downloads if url == prefix or url.startswith((f"{prefix}/", f"{prefix}?"))]
    if not matching:
        assert mirrors.rewrite(url) == url
        return
    longest = max(matching, key=len)
    assert mirrors.rewrite(url) == downloads[longest] + url[len(longest) :]


def test_who_gets_whose_login_and_who_may_be_private(tmp_path: Path) -> None:
    text = (
        "registries:\n"
        "  docker.io: {url: https://Mirror.Example.com/v2/hub, login: docker.io}\n"
        "  quay.io: http://10.0.0.7:5000\n"
        "downloads:\n"
        "  https://dl.k8s.io: https://files.example.com:8443/dl\n"
        "private: [.corp.example.com, 10.20.0.0/16]\n"
        "token_servers: [login.example.net]\n"
    )
    mirrors = Mirrors.load(write(tmp_path, text))
    assert (mirrors.login_of("docker.io"), mirrors.login_of("quay.io")) == ("docker.io", None)
    named = {("mirror.example.com", 443), ("10.0.0.7", 5000), ("files.example.com", 8443)}
    assert mirrors.destinations == Destinations(frozenset(named), (".corp.example.com", "10.20.0.0/16"))
    assert mirrors.token_servers == ("login.example.net",)
    # A mirror from the command line is another one, and has not been said to be worth that login.
    assert mirrors.with_overrides(["docker.io=https://other.example.com"]).login_of("docker.io") is None


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_option_is_a_mirror_or_a_named_error(name: str, url: str) -> None:
    try:
        mirrors = Mirrors().with_overrides([f"{name}={url}", f"quay.io={url}"])
    except RegistryError:
        return
    base = mirrors.base_url("quay.io")
    assert base.startswith(("http://", "https://"))
    assert "v2" in base.split("/")


@given(st.text(alphabet="registplycaox: \n-[]{}'\"&*!|>%@`#,/.", max_size=80))
def test_any_file_is_mirrors_or_a_named_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text)
    with contextlib.suppress(RegistryError):
        Mirrors.load(path)


@pytest.mark.parametrize("text", ["quay.io=https://me:s3cret@x.io", "https://me:s3cret@x.io", "https://me:s3cret@x.io=https://y.io", "me:s3cret@x=https://y.io"])
def test_a_login_in_an_option_is_shown_nowhere(text: str) -> None:
    with pytest.raises(RegistryError) as caught:
        Mirrors().with_overrides([text])
    assert "s3cret" not in str(caught.value)
