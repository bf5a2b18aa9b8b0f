from collections.abc import Iterable, Mapping

OUTCOMES: tuple[str, ...]

class Table:
    def __init__(self, sections: Mapping[str, memoryview], lists: int) -> None: ...

class Directory:
    def __init__(self, tables: Iterable[Table]) -> None: ...
    def answer(
        self, packet: bytes, now: float, tcp: bool = False
    ) -> tuple[bytes | None, str, int | None, int, tuple[int, ...]] | None: ...
