"""The modules of the cluster tests run side by side: what one of them writes to has a name that no other one uses."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "tests" / "cluster").glob("test_*.py"))


def named(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield every bed's name and every file directly in the directory of outputs, as the source spells them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.left, ast.Name) and node.left.id == "OUTPUT":
            yield "file", ast.unparse(node.right)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "TestBed":
            yield from (("bed", ast.unparse(word.value)) for word in node.keywords if word.arg == "name")


def test_no_two_modules_share_a_bed_or_a_file() -> None:
    users: dict[tuple[str, str], set[str]] = defaultdict(set)
    for module in MODULES:
        for name in named(ast.parse(module.read_text())):
            users[name].add(module.stem)
    assert len(users) > 20
    assert {name: sorted(modules) for name, modules in users.items() if len(modules) > 1} == {}


def test_no_module_takes_anything_from_another_one() -> None:
    """What several need stands in a module without tests, which knows whose files are whose."""
    taken = [
        f"{module.stem}: {node.module}"
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests.cluster.test_")
    ]
    assert taken == []
