from array import array
from collections.abc import Callable, Sequence

from dnsbl_server.model._names import Names
from dnsbl_server.model._spans import Spans

_Columns = tuple[Spans, Spans, Names]
_Numbers = tuple[array[int], array[int], array[int]]
_Rules = tuple[bool, tuple[int, int, int], int, tuple[int, bytes]]
_Other = Callable[[int, bytes], object]

def scan_columns(
    block: bytes,
    line: int,
    longest: int,
    columns: _Columns,
    numbers: _Numbers,
    rules: _Rules,
    layout: tuple[int, int, int, bool],
    entry: tuple[int, int],
    fields: Sequence[int],
    known: dict[bytes, int],
    number_of: Callable[[bytes, int], int],
    other: _Other,
) -> int: ...
def scan_comments(
    block: bytes,
    line: int,
    longest: int,
    columns: _Columns,
    numbers: _Numbers,
    rules: _Rules,
    known: dict[bytes, int],
    number_of: Callable[[bytes, int], int],
    other: _Other,
) -> int: ...
