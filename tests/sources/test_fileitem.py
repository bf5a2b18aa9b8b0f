"""The items of `files`: what each key means, and what is wrong with others."""

from pathlib import Path

import pytest

from dnsbl_server.model.feed import FeedSpec
from dnsbl_server.model.problem import Problems
from dnsbl_server.model.provenance import Provenance
from dnsbl_server.sources.document import Sequence, read_document
from dnsbl_server.sources.fileitem import FileItem, ItemReader


def items_of(text: str) -> tuple[list[FileItem | None], list[str]]:
    problems = Problems()
    document = read_document(text.encode(), "zones/z.yaml", problems)
    assert isinstance(document, Sequence)
    reader = ItemReader("zones/z.yaml", problems)
    items = [reader.file_item(node) for node in document.items]
    return items, [str(problem).removeprefix("zones/z.yaml:") for problem in problems]


def item_of(text: str) -> FileItem:
    (item,), problems = items_of(text)
    assert problems == []
    assert item is not None
    return item


@pytest.mark.parametrize("text", ["- a.txt", "- {path: a.txt}", "- {path: [a.txt], format: plain}"])
def test_a_path_is_beside_the_zone_file(text: str) -> None:
    item = item_of(text)
    assert (item.paths, item.name, item.feed) == (("zones/a.txt",), "zones/a.txt", None)
    assert (item.stale, item.reading, item.may_be_empty, item.options) == (0, "plain", False, {})


def test_several_paths_are_read_as_one() -> None:
    assert item_of("- {path: [a.txt, ../b.txt, /c/./d.txt]}").paths == ("zones/a.txt", "zones/../b.txt", "/c/d.txt")


def test_a_feed() -> None:
    item = item_of("- {url: 'https://f.example/x', every: 30m, stale: 14d, secret: key.txt, may_be_empty: true}")
    assert item.feed == FeedSpec("https://f.example/x", 1800, str(Path("zones/key.txt").absolute()))
    assert (item.paths, item.name, item.stale, item.may_be_empty) == ((), "https://f.example/x", 14 * 86400, True)
    assert item_of("- {url: 'https://f.example/x', stale: never}").stale == 0
    assert item_of("- {url: 'https://f.example/x'}").feed == FeedSpec("https://f.example/x", 3600)


def test_whose_data_it_is() -> None:
    item = item_of("- {path: a, publisher: P, policy: 'https://p/', contact: c@p, removal_url: 'https://p/r'}")
    assert item.provenance == Provenance("P", "https://p/", "c@p", "https://p/r")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- []", ["1:3: an item of files is a path, or a mapping with path or url"]),
        ("- {}", ["1:3: the item has neither path nor url"]),
        ("- {path: a, url: 'https://f.example/'}", ["1:3: the item has both path and url"]),
        ("- https://f.example/x", ["1:3: https://f.example/x: a URL stands in a mapping, like {url: ..., every: 1h}"]),
        ("- {url: 'ftp://f.example/'}", ["1:9: ftp://f.example/: a URL begins with https://, http:// or rsync://"]),
        (
            "- {url: 'https://f.example/', every: 59s}",
            ["1:38: 59s: a feed is fetched every 1m to 30d"],
        ),
        ("- {url: 'https://f.example/', stale: 0}", ["1:38: 0: a duration like 14d, or never"]),
        ("- {path: a, formt: plain}", ["1:13: formt: unknown key; did you mean format?"]),
        ("- {path: [a, a]}", ["1:14: a: stands twice, first at zones/z.yaml:1:11"]),
        ("- {path: []}", ["1:4: path: the value is missing"]),
        ('- "a\\0b"', ["1:3: a\\x00b: not a file name"]),
        ("- {path: a, may_be_empty: yes}", ["1:27: yes: either true or false"]),
        ('- {path: a, publisher: "caf\\xe9"}', ["1:24: café: only printable ASCII; U+00E9 stands at character 4"]),
    ],
)
def test_what_is_wrong_has_its_place(text: str, said: list[str]) -> None:
    (item,), problems = items_of(text)
    assert problems == said
    assert item is None


def test_an_unknown_format_names_those_that_there_are() -> None:
    # Which keys it has is not known, so they are not said to be wrong.
    (item,), problems = items_of("- {path: a, format: plian, x: 1}")
    assert item is None
    (problem,) = problems
    assert problem.startswith("1:21: plian: not one of plain")


def test_keys_of_a_feed_mean_nothing_for_a_file() -> None:
    (item,), problems = items_of("- {path: a, every: 1h}")
    assert item is None
    assert problems[0].startswith("1:13: every: unknown key; an item of files with format: plain has path, url,")
