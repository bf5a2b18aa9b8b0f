from array import array
from collections.abc import Callable

from dnsbl_server.model._spans import Spans

MAX_DEPTH: int

class DepthError(ValueError):
    def __init__(self, version: int, number: int) -> None: ...

def look_up(numbers: array[int], values: array[int]) -> array[int]: ...
def flatten(
    spans: Spans,
    kinds: array[int],
    kind: int,
    roots: array[int],
    nested: bytes,
    combine: Callable[[tuple[int, ...]], int],
) -> Spans: ...
def subtract(spans: Spans, holes: Spans) -> Spans: ...
def lay_over(under: Spans, over: Spans, combine: Callable[[int, int], int]) -> Spans: ...
def intervals(
    spans: Spans, answers: array[int], resolve: Callable[[int], int]
) -> tuple[array[int] | bytearray, array[int] | bytearray, array[int]]: ...
