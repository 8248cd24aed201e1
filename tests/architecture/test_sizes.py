"""The house stays simple enough to live in: sizes, names, and words that must not appear."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("registry_snapshot", "installer_stub", "bundler", "release")
FILE_LINES = 330
FUNCTION_LINES = 60
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}


def product_files() -> list[Path]:
    return [path for package in PRODUCT for path in sorted((ROOT / package).rglob("*.py"))]


def test_files_are_short() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in product_files()
        if (count := path.read_text().count("\n")) > FILE_LINES
    }
    assert long == {}


def test_functions_are_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in product_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_LINES
    ]
    assert long == []


def test_names_say_something() -> None:
    assert [path for path in product_files() if EMPTY_NAMES & set(path.relative_to(ROOT).with_suffix("").parts)] == []


def test_every_module_says_what_it_is() -> None:
    silent = [str(path.relative_to(ROOT)) for path in product_files() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_nothing_disables_verification() -> None:
    words = ("verify=False", "AutoAddPolicy", "WarningPolicy", "CERT_NONE", "shell=True", "unsafeSkipCAVerification: true")
    found = [
        f"{path.relative_to(ROOT)}: {word}" for path in product_files() for word in words if word in path.read_text()
    ]
    assert found == []


# Who prints without ui.printable, and what: text of ours, or JSON in ASCII for a program.
PRINTERS = {
    "installer_stub/ui/printable.py": "the one way to a person",
    "installer_stub/cli.py": "help and version",
    "bundler/cli.py": "help and version",
    "release/__main__.py": "what was made, and its own errors",
    "bundler/verbs/base.py": "names of recipes, and pins that were parsed",
    "installer_stub/hostside/service.py": "where it serves",
    "installer_stub/commands/host_files.py": "JSON in ASCII",
    "installer_stub/commands/host_keep.py": "JSON in ASCII, certificates",
    "installer_stub/commands/clusterfile.py": "the schema, and a Clusterfile, whose texts were checked when they were read",
    "installer_stub/commands/verify.py": "a percentage",
}


def test_what_others_wrote_reaches_a_terminal_by_one_way_only() -> None:
    printing = {
        str(path.relative_to(ROOT))
        for path in product_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"print", "sys.stdout.write", "sys.stderr.write"}
    }
    assert printing - PRINTERS.keys() == set()


# Who makes files without O_EXCL at names that are known beforehand, and why nobody else can have been there.
CREATORS = {
    "registry_snapshot/store/ours.py": "looks at what is there",
    "registry_snapshot/record/line_file.py": "in a recording, which its owner alone may enter",
    "registry_snapshot/record/recording.py": "in a recording, which its owner alone may enter",
    "installer_stub/host/known_hosts.py": "a pin file is checked before it is read",
    "installer_stub/agent/host_lease.py": "below /var/lib/airseal, which is root's",
    "installer_stub/ledger/ledger.py": "below /var/lib/airseal, which is root's",
    "installer_stub/keep/hosts_file.py": "in /etc, which is root's",
}


def test_files_at_names_that_others_can_guess_are_made_in_one_place() -> None:
    made = {
        str(path.relative_to(ROOT))
        for path in product_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "os.open"
        and "O_CREAT" in ast.unparse(node)
        and "O_EXCL" not in ast.unparse(node)
    }
    assert made - CREATORS.keys() == set()
