"""conditions.yaml: read, or refused with everything that is wrong in it, by line."""

from __future__ import annotations

import pytest

from installer_stub.cel.condition import Expression
from installer_stub.errors import UsageError
from installer_stub.quiet.declared import NOTHING, TIMEOUT, Condition, Declared, parse

GOOD = """\
conditions:
  - name: the database takes writes
    of: {kind: clusters.postgresql.example.org, namespace: db, name: main}
    jsonpath: "{.status.phase}"
    is: Running
    timeout: 30
  - name: the shop answers
    command: [scripts/probe.sh, --once]
  - name: it has replicas
    of: {kind: deployment, name: shop}
    cel: object.status.readyReplicas >= 1
may-stay-unready:
  - {kind: DaemonSet, namespace: gpu, name: plugin, because: no host of the build has a GPU}
"""


def test_conditions_and_what_may_stay_unready_are_read() -> None:
    assert parse(GOOD.encode()) == Declared(
        (
            Condition("the database takes writes", 30.0, (), "clusters.postgresql.example.org", "db", "main", "{.status.phase}", "Running"),
            Condition("the shop answers", TIMEOUT, ("scripts/probe.sh", "--once")),
            Condition("it has replicas", TIMEOUT, (), "deployment", "", "shop", cel=Expression.read("object.status.readyReplicas >= 1")),
        ),
        frozenset({("DaemonSet", "gpu", "plugin")}),
    )
    assert parse(b"") == parse(b"# nothing yet\n") == NOTHING


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("conditions:\n  - name: a\n    cel: self.status.ready\n", ["conditions.yaml:2: conditions[0]: needs of too"]),
        ("conditions:\n  - name: a\n", ["conditions.yaml:2: conditions[0]: needs a jsonpath with of and is, a cel with of, or a command"]),
        ("conditions:\n  - {name: a, cel: 'true', command: [x], of: {kind: a, name: b}}\n", ["conditions.yaml:2: conditions[0]: is a jsonpath"]),
        ("conditions:\n  - {name: a, cel: 'true', is: x, of: {kind: a, name: b}}\n", ["not more than one of them"]),
        ("conditions:\n  - name: a\n    of: {kind: a, name: b}\n    cel: [a]\n", ["conditions.yaml:4: conditions[0].cel: a text is wanted"]),
        (
            "conditions:\n  - name: a\n    of: {kind: a, name: b}\n    cel: object.status.phase = 'x'\n  - name: b\n    of: {kind: a, name: b}\n    cel: |\n      object.a == 1 &&\n      object.b.startWith('x')\n",
            [
                "conditions.yaml:4: conditions[0].cel: at character 21 (= 'x'): = compares nothing; write ==",
                "conditions.yaml:9: conditions[1].cel: at character 10 (startWith('x')): there is no function x.startWith(…): there are",
            ],
        ),
        ("conditions:\n  - {name: a, of: {kind: a, name: b}, cel: 'object.a =='}\n", ["conditions.yaml:2: conditions[0].cel: at character 12, the end: the end is not expected here"]),
        ("conditions:\n  - {name: a, of: {kind: a, name: b}, jsonpath: .status.phase, is: x}\n", ["conditions.yaml:2: conditions[0].jsonpath: at character 1 (.status.phase): has no {…}"]),
        ("conditions:\n  - name: a\n    jsonpath: '{.x}'\n", ["conditions.yaml:2: conditions[0]: needs is, of too"]),
        ("conditions:\n  - {name: a, command: [x], is: y}\n", ["conditions.yaml:2: conditions[0]: is a jsonpath with of and is, a cel with of, or a command: not more than one of them"]),
        ("conditions:\n  - {name: a, command: [x]}\n  - {name: a, command: [y]}\n", ["conditions.yaml:3: conditions[1].name: another condition has this name"]),
        (
            "conditions:\n  - command: x\n    timeout: 5m\nmay-stay-unready:\n  - {kind: Job, name: y}\nothers: 1\n",
            [
                "conditions.yaml:2: conditions[0].command: a list is wanted",
                "conditions.yaml:2: conditions[0].name: is missing",
                "conditions.yaml:3: conditions[0].timeout: a whole number is wanted",
                "conditions.yaml:5: may-stay-unready[0].because: is missing",
                "conditions.yaml:6: others: there is no such field",
            ],
        ),
        ("- a\n", ["conditions.yaml:1: (the whole file): a mapping is wanted"]),
        ("conditions: [\n", ["conditions.yaml:2: this is no YAML"]),
        ("a: &b 1\nc: *b\n", ["conditions.yaml has anchors"]),
        ("#" * (1 << 19), ["is larger than"]),
        ("a: \x00", ["this is no YAML"]),
        ("[" * 250_000, ["conditions.yaml:1: nested deeper than 50 levels"]),
        ("a:\n" + "".join(f"{' ' * level}a:\n" for level in range(1, 60)), ["nested deeper than 50 levels"]),
    ],
)
def test_everything_that_is_wrong_is_said_at_once_with_its_line(text: str, problems: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text.encode())
    at = -1
    for problem in problems:
        assert problem in caught.value.problem
        at = caught.value.problem.index(problem, at + 1)
