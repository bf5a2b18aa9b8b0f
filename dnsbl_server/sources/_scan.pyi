from collections.abc import Callable

from dnsbl_server.model._names import Names
from dnsbl_server.model._spans import Spans

def scan(
    block: bytes,
    line: int,
    longest: int,
    columns: tuple[Spans, Spans, Names],
    takes_nets: bool,
    scopes: tuple[int, int, int],
    longest_name: int,
    hashes: tuple[int, bytes],
    other: Callable[[int, bytes], object],
) -> int: ...
