from collections.abc import Sequence
from typing import NamedTuple

from dnsbl_server.answer._directory import Directory

class NumberedReply(NamedTuple):
    packet: bytes | None
    outcome: int
    zone: int | None
    qtype: int
    hits: tuple[int, ...]

def answer(directory: Directory, packet: bytes, now: float, tcp: bool = False) -> NumberedReply | None: ...
def answer_all(
    directory: Directory, packets: Sequence[bytes], now: float, tcp: bool = False
) -> list[NumberedReply | None]: ...
