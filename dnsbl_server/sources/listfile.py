"""List files: from a path to what the file lists.

Owns how a list file is opened, decompressed (gzip, by its first bytes) and cut into blocks of whole lines, its limits,
and the table of formats. What the lines mean is the format's own: each has a `ListReader`.
"""

import gzip
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO

from dnsbl_server.model.entry import ListFile
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.files import open_regular, reason_of
from dnsbl_server.sources.listreader import MAX_LINE, Accept, ListReader, Sink
from dnsbl_server.sources.plain import PlainReader

FORMATS: Mapping[str, Callable[[Sink], ListReader]] = {"plain": PlainReader}

# What a list file may have, unpacked. More is a mistake, or a trap: 18 MB of gzip can be 4 GiB of newlines.
MAX_SIZE = 4 << 30
MAX_LINES = 100_000_000
_CHUNK = 1 << 20
_BOM = b"\xef\xbb\xbf"


def read_list_file(
    path: str,
    listing: Listing,
    problems: Problems,
    progress: Callable[[str, int], None],
    accept: Accept,
    text: EntryText,
    make_reader: Callable[[Sink], ListReader] = FORMATS["plain"],
    below: Sequence[str] = (),
) -> ListFile:
    """Read a list file.

    listing: that of the list; progress: called with the path and the number of lines read, now and then; accept: asked
    whether something is taken, but not for all that is plain (see `Sink`); text: how entries of the list are read;
    make_reader: the format, one of FORMATS; below: see `open_regular`.
    """
    sink = Sink(path, listing, problems, accept, text)
    reader = make_reader(sink)
    number = 0
    try:
        for block in _blocks(path, problems, below):
            if number + block.count(b"\n") > MAX_LINES:
                problems.error(Place(path), "", f"more than {MAX_LINES:,} lines; split it into several files")
                return sink.list_file()
            number += reader.read(block if number else block.removeprefix(_BOM), number + 1)
            progress(path, number)
        reader.finish()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        problems.error(Place(path, number + 1), "", f"the gzip data is damaged or cut short: {error}")
    except OSError as error:
        problems.error(Place(path), "", reason_of(error))
    return sink.list_file()


def _blocks(path: str, problems: Problems, below: Sequence[str]) -> Iterator[bytes]:
    """The content of a file in blocks of whole lines; of a line that is much too long only the beginning."""
    with open_regular(path, below) as file:
        compressed = os.pread(file.fileno(), 2, 0) == b"\x1f\x8b"
        stream: IO[bytes] | gzip.GzipFile = gzip.GzipFile(fileobj=file) if compressed else file
        rest = b""
        size = 0
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > MAX_SIZE:
                problems.error(Place(path), "", f"unpacks to more than {MAX_SIZE >> 30} GiB")
                return
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
