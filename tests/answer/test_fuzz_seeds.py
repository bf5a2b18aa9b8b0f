"""The seeds of the fuzzing, each given to what the fuzzing checks: at its time and transport, and at all others."""

from pathlib import Path

import pytest

from dnsbl_server.answer.respond import Outcome
from fuzz.answer import MOMENTS, SEEDS, TCP, Fuzzed

SEED_FILES = sorted(path for path in SEEDS.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def fuzzed() -> Fuzzed:
    return Fuzzed()


@pytest.mark.parametrize("seed", SEED_FILES, ids=lambda seed: seed.name)
def test_a_seed_keeps_the_invariant_at_every_time(fuzzed: Fuzzed, seed: Path) -> None:
    data = seed.read_bytes()
    fuzzed.check(data)
    for choice in range(len(MOMENTS)):
        fuzzed.check(bytes([choice]) + data[1:])
        fuzzed.check(bytes([choice | TCP]) + data[1:])


def test_the_seeds_have_every_outcome(fuzzed: Fuzzed) -> None:
    seen = {fuzzed.check(seed.read_bytes()).outcome for seed in SEED_FILES}
    assert seen == set(Outcome) - {Outcome.SERVFAIL}
