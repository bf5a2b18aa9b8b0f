"""List files: one address, CIDR or range a line.

Owns their syntax: `#` and `;` start a comment, blank lines mean nothing, gzip is recognised by its first bytes. Every
line is checked, and each bad one is a problem with its file and line. Reads a million lines in about a second.
"""

import gzip
import os
import zlib
from collections.abc import Callable, Iterator
from socket import AF_INET, inet_pton
from typing import IO

from dnsbl_server.address import parse_net
from dnsbl_server.document import describe, open_regular
from dnsbl_server.problem import Place, Problems

MAX_LINE = 4096
# What a compressed file may unpack to: some 200 million lines. More is a mistake, or a trap.
MAX_SIZE = 4 << 30
_CHUNK = 1 << 20


def read_list_file(
    path: str, problems: Problems, progress: Callable[[str, int], None]
) -> Iterator[tuple[int, int, int, str, int]]:
    """Yield version, first and last address, the text and its line number, for each line that holds a net.

    `progress` is told the path and the number of lines read, now and then.
    """
    number = 0
    try:
        for lines in _line_blocks(path, problems):
            for line in lines:
                number += 1
                try:
                    # Nearly every line of nearly every list is an IPv4 address and nothing else.
                    first = int.from_bytes(inet_pton(AF_INET, line))
                    yield 4, first, first, line, number
                    continue
                except (OSError, ValueError):
                    pass
                text = line.split("#", 1)[0].split(";", 1)[0].strip()
                if not text:
                    continue
                try:
                    yield *parse_net(text), text, number
                except ValueError as error:
                    problems.error(Place(path, number, line.index(text) + 1), text, str(error))
            progress(path, number)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        problems.error(Place(path, number + 1), "", f"the gzip data is damaged or cut short: {error}")
    except OSError as error:
        problems.error(Place(path), "", describe(error))


def _line_blocks(path: str, problems: Problems) -> Iterator[list[str]]:
    """The lines of a file, a block at a time; a line that is too long stands in as an empty one."""
    with open_regular(path) as file:
        compressed = os.pread(file.fileno(), 2, 0) == b"\x1f\x8b"
        stream: IO[bytes] | gzip.GzipFile = gzip.GzipFile(fileobj=file) if compressed else file
        rest = b""
        size = number = 0
        skipping = False
        while True:
            chunk = stream.read(_CHUNK)
            size += len(chunk)
            if size > MAX_SIZE:
                problems.error(Place(path), "", f"unpacks to more than {MAX_SIZE >> 30} GiB")
                return
            if skipping and chunk:
                end = chunk.find(b"\n")
                if end < 0:
                    continue
                chunk = chunk[end:]
                skipping = False
            block = rest + chunk
            lines = block.split(b"\n")
            rest = lines.pop() if chunk else b""
            for index, line in enumerate(lines) if len(block) > MAX_LINE else ():
                if len(line) > MAX_LINE:
                    problems.error(Place(path, number + index + 1), "", f"longer than {MAX_LINE} bytes")
                    lines[index] = b""
            if len(rest) > MAX_LINE:
                problems.error(Place(path, number + len(lines) + 1), "", f"longer than {MAX_LINE} bytes")
                rest = b""
                skipping = True
            if number == 0 and lines:
                lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
            number += len(lines)
            yield [line.rstrip(b"\r").decode("latin-1") for line in lines]
            if not chunk:
                return
