"""What people give is checked all at once, each with where it stands; a secret is shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from installer_stub.errors import UsageError
from installer_stub.host.command import Secret
from installer_stub.values.given import check_given, given_by, leaves
from installer_stub.values.model import Wished
from installer_stub.values.schema import NO_VALUES, parse_schema
from installer_stub.values.sources import Sources
from tests.unit.installer_stub.values.test_schema import SHOP

SCHEMA = parse_schema(SHOP.encode())


def wished(*sets: str, files: tuple[Path, ...] = (), set_files: tuple[str, ...] = (), clusterfile: str = "") -> Wished:
    node = yaml.compose(clusterfile, Loader=yaml.SafeLoader) if clusterfile else None
    given = tuple(leaves(node, "Clusterfile", public=True)) if node is not None else ()
    return check_given(SCHEMA, given_by(Sources(sets, set_files, files, given)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("replicas=3", ("replicas", "3")),
        ("tls=true", ("tls", "true")),
        ("ratio=0.5", ("ratio", "0.5")),
        ("zones=a,b", ("zones", '["a", "b"]')),
        ('zones=["a"]', ("zones", '["a"]')),
        ("zones=", ("zones", "[]")),
        ("db.host=1.20", ("db.host", '"1.20"')),
        ("db.host=true", ("db.host", '"true"')),
        ("db.host=a=b", ("db.host", '"a=b"')),
    ],
)
def test_a_command_line_says_texts_and_the_schema_what_they_are(text: str, value: tuple[str, str]) -> None:
    assert wished(text).plain == (value,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("replicas=x", "a whole number is wanted"),
        ("replicas=0", "1 or more is wanted"),
        ("replicas=10", "9 or less is wanted"),
        ("replicas=022", "a whole number is wanted"),
        ("replicas=1.5", "a whole number is wanted"),
        ("tls=yes", "true or false is wanted"),
        ("ratio=2", "0.5 or 1 is wanted"),
        ("zones=a,b,c", "from 0 to 2 items are wanted, not 3"),
        ("zones=a,B", "item 1: does not match ^[a-z]+$"),
        ("zones=[", "a list is wanted"),
        ("db.host=12345678901", "from 0 to 10 characters are wanted, not 11"),
        ("db.port=1", "there is no such value; there are replicas"),
        ("db=x", "is an object; set db.host, db.password"),
        ("db.password=hunter22", "--set-file db.password=FILE"),
    ],
)
def test_what_the_schema_does_not_allow(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        wished(text)
    assert f"--set: {text.partition('=')[0]}: " in caught.value.problem
    assert words in caught.value.problem
    assert "hunter22" not in str(caught.value)


def test_everything_is_said_at_once_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "v.yaml"
    file.write_text("replicas: '3'\nzones:\n  - a\n  - 1\ndb:\n  password: short\n  what: 1\n")
    with pytest.raises(UsageError) as caught:
        wished("tls=2", files=(file,), clusterfile="a: b\ndb:\n  token: hunter22\n")
    assert caught.value.problem.splitlines()[1:] == [
        "Clusterfile:1: a: there is no such value; there are replicas, zones, tls, ratio, db.host, db.password, db.token",
        "Clusterfile:3: db.token: is a secret, and a command line or a Clusterfile can be read by others; give it with --set-file db.token=FILE or --values FILE",
        f"{file}:1: replicas: a whole number is wanted",
        f"{file}:3: zones: item 1: a text is wanted (write it in quotes)",
        f"{file}:6: db.password: from 8 to 32768 characters are wanted, not 5",
        f"{file}:7: db.what: there is no such value; there are replicas, zones, tls, ratio, db.host, db.password, db.token",
        "--set: tls: true or false is wanted",
    ]
    assert "short" not in str(caught.value).replace(str(file), "")


def test_secrets_come_from_files_and_the_later_word_counts(tmp_path: Path) -> None:
    file, password = tmp_path / "v.yaml", tmp_path / "password"
    file.write_text("replicas: 3\ndb: {password: first-one, token: abc}\n")
    password.write_text("hunter22!\n")
    found = wished("replicas=4", files=(file,), set_files=(f"db.password={password}",), clusterfile="replicas: 5\ntls: true")
    assert found.plain == (("replicas", "4"), ("tls", "true"))
    assert found.secret == (("db.password", Secret('"hunter22!"')), ("db.token", Secret('"abc"')))
    assert "hunter22" not in repr(found)


def test_null_takes_a_value_back() -> None:
    assert wished("replicas=null").dropped == {"replicas"}
    assert wished(clusterfile="zones: null\nreplicas: ~").dropped == {"zones", "replicas"}
    assert wished("replicas=3", clusterfile="replicas: null") == Wished((("replicas", "3"),))


def test_a_bundle_without_values_says_so() -> None:
    with pytest.raises(UsageError, match="declares none"):
        check_given(NO_VALUES, given_by(Sources(("a=b",))))
    assert check_given(NO_VALUES, ()) == Wished()


@pytest.mark.parametrize(
    "sources", [Sources(("a",)), Sources((), ("a",)), Sources((), ("a=/none",)), Sources((), (), (Path("/none"),)), Sources((), ("a=/dev/zero",))]
)
def test_what_cannot_be_read(sources: Sources) -> None:
    with pytest.raises(UsageError) as caught:
        given_by(sources)
    assert caught.value.remedy
