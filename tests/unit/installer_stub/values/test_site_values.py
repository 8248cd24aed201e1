"""The same command with fewer words keeps the values, and a secret leaves nothing of itself in the record."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installer_stub.errors import RecordError, UsageError
from installer_stub.host.command import Secret
from installer_stub.plan.settings import AS_USUAL, SiteSettings
from installer_stub.values.asked import asked
from installer_stub.values.model import Kept, Wished
from installer_stub.values.schema import parse_schema
from installer_stub.values.site_values import SiteValues, site_values
from installer_stub.values.store import SECRETS, VALUES, decode_kept, encode_kept, new_salt, rendered
from tests.unit.installer_stub.values.test_schema import SHOP

SCHEMA = parse_schema(SHOP.encode())
PASSWORD = (("db.password", Secret('"hunter22"')),)
FIRST = Wished((("replicas", "3"),), PASSWORD)
SALT, OTHER = "01" * 16, "02" * 16


def again(first: SiteValues, wished: Wished = Wished(), **changes: Kept) -> SiteValues:  # noqa: B008 - a value
    return site_values(SCHEMA, first.settings, wished, changes.get("kept", first.given), OTHER, begun=True)


@pytest.fixture
def first() -> SiteValues:
    return site_values(SCHEMA, AS_USUAL, FIRST, Kept(), SALT, begun=False)


def test_what_was_set_is_recorded_and_defaults_are_not(first: SiteValues) -> None:
    assert first.settings.values == (("replicas", "3"),)
    assert first.effective.variables == {
        "AIRSEAL_VALUE_REPLICAS": "3", "AIRSEAL_VALUE_ZONES": '["a"]', "AIRSEAL_VALUE_TLS": "false", "AIRSEAL_VALUE_DB_HOST": "db",
    }  # fmt: skip
    assert json.loads(first.effective.document()) == {"db": {"host": "db", "password": "hunter22"}, "replicas": 3, "tls": False, "zones": ["a"]}


def test_nothing_of_a_secret_is_in_the_record_and_its_mark_is_worth_nothing_without_the_salt(first: SiteValues) -> None:
    assert [path for path, _ in first.settings.secrets] == ["db.password"]
    assert "hunter22" not in repr((first, first.settings))
    elsewhere = site_values(SCHEMA, AS_USUAL, FIRST, Kept(), OTHER, begun=False)
    assert elsewhere.settings.secrets != first.settings.secrets


def test_fewer_words_and_the_same_words_change_nothing(first: SiteValues) -> None:
    for wished in (Wished(), FIRST, Wished((), PASSWORD)):
        same = again(first, wished)
        assert (same.settings, same.effective.identity, same.changed, same.given) == (first.settings, first.effective.identity, (), first.given)


def test_other_words_are_differences_and_secrets_show_stars(first: SiteValues) -> None:
    other = again(first, Wished((("replicas", "4"),), (("db.password", Secret('"correct horse"')),)))
    assert [(each.option, each.recorded, each.requested) for each in other.changed] == [("replicas", "3", "4"), ("db.password", "******", "******")]
    assert other.effective.identity != first.effective.identity
    back = again(first, Wished(dropped=frozenset({"replicas"})))
    assert [(each.option, each.recorded, each.requested) for each in back.changed] == [("replicas", "3", "2")]
    assert back.settings.values == ()


def test_what_stays_for_life_is_refused_also_against_its_default(first: SiteValues) -> None:
    refused = again(first, Wished((("tls", "true"),)))
    assert [each.option for each in refused.refused] == ["tls"]
    assert refused.changed == ()


def test_what_has_to_be_set_is_asked_for_by_name() -> None:
    with pytest.raises(UsageError, match=r"db\.password: has to be set: of the database"):
        site_values(SCHEMA, AS_USUAL, Wished(), Kept(), SALT, begun=False)


def test_a_secret_that_the_record_knows_and_no_master_has_is_no_default(first: SiteValues) -> None:
    token = site_values(SCHEMA, AS_USUAL, Wished((), (*PASSWORD, ("db.token", Secret('"t"')))), Kept(), SALT, begun=False)
    with pytest.raises(UsageError, match=r"db.password: has to be set[\s\S]*db.token: is a secret of this site"):
        again(token, kept=Kept())
    assert again(token, Wished((), (*PASSWORD, ("db.token", Secret('"t"')))), kept=Kept()).given.secrets == token.given.secrets


def test_secrets_with_a_default_alone_need_no_salt() -> None:
    schema = parse_schema(b'{"type": "object", "properties": {"a": {"type": "string", "writeOnly": true, "default": "x"}}}')
    found = [site_values(schema, SiteSettings(), Wished(), Kept(), salt, begun=False) for salt in (SALT, OTHER)]
    assert found[0].effective.identity == found[1].effective.identity


def test_masters_keep_everything_rendered(first: SiteValues) -> None:
    files = rendered(first.effective, first.given)
    assert files[f"{SECRETS}/db.password"] == b"hunter22"
    assert json.loads(files[VALUES])["replicas"] == 3
    assert rendered(site_values(parse_schema(b'{"type": "object", "properties": {}}'), AS_USUAL, Wished(), Kept(), SALT, begun=False).effective, Kept()) == {}


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_what_is_kept_is_read_again(values: dict[str, str]) -> None:
    kept = Kept(new_salt(), tuple(sorted((path, Secret(json.dumps(text))) for path, text in values.items())))
    assert decode_kept(encode_kept(kept), "10.0.0.2") == kept


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"format":"airseal.values/2","salt":"00","secrets":{}}', b"x" * 2_000_000])
def test_what_is_torn_is_no_kept_secret(raw: bytes) -> None:
    with pytest.raises(RecordError, match="torn"):
        decode_kept(raw, "10.0.0.2")


@pytest.mark.parametrize(
    ("typed", "wished", "secret", "prompts"),
    [
        (["hunter22"], Wished((("replicas", "3"),)), '"hunter22"', 1),
        (["short", "hunter22"], Wished((("replicas", "3"),)), '"hunter22"', 2),
        (["short"] * 9, Wished((("replicas", "3"),)), None, 3),
        ([""], Wished((("replicas", "3"),)), None, 1),
        (["hunter22"], Wished((("replicas", "3"),), dropped=frozenset({"db.password"})), '"hunter22"', 1),
        (["hunter22"], FIRST, PASSWORD[0][1].reveal(), 0),
    ],
)
def test_a_secret_that_is_missing_is_typed(typed: list[str], wished: Wished, secret: str | None, prompts: int) -> None:
    answers, shown = iter(typed), list[str]()

    def ask(prompt: str) -> Secret:
        shown.append(prompt)
        return Secret(next(answers))

    found = asked(SCHEMA, AS_USUAL, wished, Kept(), ask)
    assert len(shown) == prompts
    assert not any(text in prompt for prompt in shown for text in typed if text)
    assert {path: value.reveal() for path, value in found.secret} == ({} if secret is None else {"db.password": secret})
    if secret is None:
        with pytest.raises(UsageError, match=r"db\.password: has to be set"):
            site_values(SCHEMA, AS_USUAL, found, Kept(), SALT, begun=False)
    else:
        assert site_values(SCHEMA, AS_USUAL, found, Kept(), SALT, begun=False).given.secrets


def test_a_secret_that_no_master_has_any_more_is_typed_and_nobody_is_asked_in_a_pipe(first: SiteValues) -> None:
    typed = asked(SCHEMA, first.settings, Wished(), Kept(), lambda _prompt: Secret("hunter22"))
    assert site_values(SCHEMA, first.settings, typed, Kept(), OTHER, begun=True).given.secrets == PASSWORD
    assert asked(SCHEMA, first.settings, Wished(), Kept(), None) == Wished()


def test_nobody_types_a_secret_for_a_run_that_ends_for_another_value() -> None:
    schema = parse_schema(SHOP.replace('"required": ["db"]', '"required": ["db", "ratio"]').encode())
    assert asked(schema, AS_USUAL, Wished(), Kept(), lambda _prompt: pytest.fail("asked")) == Wished()
