"""Lists as their publishers write them: each is taken whole by the item that a user would write for it.

The structure of the files in `published` is that of the publishers' documentation; what they hold is made up.
"""

from pathlib import Path

import pytest

from dnsbl_server.model.problem import Problems
from dnsbl_server.sources.zonefile import read_zone_file

PUBLISHED = Path(__file__).parent / "published"
FEODO = "columns: {net: dst_ip, reason: malware, listed: first_seen_utc}"


def listed(item: str, tmp_path: Path) -> tuple[list[str], list[str]]:
    """What a zone with one such item lists, each with its line and reason, and what is said."""
    path = tmp_path / "zone.yaml"
    path.write_text(f"zone: bl.example.org\nfiles:\n- {item.replace('PUBLISHED', str(PUBLISHED))}\n")
    problems = Problems()
    found = read_zone_file(str(path), problems, lambda *_: None)
    said = [str(problem).removeprefix(f"{PUBLISHED}/") for problem in problems]
    if found.zone is None:
        return [], said
    block_list = found.zone.lists[0]
    rows = []
    for file in block_list.files:
        for entry in file.entries(block_list.listing):
            since = f" {entry.listing.listed:%Y-%m-%d %H:%M:%S}" if entry.listing.listed else ""
            rows.append(f"{entry.line}: {entry.what} {entry.listing.reason}{since}".rstrip())
    return rows, said


@pytest.mark.parametrize(
    ("item", "rows"),
    [
        (
            "{path: PUBLISHED/drop_v4.json, format: drop}",
            [
                "1: 1.10.16.0/20 SBL900001",
                "2: 2.56.192.0/22 SBL900002",
                "3: 5.188.10.0/23 SBL900003",
                "4: 192.0.2.0/24 SBL900004",
            ],
        ),
        (
            "{path: PUBLISHED/drop_v6.json, format: drop}",
            ["1: 2001:db8::/32 SBL900101", "2: 2001:678:738::/48 SBL900102"],
        ),
        ("{path: PUBLISHED/drop.txt, reason: comment}", ["5: 1.10.16.0/20 SBL900001", "6: 2.56.192.0/22 SBL900002"]),
        (
            "PUBLISHED/all.txt",
            [
                *("1: 192.0.2.4", "2: 192.0.2.118", "3: 198.51.100.7", "4: 2001:db8:1::3", "5: 2001:db8:44:1::9"),
                "6: 203.0.113.250",
            ],
        ),
        (
            "{path: PUBLISHED/block.txt, format: csv, delimiter: tab, columns: {net: [start, end], reason: name}}",
            ["18: 192.0.2.0/24 EXAMPLE-NET", "19: 198.51.100.0/24", "20: 203.0.113.0/24 Other, Inc."],
        ),
        (
            "{path: PUBLISHED/block.txt, format: csv, delimiter: tab, header: true, columns: {net: [1, 2]}}",
            ["18: 192.0.2.0/24", "19: 198.51.100.0/24", "20: 203.0.113.0/24"],
        ),
        (
            "{path: PUBLISHED/ipblocklist.json, format: json, "
            "fields: {net: ip_address, reason: malware, listed: first_seen}}",
            ["2: 192.0.2.181 QakBot 2022-06-04 21:24:53", "14: 198.51.100.23 Emotet 2026-01-17 09:02:11"],
        ),
        (
            f"{{path: PUBLISHED/ipblocklist.csv, format: csv, {FEODO}}}",
            ["9: 192.0.2.181 QakBot 2022-06-04 21:24:53", "10: 198.51.100.23 Emotet 2026-01-17 09:02:11"],
        ),
        (
            "{path: PUBLISHED/urlhaus.hosts, format: hosts}",
            ["6: malware.example", "7: www.downloads.example.net", "8: xn--bcher-kva.example"],
        ),
        (
            "{path: PUBLISHED/export.csv, format: csv, "
            "columns: {net: ioc_value, domain: ioc_value, reason: malware_printable, listed: first_seen_utc}}",
            [
                "7: 192.0.2.77 Cobalt Strike 2026-11-24 07:58:13",
                "8: bad.example Lumma, v2 2026-11-24 07:59:00",
                '9: 2001:db8::77 Say "hi" 2026-11-24 08:00:41',
            ],
        ),
    ],
)
def test_a_published_list_is_taken_whole(item: str, rows: list[str], tmp_path: Path) -> None:
    assert listed(item, tmp_path) == (rows, [])


def test_a_netset_with_special_use_space_is_taken_but_for_the_loopback(tmp_path: Path) -> None:
    rows, said = listed("PUBLISHED/firehol_level1.netset", tmp_path)
    nets = ["0.0.0.0/8", "1.10.16.0/20", "10.0.0.0/8", "192.168.0.0/16", "203.0.113.0/24", "224.0.0.0/3"]
    assert [row.partition(" ")[2] for row in rows] == nets
    assert any("127.0.0.0/8: left out" in each for each in said)
    assert all(": warning: " in each for each in said)


def test_a_list_whose_count_is_wrong_is_refused(tmp_path: Path) -> None:
    rows, said = listed("{path: PUBLISHED/drop_wrong_count.json, format: drop}", tmp_path)
    assert rows == []
    assert "the metadata counts '1573' records, and there are 4: the file is cut" in " ".join(said)


def test_long_reasons_are_cut_to_what_an_answer_has_room_for(tmp_path: Path) -> None:
    """The whole way from an item: a feed with long reasons does not keep its zone from being loaded."""
    rows = "".join(f"192.0.2.{number},{chr(97 + number) * 600}\n" for number in range(20))
    (tmp_path / "long.csv").write_text(rows)
    path = tmp_path / "zone.yaml"
    path.write_text("zone: bl.example.org\nfiles:\n- {path: long.csv, format: csv, columns: {net: 1, reason: 2}}\n")
    problems = Problems()
    found = read_zone_file(str(path), problems, lambda *_: None)
    assert found.zone is not None
    assert not problems.errors
    listings = found.zone.lists[0].files[0].listings
    assert {len(listing.reason) for listing in listings} == {len(listings[0].reason)}
    assert 150 < len(listings[0].reason) < 500
    said = [problem.message for problem in problems]
    assert len(said) == 2
    assert "longer ones are cut" in said[0]
    assert "show the first 255; 19 more listings of this file are as long" in said[1]
