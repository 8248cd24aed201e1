"""CEL on an object: what it says, what is refused before it runs, and how much it may cost.

The answers of YES and NO are those of Google's own runtime (cel-expr-python 0.1.3), asked once with 33 000 made-up expressions: docs/adr/0020.
"""

from __future__ import annotations

import pytest

from installer_stub.cel.condition import Expression
from installer_stub.cel.evaluate import MOST_STEPS
from installer_stub.cel.tree import ExpressionInvalid

OBJECT = {
    "metadata": {"name": "main", "generation": 4, "labels": {"app.io/tier": "db"}},
    "spec": {"replicas": 3, "ratio": 0.5, "none": None, "big": 9223372036854775807, "paused": False, "mixed": [1, "a", True, None]},
    "status": {
        "phase": "Pending",
        "observedGeneration": 4,
        "readyReplicas": 2,
        "conditions": [{"type": "Ready", "status": "False"}, {"type": "Odd"}],
    },
}

YES = [
    "object.status.readyReplicas >= 2 && self.status.phase == 'Pending'",
    "object.status.observedGeneration == object.metadata.generation  // a comment",
    "!object.spec.paused && !has(object.status.gone) && has(object.spec.none)",
    "object.status.conditions.exists(c, c.type == 'Ready' && c.status == 'False')",
    "object.status.conditions.exists(c, c.status == 'False')",  # the one without status decides nothing
    "!object.status.conditions.all(c, c.status == 'True')",
    "object.status.conditions.filter(c, has(c.status)).map(c, c.type) == ['Ready']",
    "object.spec.mixed.map(x, x == 1, 7) == [7]",
    "object.metadata.labels.exists(name, name.startsWith('app.io/')) && object.metadata.labels['app.io/tier'].contains(\"b\")",
    "'app.io/tier' in object.metadata.labels && object.status.phase in ['Pending', 'Running']",
    "object.status.gone == 1 || true",
    "true || object.status.gone == 1",
    "(object.status.readyReplicas > 5 ? object.status.gone : 1) == 1",
    "object.spec.replicas - object.status.readyReplicas * 2 == -1 && -7 / 2 == -3 && -7 % 2 == -1 && 0x10 == 16",
    "object.status.readyReplicas == 2.0 && object.spec.ratio < object.spec.replicas && 1e3 > 999.5",
    "object.spec.mixed[2] != 1 && object.spec.mixed[0] != true && object.spec.none == null",
    "size(object.status.conditions) == 2 && 'é\\n\\u00e9'.size() == 3 && r'\\d' == '\\\\d'",
    "int('42') + int(1.9) == 43 && string(7) == '7' && double('0.5') == object.spec.ratio",
    "{'a': 1, 2: 'b'}[2] == 'b' && {'a': [1]} == {'a': [1.0]}",
    "[1, 2,] + [3] == [1, 2, 3] && 'a' + 'b' < 'b' && object.status.conditions[0].type.lowerAscii() == 'ready'",
    " && ".join(["object.spec.replicas == 3"] * 100),
]
NO = [
    ("object.status.phase == 'Running' && object.status.gone == 1", "object.status.phase == 'Running' is false: object.status.phase is \"Pending\""),
    ("object.status.gone == 1 && object.status.phase == 'Running'", 'object.status.phase is "Pending"'),
    ("object.status.gone == 1", "has no value: no such key: gone"),
    ("object.status.conditions.all(c, c.status == 'False')", "no such key: status"),
    ("object.status.conditions.exists_one(c, c.type == 'Gone')", "object.status.conditions has 2 members"),
    ("object.status.phase > 3", "compares what has no order"),
    ("object.status.phase", '"Pending" is neither true nor false'),
    ("object.spec.mixed[9] == 1", "there is no member 9 in a list of 4"),
    ("object.spec.big + 1 > 0", "64 bits"),
    ("object.spec.replicas / 0 == 1", "3 / 0 has no value"),
    ("object.spec.replicas + object.spec.ratio > 1.0", "3 + 0.5 has no value"),
    ("object.status.readyReplicas in object.spec", "object.status.readyReplicas is 2"),
    ("has(object.status.gone.deeper)", "no such key: gone"),
    ("object.status.phase == 'a' || object.status.phase == 'b'", "object.status.phase == 'b' is false"),
]
WRONG = [
    ("object.status.phase = 'x'", 20, "write =="),
    ("object.status.phase & true", 20, "write &&"),
    ("object.status.phase == Running", 23, "there is no variable Running; there are object, self, and a text stands in quotes"),
    ("objekt.status.phase == 'x'", 0, "there is no variable objekt"),
    ("object.status.phase.startWith('R')", 20, "there is no function x.startWith(…): there are x.all"),
    ("startsWith(object.status.phase, 'R')", 0, "write x.startsWith(…)"),
    ("object.status.conditions.exist(c, c.type == 'Ready')", 25, "there is no function x.exist(…)"),
    ("object.status.conditions.exists(c)", 25, "exists takes a variable and an expression"),
    ("object.status.conditions.exists(c.type, true)", 32, "begins with the name of a variable"),
    ("object.status.phase.matches('R.*')", 20, "regular expressions of RE2 are not understood"),
    ("timestamp(object.metadata.creationTimestamp) < timestamp('2026-01-01T00:00:00Z')", 0, "times are not understood; use a command"),
    ("object.?status.orValue(true)", 7, "optional fields"),
    ("object.status.readyReplicas >= 1u", 32, "unsigned"),
    ("object.status.phase == b'x'", 24, "bytes"),
    ('object.status.phase == """x"""', 23, "three quotes"),
    ("object.status.phase == 'x", 23, "does not end"),
    ("object.status.phase == '\\q'", 24, "is no escape"),
    ("object.status.`odd`", 14, "backticks"),
    ("has(object)", 0, "has asks for a field"),
    ("'a' + 1 == 'a1'", 0, "two of one kind"),
    ("1 == 'a'", 0, "does not compare a whole number with a text"),
    ("'Run' in 'Running'", 9, "write x.contains(y)"),
    ("size(object.status.conditions)", 0, "is a whole number; a condition is true or false"),
    ("object.status.phase && 1", 23, "&& wants true or false"),
    ("object.spec.big > 99999999999999999999", 18, "64 bits"),
    ("(object.spec.paused", 19, "')' is missing after what stands in brackets; there is the end"),
    ("object.spec.paused true", 19, "'true' is not expected here"),
    ("if (object.spec.paused)", 0, "is a word of the language"),
    ("object.spec.", 12, "the name of a field is missing"),
    (" \n", 0, "says nothing"),
    ("true\x00", 4, "belongs to nothing"),
]


@pytest.mark.parametrize("source", YES)
def test_a_condition_that_holds(source: str) -> None:
    assert Expression.read(source).holds(OBJECT) == (True, "")


@pytest.mark.parametrize(("source", "why"), NO)
def test_a_condition_that_does_not_hold_says_why(source: str, why: str) -> None:
    holds, said = Expression.read(source).holds(OBJECT)
    assert not holds
    assert why in said


@pytest.mark.parametrize(("source", "at", "problem"), WRONG)
def test_what_is_not_understood_is_refused_where_it_stands(source: str, at: int, problem: str) -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        Expression.read(source)
    assert problem in caught.value.problem
    assert caught.value.at == at


@pytest.mark.parametrize(
    "source",
    ["(" * 2000 + "true" + ")" * 2000, "[" * 2000, "!" * 3000 + "true", "1" + "+1" * 2000 + "==1", "object" + ".a" * 2000, "true ? true : " * 290, "x.all(y, " * 400, "a" * 5000],
)
def test_no_depth_and_no_length_brings_the_reader_down(source: str) -> None:
    with pytest.raises(ExpressionInvalid, match=r"nested deeper|longer than"):
        Expression.read(source)


@pytest.mark.parametrize(
    "source",
    [
        "object.l.all(a, object.l.all(b, object.l.all(c, a + b + c >= 0)))",
        "object.l.all(a, object.l.exists(b, true) && object.l == object.l)",
        "object.l.map(a, object.t).all(x, object.l.all(y, x == object.t))",
        "object.l.all(a, size(" + " + ".join(["object.t"] * 30) + ") > 0)",
        "object.l.all(a, object.l.map(b, object.l + object.l).size() > 0)",
        "object.deep == object.same",
    ],
)
def test_no_expression_takes_longer_than_its_steps(source: str) -> None:
    deep: list[object] = []
    same: list[object] = []
    for _ in range(5000):
        deep, same = [deep], [same]
    holds, said = Expression.read(source).holds({"l": list(range(5000)), "t": "x" * 1_000_000, "deep": deep, "same": same})
    assert not holds
    assert any(words in said for words in (f"more than {MOST_STEPS} steps", "larger than", "too deep"))


def test_a_secret_is_not_told() -> None:
    expression = Expression.read("object.data.password == 'x' && object.data.gone == 'y'")
    assert expression.holds({"data": {"password": "hidden"}}, silent=True) == (False, "object.data.password == 'x' is false")
    assert "hidden" not in Expression.read("object.data.password > 1").holds({"data": {"password": "hidden"}}, silent=True)[1]
