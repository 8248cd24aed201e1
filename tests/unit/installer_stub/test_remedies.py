"""Every command that we tell people to type is one: the real parser takes it."""

from __future__ import annotations

import ast
import importlib
import re
from argparse import ArgumentError, ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

import installer_stub
from installer_stub import cli
from installer_stub.errors import UsageError

ROOT = Path(installer_stub.__file__).parent
NAMES = [verb.name for verb in cli.VERBS if verb.help]
VALUE = "10.0.0.2"  # what stands for every value that is put into a text
# A verb of ours, not another program's, with an option somewhere behind it, up to the end of the sentence.
OTHERS = "".join(rf"(?<!{program} )" for program in ("kubeadm", "kubectl", "helm", "systemctl", "airseal", "skopeo", "docker"))
# Its first word is an option; only remove begins with a host.
COMMAND = re.compile(rf"(?<![\w/-]){OTHERS}(?:({'|'.join(NAMES)}) (?=--?[a-z])|(remove) (?=\S+ --))([^;:()\n]+)")
OPTION = re.compile(r"--?[a-zA-Z][\w-]*")


def rendered(node: ast.AST) -> str | None:
    """Return the text that a constant, an f-string or their sum makes, with VALUE for every value."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else VALUE for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = rendered(node.left), rendered(node.right)
        return (left or VALUE) + (right or VALUE) if left or right else None
    return None


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    documented = {id(ast_node.body[0].value) for ast_node in ast.walk(tree) if isinstance(ast_node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and ast_node.body and isinstance(ast_node.body[0], ast.Expr)}
    inside: set[int] = set()
    for node in ast.walk(tree):
        text = rendered(node)
        if text is not None and id(node) not in inside | documented:
            inside |= {id(child) for child in ast.walk(node)} - {id(node)}
            yield node.lineno, text  # type: ignore[attr-defined]


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Return verb and words of every command in a text of ours."""
    for line in text.replace("{prog}", "app.run").splitlines():
        for part in re.split(r"\./app\.run(?= )", line)[1:]:  # an example: all of the line, up to a remark or another program
            words = re.split(r"\s{3,}|\.$|&&|\|", part.strip())[0].split()
            if len(words) > 1:
                yield (words[0], words[1:]) if words[0] in NAMES else ("install", words)
        if "./app.run" not in line and "\n" not in text.strip():
            for match in COMMAND.finditer(line):
                yield match[1] or match[2], match[3].split()


def collected() -> list[tuple[str, str, list[str]]]:
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        for line, text in texts(ast.parse(path.read_text())):
            found += [(f"{path.relative_to(ROOT.parent)}:{line}", verb, words) for verb, words in commands(text)]
    return found


class Parser(ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(message)


def takes(verb: str, words: list[str]) -> bool:
    """Tell whether the verb takes these words. What argparse leaves to the verb is parsed too."""
    module = importlib.import_module(f"installer_stub.commands.{next(each.module for each in cli.VERBS if each.name == verb)}")
    parser = Parser(exit_on_error=False)
    module.define(parser, verb)
    try:
        arguments = parser.parse_args(words, Namespace(verb=verb))
        if hasattr(module, "parse") and verb != "install":
            module.parse(arguments)
    except (UsageError, SystemExit, ArgumentError):
        return "--help" in words
    return True


def is_command(verb: str, words: list[str]) -> bool:
    """Tell whether a beginning of ``words`` that has all their options is one: what follows may be the sentence's end."""
    last = max(index for index, word in enumerate(words) if OPTION.fullmatch(word.rstrip(",.`")))
    clean = [word.rstrip(".") if index == len(words) - 1 else word for index, word in enumerate(words)]
    return any(takes(verb, [word.rstrip(",`") for word in clean[:end]]) for end in range(len(clean), last, -1))


FOUND = collected()


@pytest.mark.parametrize(("where", "verb", "words"), FOUND, ids=[f"{where} {verb} {' '.join(words)}" for where, verb, words in FOUND])
def test_what_we_tell_people_to_type_is_a_command(where: str, verb: str, words: list[str]) -> None:
    if not any(OPTION.fullmatch(word.rstrip(",.`")) for word in words):
        assert takes(verb, words), where
    else:
        assert is_command(verb, words), f"{where}: {verb} {' '.join(words)}"


def test_there_are_such_texts_and_a_wrong_one_would_be_seen() -> None:
    assert len(FOUND) > 30
    assert {"reset", "remove", "join", "install"} <= {verb for _, verb, _ in FOUND}
    assert list(commands("take it out: reset --node 10.0.0.6")) == [("reset", ["--node", "10.0.0.6"])]
    assert is_command("reset", ["--node", "10.0.0.6"])
    assert not is_command("reset", ["--nodes-of", "10.0.0.6"])
    assert not is_command("reset", ["--node"])
    assert not is_command("remove", ["--via", "10.0.0.6"])
