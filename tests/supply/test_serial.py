"""The serial of a zone: the time of its last change, and never one that was served for something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.supply.serial import ZoneVersion, next_serial, serial_at

NOW = 1_800_000_000.9
SECOND = 1_000_000_000
LARGEST = (1 << 32) - 1


@pytest.mark.parametrize(
    ("changed", "expiries", "serial"),
    [
        ([], [], 1),
        ([0], [0], 1),
        ([-5 * SECOND], [], 1),
        ([1_700_000_000 * SECOND, 1_600_000_000 * SECOND + SECOND - 1], [], 1_700_000_000),
        # A file from the future.
        ([1_900_000_000 * SECOND], [], 1_800_000_000),
        ([1_900_000_000 * SECOND, 5 * SECOND], [1_900_000_000], 1_800_000_000),
        # Entries that have expired, and that have not.
        ([1_700_000_000 * SECOND], [1_750_000_000, 1_740_000_000, 1_800_000_001, 0], 1_750_000_000),
        ([1_700_000_000 * SECOND], [1_650_000_000], 1_700_000_000),
        ([5 * SECOND], [1_800_000_000], 1_800_000_000),
    ],
)
def test_the_serial_is_the_time_of_the_last_change(changed: list[int], expiries: list[int], serial: int) -> None:
    assert serial_at(changed, expiries, NOW) == serial


@pytest.mark.parametrize(
    ("candidate", "before", "serial"),
    [
        (1_800_000_000, None, 1_800_000_000),
        (1_800_000_000, 1_700_000_000, 1_800_000_000),
        (1_800_000_000, 1_800_000_000, 1_800_000_001),
        (1_800_000_000, 1_800_000_009, 1_800_000_010),
        # In 2106, and after that (RFC 1982).
        (LARGEST, LARGEST, 1),
        (5, LARGEST, 5),
        (5, 9, 10),
    ],
)
def test_the_next_serial(candidate: int, before: int | None, serial: int) -> None:
    version = None if before is None else ZoneVersion(before, "digest")
    assert next_serial(candidate, version) == serial


@given(st.integers(1, LARGEST), st.integers(1, LARGEST))
def test_the_next_serial_is_always_ahead(candidate: int, before: int) -> None:
    serial = next_serial(candidate, ZoneVersion(before, ""))
    assert 1 <= serial <= LARGEST
    assert 0 < (serial - before) % (1 << 32) < 1 << 31


@given(st.lists(st.integers(-SECOND, 1 << 70)), st.lists(st.integers(0, 1 << 40)), st.floats(0, 1 << 40))
def test_any_time_makes_a_serial(changed: list[int], expiries: list[int], now: float) -> None:
    assert 1 <= serial_at(changed, expiries, now) <= LARGEST
