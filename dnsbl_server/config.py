"""The settings of the server: defaults, below a configuration file, below the flags of the command line.

Owns every setting, its form and its limits. A configuration file is YAML; what is wrong in it is a problem with file,
line and column. Knows nothing of zones.
"""

from collections.abc import Mapping as AbstractMapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from dnsbl_server.endpoint import Endpoint, parse_endpoint
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.sources.document import EMPTY, Mapping, Node, Scalar, Sequence, read_document
from dnsbl_server.sources.files import open_regular, reason_of
from dnsbl_server.sources.values import parse_duration, parse_printable

_MAX_SIZE = 1 << 20
# Sockets that a thread of the engine can have (engine/_worker).
MAX_LISTEN = 256

DEFAULT_LISTEN = (Endpoint("127.0.0.1", 5300), Endpoint("::1", 5300))
DEFAULT_METRICS = Endpoint("127.0.0.1", 9353)


def parse_metrics(text: str) -> Endpoint | None:
    """An endpoint, or `off`."""
    return None if text == "off" else parse_endpoint(text)


def _endpoint(value: object) -> object:
    return value if isinstance(value, Endpoint) else parse_endpoint(value if isinstance(value, str) else "")


def _metrics(value: object) -> object:
    return None if value in (None, "off") else _endpoint(value)


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _few(value: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    if len(value) > MAX_LISTEN:
        everywhere = "0.0.0.0:53 and [::]:53 are all addresses of the machine"
        raise ValueError(f"at most {MAX_LISTEN} addresses, not {len(value)}; {everywhere}")
    return value


def _text(value: object) -> object:
    return parse_printable(value) if isinstance(value, str) else value


def _file_name(value: object) -> object:
    if isinstance(value, str) and (not value or "\0" in value):
        raise ValueError("not the name of a file or directory")
    return value


def _state(value: object) -> object:
    return "" if value == "off" else _file_name(value)


FileName = Annotated[str, BeforeValidator(_file_name)]
Seconds = Annotated[int, BeforeValidator(_seconds)]
Text = Annotated[str, BeforeValidator(_text), Field(min_length=1, max_length=255)]
Listen = Annotated[Endpoint, BeforeValidator(_endpoint), PlainSerializer(str)]


class Settings(BaseModel):
    """Every setting of the server; durations in seconds, sizes in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zones: Annotated[tuple[FileName, ...], BeforeValidator(_several), Field(min_length=1)] = ("zones",)
    files_below: Annotated[tuple[FileName, ...], BeforeValidator(_several)] = ()
    state: Annotated[str | None, BeforeValidator(_state)] = None
    listen: Annotated[tuple[Listen, ...], BeforeValidator(_several), Field(min_length=1), AfterValidator(_few)] = (
        DEFAULT_LISTEN
    )
    metrics: Annotated[Endpoint | None, BeforeValidator(_metrics)] = DEFAULT_METRICS
    user: FileName | None = None
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    version_text: Text | None = None
    server_id: Text | None = None
    tcp_connections: Annotated[int, Field(ge=1, le=50000)] = 500
    tcp_idle_timeout: Annotated[Seconds, Field(ge=1, le=3600)] = 10
    receive_buffer: Annotated[int, Field(ge=4096, le=1 << 30)] = 4 << 20
    load_timeout: Annotated[Seconds, Field(ge=1, le=86400)] = 600
    load_memory: Annotated[int, Field(ge=64 << 20)] | None = None
    poll_interval: Annotated[Seconds, Field(ge=1, le=86400)] = 10


def read_settings(path: str | None, flags: AbstractMapping[str, Any], problems: Problems) -> Settings | None:
    """The settings: defaults, under those of a file, under the flags that were given. None where there is a problem."""
    document = _read(path, problems) if path is not None else Mapping({}, 0, 0)
    if not isinstance(document, Mapping):
        return None
    given = {key: _plain(node) for key, (_, node) in document.fields.items()}
    try:
        settings = Settings.model_validate({**given, **flags})
        return None if problems.errors else settings
    except ValidationError as error:
        for each in error.errors():
            _report(each, document, path or "", problems)
        return None


def _read(path: str, problems: Problems) -> Node | None:
    try:
        with open_regular(path) as stream:
            data = stream.read(_MAX_SIZE + 1)
    except OSError as error:
        problems.error(Place(path), "", reason_of(error))
        return None
    if len(data) > _MAX_SIZE:
        problems.error(Place(path), "", f"larger than {_MAX_SIZE >> 20} MiB")
        return None
    found = Problems()
    document = read_document(data, path, found)
    if [problem.message for problem in found] == [EMPTY]:
        return Mapping({}, 0, 0)
    problems.extend(found)
    if document is not None and not isinstance(document, Mapping):
        place = Place(path, document.line, document.column)
        problems.error(place, "", f"a configuration file is a mapping with the keys {_keys()}")
    return document


def _keys() -> str:
    return ", ".join(Settings.model_fields)


def _plain(node: Node) -> object:
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Sequence):
        return [_plain(item) for item in node.items]
    return {key: _plain(value) for key, (_, value) in node.fields.items()}


def _report(error: Any, document: Mapping, path: str, problems: Problems) -> None:
    """Add a problem for an error of pydantic's, at the place of the value it is about."""
    location = error["loc"]
    node: Node = document
    value = ""
    for step in location:
        if isinstance(node, Mapping) and step in node.fields:
            key, node = node.fields[step]
            if error["type"] == "extra_forbidden":
                node = key
        elif isinstance(node, Sequence) and isinstance(step, int):
            node = node.items[step]
    if isinstance(node, Scalar):
        value = node.text
    message = str(error["ctx"]["error"]) if error["type"] == "value_error" else error["msg"]
    if error["type"] == "extra_forbidden":
        message = f"unknown key; there are {_keys()}"
    place = Place(path, node.line, node.column) if node is not document else Place(path or str(location[0]))
    problems.error(place, value, message[:1].lower() + message[1:])
