from collections.abc import Mapping

class Sections:
    def __init__(self, sections: Mapping[str, memoryview], lists: int) -> None: ...
