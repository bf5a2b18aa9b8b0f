from collections.abc import Iterable

from dnsbl_server.table._sections import Sections

class Directory:
    def __init__(self, tables: Iterable[Sections]) -> None: ...
