"""Reading one list file of any format in a test: from bytes to what it lists, and what is said of it."""

from datetime import datetime
from ipaddress import IPv4Address
from typing import Any, NamedTuple

from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Problems
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.listfile import FORMATS
from dnsbl_server.sources.listreader import Reading, Sink

LISTING = Listing((0x7F000002,), "of the list", 300)
TEXT = EntryText("bl.example.org")


class Row(NamedTuple):
    """What one line lists."""

    what: str
    line: int
    reason: str = "of the list"
    listed: datetime | None = None
    expires: datetime | None = None
    codes: str = "127.0.0.2"


class Read(NamedTuple):
    """What came of a file; said: every problem as a line, without the path."""

    rows: list[Row]
    said: list[str]
    verdict: str
    reading: Reading


def read(name: str, *files: bytes, text: EntryText = TEXT, chunk: int = 1 << 20, **options: Any) -> Read:
    """Read files of a format as one; chunk: how many bytes its reader is given at least, of whole lines."""
    found = FORMATS[name]
    found.check(options)
    problems = Problems()
    paths = [f"list{number or ''}" for number in range(len(files))]
    sink = Sink(paths, LISTING, problems, lambda *_: True, text)
    reader = found.make(sink, options)
    number = 0
    for at, data in enumerate(files):
        if at:
            sink.next_file(number)
            reader.next_file()
        while data:
            size = min(chunk, len(data))
            if not found.is_raw:
                size = data.find(b"\n", size - 1) + 1 or len(data)
            block, data = data[:size], data[size:]
            count = reader.read(block, number + 1)
            whole = block.count(b"\n")
            assert count == (whole if found.is_raw else whole + (not block.endswith(b"\n")))
            number += count
            if found.is_raw and not data and not block.endswith(b"\n"):
                number += 1
    reader.finish()
    reading = sink.reading()
    rows = [
        Row(
            *(str(entry.what), entry.place.line, entry.listing.reason, entry.listing.listed, entry.listing.expires),
            ",".join(str(IPv4Address(code)) for code in entry.listing.codes),
        )
        for entry in reading.file.entries(LISTING)
    ]
    return Read(
        rows, [str(problem).removeprefix("list").removeprefix(":") for problem in problems], reading.verdict, reading
    )
