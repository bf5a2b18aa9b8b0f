"""What the server and a loader process say to each other: a job, notices of progress and of tables, and a report.

Owns these values, their encoding (JSON) and their strict decoding: every field is there, has its type, and there is no
other. Whatever was received, decoding returns a value or raises ExchangeError. Knows nothing of processes, sockets and
tables.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from typing import TypeVar

from dnsbl_server.model.feed import FeedSpec
from dnsbl_server.model.problem import Place, Problem, Problems
from dnsbl_server.model.source import SourceState
from dnsbl_server.sources.files import Signature
from dnsbl_server.supply.serial import ZoneVersion

T = TypeVar("T")
# Decodes a value; the text is the name of its field, for the error.
Decoder = Callable[[object, str], T]

_SIGNATURE_LENGTH = 5
_STATE_FIELDS = tuple(each.name for each in dataclass_fields(SourceState))
_PROGRESS, _TABLE, _REPORT = "progress", "table", "report"


class ExchangeError(ValueError):
    """What was received is no job, notice or report; the text says which field is wrong, and how."""


@dataclass(frozen=True)
class Job:
    """What a loader process is to do.

    files: zone files to load; served: the zones in service, name to zone file, with which the new ones must agree;
    versions: the last one of every zone that was in service since the start, by zone; files_below: the directories that
    list files may be in, none: any; state: the state directory, empty where there is none.
    """

    files: tuple[str, ...]
    served: Mapping[str, str]
    versions: Mapping[str, ZoneVersion]
    files_below: tuple[str, ...] = ()
    state: str = ""


@dataclass(frozen=True)
class TableNotice:
    """Goes with the memory that holds a table. file: the zone file."""

    file: str


@dataclass(frozen=True)
class ProgressNotice:
    """Comes without memory. file: the zone file that the loader is at; source: which of its files it begins with.

    version: that file's signature.
    """

    file: str
    source: str
    version: Signature


@dataclass(frozen=True)
class ReportNotice:
    """Goes with the memory that holds the report. It is the last message."""


@dataclass(frozen=True)
class Report:
    """How a load went.

    sources: for every zone file, the files it was or would have been made from; states: for every zone file, those of
    its list files and feeds.
    """

    problems: Problems
    sources: Mapping[str, Mapping[str, Signature]]
    states: Mapping[str, tuple[SourceState, ...]]


def encode_job(job: Job) -> bytes:
    """A job as bytes."""
    fields = {"files": job.files, "served": dict(job.served), "versions": dict(job.versions)}
    return json.dumps({**fields, "files_below": job.files_below, "state": job.state}).encode()


def decode_job(data: bytes) -> Job:
    """A job from bytes. Raises ExchangeError."""
    fields = _object(_parse(data, "job"), "job", ("files", "served", "versions", "files_below", "state"))
    return Job(
        files=_array_of(_text)(fields["files"], "job.files"),
        served=_map_of(_text)(fields["served"], "job.served"),
        versions=_map_of(_version)(fields["versions"], "job.versions"),
        files_below=_array_of(_text)(fields["files_below"], "job.files_below"),
        state=_text(fields["state"], "job.state"),
    )


def encode_notice(notice: ProgressNotice | TableNotice | ReportNotice) -> bytes:
    """A notice as bytes."""
    if isinstance(notice, ProgressNotice):
        return json.dumps({"kind": _PROGRESS, **asdict(notice)}).encode()
    if isinstance(notice, ReportNotice):
        return json.dumps({"kind": _REPORT}).encode()
    return json.dumps({"kind": _TABLE, "file": notice.file}).encode()


def decode_notice(data: bytes) -> ProgressNotice | TableNotice | ReportNotice:
    """A notice from bytes. Raises ExchangeError."""
    value = _parse(data, "notice")
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind == _REPORT:
        _object(value, "notice", ("kind",))
        return ReportNotice()
    if kind == _PROGRESS:
        fields = _object(value, "notice", ("kind", "file", "source", "version"))
        return ProgressNotice(
            file=_text(fields["file"], "notice.file"),
            source=_text(fields["source"], "notice.source"),
            version=_signature(fields["version"], "notice.version"),
        )
    fields = _object(value, "notice", ("kind", "file"))
    if kind != _TABLE:
        raise ExchangeError(f"notice.kind: none of {_PROGRESS}, {_TABLE} and {_REPORT}")
    return TableNotice(_text(fields["file"], "notice.file"))


def encode_report(report: Report) -> bytes:
    """A report as bytes."""
    problems = [
        {
            "file": each.place.file,
            "line": each.place.line,
            "column": each.place.column,
            "value": each.value,
            "message": each.message,
            "warning": each.warning,
        }
        for each in report.problems
    ]
    sources = {file: dict(each) for file, each in report.sources.items()}
    states = {file: [asdict(state) for state in each] for file, each in report.states.items()}
    parts = {"problems": problems, "left_out": report.problems.left_out, "sources": sources, "states": states}
    return json.dumps(parts).encode()


def decode_report(data: bytes) -> Report:
    """A report from bytes. Raises ExchangeError."""
    fields = _object(_parse(data, "report"), "report", ("problems", "left_out", "sources", "states"))
    problems = Problems()
    for problem in _array_of(_problem)(fields["problems"], "report.problems"):
        problems.add(problem)
    for file, count in _map_of(_count)(fields["left_out"], "report.left_out").items():
        problems.leave_out(file, count)
    return Report(
        problems=problems,
        sources=_map_of(_map_of(_signature))(fields["sources"], "report.sources"),
        states=_map_of(_array_of(_state))(fields["states"], "report.states"),
    )


def _parse(data: bytes, what: str) -> object:
    try:
        # Only UTF-8, and not whatever else the json module would take for JSON.
        return json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise ExchangeError(f"{what}: not JSON: {type(error).__name__}") from error


def _object(value: object, field: str, keys: tuple[str, ...]) -> dict[str, object]:
    """An object with exactly these keys."""
    if not isinstance(value, dict):
        raise ExchangeError(f"{field}: not an object")
    for key in keys:
        if key not in value:
            raise ExchangeError(f"{field}.{key}: missing")
    if len(value) > len(keys):
        raise ExchangeError(f"{field}: more fields than {', '.join(keys)}")
    return value


def _array_of(decode: Decoder[T]) -> Decoder[tuple[T, ...]]:
    def decode_array(value: object, field: str) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise ExchangeError(f"{field}: not an array")
        return tuple(decode(each, f"{field}[{number}]") for number, each in enumerate(value))

    return decode_array


def _map_of(decode: Decoder[T]) -> Decoder[dict[str, T]]:
    """A decoder of an object whose keys are data: names of files or zones."""

    def decode_map(value: object, field: str) -> dict[str, T]:
        if not isinstance(value, dict):
            raise ExchangeError(f"{field}: not an object")
        return {key: decode(each, f"{field}[{key!a:.60}]") for key, each in value.items()}

    return decode_map


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise ExchangeError(f"{field}: not a text")
    return value


def _flag(value: object, field: str) -> bool:
    if not isinstance(value, bool):
        raise ExchangeError(f"{field}: neither true nor false")
    return value


def _number(value: object, field: str) -> int:
    # To Python, true and false are numbers.
    if not isinstance(value, int) or isinstance(value, bool):
        raise ExchangeError(f"{field}: not a whole number")
    return value


def _count(value: object, field: str) -> int:
    number = _number(value, field)
    if number < 0:
        raise ExchangeError(f"{field}: less than 0")
    return number


def _seconds(value: object, field: str) -> float:
    """A time in seconds since 1970."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ExchangeError(f"{field}: not a time")
    return float(value)


def _state(value: object, field: str) -> SourceState:
    """The state of a list file or feed."""
    fields = _object(value, field, _STATE_FIELDS)
    return SourceState(
        list=_text(fields["list"], f"{field}.list"),
        source=_text(fields["source"], f"{field}.source"),
        timestamp=_seconds(fields["timestamp"], f"{field}.timestamp"),
        entries=_count(fields["entries"], f"{field}.entries"),
        skipped=_count(fields["skipped"], f"{field}.skipped"),
        held_back=_text(fields["held_back"], f"{field}.held_back"),
        due=_seconds(fields["due"], f"{field}.due"),
        feed=_feed(fields["feed"], f"{field}.feed"),
    )


def _feed(value: object, field: str) -> FeedSpec | None:
    """What is fetched; null for a list file."""
    if value is None:
        return None
    fields = _object(value, field, ("url", "every", "secret"))
    return FeedSpec(
        url=_text(fields["url"], f"{field}.url"),
        every=_count(fields["every"], f"{field}.every"),
        secret=_text(fields["secret"], f"{field}.secret"),
    )


def _version(value: object, field: str) -> ZoneVersion:
    parts = _array_of(lambda value, field: (value, field))(value, field)
    if len(parts) != len(ZoneVersion._fields):
        raise ExchangeError(f"{field}: not a serial and a digest")
    return ZoneVersion(_count(*parts[0]), _text(*parts[1]))


def _problem(value: object, field: str) -> Problem:
    fields = _object(value, field, ("file", "line", "column", "value", "message", "warning"))
    return Problem(
        place=Place(
            file=_text(fields["file"], f"{field}.file"),
            line=_count(fields["line"], f"{field}.line"),
            column=_count(fields["column"], f"{field}.column"),
        ),
        value=_text(fields["value"], f"{field}.value"),
        message=_text(fields["message"], f"{field}.message"),
        warning=_flag(fields["warning"], f"{field}.warning"),
    )


def _signature(value: object, field: str) -> Signature:
    """The signature of a file; null where there was none."""
    if value is None:
        return None
    numbers = _array_of(_number)(value, field)
    if len(numbers) != _SIGNATURE_LENGTH:
        raise ExchangeError(f"{field}: not {_SIGNATURE_LENGTH} numbers")
    device, inode, size, modified, changed = numbers
    return device, inode, size, modified, changed
