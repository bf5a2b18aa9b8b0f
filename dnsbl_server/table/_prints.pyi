from collections.abc import Iterable

from dnsbl_server.model._names import Names
from dnsbl_server.model._spans import Spans

def fingerprints(seeded: Iterable[tuple[int, Spans | Names]]) -> bytes: ...
def count_changes(before: bytes | memoryview, after: bytes | memoryview) -> tuple[int, int]: ...
