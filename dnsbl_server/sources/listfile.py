"""List files: from a path to what the file lists.

Owns how a list file is opened and cut into blocks of whole lines, its limits,
and the table of formats. What the lines mean is the format's own: each has a `ListReader`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Problems
from dnsbl_server.sources import rbldnsd
from dnsbl_server.sources.drop import DropReader
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.files import open_regular, reason_of
from dnsbl_server.sources.hosts import HostsReader
from dnsbl_server.sources.listreader import MAX_LINE, Accept, ListReader, Reading, Sink
from dnsbl_server.sources.objects import JSON_KEYS, JSON_MAPS, JsonReader, check_json
from dnsbl_server.sources.plain import PLAIN_KEYS, PlainReader
from dnsbl_server.sources.rows import CSV_KEYS, CSV_MAPS, CsvReader, check_csv
from dnsbl_server.sources.unpack import DamagedError, unpacked


class Format(NamedTuple):
    """A format of list files, as a row of FORMATS.

    make: its reader, from a sink and the options of the item; keys: what an item may say with a single value, each with
    how that is parsed (ValueError); maps: what an item may say with a mapping, each with the keys of it, whose values
    come as tuples of texts; check: raises ValueError for options that do not go together; is_raw: its reader takes the
    bytes as they come, and not whole lines.
    """

    make: Callable[[Sink, Mapping[str, Any]], ListReader]
    keys: Mapping[str, Callable[[str], Any]] = {}
    maps: Mapping[str, tuple[str, ...]] = {}
    check: Callable[[Mapping[str, Any]], None] = lambda options: None
    is_raw: bool = False


FORMATS: Mapping[str, Format] = {
    "plain": Format(PlainReader, PLAIN_KEYS),
    "csv": Format(CsvReader, CSV_KEYS, CSV_MAPS, check_csv),
    "json": Format(JsonReader, JSON_KEYS, JSON_MAPS, check_json, is_raw=True),
    "drop": Format(DropReader),
    "hosts": Format(HostsReader),
    **{name: Format(dataset, rbldnsd.KEYS) for name, dataset in rbldnsd.DATASETS.items()},
    "combined": Format(rbldnsd.Combined, rbldnsd.COMBINED_KEYS),
}

# What a list file may have, unpacked. More is a mistake, or a trap: 18 MB of gzip can be 4 GiB of newlines.
MAX_SIZE = 4 << 30
MAX_LINES = 100_000_000
_CHUNK = 1 << 20
_BOM = b"\xef\xbb\xbf"


def read_list_file(
    paths: Sequence[str],
    listing: Listing,
    problems: Problems,
    progress: Callable[[str, int], None],
    accept: Accept,
    text: EntryText,
    file_format: Format = FORMATS["plain"],
    options: Mapping[str, Any] = {},
    below: Sequence[str] = (),
    is_local: bool = True,
) -> Reading:
    """Read a list file, or several as one.

    listing: that of the list; progress: called with the path and the number of lines read, now and then; accept: asked
    whether something is taken, but not for all that is plain (see `Sink`); text: how entries of the list are read;
    file_format, options: what the item says; below: see `open_regular`; is_local: see `Sink.reading`.
    """
    sink = Sink(paths, listing, problems, accept, text)
    reader = file_format.make(sink, options)
    number = 0
    for at, path in enumerate(paths):
        if at:
            sink.next_file(number)
            reader.next_file()
        before = number
        block = b""
        try:
            for block in _blocks(path, sink, below, file_format.is_raw):
                if number + block.count(b"\n") > MAX_LINES:
                    sink.fail(0, f"more than {MAX_LINES:,} lines; split it into several files")
                    break
                number += reader.read(block.removeprefix(_BOM) if number == before else block, number + 1)
                progress(path, number - before)
        except DamagedError as error:
            sink.fail(number + 1, str(error))
        except OSError as error:
            sink.fail(0, reason_of(error))
        if file_format.is_raw and block and not block.endswith(b"\n"):
            number += 1  # its last line
    reader.finish()
    return sink.reading(is_local)


def _blocks(path: str, sink: Sink, below: Sequence[str], is_raw: bool) -> Iterator[bytes]:
    """The content of a file in blocks of whole lines; of a line that is much too long only the beginning.

    is_raw: the blocks are as they come.
    """
    with open_regular(path, below) as file:
        stream = unpacked(file)
        rest = b""
        size = 0
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > MAX_SIZE:
                sink.fail(0, f"unpacks to more than {MAX_SIZE >> 30} GiB")
                return
            if is_raw:
                yield chunk
                continue
            end = chunk.rfind(b"\n") + 1
            if len(rest) > MAX_LINE:
                # It will be refused, so what else it has is skipped.
                start = chunk.find(b"\n")
                if start < 0:
                    continue
                chunk, end = chunk[start:], end - start
            if end:
                yield rest + chunk[:end]
                rest = chunk[end:]
            else:
                rest += chunk
        if rest:
            yield rest
