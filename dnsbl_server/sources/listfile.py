"""List files: one address, CIDR or range a line.

Owns their syntax: `#` and `;` start a comment, blank lines mean nothing, gzip is recognised by its first bytes. Every
line is checked, and each bad one is a problem with its file and line. Plain lines are read by `_scan`, a million of
them in a tenth of a second; what any other line means, or what is wrong with it, is said here.
"""

import gzip
import os
import zlib
from collections.abc import Callable, Iterator
from typing import IO

from dnsbl_server.model._spans import Spans
from dnsbl_server.model.address import Net, parse_net
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.zone import ListFile
from dnsbl_server.sources._scan import scan
from dnsbl_server.sources.files import describe, open_regular

MAX_LINE = 4096
# What a compressed file may unpack to: some 200 million lines. More is a mistake, or a trap.
MAX_SIZE = 4 << 30
_CHUNK = 1 << 20
_BOM = b"\xef\xbb\xbf"


def read_list_file(
    path: str,
    problems: Problems,
    progress: Callable[[str, int], None],
    accept: Callable[[Net, str, Place], bool],
) -> ListFile:
    """Read a list file.

    `progress` is told the path and the number of lines read, now and then; `accept` is asked whether a net is taken,
    with its text and place, but not for small nets outside of 127.0.0.0/8 and ::/32.
    """
    nets = {4: Spans(4), 6: Spans(6)}

    def read(number: int, line: bytes) -> None:
        """Read a line that is not plain."""
        if len(line) > MAX_LINE:
            problems.error(Place(path, number), "", f"longer than {MAX_LINE} bytes")
            return
        shown = line.rstrip(b"\r").decode("latin-1")
        text = shown.split("#", 1)[0].split(";", 1)[0].strip()
        if not text:
            return
        try:
            net = parse_net(text)
        except ValueError as error:
            problems.error(Place(path, number, shown.index(text) + 1), text, str(error))
            return
        if accept(net, text, Place(path, number)):
            nets[net.version].append(net.first, net.last, number)

    number = 0
    try:
        for block in _blocks(path, problems):
            number += scan(block if number else block.removeprefix(_BOM), number + 1, MAX_LINE, nets[4], nets[6], read)
            progress(path, number)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        problems.error(Place(path, number + 1), "", f"the gzip data is damaged or cut short: {error}")
    except OSError as error:
        problems.error(Place(path), "", describe(error))
    return ListFile(path, nets)


def _blocks(path: str, problems: Problems) -> Iterator[bytes]:
    """The content of a file in blocks of whole lines; of a line that is much too long only the beginning."""
    with open_regular(path) as file:
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
