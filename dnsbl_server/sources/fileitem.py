"""The items of `files`: what a zone file says of one list file or feed.

Owns the keys of an item and the rules between them. An item is a path, or a mapping with `path` or `url`; which keys a
format has of its own stands in the table of formats. Whatever is wrong becomes a problem at the place of the value.
Knows nothing of what is in the files.
"""

import os
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field
from typing import Any

from dnsbl_server.model.feed import FeedSpec
from dnsbl_server.model.provenance import UNSAID, Provenance
from dnsbl_server.sources.document import Mapping, Node, Scalar, Sequence
from dnsbl_server.sources.feedstore import parse_feed_url
from dnsbl_server.sources.fields import Fields, NodeReader
from dnsbl_server.sources.listfile import FORMATS, Format
from dnsbl_server.sources.values import one_of, parse_bool, parse_duration, parse_printable

PROVENANCE_KEYS = ("publisher", "policy", "contact", "removal_url")
_KEYS = ("path", "url", "format", "may_be_empty", *PROVENANCE_KEYS)
_FEED_KEYS = ("every", "stale", "secret")
_DEFAULT_EVERY = 3600
_MIN_EVERY = 60
_NEVER = "never"


@dataclass(frozen=True)
class FileItem:
    """A list file or a feed, as a zone file names it.

    node: where its path or URL stands; paths: of the files that are read as one, none for a feed; feed: None for a
    file; stale: after how many seconds without being current a feed's entries are withdrawn, 0 is never; format,
    options: how it is read; reading: the same as text, which tells one way from another; may_be_empty: without
    entries it is as good as with some.
    """

    node: Node
    paths: tuple[str, ...]
    feed: FeedSpec | None = None
    stale: int = 0
    format: Format = FORMATS["plain"]
    options: AbstractMapping[str, Any] = field(default_factory=dict)
    reading: str = "plain"
    may_be_empty: bool = False
    provenance: Provenance = UNSAID

    @property
    def name(self) -> str:
        """What it is called: its URL or its path, the first of several."""
        return self.feed.url if self.feed else self.paths[0]


class ItemReader(NodeReader):
    """Reads the items of one zone file."""

    def file_item(self, node: Node) -> FileItem | None:
        """What an item says; None where it has a problem."""
        if isinstance(node, Scalar):
            path = self.value(node, self._parse_path)
            return None if path is None else FileItem(node, (path,))
        before = len(self.problems.errors)
        item = self._mapping(node)
        return item if len(self.problems.errors) == before else None

    def provenance(self, fields: Fields) -> Provenance:
        """Whose data it is."""
        return Provenance(*(self.one(fields, key, parse_printable, "") for key in PROVENANCE_KEYS))

    def _mapping(self, node: Node) -> FileItem | None:
        if not isinstance(node, Mapping):
            self.error(node, "an item of files is a path, or a mapping with path or url", "")
            return None
        name = "plain"
        if "format" in node.fields:
            name = self.value(node.fields["format"][1], one_of(FORMATS)) or ""
        # Of an unknown format it is not known which keys it has.
        row = FORMATS.get(name)
        own = (*row.keys, *row.maps) if row else tuple(node.fields)
        feed_keys = _FEED_KEYS if "url" in node.fields else ()
        fields = self.fields(node, (*_KEYS, *feed_keys, *own), f"an item of files with format: {name}")
        if fields is None or row is None:
            return None
        if ("path" in fields) == ("url" in fields):
            has = "both path and url" if "path" in fields else "neither path nor url"
            self.error(node, f"the item has {has}", "")
            return None
        options = self._options(fields, row)
        try:
            row.check(options)
        except ValueError as error:
            self.error(node, str(error), name)
        stale = self.one(fields, "stale", _parse_stale, 0)
        feed = self._feed(fields) if "url" in fields else None
        if feed and 0 < stale <= 2 * feed.every:
            self.error(fields["stale"][1], f"stale is more than twice every, which is {feed.every} seconds")
        value = fields["path" if "path" in fields else "url"][1]
        where = value.items[0] if isinstance(value, Sequence) and value.items else value
        return FileItem(
            node=where,
            paths=self._paths(fields),
            feed=feed,
            stale=stale,
            format=row,
            options=options,
            reading=f"{name} {sorted(options.items())}" if options else name,
            may_be_empty=self.one(fields, "may_be_empty", parse_bool, False),
            provenance=self.provenance(fields),
        )

    def _options(self, fields: Fields, row: Format) -> dict[str, Any]:
        """What the item says in the keys of its format."""
        options: dict[str, Any] = {}
        for key, parse in row.keys.items():
            if key in fields and (value := self.value(fields[key][1], parse)) is not None:
                options[key] = value
        for key, known in row.maps.items():
            inner = self.fields(fields[key][1], known, key) if key in fields else None
            if inner is not None:
                options[key] = {each: self.many(inner, each, _text) for each in inner}
        return options

    def _paths(self, fields: Fields) -> tuple[str, ...]:
        if "path" not in fields:
            return ()
        paths = self.many(fields, "path", self._parse_path)
        if not paths:
            self.error(fields["path"][0], "the value is missing")
        return paths

    def _feed(self, fields: Fields) -> FeedSpec | None:
        url = self.value(fields["url"][1], parse_feed_url)
        every = self.one(fields, "every", _parse_every, _DEFAULT_EVERY)
        secret = self.one(fields, "secret", self._parse_path, "")
        return FeedSpec(url, every, os.path.abspath(secret) if secret else "") if url else None

    def _parse_path(self, text: str) -> str:
        if "\0" in text:
            raise ValueError("not a file name")
        if text.startswith(("http://", "https://", "rsync://")):
            raise ValueError("a URL stands in a mapping, like {url: ..., every: 1h}")
        path = os.path.join(os.path.dirname(self.file), text)
        # What `..` means after a symbolic link, only the kernel knows.
        return path if ".." in path.split("/") else os.path.normpath(path)


def _text(text: str) -> str:
    return text


def _parse_every(text: str) -> int:
    """How often a feed is fetched, in seconds."""
    seconds = parse_duration(text)
    if not _MIN_EVERY <= seconds <= 30 * 86400:
        raise ValueError("a feed is fetched every 1m to 30d")
    return seconds


def _parse_stale(text: str) -> int:
    """After how many seconds a feed is stale; 0 is never."""
    if text == _NEVER:
        return 0
    seconds = parse_duration(text)
    if not seconds:
        raise ValueError("a duration like 14d, or never")
    return seconds
