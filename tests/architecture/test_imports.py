"""The directions between packages and inside them, held by reading every import in the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ORDER = ("registry_snapshot", "installer_stub", "bundler")  # a package may import itself and those to its left
INSIDE = {
    "registry_snapshot": ("errors", "oci", "store", "serve", "record", "push"),
}
HEAVY = ("paramiko", "docker", "requests", "urllib3", "tqdm", "yaml", "zstandard", "cryptography")


def sources(package: str) -> Iterator[Path]:
    return iter(sorted((ROOT / package).rglob("*.py")))


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            yield node.module or ""


@pytest.mark.parametrize("package", ORDER)
def test_packages_import_only_to_the_left(package: str) -> None:
    allowed = ORDER[: ORDER.index(package) + 1]
    wrong = [
        f"{path.relative_to(ROOT)}: {module}"
        for path in sources(package)
        for module in imported_modules(path)
        if module.split(".")[0] in ORDER and module.split(".")[0] not in allowed
    ]
    assert wrong == []


def test_rooms_of_registry_snapshot_import_only_to_the_left() -> None:
    rooms = INSIDE["registry_snapshot"]
    wrong = []
    for path in sources("registry_snapshot"):
        parts = path.relative_to(ROOT / "registry_snapshot").with_suffix("").parts
        if parts[0] not in rooms:
            continue
        for module in imported_modules(path):
            pieces = module.split(".")
            if pieces[0] == "registry_snapshot" and len(pieces) > 1 and rooms.index(pieces[1]) > rooms.index(parts[0]):
                wrong.append(f"{path.relative_to(ROOT)}: {module}")
    assert wrong == []


def test_the_stub_never_imports_the_recording_side() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {module}"
        for path in sources("installer_stub")
        for module in imported_modules(path)
        if module.startswith(("registry_snapshot.record", "registry_snapshot.push")) or module.split(".")[0] in {"docker", "requests", "urllib3"}
    ]
    assert wrong == []


def test_only_the_ssh_connection_imports_paramiko() -> None:
    users = [
        str(path.relative_to(ROOT))
        for package in ORDER
        for path in sources(package)
        if any(module.split(".")[0] == "paramiko" for module in imported_modules(path))
    ]
    assert set(users) <= {f"installer_stub/host/{name}.py" for name in ("ssh", "known_hosts", "login", "transport")}


def test_what_is_frozen_of_registry_snapshot_needs_only_the_standard_library() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {module}"
        for room in ("oci", "store", "serve")
        for path in sorted((ROOT / "registry_snapshot" / room).rglob("*.py"))
        for module in imported_modules(path)
        if module.split(".")[0] not in sys.stdlib_module_names | {"registry_snapshot"}
    ]
    assert wrong == []


@pytest.mark.parametrize("arguments", [["--help"], ["inspect", "--help"], ["install", "--help"], ["--version"]])
def test_help_pays_for_no_heavy_import(arguments: list[str]) -> None:
    probe = (
        "import sys, runpy\n"
        f"sys.argv = ['airseal', *{arguments!r}]\n"
        "try:\n    runpy.run_module('installer_stub', run_name='__main__')\n"
        "except SystemExit as end:\n    assert end.code in (0, None), end.code\n"
        f"print('HEAVY', sorted(set({HEAVY!r}) & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, cwd=ROOT, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.rstrip().endswith("HEAVY []"), run.stdout[-300:]
