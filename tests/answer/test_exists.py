"""RFC 8020: an NXDOMAIN is never an ancestor of a listed name, and among domain names of one that exists."""

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsbl_server.answer import _outcome, _probe
from dnsbl_server.answer._directory import Directory
from dnsbl_server.dns.reversed import query_name
from dnsbl_server.model.zone import Zone
from tests import oracle
from tests.asking import plain
from tests.conftest import NOW
from tests.profiles import examples
from tests.sameness import open_zone

PAIRS = 500  # of a name and one above it, that are tried in one zone


def pairs_in(zone: Zone, random: Random, wanted: int) -> int:
    """Try so many random names, each with those above it, but no more than so many pairs; how many there were."""
    table = open_zone(zone)
    if table is None:
        return 0
    directory = Directory([table.native])
    subjects = [query_name(subject, "").rstrip(".") for subject in oracle.edges(zone)] or ["a.b"]
    moments = oracle.moments(zone)
    tried = 0
    for _ in range(wanted):
        front = random.choice(subjects)
        if random.random() < 0.5:
            front = ".".join([*random.choices(oracle.LABELS, k=random.randint(0, 2)), front])
        elif random.random() < 0.3:
            front = front.split(".", random.randint(0, front.count(".")))[-1]
        if len(front) + len(zone.name) > 250:
            continue
        labels = front.split(".")
        names = [".".join(labels[at:]) for at in range(len(labels))]
        packets = [plain(f"{name}.{zone.name}") for name in names]
        outcomes = [
            answer.outcome for answer in _probe.answer_all(directory, packets, random.choice(moments)) if answer
        ]
        assert len(outcomes) == len(names)
        # Parts of IPv6 names exist wherever addresses are listed, below the names of whole IPv4 addresses too.
        known = {_outcome.LISTED} if table.has_addresses else {_outcome.LISTED, _outcome.NODATA}
        first = next((at for at, outcome in enumerate(outcomes) if outcome in known), len(outcomes))
        assert _outcome.NOT_LISTED not in outcomes[first:], names
        tried += len(outcomes[first:])
        if tried >= wanted:
            break
    return tried


@given(oracle.zones(), st.integers(0, 1 << 63))
@settings(max_examples=examples(1), suppress_health_check=list(HealthCheck))
def test_what_is_above_a_name_that_exists_exists(zone: Zone, seed: int) -> None:
    pairs_in(zone, Random(seed), PAIRS)


def test_moments_begin_with_the_load() -> None:
    assert oracle.moments(oracle.make_zone(())) == [NOW, NOW + 1e9]
