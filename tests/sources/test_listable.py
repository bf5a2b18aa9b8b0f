"""What can be listed: nets that are left out, taken in part, or warned of, in a zone file and in a list file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dnsbl_server.supply.load import LoadResult

ZONE = "zone: bl.example.org\n"

LISTED = [
    ("10.0.0.0/8", "", 1 << 24),
    ("10.0.0.0-11.0.0.0", "lists more than a /8; is that meant?", (1 << 24) + 1),
    ("2002::/15", "lists more than a /16; is that meant?", 0),
    ("127.0.0.0/8", "left out: no file can list 127.0.0.0/8", 0),
    ("127.0.0.2", "left out: no file can list 127.0.0.0/8", 0),
    ("::ffff:127.0.0.1", "left out: no file can list 127.0.0.0/8", 0),
    ("126.255.255.255-128.0.0.0", "taken without 127.0.0.0/8", 2),
    ("::/64", "taken without ::ffff:0:0/96", 0),
    ("::ffff:192.0.2.0/120", "", 256),
]


@pytest.mark.parametrize(("line", "expected", "addresses"), LISTED)
def test_what_a_list_file_lists_is_warned_of_like_any_entry(
    load_texts: Callable[..., LoadResult], tmp_path: Path, line: str, expected: str, addresses: int
) -> None:
    (tmp_path / "feed.txt").write_text(f"# a feed\n  {line} # why\n2001:db8::1\n")
    result = load_texts(ZONE + "files: [feed.txt]\n")
    said = [str(problem).removeprefix(f"{tmp_path}/") for problem in result.problems]
    assert len(said) == bool(expected)
    assert not expected or said[0].startswith(f"feed.txt:2: warning: {line}: {expected}")
    (loaded,) = result.zones.values()
    assert loaded.compiled.addresses[4] == addresses
