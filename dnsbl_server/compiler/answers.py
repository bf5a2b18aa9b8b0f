"""Overlaps and answers: what a client gets where several lists have an address.

Owns how the chains that hold together become one answer, with the answers that follow it where listings expire. Each
distinct one stands in a table once, and none is larger than a message can be. Knows no entries.
"""

from array import array
from collections.abc import Iterable

from dnsbl_server.compiler._merge import intervals
from dnsbl_server.compiler.chains import Chain, Chains
from dnsbl_server.model._spans import Spans
from dnsbl_server.model.address import LONGEST_TEXT
from dnsbl_server.model.domain import Domains
from dnsbl_server.model.listing import describe_listing
from dnsbl_server.model.problem import Problems
from dnsbl_server.model.zone import BlockList, Zone
from dnsbl_server.table.answersize import MAX_MESSAGE, size_around, size_of_codes, size_of_texts
from dnsbl_server.table.layout import ADDRESS_MARK, Answer, Intervals, mark_of

_SHOWN_LISTS = 3  # in a message


class Overlaps:
    """The chains that hold for a span together, one for each list that covers it.

    The first numbers are those of the single chains, so that most spans keep their number.
    """

    def __init__(self, chains: int) -> None:
        self.chains: list[tuple[int, ...]] = [(chain,) for chain in range(chains)]
        self._numbers: dict[tuple[int, int], int] = {}
        self._together: dict[tuple[int, ...], int] = {}

    def number_of(self, chains: tuple[int, ...]) -> int:
        """The number of chains that hold together."""
        if len(chains) == 1:
            return chains[0]
        number = self._together.get(chains)
        if number is None:
            self.chains.append(chains)
            number = self._together[chains] = len(self.chains) - 1
        return number

    def combine(self, under: int, over: int) -> int:
        """The number of what holds where the second lies over the first: the chains of both, in this order."""
        number = self._numbers.get((under, over))
        if number is None:
            self.chains.append(self.chains[under] + self.chains[over])
            number = self._numbers[under, over] = len(self.chains) - 1
        return number


class Answers:
    """The answers of a zone, each distinct one once. Number 0 means not listed; number n is records[n - 1]."""

    def __init__(self, zone: Zone, chains: Chains, overlaps: Overlaps) -> None:
        self.zone = zone
        self.records: list[Answer] = []
        self._chains = chains
        self._overlaps = overlaps
        self._numbers: dict[Answer, int] = {}
        self._texts: dict[tuple[int, int, int], str] = {}
        # For each type the largest records so far, in bytes, and the answer that has them.
        self._largest: dict[str, tuple[int, Answer | None]] = {"A": (0, None), "TXT": (0, None)}

    def intervals(self, spans: Spans) -> Intervals:
        """The columns of a table from spans with the numbers of their overlaps; the spans are used up by it."""
        version = spans.version
        # What is not resolved yet has no answer, 0. An overlap that no span has is never resolved.
        numbers = array("I", bytes(4 * len(self._overlaps.chains)))
        columns = Intervals(*intervals(spans, numbers, self._resolve))
        self._measure(LONGEST_TEXT[version], numbers)
        return columns

    def of_names(self, overlaps: "Iterable[int | None]") -> "array[int]":
        """The numbers of the answers that names have, by the numbers of their overlaps; None has 0."""
        known: dict[int, int] = {}
        numbers = array("I")
        for overlap in overlaps:
            if overlap is None:
                numbers.append(0)
                continue
            if overlap not in known:
                known[overlap] = self._resolve(overlap)
            numbers.append(known[overlap])
        self._measure(max(map(_longest_name, self.zone.lists), default=0), numbers)
        return numbers

    def report_too_large(self, problems: Problems) -> None:
        """One problem for each type of which an answer is larger than a message can be."""
        around = size_around(self.zone.name, any(each.has_names for each in self.zone.lists))
        for rtype, (records, answer) in self._largest.items():
            if answer is not None and around + records > MAX_MESSAGE:
                size = around + records
                message = (
                    f"where {self._lists_of(answer)} list an address or name, its {rtype} answer is {size:,} bytes "
                    f"long, and a message at most {MAX_MESSAGE:,}; let fewer lists overlap, or give them "
                    f"{'shorter texts' if rtype == 'TXT' else 'fewer codes'}"
                )
                problems.error(self.zone.place, self.zone.name, message)

    def _lists_of(self, answer: Answer) -> str:
        names = [self.zone.lists[number].name for number, _ in answer.texts]
        shown = ", ".join(names[:_SHOWN_LISTS])
        return shown if len(names) <= _SHOWN_LISTS else f"{shown} and {len(names) - _SHOWN_LISTS:,} more lists"

    def _measure(self, longest: int, numbers: "array[int]") -> None:
        """Look at the sizes of answers with these numbers, and of those that follow them, each once.

        longest: how many characters the longest address or name has.
        """
        seen = bytearray(len(self.records) + 1)
        for number in numbers:
            while number and not seen[number]:
                seen[number] = True
                answer = self.records[number - 1]
                number = answer.next
                # Nearly all are of one list, whose text and codes always fit.
                if len(answer.texts) == 1 and len(answer.texts[0][1]) < 1_000 and len(answer.codes) < 1_000:
                    continue
                for rtype, size in (("A", size_of_codes(answer)), ("TXT", size_of_texts(answer, longest))):
                    if size > self._largest[rtype][0]:
                        self._largest[rtype] = size, answer

    def number_of(self, answer: Answer) -> int:
        """The number of an answer, which is added where it is new."""
        number = self._numbers.get(answer)
        if number is None:
            self.records.append(answer)
            number = self._numbers[answer] = len(self.records)
        return number

    def _resolve(self, overlap: int) -> int:
        """The answer that holds now, with those that follow it; made from the last one backwards."""
        expiry = self._chains.expiry
        following = 0
        held = self._overlaps.chains[overlap]
        if len(held) == 1:
            # Nearly always there is a single chain, whose listings follow each other.
            chain = self._chains.chains[held[0]]
            for at in range(len(chain.listings) - 1, -1, -1):
                each = chain.listings[at]
                text = (chain.number, self._text(chain, at))
                following = self.number_of(Answer(each.codes, (text,), each.ttl, expiry(each), following))
            return following
        chains = [self._chains.chains[chain] for chain in held]
        ends = sorted({expiry(listing) for chain in chains for listing in chain.listings} - {0})
        # An answer holds from one end to the next; the one after the last end has no end.
        for start, end in reversed(list(zip([0, *ends], [*ends, 0], strict=True))):
            holding = []
            for chain in chains:
                held_at = [at for at, each in enumerate(chain.listings) if not 0 < expiry(each) <= start]
                if held_at:
                    holding.append((chain, held_at[0]))
            following = self.number_of(self._answer(holding, end, following)) if holding else 0
        return following

    def _answer(self, holding: list[tuple[Chain, int]], expires: int, following: int) -> Answer:
        """The answer of what holds together. holding: chains, each with the position of the listing that holds."""
        listings = [chain.listings[at] for chain, at in holding]
        return Answer(
            codes=tuple(dict.fromkeys(code for listing in listings for code in listing.codes)),
            texts=tuple((chain.number, self._text(chain, at)) for chain, at in holding),
            ttl=min(listing.ttl for listing in listings),
            expires=expires,
            next=following,
        )

    def _text(self, chain: Chain, at: int) -> str:
        """The text of one listing of a chain, with what is listed marked."""
        number, listing = chain.number, chain.listings[at]
        labels = chain.labels[at] if chain.labels else 0
        text = self._texts.get((number, id(listing), labels))
        if text is None:
            block_list = self.zone.lists[number]
            mark = mark_of(labels) if chain.labels else ADDRESS_MARK
            text = describe_listing(self.zone.name, block_list.name, block_list.template, listing, mark)
            self._texts[number, id(listing), labels] = text
        return text


def _longest_name(block_list: BlockList) -> int:
    """How many characters the longest name of a list has."""
    written = (len(entry.what.name) for entry in block_list.entries if isinstance(entry.what, Domains))
    return max(*written, *(file.names.longest() for file in block_list.files), 0, 0)
