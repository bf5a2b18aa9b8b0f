"""The keys of a list in a zone file: its entries, its list files, and what being listed on it means.

Owns these keys and the rules between them. Whatever is wrong becomes a problem at the place of the value, and reading
goes on with a default. Knows no keys of zones and no formats of list files.
"""

from dataclasses import replace
from datetime import datetime

from dnsbl_server.model.address import LONGEST_TEXT, Net, without_loopback
from dnsbl_server.model.entry import NAMES, Entry, Exclusion, ListFile
from dnsbl_server.model.hashing import ALGORITHMS, ALPHABETS, Hashing
from dnsbl_server.model.listing import (
    DEFAULT_CODE,
    DEFAULT_TEXT,
    DEFAULT_TEXT_OF_LIST,
    TEST_REASON,
    Listing,
    Template,
)
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.subject import Subjects
from dnsbl_server.model.zone import BlockList
from dnsbl_server.sources.document import Mapping, Node, Scalar
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.fields import Fields
from dnsbl_server.sources.fileitem import PROVENANCE_KEYS, ItemReader
from dnsbl_server.sources.listable import can_be_listed, warn_of_suffix
from dnsbl_server.sources.listsource import Source, Surroundings
from dnsbl_server.sources.textsize import AnswerText, check_size, shown_size
from dnsbl_server.sources.values import (
    one_of,
    parse_bool,
    parse_code,
    parse_expiry,
    parse_printable,
    parse_template,
    parse_time,
    parse_ttl,
)

LIST_KEYS = (
    *("entries", "files", "code", "txt", "reason", "except"),
    *("subdomains", "public_suffixes", "hash", "encoding"),
    *PROVENANCE_KEYS,
)
_ENTRY_KEYS = ("net", "domain", "reason", "code", "ttl", "listed", "expires")
LONG_TTL = 604800
MAX_CODES = 32  # of one listing; more make answers that no client expects
_PROGRESS_EVERY = 20000


class ListKeysReader(ItemReader):
    """Reads the lists of one zone file."""

    def __init__(self, file: str, problems: Problems, around: Surroundings) -> None:
        super().__init__(file, problems)
        self._around = around
        self._listings: dict[Listing, Listing] = {}
        self._checked_texts: set[tuple[str, Listing, int]] = set()

    def block_list(self, fields: Fields, name: str, place: Place | None, zone: str, ttl: int) -> BlockList:
        """The list that these keys make; place: None where it has none of its own."""
        default_text = DEFAULT_TEXT if name == zone else DEFAULT_TEXT_OF_LIST
        answer_text = AnswerText(zone, name, self.one(fields, "txt", parse_template, default_text))
        listing = Listing(
            codes=self._codes(fields, (DEFAULT_CODE,)),
            reason=self.one(fields, "reason", parse_printable, ""),
            ttl=ttl,
        )
        hashing = self._hashing(fields)
        placeholders = self._placeholders(fields, answer_text.template, hashing is not None)
        subdomains = self.one(fields, "subdomains", parse_bool, False)
        takes_suffixes = self.one(fields, "public_suffixes", parse_bool, False)
        text = EntryText(zone, subdomains, takes_suffixes, hashing, placeholders, answer_text.room(listing))
        longest = max(text.longest, LONGEST_TEXT[6]) if text.takes_names else LONGEST_TEXT[6]
        text = replace(text, reason_room=answer_text.reason_room(listing, longest))
        entries: list[Entry] = []
        own_text = fields.get("reason", fields.get("txt"))
        for node in self.items(fields, "entries"):
            self._entry(node, listing, answer_text, text, entries)
            if len(entries) % _PROGRESS_EVERY == 0 and entries:
                self._around.progress(self.file, len(entries))
        files = self._files(fields, name, listing, answer_text, text)
        if not self.items(fields, "entries") and not self.items(fields, "files"):
            self.problems.warning(place or Place(self.file), "", "the list is empty")
        if own_text:
            sizes = {shown_size(entry.what) for entry in entries if entry.listing is listing}
            sizes |= {LONGEST_TEXT[version] for file in files for version in LONGEST_TEXT if len(file.nets[version])}
            sizes |= {file.names.longest() for file in files}
            # The test entries have the text of the list too.
            test = answer_text.size(replace(listing, reason=TEST_REASON), LONGEST_TEXT[4])
            longest = max(sizes, default=LONGEST_TEXT[4])
            self._check_size(own_text[1], max(test, answer_text.size(listing, longest)))
        return BlockList(
            name=name,
            place=place or Place(self.file),
            listing=listing,
            template=answer_text.template,
            entries=tuple(entries),
            exclusions=self.exclusions(fields, text),
            files=files,
            hashing=hashing,
            provenance=self.provenance(fields),
            is_for_names=not {"hash", "subdomains", "public_suffixes"}.isdisjoint(fields) or "domain" in placeholders,
        )

    def _placeholders(self, fields: Fields, template: Template, has_hashes: bool) -> frozenset[str]:
        """Those of the template of a list, of which at most one may be for a kind of entries."""
        placeholders = template.placeholders
        if has_hashes and "ip" in placeholders:
            self.error(fields["txt"][1], "{ip} has no value for the e-mail addresses of this list; write {what}")
        if {"ip", "domain"} <= placeholders:
            self.error(fields["txt"][1], "{ip} and {domain} never stand for the same; write {what} for either")
            return placeholders - {"ip", "domain"}
        return placeholders

    def _hashing(self, fields: Fields) -> Hashing | None:
        algorithm = self.one(fields, "hash", one_of(ALGORITHMS), "")
        encoding = self.one(fields, "encoding", one_of(ALPHABETS), "hex")
        if "encoding" in fields and "hash" not in fields:
            self.error(fields["encoding"][0], "is that of hashes; the list has no hash")
        if not algorithm:
            return None
        for name in ("subdomains", "public_suffixes"):
            if name in fields:
                self.error(fields[name][0], "means nothing in a list with hash")
        hashing = Hashing(algorithm, encoding)
        if not hashing.fits:
            fitting = [each for each in ALPHABETS if Hashing(algorithm, each).fits]
            message = f"{algorithm} in {encoding} has {hashing.size} characters, and a label at most 63; add encoding: "
            self.error(fields["encoding" if "encoding" in fields else "hash"][1], message + " or ".join(fitting))
            return None
        return hashing

    def _codes(self, fields: Fields, default: tuple[int, ...]) -> tuple[int, ...]:
        if "code" not in fields:
            return default
        codes = self.many(fields, "code", parse_code)
        is_list = not isinstance(fields["code"][1], Mapping)
        if is_list and not self.items(fields, "code"):
            self.error(fields["code"][0], "the value is missing")
        if len(codes) > MAX_CODES:
            self.error(fields["code"][0], f"at most {MAX_CODES} codes, not {len(codes)}")
        return codes or default

    def ttl(self, fields: Fields, name: str, default: int) -> int:
        """A TTL in seconds; a long one is warned of."""
        if name not in fields:
            return default
        ttl = self.one(fields, name, parse_ttl, default)
        node = fields[name][1]
        if ttl > LONG_TTL and isinstance(node, Scalar):
            message = "more than a week: this long clients keep what is taken off"
            self.problems.warning(self.at(node), node.text, message)
        return ttl

    def _entry(
        self, node: Node, listing: Listing, answer_text: AnswerText, text: EntryText, entries: list[Entry]
    ) -> None:
        if isinstance(node, Scalar):
            what = self.value(node, text.parse)
            if what is not None:
                self._take(what, node, listing, text, entries)
            return
        if isinstance(node, Mapping) and not {"net", "domain"} & node.fields.keys() and len(node.fields) == 1:
            key = next(iter(node.fields))
            if ":" in key:
                self.error(node, "an IPv6 address that ends in a colon stands in quotes", f"{key}:")
                return
        fields = self.fields(node, _ENTRY_KEYS, "an entry")
        if fields is None:
            return
        if ("net" in fields) == ("domain" in fields):
            self.error(node, f"the entry has {'both net and' if 'net' in fields else 'neither net nor'} domain", "")
            return
        value = fields["net" if "net" in fields else "domain"][1]
        meant: Subjects | None
        meant = self.value(value, text.parse_net) if "net" in fields else self.value(value, text.parse_domains)
        own = self._listing(fields, listing) if len(fields) > 1 else listing
        if meant is None or not isinstance(value, Scalar):
            return
        self._take(meant, value, own, text, entries)
        if own is not listing:
            reason = fields["reason"][1] if "reason" in fields else None
            self._check_text(reason or value, answer_text, own, shown_size(meant))

    def _take(self, what: Subjects, node: Scalar, listing: Listing, text: EntryText, entries: list[Entry]) -> None:
        """Take an entry, as far as it can be listed."""
        place = self.at(node)
        if can_be_listed(what, node.text, place, self.problems):
            entries.append(Entry(what, node.text, *place, listing))
            if not text.takes_suffixes:
                warn_of_suffix(what, node.text, place, self.problems)

    def _listing(self, fields: Fields, default: Listing) -> Listing:
        listed = expires = None
        if "listed" in fields:
            listed = self.value(fields["listed"][1], parse_time)
        if "expires" in fields and ("listed" not in fields or listed is not None):
            since = listed

            def parse(text: str) -> datetime:
                return parse_expiry(text, since)

            expires = self.value(fields["expires"][1], parse)
        listing = Listing(
            codes=self._codes(fields, default.codes),
            reason=self.one(fields, "reason", parse_printable, default.reason),
            ttl=self.ttl(fields, "ttl", default.ttl),
            listed=listed,
            expires=expires,
        )
        return self._listings.setdefault(listing, listing)

    def _files(
        self, fields: Fields, name: str, listing: Listing, answer_text: AnswerText, text: EntryText
    ) -> tuple[ListFile, ...]:
        """What the list files and feeds of the list `name` list."""
        named: set[tuple[object, str]] = set()
        files = []
        for node in self.items(fields, "files"):
            item = self.file_item(node)
            if item is None:
                continue
            where = item.paths or item.name
            if (where, item.reading) in named:
                self.error(item.node, "this file is named twice in the list")
                continue
            named.add((where, item.reading))
            written = item.node.text if isinstance(item.node, Scalar) else ""
            source = Source(item, name, listing, text, self.at(item.node), written)
            file = source.read(self._around, self.problems)
            if file is not None:
                self._check_texts_of_file(file, answer_text)
                files.append(file)
        return tuple(files)

    def _check_texts_of_file(self, file: ListFile, answer_text: AnswerText) -> None:
        """Check the texts of the listings that entries of a file have of their own; the first that is long is shown.

        Never an error: one line of a list file must not keep its zone from being loaded.
        """
        longest = {**LONGEST_TEXT, NAMES: file.names.longest()}
        most = max(longest.values())
        may_be_long = {
            number: listing for number, listing in enumerate(file.listings, 1) if answer_text.may_be_long(listing, most)
        }
        for family, numbers in file.numbers.items() if may_be_long else ():
            found = {
                number: message[0]
                for number, listing in may_be_long.items()
                if (message := check_size(answer_text.size(listing, longest[family]))) is not None
            }
            row = next((row for row, number in enumerate(numbers) if number in found), None)
            if row is not None:
                more = f"; {len(found) - 1:,} more listings of this file are as long" if len(found) > 1 else ""
                place = file.entry(family, row, file.listings[0]).place
                self._around.noted.warning(place, "", found[numbers[row]] + more)

    def exclusions(self, fields: Fields, text: EntryText) -> tuple[Exclusion, ...]:
        """The nets and names under `except`."""
        exclusions: list[Exclusion] = []
        for node in self.items(fields, "except"):
            what = self.value(node, text.parse_exclusion)
            if what is None or not isinstance(node, Scalar):
                continue
            if isinstance(what, Net) and not without_loopback(what):
                message = "has no effect: what is listed in 127.0.0.0/8 are the test entries, which come from the codes"
                self.problems.warning(self.at(node), node.text, message)
            exclusions.append(Exclusion(what, node.text, self.at(node)))
        return tuple(exclusions)

    def _check_text(self, node: Node, answer_text: AnswerText, listing: Listing, longest: int) -> None:
        key = (answer_text.list, listing, longest)
        if key not in self._checked_texts and answer_text.may_be_long(listing, longest):
            self._checked_texts.add(key)
            self._check_size(node, answer_text.size(listing, longest))

    def _check_size(self, node: Node, size: int) -> None:
        self._report_size(self.at(node), node.text if isinstance(node, Scalar) else "", size)

    def _report_size(self, place: Place, value: str, size: int) -> None:
        if (found := check_size(size)) is not None:
            message, is_warning = found
            (self.problems.warning if is_warning else self.problems.error)(place, value, message)
