"""The rules of what is loaded, why and when, by the numbers that they have in `plan`."""

from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.sources.files import Signature
from dnsbl_server.supply.paths import PathLook
from dnsbl_server.supply.plan import (
    EXPIRY_SHARE,
    SUSPICIONS,
    Backoff,
    KnownFile,
    Look,
    Plan,
    Reason,
    after_crash,
    after_due_load,
    batches_after,
    first_batches,
    plan,
    seconds_to_next_look,
)

NOW = 1_000_000.0
OLD: Signature = (1, 2, 3, 4, 5)
NEW: Signature = (1, 2, 3, 4, 6)
# Files that nothing is wrong with: their last load succeeded, and was before now.
GOOD = KnownFile({"a": OLD}, has_succeeded=True, made_at=NOW - 50)
OTHER = KnownFile({"b": OLD}, has_succeeded=True, made_at=NOW - 50)
BAD = KnownFile({"b": OLD}, has_succeeded=False, made_at=NOW - 50)
FEED = KnownFile({"a": OLD, "feed": OLD}, has_succeeded=True, made_at=NOW - 50)
D1, D2 = KnownFile({"d/1": OLD}, True, NOW - 50), KnownFile({"d/2": OLD}, True, NOW - 50)


def directory(path: str, names: str) -> PathLook:
    return PathLook(path, tuple(f"{path}/{name}" for name in names.split()), True)


def unreadable(path: str, is_directory: bool = False) -> PathLook:
    return PathLook(path, (), is_directory, "why")


def expiring(at: float, tried_at: float = 0.0, not_before: float = 0.0, has_succeeded: bool = True) -> KnownFile:
    return KnownFile({"a": OLD}, has_succeeded, NOW - 50, at, tried_at, not_before)


def due(at: float, tried_at: float = 0.0, not_before: float = 0.0) -> KnownFile:
    """A file that is to be read again because of a source."""
    return replace(expiring(0, tried_at, not_before), source_due=at)


def ahead(has_succeeded: bool = True) -> KnownFile:
    """A file whose table was made while the clock was an hour ahead."""
    return KnownFile({"a": OLD}, has_succeeded, made_at=NOW + 3600)


class Case(NamedTuple):
    """A rule, what is known, what is seen, and the plan: the reasons for each file, what is gone, and what is kept.

    Seen are the files of the working directory, unless `paths` says otherwise.
    """

    rule: int
    known: dict[str, KnownFile]
    files: str
    load: dict[str, set[Reason]]
    gone: str = ""
    versions: dict[str, Signature] = {}  # noqa: RUF012 - never changed; those that are not OLD
    paths: tuple[PathLook, ...] = ()
    kept: str = ""
    is_forced: bool = False

    def plan(self) -> Plan:
        sources = {source for file in self.known.values() for source in file.sources}
        paths = self.paths or (PathLook("", tuple(self.files.split()), is_directory=True),)
        return plan(self.known, Look(paths, dict.fromkeys(sources, OLD) | self.versions), NOW, self.is_forced)


def crashed(retry_at: float, crashes: int = 1) -> KnownFile:
    """A file whose loader has failed."""
    return KnownFile({"a": OLD}, False, NOW - 50, crashes=crashes, retry_at=retry_at)


N, C, F, E, T, B = Reason.NEW, Reason.CHANGED, Reason.FORCED, Reason.EXPIRED, Reason.CLOCK, Reason.FAILED
R, S = Reason.RETRY, Reason.SOURCE

CASES = [
    # Nothing happened, nothing to do.
    Case(0, {}, "", {}),
    Case(0, {"a": GOOD, "b": OTHER}, "a b", {}),
    Case(0, {"a": GOOD, "b": BAD}, "a b", {}),
    Case(1, {}, "a b", {"a": {N}, "b": {N}}),
    Case(1, {"a": GOOD}, "a b", {"b": {N}}),
    Case(2, {"a": GOOD, "b": OTHER}, "a b", {"a": {C}}, versions={"a": NEW}),
    Case(2, {"a": GOOD}, "a", {"a": {C}}, versions={"a": None}),
    Case(2, {"a": FEED, "b": OTHER}, "a b", {"a": {C}}, versions={"feed": NEW}),
    Case(2, {"a": KnownFile({"a": OLD, "feed": None}, True)}, "a", {"a": {C}}, versions={"feed": NEW}),
    Case(2, {"a": KnownFile({"a": OLD, "feed": None}, True)}, "a", {}, versions={"feed": None}),
    Case(3, {"a": GOOD, "b": OTHER}, "a b", {"a": {F}, "b": {F}}, is_forced=True),
    Case(4, {"a": expiring(NOW), "b": OTHER}, "a b", {"a": {E}}),
    Case(4, {"a": expiring(NOW + 1)}, "a", {}),
    Case(4, {"a": expiring(0)}, "a", {}),
    Case(4, {"a": expiring(NOW - 5, tried_at=NOW - 4)}, "a", {}),
    Case(4, {"a": expiring(NOW - 5, tried_at=NOW - 5)}, "a", {}),
    Case(4, {"a": expiring(NOW - 5, tried_at=NOW - 6)}, "a", {"a": {E}}),
    Case(4, {"a": expiring(NOW - 5, tried_at=NOW - 4, has_succeeded=False)}, "a", {}),
    Case(5, {"a": expiring(NOW - 5, not_before=NOW + 1)}, "a", {}),
    Case(5, {"a": expiring(NOW - 5, not_before=NOW)}, "a", {"a": {E}}),
    # It holds up nothing else.
    Case(5, {"a": expiring(NOW - 5, not_before=NOW + 1)}, "a", {"a": {C}}, versions={"a": NEW}),
    Case(6, {"a": ahead(), "b": OTHER}, "a b", {"a": {T}}),
    Case(6, {"a": ahead(has_succeeded=False)}, "a", {}),
    Case(6, {"a": KnownFile({"a": OLD}, True, made_at=NOW)}, "a", {}),
    Case(7, {"a": GOOD, "b": BAD}, "a b", {"a": {C}, "b": {B}}, versions={"a": NEW}),
    Case(7, {"b": BAD}, "a b", {"a": {N}, "b": {B}}),
    Case(7, {"a": GOOD, "b": BAD}, "b", {"b": {B}}, gone="a"),
    Case(8, {"a": GOOD, "b": OTHER}, "b", {}, gone="a"),
    Case(8, {"a": GOOD, "b": OTHER}, "", {}, gone="a b"),
    Case(8, {"d/1": D1, "d/2": D2}, "", {}, gone="d/2", paths=(directory("d", "1"),)),
    Case(8, {"d/1": D1}, "", {"d/2": {N}}, gone="d/1", paths=(directory("d", "2"),)),
    # One of two paths still has it.
    Case(8, {"d/1": D1, "d/2": D2}, "", {}, paths=(directory("d", "1"), PathLook("d/2", ("d/2",)))),
    # A file that was named by itself: there, missing, and without anything known of it.
    Case(8, {"a": GOOD}, "", {}, paths=(PathLook("a", ("a",)),)),
    Case(8, {"a": GOOD}, "", {"a": {C}}, versions={"a": None}, paths=(unreadable("a"),), kept="a"),
    Case(8, {}, "", {"a": {N}}, paths=(PathLook("a", ("a",)),)),
    Case(9, {"d/1": D1, "d/2": D2}, "", {}, paths=(unreadable("d"),), kept="d"),
    Case(9, {"d/1": D1}, "", {"d/1": {C}}, versions={"d/1": None}, paths=(unreadable("d"),), kept="d"),
    Case(9, {"d/1": D1}, "", {"d/1": {F}}, paths=(unreadable("d"),), kept="d", is_forced=True),
    # A directory without zone files.
    Case(9, {"d/1": D1}, "", {}, paths=(unreadable("d", is_directory=True),), kept="d"),
    # A directory that has become a file, however it is written; and a file that has become a directory.
    Case(9, {"d/1": D1}, "", {}, paths=(PathLook("d", ("d",)),), kept="d"),
    Case(9, {"d/1": D1}, "", {}, paths=(PathLook("d/", ("d/",)),), kept="d/"),
    Case(9, {"d": GOOD}, "", {}, paths=(directory("d", "1 2"),), kept="d"),
    # Other paths lose and gain as ever.
    Case(
        9,
        {"d/1": D1, "e/1": GOOD, "f": OTHER},
        "",
        {"e/2": {N}},
        gone="e/1",
        paths=(unreadable("d"), directory("e", "2"), PathLook("f", ("f",))),
        kept="d",
    ),
    Case(17, {"a": crashed(NOW + 1)}, "a", {}),
    Case(17, {"a": crashed(NOW)}, "a", {"a": {R}}),
    Case(17, {"a": crashed(NOW + 1)}, "a", {"a": {C}}, versions={"a": NEW}),
    Case(17, {"a": crashed(NOW + 1)}, "a", {"a": {F}}, is_forced=True),
    # Not because of another file, unlike one that failed by its content.
    Case(17, {"a": crashed(NOW + 1), "b": BAD}, "a b c", {"b": {B}, "c": {N}}),
    Case(17, {"a": crashed(NOW, crashes=0)}, "a", {}),
    Case(17, {"a": replace(crashed(NOW + 3600), crashed_at=NOW)}, "a", {}),
    Case(17, {"a": replace(crashed(NOW + 3600), crashed_at=NOW + 0.1)}, "a", {"a": {R}}),
    # Several rules for one file, and for several files.
    Case(3, {"b": BAD}, "a b", {"a": {F, N}, "b": {F, B}}, is_forced=True),
    Case(4, {"a": expiring(NOW)}, "a", {"a": {E, C, F}}, versions={"a": NEW}, is_forced=True),
    Case(6, {"a": ahead(), "b": BAD}, "b a", {"b": {B}, "a": {T}}),
    Case(7, {"a": ahead(has_succeeded=False), "b": BAD}, "a b c", {"a": {B}, "b": {B}, "c": {N}}),
    Case(8, {"a": ahead(), "b": BAD}, "b", {"b": {B}}, gone="a"),
    Case(19, {"a": due(NOW), "b": OTHER}, "a b", {"a": {S}}),
    Case(19, {"a": due(NOW + 1)}, "a", {}),
    Case(19, {"a": due(0)}, "a", {}),
    Case(19, {"a": due(NOW - 5, tried_at=NOW - 5)}, "a", {}),
    Case(19, {"a": due(NOW - 5, tried_at=NOW - 6)}, "a", {"a": {S}}),
    Case(5, {"a": due(NOW - 5, not_before=NOW + 1)}, "a", {}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"rule {case.rule}")
def test_what_is_loaded_and_why(case: Case) -> None:
    found = case.plan()
    load = {path: frozenset(reasons) for path, reasons in case.load.items()}
    assert found == Plan(load, tuple(case.gone.split()), found.kept)
    assert list(found.kept) == case.kept.split()
    assert all(found.kept.values())
    # In the order in which the files were seen.
    assert list(found.load) == list(case.load)
    assert found.is_empty == (not case.load and not case.gone)
    assert found.due == tuple(path for path, reasons in case.load.items() if reasons & {E, T, S})


def test_every_rule_of_a_plan_has_its_case() -> None:
    assert {case.rule for case in CASES} == {*range(10), 17, 19}


def test_rule_4_an_expiry_is_one_load() -> None:
    file = after_due_load(expiring(NOW - 5), NOW, 0.0)
    assert Case(4, {"a": file}, "a", {}).plan().is_empty
    # The next entry is another expiry.
    assert not Case(4, {"a": expiring(NOW, tried_at=NOW - 1)}, "a", {}).plan().is_empty


@pytest.mark.parametrize("duration", [0.0, 0.5, 60.0])
def test_rule_5_the_pause_is_a_multiple_of_the_load(duration: float) -> None:
    file = after_due_load(expiring(NOW), NOW, duration)
    assert file.tried_at == NOW
    assert file.not_before == NOW + EXPIRY_SHARE * duration
    assert EXPIRY_SHARE >= 10


@pytest.mark.parametrize(
    ("known", "seconds"),
    [
        ({}, 30.0),
        ({"a": GOOD, "b": BAD}, 30.0),
        ({"a": expiring(NOW + 5)}, 5.0),
        ({"a": expiring(NOW + 5), "b": expiring(NOW + 3)}, 3.0),
        ({"a": expiring(NOW + 500)}, 30.0),
        ({"a": expiring(NOW - 5)}, 0.0),
        # Rule 4: that load has been.
        ({"a": expiring(NOW - 5, tried_at=NOW - 1)}, 30.0),
        # Rule 5: and this one has to wait.
        ({"a": expiring(NOW - 5, not_before=NOW + 7)}, 7.0),
        ({"a": expiring(NOW + 5, not_before=NOW + 7)}, 7.0),
        ({"a": expiring(NOW + 7, not_before=NOW + 5)}, 7.0),
        # Rule 19.
        ({"a": due(NOW + 5)}, 5.0),
        ({"a": due(NOW - 5, tried_at=NOW - 5)}, 30.0),
    ],
)
def test_rule_10_the_next_look(known: dict[str, KnownFile], seconds: float) -> None:
    assert seconds_to_next_look(known, NOW, 30.0) == seconds


def test_rule_10_and_17_a_retry_is_a_look() -> None:
    assert seconds_to_next_look({"a": crashed(NOW + 7), "b": expiring(NOW + 9)}, NOW, 30.0) == 7.0
    assert seconds_to_next_look({"a": crashed(NOW + 7, crashes=0)}, NOW, 30.0) == 30.0


def test_rule_15_suspects_first_and_then_halves() -> None:
    for failures in range(1, SUSPICIONS + 1):
        assert batches_after("abcde", "c", failures) == [("a", "b", "d", "e"), ("c",)]
    assert batches_after("abcde", "c", SUSPICIONS + 1) == [("a", "b"), ("c", "d", "e")]
    assert batches_after("ab", "b", SUSPICIONS + 1) == [("a",), ("b",)]


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, unique=True), st.integers(1, 9), st.data())
def test_rule_15_no_file_is_lost_and_each_batch_is_smaller(
    batch: list[str], failures: int, data: st.DataObject
) -> None:
    found = batches_after(batch, data.draw(st.sampled_from(batch)), failures)
    assert sorted(path for each in found for path in each) == sorted(batch)
    assert all(0 < len(each) < len(batch) for each in found)


def test_rule_16_the_versions_are_those_from_before() -> None:
    file = after_crash(GOOD, {"a": NEW, "feed": OLD}, NOW, 1.0)
    assert (file.sources, file.has_succeeded) == ({"a": NEW, "feed": OLD}, False)
    assert file.made_at == GOOD.made_at


def test_rule_17_each_delay_is_longer() -> None:
    file, delays = GOOD, []
    for _ in range(1000):
        file = after_crash(file, {}, NOW, 0.1)
        delays.append(file.retry_at - NOW)
        assert file.crashed_at == NOW
    assert delays[:4] == [2.0, 4.0, 8.0, 16.0]
    assert delays[-1] == max(delays) == 3600.0
    # One that takes long is tried less often.
    assert after_crash(GOOD, {}, NOW, 60.0).retry_at == NOW + EXPIRY_SHARE * 60.0


def test_rule_18_who_failed_has_a_loader_of_its_own() -> None:
    known = {"a": GOOD, "b": crashed(NOW), "c": BAD, "d": crashed(NOW, crashes=3)}
    assert first_batches("abcde", known) == [("a", "c", "e"), ("b",), ("d",)]
    assert first_batches("b", known) == [("b",)]
    assert first_batches("", known) == []


def test_rule_11_each_failure_waits_longer() -> None:
    backoff = Backoff(first=2.0, longest=60.0)
    delays = []
    for _ in range(1000):
        delays.append(backoff.delay)
        backoff = backoff.failed(NOW)
        assert backoff.retry_at == NOW + delays[-1]
    assert delays[:8] == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert delays[-1] == 60.0


def test_rule_12_only_time_or_a_request_brings_the_next_try() -> None:
    backoff = Backoff(first=2.0, longest=60.0).failed(NOW)
    assert not backoff.is_due(NOW + 1.9, is_requested=False)
    assert backoff.is_due(NOW + 2.0, is_requested=False)
    assert backoff.is_due(NOW, is_requested=True)


def test_rule_14_a_success_begins_anew() -> None:
    fresh = Backoff(first=2.0, longest=60.0)
    assert fresh.failed(NOW).failed(NOW).succeeded() == fresh
    assert fresh.retry_at is None


SIGNATURES = st.sampled_from([OLD, NEW, None])
TIMES = st.sampled_from([0.0, NOW - 1, NOW, NOW + 1])
FILES = st.builds(
    KnownFile,
    sources=st.dictionaries(st.sampled_from("abcf"), SIGNATURES, max_size=3),
    has_succeeded=st.booleans(),
    made_at=TIMES,
    next_expiry=TIMES,
    tried_at=TIMES,
    not_before=TIMES,
)


@given(
    known=st.dictionaries(st.sampled_from("abc"), FILES),
    files=st.lists(st.sampled_from("abcd"), unique=True),
    versions=st.fixed_dictionaries(dict.fromkeys("abcf", SIGNATURES)),
    is_readable=st.booleans(),
    is_forced=st.booleans(),
)
def test_combinations_of_rules(
    known: dict[str, KnownFile],
    files: list[str],
    versions: dict[str, Signature],
    is_readable: bool,
    is_forced: bool,
) -> None:
    look = PathLook("", tuple(files), is_directory=True) if is_readable else unreadable("")
    found = plan(known, Look((look,), versions), NOW, is_forced)
    there = set(files) if is_readable else set(known)
    assert set(found.gone) == known.keys() - there
    assert found.load.keys() <= there
    assert all(found.load.values())
    if is_forced:
        assert found.load.keys() == there
    for path in there:
        reasons = found.load.get(path, frozenset())
        assert (N in reasons) == (path not in known)
        assert (F in reasons) == is_forced
        if path not in known:
            continue
        file = known[path]
        assert (C in reasons) == any(versions[source] != old for source, old in file.sources.items())
        assert (E in reasons) == (file.tried_at < file.next_expiry <= NOW and file.not_before <= NOW)
        assert (T in reasons) == (file.has_succeeded and file.made_at > NOW)
        assert (B in reasons) == (not file.has_succeeded and not found.is_empty)
    # Once all of it is done, nothing is due for another reason than that files are bad or the clock is wrong.
    after = {
        path: KnownFile({source: versions[source] for source in file.sources}, True, NOW, 0.0)
        for path, file in known.items()
        if path in there
    }
    look = PathLook("", tuple(path for path in there if path in after), is_directory=True)
    still = plan(after, Look((look,), versions), NOW)
    assert still.is_empty
