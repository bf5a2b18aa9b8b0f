"""The tree of names: its order, its cases, and which nodes a table needs, beside a plain dictionary."""

from array import array
from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.compiler._trie import Trie
from dnsbl_server.model._names import Names
from dnsbl_server.model.domain import AT, BELOW
from dnsbl_server.table.layout import Nodes

# Labels that are the beginnings of others, that differ behind their eighth byte, and of all characters.
LABELS = ("a", "aa", "b", "0", "-", "_", "eightlet", "eightlets", "eightlett", "x" * 62, "x" * 63)
RULES = array("I", (1, 2, 3, 0, 5, 6))


def join(rule: int, other: int) -> int:
    """Rules are bits here, so it does not matter which one comes first."""
    return rule | other


def labels_of(nodes: Nodes) -> list[bytes]:
    found = []
    at = 0
    while at < len(nodes.labels):
        size = nodes.labels[at]
        found.append(nodes.labels[at + 1 : at + 1 + size])
        at += 1 + size
    assert at == len(nodes.labels)
    return found


def names_of(nodes: Nodes) -> list[tuple[bytes, ...]]:
    """The name of each node, its labels from right to left."""
    names: list[tuple[bytes, ...]] = [()]
    for label, parent in zip(labels_of(nodes), nodes.parents, strict=True):
        assert parent < len(names)
        names.append((*names[parent], label))
    return names[1:]


def key_of(name: str) -> tuple[bytes, ...]:
    return tuple(reversed(name.encode().split(b".")))


names_strategy = st.lists(st.sampled_from(LABELS), min_size=1, max_size=3).map(".".join)
rows_strategy = st.lists(st.tuples(names_strategy, st.integers(1, 3), st.integers(0, 1)), max_size=12)


@given(rows_strategy, st.integers(0, 1 << 32), st.lists(st.integers(0, 12), max_size=3))
def test_nodes_are_those_of_a_dictionary(rows: list[tuple[str, int, int]], seed: int, cuts: list[int]) -> None:
    rules: dict[tuple[bytes, ...], int] = {}
    for name, scope, kind in rows:
        rule = RULES[3 * kind + scope - 1]
        if rule:
            rules[key_of(name)] = rules.get(key_of(name), 0) | rule
    order = sorted({key[:size] for key in rules for size in range(1, len(key) + 1)})
    shuffled = Random(seed).sample(rows, len(rows))
    trie = Trie()
    # In several columns, of which one has no kinds.
    edges = [0, *sorted(cuts), len(rows)]
    for start, end in pairwise(edges):
        part = shuffled[start:end]
        kinds = array("I", (kind for _, _, kind in part))
        while kinds and not kinds[-1]:
            kinds.pop()
        trie.add(Names((name, scope, 0) for name, scope, _ in part), kinds or None, RULES, join)

    visited = []
    chosen = Random(seed).choices((0, 0, 7, 9), k=16)

    def combine(state: int, rule: int, labels: int) -> tuple[int, int]:
        visited.append((state, rule, labels))
        return rule, state * 8 + rule

    trie.walk(combine)
    at, below = array("I", chosen[:8]), array("I", chosen[8:])
    nodes = trie.nodes(at, below)

    states: dict[tuple[bytes, ...], int] = {(): 0}
    cases = []
    for key in order:
        states[key] = states[key[:-1]] * 8 + rules.get(key, 0)
        cases.append((states[key[:-1]], rules.get(key, 0), len(key)))
    assert list(dict.fromkeys(visited)) == list(dict.fromkeys(cases))

    def answers(key: tuple[bytes, ...]) -> tuple[int, int]:
        return (at[rules.get(key, 0)], below[rules.get(key, 0)]) if key else (0, 0)

    exist = {key[:size] for key in order if any(answers(key)) for size in range(len(key) + 1)}
    kept: list[tuple[bytes, ...]] = []
    for key in order:
        if (len(key) == 1 or key[:-1] in kept) and (key in exist or answers(key[:-1])[1]):
            kept.append(key)
    assert names_of(nodes) == kept
    assert list(zip(nodes.at, nodes.below, strict=True)) == list(map(answers, kept))


def columns(rows: Sequence[tuple[str, int]]) -> Nodes:
    trie = Trie()
    trie.add(Names((name, scope, 0) for name, scope in rows), None, array("I", (1, 2, 3)), join)
    trie.walk(lambda state, rule, labels: (rule, 0))
    return trie.nodes(array("I", (0, 1, 0, 1)), array("I", (0, 0, 1, 1)))


def test_many_siblings_are_sorted_by_their_bytes_whatever_their_order_was() -> None:
    random = Random(5)
    names = {"".join(random.choices("abz09-_", k=random.randint(1, 12))) for _ in range(20_000)}
    rows = [(f"{name}.com", random.choice((AT, BELOW, AT | BELOW))) for name in sorted(names)]
    nodes = columns(rows)
    assert labels_of(nodes) == [b"com", *sorted(name.encode() for name in names)]
    assert columns(random.sample(rows, len(rows))) == nodes


def test_a_name_of_127_labels() -> None:
    name = ".".join(["d"] * 127)
    nodes = columns([(name, AT), (name[2:], BELOW)])
    assert list(nodes.parents) == list(range(127))
    assert (list(nodes.at), list(nodes.below)) == ([0] * 126 + [1], [0] * 125 + [1, 0])


def test_functions_are_called_for_distinct_cases() -> None:
    joined, combined = [], []

    def note_join(rule: int, other: int) -> int:
        joined.append((rule, other))
        return 9

    def note_combine(state: int, rule: int, labels: int) -> tuple[int, int]:
        combined.append((state, rule, labels))
        return 0, 7

    trie = Trie()
    for scope in (AT, BELOW):
        names = Names((f"n{at}.com", scope, 0) for at in range(1000))
        trie.add(names, None, array("I", (1, 2, 3)), note_join)
    trie.walk(note_combine)
    assert joined == [(1, 2)]
    assert combined == [(0, 0, 1), (7, 9, 2)]
    assert names_of(trie.nodes(array("I", (5,)), array("I", (0,))))[:2] == [(b"com",), (b"com", b"n0")]


def test_what_a_function_raises_comes_through() -> None:
    def fail(*numbers: int) -> int:
        raise LookupError(numbers)

    trie = Trie()
    trie.add(Names([("a.b", AT, 0)]), None, RULES, fail)
    with pytest.raises(LookupError):
        trie.add(Names([("a.b", BELOW, 0)]), None, RULES, fail)
    with pytest.raises(LookupError):
        trie.walk(fail)  # type: ignore[arg-type]


def test_what_is_out_of_order_or_range_is_refused() -> None:
    trie = Trie()
    with pytest.raises(IndexError, match="a kind without rules"):
        trie.add(Names([("a", AT, 0)]), array("I", (2,)), RULES, join)
    with pytest.raises(ValueError, match="has not been walked"):
        trie.nodes(array("I"), array("I"))
    trie.add(Names([("a", AT, 0)]), None, RULES, join)
    trie.walk(lambda state, rule, labels: (3, 0))
    with pytest.raises(ValueError, match="its order already"):
        trie.walk(lambda state, rule, labels: (0, 0))
    with pytest.raises(ValueError, match="its order already"):
        trie.add(Names([("a", AT, 0)]), None, RULES, join)
    with pytest.raises(IndexError, match="a value without answers"):
        trie.nodes(array("I", (0, 0, 0)), array("I", (0, 0, 0, 0)))
    trie.nodes(array("I", (0, 0, 0, 1)), array("I", (0, 0, 0, 0)))
    # It is used up.
    with pytest.raises(ValueError, match="its order already"):
        trie.add(Names([("a", AT, 0)]), None, RULES, join)
    with pytest.raises(ValueError, match="its order already"):
        trie.walk(lambda state, rule, labels: (0, 0))
    with pytest.raises(ValueError, match="has not been walked"):
        trie.nodes(array("I"), array("I"))


def test_a_tree_without_names_has_no_nodes() -> None:
    trie = Trie()
    trie.walk(lambda state, rule, labels: (0, 0))
    assert trie.nodes(array("I"), array("I")) == Nodes(b"", array("I"), array("I"), array("I"))
