from collections.abc import Callable

from dnsbl_server._spans import Spans

def scan(block: bytes, line: int, longest: int, v4: Spans, v6: Spans, odd: Callable[[int, bytes], object]) -> int: ...
