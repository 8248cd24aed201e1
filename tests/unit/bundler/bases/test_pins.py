"""A pin is a hash and a URL; what is neither is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.bases.pins import add_pins, given_pins, load_pins, pins_text, published
from bundler.errors import RecipeError

A, B = "a" * 64, "b" * 64


def test_pins_are_written_sorted_and_read_back(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "v1.sha256"
    assert load_pins(file) == {}
    add_pins(file, {"https://z/1": A}, "why\nthis")
    add_pins(file, {"https://a/2": B}, "why\nthis")
    assert file.read_text() == f"# why\n# this\n{B}  https://a/2\n{A}  https://z/1\n"
    assert load_pins(file) == {"https://z/1": A, "https://a/2": B}
    assert pins_text({}, "none") == "# none\n"


def test_a_pins_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    assert given_pins(None) == {}
    with pytest.raises(RecipeError, match="there is no pins file"):
        given_pins(tmp_path / "none")


@pytest.mark.parametrize("line", ["nonsense", f"{A} https://x", f"{'A' * 64}  https://x", f"{A}  "])
def test_a_line_that_is_no_pin(tmp_path: Path, line: str) -> None:
    file = tmp_path / "v1.sha256"
    file.write_text(f"# fine\n\n{line}\n")
    with pytest.raises(RecipeError, match=r"v1\.sha256:3: is not a pin"):
        load_pins(file)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (A, "bare"),
        (f"{A}\n", "bare"),
        (f"{A.upper()}\n", "bare"),
        (f"{A}  kubeadm\n", "bare"),
        (f"{B}  other\n{A}  kubeadm\n", "list"),
        (f"{A} *kubeadm\r\n", "list"),
        (f"{A}  ./dist/kubeadm\n", "list"),
    ],
)
def test_a_publisher_s_checksum(text: str, form: str) -> None:
    assert published(text, "kubeadm", form, "https://x/kubeadm.sha256") == A


@pytest.mark.parametrize(
    ("text", "form"), [("", "bare"), ("<html>blocked</html>", "bare"), (f"{A}  other\n", "list"), (A, "list"), (A[:63], "bare")]
)
def test_a_publisher_s_file_without_it(text: str, form: str) -> None:
    with pytest.raises(RecipeError, match=r"https://x/kubeadm\.sha256: has no SHA-256 for kubeadm"):
        published(text, "kubeadm", form, "https://x/kubeadm.sha256")
