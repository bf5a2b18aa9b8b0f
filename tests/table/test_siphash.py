"""The hash of names: SipHash-1-3 as others have it, and the native one the same."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.table._nodes import lay_out
from dnsbl_server.table.siphash import hash_label
from tests.table.test_nodes import nodes_of

KEY = bytes(range(16))


def test_a_published_vector() -> None:
    # Key 00 to 0f, input 00 to 07.
    assert hash_label(KEY, 0x0706050403020100, b"") == 0x369095118D299A8E


# What CPython, whose hash of bytes it is too, gives with PYTHONHASHSEED=0 for so many bytes from "a" on.
@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (8, 0x3F7B849C0B8E35EA),
        (15, 0x1FD27A29B0E9DC7A),
        (16, 0x94F60D3D29E6A312),
        (23, 0xD9C26100B33EE39C),
        (24, 0x42ACF3A099AFF2DC),
    ],
)
def test_what_cpython_has(size: int, expected: int) -> None:
    data = bytes(range(ord("a"), ord("a") + size))
    assert hash_label(bytes(16), int.from_bytes(data[:8], "little"), data[8:]) == expected


def test_either_case_has_one_hash() -> None:
    assert hash_label(KEY, 7, b"ExAmPlE-@[") == hash_label(KEY, 7, b"example-@[")
    assert hash_label(KEY, 7, b"example") != hash_label(KEY, 8, b"example")
    assert hash_label(KEY, 7, b"example") != hash_label(KEY[::-1], 7, b"example")


@given(st.lists(st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=63), min_size=1, max_size=3))
def test_the_native_one_is_the_same(labels: list[str]) -> None:
    _, _, _, slots = lay_out(nodes_of({".".join(labels): (1, 0)}), KEY)
    hashed, expected = 0, []
    for label in reversed(labels):
        hashed = hash_label(KEY, hashed, label.encode())
        expected.append(hashed >> 32)
    assert sorted(slot >> 32 for (slot,) in struct.iter_unpack("<Q", slots) if slot) == sorted(expected)
