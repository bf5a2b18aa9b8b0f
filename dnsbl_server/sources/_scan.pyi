from collections.abc import Callable

from dnsbl_server.model._spans import Spans

def scan(block: bytes, line: int, longest: int, v4: Spans, v6: Spans, other: Callable[[int, bytes], object]) -> int: ...
