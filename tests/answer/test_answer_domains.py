"""The compiled answer is that of its specification for trees of names that are made by hand, as no compiler makes them.

Also of names that end like a reversed address, or are one.
"""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsbl_server.answer.respond import Outcome, Reply
from dnsbl_server.dns.name import labels_of
from dnsbl_server.dns.reversed import query_name
from dnsbl_server.model.address import Address
from dnsbl_server.table._nodes import lay_out
from dnsbl_server.table.layout import Answer, mark_of
from dnsbl_server.table.pack import pack
from dnsbl_server.table.siphash import hash_label
from dnsbl_server.table.table import ZoneTable
from tests.asking import header, name_wire, plain, question
from tests.conftest import NOW
from tests.profiles import examples
from tests.sameness import Both
from tests.table.test_nodes import KEY, SAME_TAG, Pair, nodes_of
from tests.table.test_table import INFO, NO_V4, NO_V6, columns4, columns6

SOON = int(NOW) + 10
ZONE = labels_of(INFO.zone)
LABELS = ("a", "b", "ab", "com", "test", "1", "8", "f", "-", "x" * 7, "x" * 8, "x" * 9, "x" * 63, "y" * 63, "y" * 62)
LITERALS = ("", "x", " is listed", "y" * 253, "z" * 300)
ADDRESS = Answer((0x7F000002,), ((0, "\0 is listed"),), 300)


def fitting(labels: Sequence[str]) -> str:
    """As much of the end of a name as fits below the zone."""
    name = ".".join(labels)
    while len(name) + 1 + len(INFO.zone) > 253:
        name = name.partition(".")[2]
    return name


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Both, list[str]]:
    """A table with names, each with answers that show its last labels; with addresses or without. And the names."""
    answers: list[Answer] = [ADDRESS]
    names: dict[str, Pair] = {}
    some = st.sampled_from(LABELS)
    labels = st.lists(some, min_size=1, max_size=5) | st.lists(some, min_size=20, max_size=119)
    for name in draw(st.lists(labels.map(fitting), min_size=1, max_size=12, unique=True)):
        pair = []
        for is_listed in (draw(st.booleans()), draw(st.booleans())):
            if not is_listed:
                pair.append(0)
                continue
            mark = st.integers(1, name.count(".") + 1).map(mark_of)
            texts = draw(
                st.lists(st.lists(mark | st.sampled_from(LITERALS), max_size=3).map("".join), min_size=1, max_size=3)
            )
            codes = tuple(0x7F000002 + number for number in range(draw(st.integers(1, 3))))
            # What follows shows as much at most.
            following = draw(st.sampled_from((0, *pair)))
            expires = draw(st.sampled_from((0, SOON, SOON + 10)))
            answers.append(Answer(codes, tuple((0, text) for text in texts), 60, expires, following))
            pair.append(len(answers))
        names[name] = (pair[0], pair[1])
    v4 = columns4((0x08080000, 0x08080807, 1), (0x7F000002, 0x7F000002, 1)) if draw(st.booleans()) else NO_V4
    below = draw(st.lists(st.integers(0, 0x9999), max_size=4))
    firsts = sorted({number << 112 for number in below})
    v6 = columns6(*((first, first + 5, 1) for first in firsts)) if firsts else NO_V6
    return Both(
        [ZoneTable(pack(INFO, v4, v6, answers, b"", nodes_of(names), draw(st.binary(min_size=16, max_size=16))))]
    ), list(names)


def make_front(random: Random, names: Sequence[str]) -> list[bytes]:
    """The labels in front of the zone's name: of a listed name, of one near it, or of an address."""
    kind = random.random()
    if kind < 0.1:
        return [str(random.choice((0, 1, 8, 9))).encode() for _ in range(random.choice((1, 2, 3, 4, 4, 4, 5)))]
    if kind < 0.2:
        address = random.choice(
            (Address(4, 0x08080808 - random.randint(0, 9)), Address(6, random.getrandbits(16) << 112))
        )
        return list(labels_of(query_name(address, "").rstrip(".")))
    labels = list(labels_of(random.choice(names)))
    if kind < 0.3:
        return labels[random.randrange(len(labels)) :]
    if kind < 0.5:
        return [random.choice((b"\xff", b"a.b", b"\0", b"q", b"*")), *labels]
    if kind < 0.55:
        return [b"q"] * 120 + labels
    if kind < 0.6:
        return [b".".join(labels)[:63]]
    if kind < 0.7:
        labels[random.randrange(len(labels))] = random.choice(LABELS).encode()
    elif kind < 0.75:
        at = random.randrange(len(labels))
        labels[at] = bytes([*labels[at][:-1], random.randrange(256)])
    return labels


def make_packet(random: Random, names: Sequence[str]) -> bytes:
    labels = [*make_front(random, names), *ZONE]
    while len(name_wire(*labels)) > 255:
        labels.pop(0)
    if random.random() < 0.5:
        labels = [bytes(random.choice((each.upper(), each.lower()))) for each in labels]
    return header() + question(name_wire(*labels), random.choice((1, 16, 16, 16, 255, 28)))


@given(worlds(), st.integers(0, 1 << 63))
@settings(max_examples=examples(1), suppress_health_check=list(HealthCheck))
def test_trees_that_are_made_by_hand(world: tuple[Both, list[str]], seed: int) -> None:
    both, names = world
    random = Random(seed)
    for _ in range(60):
        both.check(
            make_packet(random, names), random.choice((NOW, SOON - 0.5, SOON, SOON + 99.0)), random.random() < 0.5
        )


def test_two_names_of_one_tag_are_kept_apart() -> None:
    shown = Answer((0x7F000002,), ((0, mark_of(1)),), 300), Answer((0x7F000003,), ((1, mark_of(1)),), 300)
    for pairs in ({SAME_TAG[0]: (1, 0)}, {SAME_TAG[1]: (1, 0)}, {SAME_TAG[0]: (1, 2), SAME_TAG[1]: (2, 1)}):
        both = Both([ZoneTable(pack(INFO, NO_V4, NO_V6, shown, b"", nodes_of(pairs), bytes(16)))])
        for name in SAME_TAG:
            for front in (name, f"a.{name}"):
                reply = both.check(plain(f"{front}.{INFO.zone}", 16))
                number = pairs.get(name, (0, 0))[front != name]
                assert reply.hits == ((INFO.lists[number - 1].name,) if number else ())


# Below e.d.c.b.a, with a key of zeros, the hashes of two have the same upper half, and lead to the same slot of 12.
DEEP_TAGS = (
    *(
        ("n45564", "n632882"),
        ("n437419", "n8894"),
        ("n807430", "n19081"),
        ("n555076", "n627217"),
        ("n929586", "n877309"),
    ),
    *(
        ("n685456", "n3002"),
        ("n960516", "n274643"),
        ("n572276", "n257217"),
        ("n815261", "n258303"),
        ("n42099", "n889926"),
    ),
)
CHAIN = "e.d.c.b.a"


def hash_of(name: str) -> int:
    hashed = 0
    for label in reversed(labels_of(name)):
        hashed = hash_label(bytes(16), hashed, label)
    return hashed


def test_a_deep_name_is_not_taken_for_another_one_of_its_tag() -> None:
    met = 0
    for listed, other in (*DEEP_TAGS, *(pair[::-1] for pair in DEEP_TAGS)):
        assert hash_of(f"{listed}.{CHAIN}") >> 32 == hash_of(f"{other}.{CHAIN}") >> 32
        pairs = {f"x.{listed}.{CHAIN}": (1, 2), CHAIN: (0, 3)}
        answers = tuple(Answer((0x7F000001 + number,), ((0, f"{number}"),), 300) for number in (1, 2, 3))
        nodes = nodes_of(pairs)
        slots = memoryview(lay_out(nodes, bytes(16))[3]).cast("Q")
        place = (hash_of(f"{other}.{CHAIN}") & 0xFFFFFFFF) * len(slots) >> 32
        while slots[place] and slots[place] >> 32 != hash_of(f"{other}.{CHAIN}") >> 32:
            place = (place + 1) % len(slots)
        met += slots[place] != 0
        both = Both([ZoneTable(pack(INFO, NO_V4, NO_V6, answers, b"", nodes, bytes(16)))])
        for front, code in ((f"x.{listed}", 2), (f"y.x.{listed}", 3), (f"x.{other}", 4), (other, 4), (listed, 4)):
            reply = both.check(plain(f"{front}.{CHAIN}.{INFO.zone}"))
            assert reply.packet is not None
            assert reply.packet[-1] == code, (front, listed)
    # In some tables the other one is met where the name would be.
    assert met > 2


@pytest.mark.parametrize("depth", [4, 5, 6, 7, 8, 9, 31, 64, 117])
def test_every_name_along_a_deep_one(depth: int) -> None:
    """Each label but every third has an answer of its own."""
    answers = tuple(Answer((0x7F000001 + number,), ((0, mark_of(number)),), 300) for number in range(1, depth + 1))
    deep = [("l" if depth < 80 else "") + f"{number % 7}" for number in range(depth)]
    pairs = {".".join(deep[-size:]): (size, 0) for size in range(1, depth + 1) if size % 3}
    both = Both([ZoneTable(pack(INFO, NO_V4, NO_V6, answers, b"", nodes_of(pairs), KEY))])
    for size in range(1, depth + 1):
        for front in ([], ["l0"], ["zz", "l1"], ["zz"] * 3):
            name = ".".join([*front, *deep[-size:]])
            if len(name) + len(INFO.zone) < 253:
                both.check(plain(f"{name}.{INFO.zone}", 16))


def test_a_name_as_long_and_as_deep_as_can_be() -> None:
    deep, long = fitting(["d"] * 127), fitting(["x" * 63, "y" * 63, "z" * 63, "w" * 46])
    assert (deep.count("."), len(long)) == (118, 238)
    shown = tuple(Answer((0x7F000002,), ((0, mark_of(count)),), 300) for count in (119, 4))
    nodes = nodes_of({deep: (1, 0), long: (2, 0)})
    both = Both([ZoneTable(pack(INFO, NO_V4, NO_V6, shown, b"", nodes, KEY))])
    for name in (deep, long):
        for asked in (name, name.upper()):
            reply = both.check(plain(f"{asked}.{INFO.zone}", 16), tcp=True)
            assert reply.outcome == Outcome.LISTED
            assert reply.packet is not None
            assert bytes([len(name)]) + name.encode() in reply.packet
        for other in (name[2:], f"e{name[1:]}", name.partition(".")[2]):
            assert both.check(plain(f"{other}.{INFO.zone}", 16)).outcome in (Outcome.NODATA, Outcome.NOT_LISTED)


def ask(both: Both, name: str) -> Reply:
    return both.check(plain(f"{name}.{INFO.zone}"))


@pytest.mark.parametrize(
    ("first", "last", "names"),
    [
        (0x8888 << 112, 0x8888 << 112, {"8.8.8.8"}),
        ((0x8889 << 112) - 1, (0x8889 << 112) - 1, {"8.8.8.8"}),
        ((0x8888 << 112) - 1, (0x8888 << 112) - 1, {"7.8.8.8"}),
        (0x8889 << 112, 0x8889 << 112, {"9.8.8.8"}),
        ((0x8887 << 112) + 5, (0x8889 << 112) + 5, {"7.8.8.8", "8.8.8.8", "9.8.8.8"}),
        (0x1234 << 112, 0x1234 << 112, {"4.3.2.1"}),
        (0xFFFF << 32, 0xFFFF << 32, set()),
        (0, (1 << 128) - 1, {"7.8.8.8", "8.8.8.8", "9.8.8.8", "4.3.2.1", "1.2.3.4"}),
        (None, None, set()),
    ],
)
def test_an_ipv4_name_exists_where_an_ipv6_address_below_it_is_listed(
    first: int | None, last: int | None, names: set[str]
) -> None:
    v6 = NO_V6 if first is None or last is None else columns6((first, last, 1))
    both = Both([ZoneTable(pack(INFO, columns4((0x7F000002, 0x7F000002, 1)), v6, (ADDRESS,), b""))])
    for name in ("7.8.8.8", "8.8.8.8", "9.8.8.8", "4.3.2.1", "1.2.3.4"):
        assert ask(both, name).outcome == (Outcome.NODATA if name in names else Outcome.NOT_LISTED)
    # Below it are all mapped IPv4 addresses.
    assert ask(both, "0.0.0.0").outcome == Outcome.NODATA
    for name in ("10.8.8.8", "8.8.8.10", "200.0.0.0"):
        assert ask(both, name).outcome == Outcome.NOT_LISTED


def test_a_zone_lists_addresses_where_it_has_ipv4_intervals() -> None:
    nodes = nodes_of({"8.8.8.8": (1, 0), "b.a": (1, 0), "7.com": (1, 0)})
    listed = (ADDRESS._replace(texts=((0, mark_of(1)),)), ADDRESS)
    for v4, outcomes in (
        (NO_V4, ("listed", "nodata", "not_listed", "listed", "nodata", "not_listed")),
        # A whole address is looked up as one, and a part of one always exists.
        (columns4((0x7F000002, 0x7F000002, 2)), ("not_listed", "nodata", "nodata", "listed", "nodata", "not_listed")),
    ):
        both = Both([ZoneTable(pack(INFO, v4, NO_V6, listed, b"", nodes, KEY))])
        names = ("8.8.8.8", "8.8", "9.8.8", "b.a", "a", "c.7.com")
        assert tuple(ask(both, name).outcome for name in names) == outcomes
