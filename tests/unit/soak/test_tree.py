"""Trees that somebody made up: what of them counts as the same, and what is named when it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.facts import Facts, differences, load, save
from tests.soak.tree import Rule, Walk

PEM = "-----BEGIN {0}-----\n{1}\n-----END {0}-----\n"


def made(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)
    return root


def told(one: Path, other: Path, walk: Walk | None = None, other_walk: Walk | None = None) -> list[str]:
    walk = walk or Walk(("/etc",))
    return [str(found) for found in walk.of(one).differences((other_walk or walk).of(other))]


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("server 10.0.0.2:6443\n", "server 10.0.9.2:6443\n"),
        ("at 2026-11-26T15:04:31.123Z\n", "at 2026-11-26T16:00:00Z\n"),
        ('{"begun": 1795705471.25}\n', '{"begun": 1795709999}\n'),
        ('{"cluster": "9f86d081884c7d65"}\n', '{"cluster": "0011223344556677"}\n'),
        ('{"authority": "sha256:25db917ff8d7bf38b768d80b4fa5551266a9bd30"}\n', '{"authority": "sha256:796b01f9f6bd4996392fb4193f80d03d6d1dff6b"}\n'),
        ('{"stamp": "573853705 1795705471.25 1795705471.25 4679752"}\n', '{"stamp": "573853705 1795709471.25 1795705471.00 4702745"}\n'),
        (PEM.format("CERTIFICATE", "AAAA"), PEM.format("CERTIFICATE", "BBBB")),
        ("key: /dGhpcyBpcyBiYXNlNjQgb2YgYSBrZXkgdGhhdCBpcyBsb25n\n", "key: QW5vdGhlciBrZXkgdGhhdCBpcyBhcyBsb25nIGFzIHRoaXM=\n"),
    ],
)
def test_what_is_of_one_site_or_one_moment_is_the_same(tmp_path: Path, was: str, now: str) -> None:
    one, other = made(tmp_path / "a", {"etc/x": was}), made(tmp_path / "b", {"etc/x": now})
    assert told(one, other, Walk(("/etc",), (), {"10.0.0.2": "<m1>"}), Walk(("/etc",), (), {"10.0.9.2": "<m1>"})) == []


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("a\n", "b\n"),
        ("10.0.0.2\n", "10.0.0.3\n"),
        ("10.0.0.21\n", "10.0.0.22\n"),
        (PEM.format("CERTIFICATE", "AAAA"), PEM.format("CERTIFICATE", "AAAA") * 2),
        (PEM.format("CERTIFICATE", "AAAA"), PEM.format("EC PRIVATE KEY", "AAAA")),
        (PEM.format("CERTIFICATE", "AAAA"), ""),
        ("path /etc/kubernetes/pki/apiserver-etcd-client.crt\n", "path /etc/kubernetes/pki/front-proxy-client-other.crt\n"),
        ("full text\n", "full"),
    ],
)
def test_what_is_another_is_named(tmp_path: Path, was: str, now: str) -> None:
    one, other = made(tmp_path / "a", {"etc/x": was}), made(tmp_path / "b", {"etc/x": now})
    (found,) = told(one, other, Walk(("/etc",), (), {"10.0.0.2": "<m1>"}))
    assert "file /etc/x" in found


@pytest.mark.parametrize("names", [("etc/a", "etc/b"), ("etc/b", "etc/a")])
def test_a_random_word_is_the_same_one_wherever_it_stands(tmp_path: Path, names: tuple[str, str]) -> None:
    first, second = "9f86d081884c7d65", "0011223344556677"
    one = made(tmp_path / "a", dict.fromkeys(names, f"cluster {first}\n"))
    assert told(one, made(tmp_path / "b", dict.fromkeys(names, f"cluster {second}\n"))) == []
    (found,) = told(one, made(tmp_path / "c", {names[0]: f"cluster {second}\n", names[1]: f"cluster {first}\n"}))
    assert "file /etc/b" in found


def test_no_word_that_may_be_a_secret_is_kept(tmp_path: Path) -> None:
    secret = "QW5vdGhlciBrZXkgdGhhdCBpcyBhcyBsb25nIGFzIHRoaXM="
    facts = Walk(("/etc",)).of(made(tmp_path, {"etc/x": f"key: {secret}\n"}))
    assert secret not in str(facts)


def test_each_kind_of_change_is_one_line(tmp_path: Path) -> None:
    one = made(tmp_path / "a", {"etc/mode": "x", "etc/gone": "x", "etc/turned": "x", "etc/deep/er": "x"})
    other = made(tmp_path / "b", {"etc/mode": "x", "etc/new": "x", "etc/deep/er": "x"})
    (other / "etc/mode").chmod(0o600)
    (other / "etc/turned").symlink_to("/etc/mode")
    lines = told(one, other)
    assert [line.split()[2].rstrip(":") for line in lines] == ["/etc/gone", "/etc/mode", "/etc/new", "/etc/turned"]
    assert "gone: file 0644" in lines[0]
    assert "0644" in lines[1]
    assert "0600" in lines[1]
    assert "new: file" in lines[2]
    assert "-> link -> /etc/mode" in lines[3]


def test_a_text_that_differs_shows_its_lines(tmp_path: Path) -> None:
    one, other = made(tmp_path / "a", {"etc/x": "same\nold\n"}), made(tmp_path / "b", {"etc/x": "same\nnew\n"})
    (found,) = told(one, other)
    assert "-old" in found
    assert "+new" in found
    assert "same" not in found


def test_a_rule_leaves_out_bytes_or_the_whole_file(tmp_path: Path) -> None:
    one = made(tmp_path / "a", {"etc/secret": "1", "etc/log/a": "x"})
    other = made(tmp_path / "b", {"etc/secret": "2", "etc/log/b": "x"})
    walk = Walk(("/etc",), (Rule("/etc/secret", "random"), Rule("/etc/log/*", "logs", absent=True)))
    assert told(one, other, walk) == []
    (other / "etc/secret").chmod(0o640)
    assert len(told(one, other, walk)) == 1


def test_a_large_or_binary_file_is_told_by_its_digest(tmp_path: Path) -> None:
    one, other = made(tmp_path / "a", {"etc/x": "a" * 300_000}), made(tmp_path / "b", {"etc/x": "a" * 299_999 + "b"})
    (other / "etc/y").write_bytes(b"\0")
    lines = told(one, other)
    assert len(lines) == 2
    assert all("sha256:" in line for line in lines)


def test_no_secret_is_kept_in_texts(tmp_path: Path) -> None:
    secret = "c2VjcmV0IHRoYXQgaXMgbG9uZyBlbm91Z2ggdG8gYmUgb25l"
    root = made(tmp_path / "a", {"etc/conf": f"client-key-data: {secret}\n", "etc/key": PEM.format("PRIVATE KEY", secret)})
    found = Walk(("/etc",)).of(root)
    assert all(secret not in text for text in found.texts.values())


def test_facts_come_back_from_a_file(tmp_path: Path) -> None:
    found = [Facts("m1", {"unit": {"kubelet.service": "active"}}, {"k": "text"})]
    save(tmp_path / "facts.json", found)
    assert load(tmp_path / "facts.json") == found
    assert differences(found, load(tmp_path / "facts.json")) == []
    assert [str(one) for one in differences(found, [])] == ["m1: place m1: gone: there"]


def test_a_root_that_is_a_link_is_followed(tmp_path: Path) -> None:
    made(tmp_path / "a", {"etc/x": "x"})
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert list(Walk(("/",)).of(tmp_path / "link").kinds["file"]) == ["/etc", "/etc/x"]
