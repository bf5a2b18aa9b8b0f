"""The invariant of the fuzzing: the compiled answer is that of its specification.

Whatever bytes come, over UDP and TCP, at whatever time: `_answer` and `respond` say the same - bytes, outcome, zone,
type and hits - and neither raises, hangs nor reads out of bounds. What is left to the slow path is of the few
kinds that may be.

An input is one byte that chooses the time and the transport, and the message. The zones are those beside this file.
"""

from pathlib import Path

from dnsbl_server.answer.respond import Reply
from dnsbl_server.supply.load import load_zones
from dnsbl_server.table.table import ZoneTable
from tests.conftest import NOW
from tests.sameness import Both

ZONES = Path(__file__).parent / "zones"
SEEDS = Path(__file__).parent / "seeds"
TCP = 0x80
# Before, between and after the times at which entries expire, with and without a fraction of a second.
MOMENTS = (NOW, NOW + 0.75, NOW + 4.999, NOW + 5, NOW + 9.5, NOW + 10, NOW + 3600, NOW + 1e9)


def open_zones() -> Both:
    """The zones beside this file, as the engine and as its specification see them."""
    loaded = load_zones([str(path) for path in sorted(ZONES.glob("*.yaml"))], NOW, lambda path, count: None)
    assert not loaded.problems.errors, [str(problem) for problem in loaded.problems]
    return Both([ZoneTable(each.compiled.table) for each in loaded.zones.values()])


class Fuzzed:
    """What an input is given to."""

    def __init__(self) -> None:
        self._both = open_zones()

    def check(self, data: bytes) -> Reply:
        """Fail unless the invariant holds for an input; what both say."""
        choice = data[0] if data else 0
        return self._both.check(data[1:], MOMENTS[choice % len(MOMENTS)], bool(choice & TCP))


def encode(packet: bytes, moment: int = 0, tcp: bool = False) -> bytes:
    """The input for a message at one of MOMENTS."""
    return bytes([moment | (TCP if tcp else 0)]) + packet
