"""Where a distribution keeps what is said in ``distro/`` alone: no other room has a path or a name of kubeadm's in its texts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOM = ROOT / "installer_stub" / "distro"
PACKAGES = ("registry_snapshot", "installer_stub", "bundler")
KUBEADMS = re.compile(
    r"/etc/kubernetes|/var/lib/etcd|/var/lib/kubelet|bin/kubeadm|\b(?:super-)?admin\.conf|\b(?:bootstrap-)?kubelet\.conf"
    r"|kubeadm-(?:config|certs|flags)|\bkubelet-config\b|\betcdctl\b|:2380\b"
)


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Every text in the code, parts of f-strings and bytes too; documentation is none."""
    tree = ast.parse(source)
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in documentation:
            if isinstance(node.value, str):
                yield node.lineno, node.value
            elif isinstance(node.value, bytes):
                yield node.lineno, node.value.decode(errors="replace")


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (path for path in sorted((ROOT / package).rglob("*.py")) if ROOM not in path.parents)


def test_no_path_of_kubeadms_outside_its_room() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {found[0]}"
        for path in sources()
        for line, text in texts(path.read_text())
        if (found := KUBEADMS.search(text))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "source",
    [
        'CA = "/etc/kubernetes/pki/ca.crt"',
        'x = f"sync -f {a} /etc/kubernetes"',
        'x = b"/var/lib/etcd/member"',
        'run("kubectl", "get", "configmap", "kubeadm-config")',
        'x = ("--kubeconfig", "admin.conf")',
        'def f():\n    """Documented."""\n    return "/var/lib/kubelet"',
    ],
)
def test_such_texts_are_found(source: str) -> None:
    assert [text for _, text in texts(source) if KUBEADMS.search(text)]


@pytest.mark.parametrize("source", ['"""Lies in /etc/kubernetes."""', 'def f():\n    """Reads admin.conf."""', "x = 1  # /etc/kubernetes", 'x = "kubeadm reset"'])
def test_what_people_read_and_programs_they_know_are_none(source: str) -> None:
    assert not [text for _, text in texts(source) if KUBEADMS.search(text)]
