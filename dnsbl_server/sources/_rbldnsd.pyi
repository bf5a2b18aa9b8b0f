from array import array
from collections.abc import Callable

from dnsbl_server.model._names import Names
from dnsbl_server.model._spans import Spans

class Scanner:
    rows: Spans | Names
    kinds: array[int]
    values: dict[bytes, int]
    takes_cr: bool
    takes_lengths: bool
    largest: int
    longest_name: int
    def __init__(self, rows: Spans | Names) -> None: ...
    def scan(self, block: bytes, line: int, longest: int, other: Callable[[int, bytes], object]) -> int: ...

def whole_blocks(rows: Spans, kinds: array[int], limit: int) -> tuple[Spans, array[int]]: ...
def move_spans(
    rows: Spans,
    kinds: array[int],
    dropped: bytearray,
    numbers: array[int],
    into: Spans,
    other: Callable[[int, int, int, int], object],
) -> array[int]: ...
def move_names(
    rows: Names,
    kinds: array[int],
    dropped: bytearray,
    numbers: array[int],
    into: Names,
    other: Callable[[int], object],
) -> array[int]: ...
