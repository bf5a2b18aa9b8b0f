"""Jobs, notices and reports: what is encoded comes back; whatever else is decoded is an error that names the field."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.model.feed import FeedSpec
from dnsbl_server.model.problem import MAX_PER_FILE, Place, Problem, Problems
from dnsbl_server.model.source import SourceState
from dnsbl_server.supply.exchange import (
    ExchangeError,
    Job,
    ProgressNotice,
    Report,
    ReportNotice,
    TableNotice,
    decode_job,
    decode_notice,
    decode_report,
    encode_job,
    encode_notice,
    encode_report,
)
from dnsbl_server.supply.serial import ZoneVersion

# Names as the system has them: any bytes, of which those that are no UTF-8 become lone surrogates.
NAMES = st.text() | st.binary(max_size=20).map(lambda name: name.decode("utf-8", "surrogateescape"))
COUNTS = st.integers(0, 1 << 70)
JOBS = st.builds(
    Job,
    files=st.lists(NAMES).map(tuple),
    served=st.dictionaries(NAMES, NAMES),
    versions=st.dictionaries(NAMES, st.builds(ZoneVersion, COUNTS, NAMES)),
    files_below=st.lists(NAMES).map(tuple),
    state=NAMES,
)
PROBLEMS = st.builds(Problem, st.builds(Place, NAMES, COUNTS, COUNTS), NAMES, NAMES, st.booleans())
SIGNATURES = st.none() | st.tuples(*[st.integers(-(1 << 70), 1 << 70)] * 5)
SOURCES = st.dictionaries(NAMES, st.dictionaries(NAMES, SIGNATURES))

TIMES = st.floats(0, 1e12)
STATES = st.builds(
    SourceState,
    list=NAMES,
    source=NAMES,
    timestamp=TIMES,
    entries=COUNTS,
    skipped=COUNTS,
    held_back=NAMES,
    due=TIMES,
    feed=st.none() | st.builds(FeedSpec, NAMES, COUNTS, NAMES),
)

JOB = {
    "files": ["a.yaml"],
    "served": {"a.example": "a.yaml"},
    "versions": {"a.example": [3, "00"]},
    "files_below": ["lists"],
    "state": "state",
}
TABLE = {"kind": "table", "file": "a.yaml"}
PROGRESS = {"kind": "progress", "file": "a.yaml", "source": "b", "version": [1, 2, 3, 4, 5]}
PROBLEM = {"file": "a.yaml", "line": 1, "column": 2, "value": "x", "message": "wrong", "warning": False}
FEED = {"url": "https://feeds.example/x", "every": 60, "secret": ""}
STATE = {"list": "a", "source": "b", "timestamp": 1.5, "entries": 1, "skipped": 0, "held_back": "", "due": 0}
REPORT = {
    "problems": [PROBLEM],
    "left_out": {"a.yaml": 1},
    "sources": {"a.yaml": {"a.yaml": [1, 2, 3, 4, 5], "b": None}},
    "states": {"a.yaml": [{**STATE, "feed": None}, {**STATE, "feed": FEED}]},
}
DECODERS: dict[str, tuple[Callable[[bytes], object], dict[str, Any]]] = {
    "job": (decode_job, JOB),
    "notice": (decode_notice, TABLE),
    "report": (decode_report, REPORT),
}


def problems_of(*found: Problem) -> Problems:
    problems = Problems()
    for problem in found:
        problems.add(problem)
    return problems


@given(JOBS)
def test_a_job_comes_back(job: Job) -> None:
    assert decode_job(encode_job(job)) == job


@given(st.builds(TableNotice, NAMES) | st.builds(ProgressNotice, NAMES, NAMES, SIGNATURES) | st.just(ReportNotice()))
def test_a_notice_comes_back(notice: ProgressNotice | TableNotice | ReportNotice) -> None:
    assert decode_notice(encode_notice(notice)) == notice


@given(st.lists(PROBLEMS), SOURCES, st.dictionaries(NAMES, st.lists(STATES).map(tuple)))
def test_a_report_comes_back(found: list[Problem], sources: dict[str, Any], states: dict[str, Any]) -> None:
    problems = problems_of(*found)
    report = decode_report(encode_report(Report(problems, sources, states)))
    assert report.states == states
    assert list(report.problems) == list(problems)
    assert report.problems.left_out == problems.left_out
    assert report.sources == sources


def test_a_flood_of_problems_comes_back() -> None:
    place = Place("a.yaml", 1, 1)
    flood = [Problem(place, str(number), "odd", warning=True) for number in range(MAX_PER_FILE + 5)]
    problems = problems_of(*flood, Problem(place, "x", "wrong"), *flood)
    report = decode_report(encode_report(Report(problems, {}, {})))
    assert list(report.problems) == list(problems)
    assert report.problems.left_out == problems.left_out
    assert [problem.message for problem in report.problems.errors] == ["wrong"]


def test_the_examples_are_good() -> None:
    for decode, good in DECODERS.values():
        decode(json.dumps(good).encode())
    assert decode_notice(b'{"kind": "report"}') == ReportNotice()


def refused(what: str, value: object) -> str:
    decode, _ = DECODERS[what]
    with pytest.raises(ExchangeError) as caught:
        decode(json.dumps(value).encode())
    return str(caught.value)


@pytest.mark.parametrize(("what", "field"), [(what, field) for what, (_, good) in DECODERS.items() for field in good])
def test_a_missing_field_is_named(what: str, field: str) -> None:
    part = {key: value for key, value in DECODERS[what][1].items() if key != field}
    assert refused(what, part) == f"{what}.{field}: missing"


@pytest.mark.parametrize("field", PROBLEM)
def test_a_missing_field_of_a_problem_is_named(field: str) -> None:
    part = {key: value for key, value in PROBLEM.items() if key != field}
    assert refused("report", {**REPORT, "problems": [PROBLEM, part]}) == f"report.problems[1].{field}: missing"


@pytest.mark.parametrize(
    ("what", "value", "fields"),
    [
        ("job", {**JOB, "more": 1}, "files, served, versions, files_below, state"),
        ("notice", {**TABLE, "more": 1}, "kind, file"),
        ("notice", {"kind": "report", "more": 1}, "kind"),
        ("report", {**REPORT, "more": 1}, "problems, left_out, sources, states"),
    ],
)
def test_a_field_too_many_is_refused(what: str, value: object, fields: str) -> None:
    assert refused(what, value) == f"{what}: more fields than {fields}"


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("job", {**JOB, "files": "a.yaml"}, "job.files: not an array"),
    ("job", {**JOB, "files": ["a", 1]}, "job.files[1]: not a text"),
    ("job", {**JOB, "served": []}, "job.served: not an object"),
    ("job", {**JOB, "served": {"a": None}}, "job.served['a']: not a text"),
    ("job", {**JOB, "versions": {"a": 3}}, "job.versions['a']: not an array"),
    ("job", {**JOB, "versions": {"a": [3]}}, "job.versions['a']: not a serial and a digest"),
    ("job", {**JOB, "versions": {"a": [True, ""]}}, "job.versions['a'][0]: not a whole number"),
    ("job", {**JOB, "versions": {"a": [-1, ""]}}, "job.versions['a'][0]: less than 0"),
    ("job", {**JOB, "versions": {"a": [1, 2]}}, "job.versions['a'][1]: not a text"),
    ("job", {**JOB, "files_below": "lists"}, "job.files_below: not an array"),
    ("job", {**JOB, "files_below": [1]}, "job.files_below[0]: not a text"),
    ("job", {**JOB, "state": None}, "job.state: not a text"),
    ("notice", {**TABLE, "kind": "other"}, "notice.kind: none of progress, table and report"),
    ("notice", {**TABLE, "kind": ["table"]}, "notice.kind: none of progress, table and report"),
    ("notice", {**TABLE, "file": 1}, "notice.file: not a text"),
    ("notice", {**PROGRESS, "source": 1}, "notice.source: not a text"),
    ("notice", {**PROGRESS, "version": [1]}, "notice.version: not 5 numbers"),
    ("notice", {**PROGRESS, "more": 1}, "notice: more fields than kind, file, source, version"),
    ("report", {**REPORT, "problems": {}}, "report.problems: not an array"),
    ("report", {**REPORT, "problems": [[]]}, "report.problems[0]: not an object"),
    ("report", {**REPORT, "left_out": {"a": None}}, "report.left_out['a']: not a whole number"),
    ("report", {**REPORT, "states": {"a": {}}}, "report.states['a']: not an array"),
    ("report", {**REPORT, "states": {"a": [STATE]}}, "report.states['a'][0].feed: missing"),
    ("report", {**REPORT, "states": {"a": [{**STATE, "feed": 1}]}}, "report.states['a'][0].feed: not an object"),
    (
        "report",
        {**REPORT, "states": {"a": [{**STATE, "feed": {**FEED, "every": -1}}]}},
        "report.states['a'][0].feed.every: less than 0",
    ),
    (
        "report",
        {**REPORT, "states": {"a": [{**STATE, "feed": None, "due": -1}]}},
        "report.states['a'][0].due: not a time",
    ),
    (
        "report",
        {**REPORT, "states": {"a": [{**STATE, "feed": None, "timestamp": "1"}]}},
        "report.states['a'][0].timestamp: not a time",
    ),
    ("report", {**REPORT, "sources": {"a": []}}, "report.sources['a']: not an object"),
    ("report", {**REPORT, "sources": {"a": {"b": 1}}}, "report.sources['a']['b']: not an array"),
    ("report", {**REPORT, "sources": {"a": {"b": [1]}}}, "report.sources['a']['b']: not 5 numbers"),
    (
        "report",
        {**REPORT, "sources": {"a": {"b": [1, 2, 3, 4, "5"]}}},
        "report.sources['a']['b'][4]: not a whole number",
    ),
]
WRONG_PROBLEM: list[tuple[str, object, str]] = [
    ("file", None, "not a text"),
    ("line", "1", "not a whole number"),
    ("column", -1, "less than 0"),
    ("value", 1, "not a text"),
    ("message", [], "not a text"),
    ("warning", 0, "neither true nor false"),
]


@pytest.mark.parametrize(("what", "value", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_a_wrong_field_is_named(what: str, value: object, message: str) -> None:
    assert refused(what, value) == message


@pytest.mark.parametrize(("field", "value", "message"), WRONG_PROBLEM)
def test_a_wrong_field_of_a_problem_is_named(field: str, value: object, message: str) -> None:
    report = {**REPORT, "problems": [{**PROBLEM, field: value}]}
    assert refused("report", report) == f"report.problems[0].{field}: {message}"


@pytest.mark.parametrize("what", DECODERS)
@pytest.mark.parametrize("value", [None, True, 1, "x", [], [1]])
def test_what_is_no_object_is_refused(what: str, value: object) -> None:
    assert refused(what, value) == f"{what}: not an object"


@pytest.mark.parametrize("what", DECODERS)
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"garbage",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
        '{"a": 1}'.encode("utf-16"),
    ],
    ids=range(8),
)
def test_what_is_no_json_is_refused(what: str, data: bytes) -> None:
    with pytest.raises(ExchangeError, match=f"^{what}: not JSON: "):
        DECODERS[what][0](data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=10,
)


def takes_or_refuses(data: bytes) -> None:
    for decode, _ in DECODERS.values():
        said = ""
        try:
            decode(data)
        except ExchangeError as error:
            said = str(error)
        # It becomes a line of the log.
        assert said.isprintable()
        assert len(said) < 500


@given(st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    takes_or_refuses(data)


@given(VALUES)
def test_any_json_is_taken_or_refused(value: object) -> None:
    takes_or_refuses(json.dumps(value).encode())


@given(st.sampled_from([good for _, good in DECODERS.values()]), st.data())
def test_good_values_with_any_field_replaced_are_taken_or_refused(good: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(good)))
    takes_or_refuses(json.dumps({**good, key: data.draw(VALUES)}).encode())
