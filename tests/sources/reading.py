"""List files of rbldnsd's formats in tests: their bytes to what they list, exclude and say."""

from pathlib import Path
from typing import Any, NamedTuple

from dnsbl_server.model.address import Address
from dnsbl_server.model.entry import NAMES, ListFile
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.subject import Subjects
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.listable import can_be_listed
from dnsbl_server.sources.listfile import FORMATS, read_list_file

DEFAULT = Listing((0x7F000002,), "", 300)


class Read(NamedTuple):
    """entries: `text: codes: template` in the order of the file; excluded: as text; said: without the path."""

    entries: list[str]
    excluded: list[str]
    verdict: str
    said: list[str]
    file: ListFile


def read(directory: Path, kind: str, *contents: str | bytes, **options: Any) -> Read:
    """Read files as one. Lines that cannot be read are few only beside the good lines that are not shown."""
    paths = []
    for at, content in enumerate(contents):
        path = directory / f"data{at}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        paths.append(str(path))
    problems = Problems()

    def accept(what: Subjects, text: str, place: Place) -> bool:
        return can_be_listed(what, text, place, problems)

    text = EntryText("bl.example.org", takes_suffixes=True)
    reading = read_list_file(paths, DEFAULT, problems, lambda *_: None, accept, text, FORMATS[kind], options)
    file = reading.file
    entries = [f"{each.text}: {_shown(each.listing)}" for each in file.entries(DEFAULT)]
    families: list[tuple[int, Any]] = [*file.excluded.items(), (NAMES, file.excluded_names)]
    excluded = [str(file.exclusion(family, row).what) for family, rows in families for row in range(len(rows))]
    said = [str(problem).replace(f"{directory}/", "") for problem in problems]
    return Read(entries, excluded, reading.verdict, said, file)


def _shown(listing: Listing) -> str:
    codes = ",".join(str(Address(4, code)).removeprefix("127.0.0.") for code in listing.codes)
    if listing.text is None:
        return codes
    parts = [f"<{part}>" if at % 2 else part for at, part in enumerate(listing.text.parts)]
    return f"{codes} {''.join(parts)}"
