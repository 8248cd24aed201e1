"""The record's bytes: one spelling, and anything else is a named error, never another record."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installer_stub.errors import RecordError
from installer_stub.host.model import Role
from installer_stub.plan.settings import SiteSettings
from installer_stub.site.codec import (
    MOST_BYTES,
    decode_identity,
    decode_record,
    encode_identity,
    encode_record,
)
from installer_stub.site.model import Identity
from tests.fakes.sites import master, node, record

FULL = record(
    master(2, internal="172.16.0.2", user="ops", port=2222, labels=(("rack", "7"),), taints=("a=b:NoSchedule",), env=(("X", "é"),)),
    node(5),
)
FULL = replace(FULL, site=replace(FULL.site, endpoint="10.0.0.9:6443", sans=("shop.example",), options=(("certificate-validity", "86400"),)))
RAW = encode_record(FULL)


SET = SiteSettings((("SITE", "é"),), 5444, (("etcd", "/data/etcd"),), (("containerd", json.dumps("a\nb" * 2000)), ("kubelet", "{}")), (("db.host", '"\\n\\u00e9"'),), (("db.password", "00ff"),))


def test_settings_there_and_back() -> None:
    full = replace(FULL, site=replace(FULL.site, settings=SET))
    assert decode_record(encode_record(full)) == full
    assert b"settings" not in RAW, "a record of a site that is as usual is that of an earlier release"


def test_publishers_there_and_back() -> None:
    bundle = replace(FULL.site.bundles[0], publishers=(f"SHA256:{'A' * 43}", f"SHA256:{'B' * 43}"))
    full = replace(FULL, site=replace(FULL.site, bundles=(bundle,)))
    assert decode_record(encode_record(full)) == full
    assert b"publishers" not in RAW, "a record of a site whose file nobody signed is that of an earlier release"


def test_there_and_back() -> None:
    assert decode_record(RAW) == FULL
    assert encode_record(decode_record(RAW)) == RAW
    identity = Identity("c1", ("shop:1.4.0",), "m2", Role.MASTER, ("10.0.0.2",))
    assert decode_identity(encode_identity(identity)) == identity


@pytest.mark.parametrize("end", [0, 1, len(RAW) // 2, len(RAW) - 2, len(RAW) - 1])
def test_a_torn_record_is_a_named_error(end: int) -> None:
    with pytest.raises(RecordError):
        decode_record(RAW[:end])


@given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
def test_no_changed_byte_goes_unseen(at: int, by: int) -> None:
    changed = RAW[:at] + bytes([RAW[at] ^ by]) + RAW[at + 1 :]
    with pytest.raises(RecordError):
        decode_record(changed)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_or_a_named_error(raw: bytes) -> None:
    for decode in (decode_record, decode_identity):
        with pytest.raises(RecordError):
            decode(raw)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8), st.data())
def test_a_wrong_value_with_a_right_checksum_is_a_named_error(value: object, data: st.DataObject) -> None:
    from installer_stub.site import codec

    document = json.loads(RAW)
    del document["checksum"]
    name = data.draw(st.sampled_from(sorted(set(document) - {"format"})))
    before, document[name] = document[name], value
    try:
        found = decode_record(codec._sealed(document))
    except RecordError:
        return
    assert value != before or found == FULL
    assert encode_record(found) == codec._sealed(document)


def test_what_a_newer_airseal_wrote_says_so() -> None:
    raw = RAW.replace(b"airseal.site/1", b"airseal.site/2")
    with pytest.raises(RecordError, match=r"airseal\.site/2") as caught:
        decode_record(raw)
    assert caught.value.newer


def test_bounds() -> None:
    with pytest.raises(RecordError, match="no more than"):
        decode_record(RAW + b" " * MOST_BYTES)
    doubled = replace(FULL, site=replace(FULL.site, hosts=(FULL.site.hosts[0], replace(FULL.site.hosts[0], name="other"))))
    with pytest.raises(RecordError, match="two have the same address"):
        decode_record(encode_record(doubled))
