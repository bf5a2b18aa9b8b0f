"""Domain names that the servers of the benchmarks list, as lines for each of them, and queries for them.

A line is `name`, or `.name` for a suffix, which lists all names below it too: a fifth of them. The names come from a
seed, the same ones every time, and no two of them are equal.

    Names      as on public lists: labels of 6 to 20 characters, a quarter of the names with a host in front, a hundred
               ends from `com` to `coop`, the first of them far more often than the last. Half of the queries hit, half
               of those below a suffix, by one to three labels. The others have the same forms; a quarter of them are
               below a name that is listed without what is below it
    Colliding  names that meet in one place of a hash table without a key: a quarter each have the same low 32 bits of
               FNV-1a and of djb2, of the name from left to right, and of its labels from right to left. The other half
               of the queries are names that collide with them
    Longest    as Names, and 500 suffixes of a label of one character and one of two. The queries have 126 labels with
               the zone's, one fewer than a name can have; half of them are below such a suffix
    Deepest    as Longest, and 5,000 names of 126 labels, with the zone's, are listed. A quarter of the queries are for
               these, a quarter are below a suffix, half are names that differ from one of these in their first label
"""

import random
import string
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, product

from lists import NOERROR, NXDOMAIN, ZONE, record

_ENDS = """
com net org ru xyz top info cn de co.uk com.br online site shop pl fr it nl icu in biz club us eu io co me cc store
pro live vip space fun website tk ml ga cf gq jp ca es cz ua kz by se no fi dk be ch at hu ro bg gr tr ir vn id my th
ph kr tw hk com.au co.za co.jp com.mx com.ar com.tr co.in mx ar cl pe tech app dev cloud click link work life today
world mobi name tel asia cat jobs travel museum aero coop
"""
_WEIGHTS = list(accumulate(1 / number for number in range(1, len(_ENDS.split()) + 1)))  # Zipf's law
_HOSTS = ("www", "mail", "smtp", "m", "mx1", "login", "secure", "cdn")
_LETTERS = string.ascii_lowercase
_CHARACTERS = _LETTERS + string.digits
_SUFFIXES = 5  # one of so many names is one
_SHORT_ZONE = "b.l"
_LONGEST = 124  # labels in front of that zone: with its two of one character, a name of 254 bytes
_SHORT_SUFFIXES = 500  # of the 936 that there are
_DEEP_NAMES = 5_000
_STEPS = (10, 9)  # of a chain of collisions, in either label: 2 ** 19 names, half of them listed
_BLOCK = 6  # characters of a step: with fewer FNV-1a has hardly a collision
_LOW = 0xFFFFFFFF
_FNV1A_SEED, _DJB2_SEED = 0x84222325, 5381

_Step = Callable[[int, int], int]  # the state of a hash function, and a byte, to the next state


class Names:
    """Names as on public lists."""

    zone = ZONE
    data_set = "dnset"
    mark = "{domain}"
    _ends = _ENDS.split()

    def __init__(self, count: int) -> None:
        self._random = random.Random(1)
        names: dict[str, None] = {}
        while len(names) < count:
            names[self._name()] = None
        self._exact = list(names)
        self._suffixes = self._exact[::_SUFFIXES]
        del self._exact[::_SUFFIXES]

    def lines(self, part: int = 0, parts: int = 1) -> Iterator[str]:
        """Yield what stands in a list file."""
        yield from self._exact[part::parts]
        yield from ("." + name for name in self._suffixes[part::parts])

    def listed(self) -> str:
        """Return a name that is asked for something listed."""
        return f"{self._exact[0]}.{self.zone}"

    def added(self, number: int) -> tuple[str, str]:
        """Return the line of a name that is not listed, another one for each number, and the name that is asked."""
        return f"added-{number}.example", f"added-{number}.example.{self.zone}"

    def queries(self, count: int, qtype: int) -> bytes:
        """Return queries in random order for load.c, half of them for listed names."""
        queries = [record(f"{name}.{self.zone}", qtype, NOERROR) for name in self._hits(count // 2)]
        queries += [record(f"{name}.{self.zone}", qtype, NXDOMAIN) for name in self._misses(count // 2)]
        self._random.shuffle(queries)
        return b"".join(queries)

    def _hits(self, count: int) -> Iterable[str]:
        yield from self._random.choices(self._exact, k=count // 2)
        for suffix in self._random.choices(self._suffixes, k=count // 2):
            yield f"{self._front()}.{suffix}"

    def _misses(self, count: int) -> Iterable[str]:
        exact, suffixes = frozenset(self._exact), frozenset(self._suffixes)
        above = {each for name in (*exact, *suffixes) for each in _above(name)}

        def unlisted(make: Callable[[], str], wanted: int) -> Iterator[str]:
            while wanted:
                name = make()
                if name not in exact and name not in above and suffixes.isdisjoint((name, *_above(name))):
                    wanted -= 1
                    yield name

        yield from unlisted(self._name, count // 2)
        yield from unlisted(lambda: f"{self._front()}.{self._name()}", count // 4)
        yield from unlisted(lambda: f"{self._front()}.{self._random.choice(self._exact)}", count // 4)

    def _name(self) -> str:
        name = f"{self._label()}.{self._random.choices(self._ends, cum_weights=_WEIGHTS)[0]}"
        return f"{self._host()}.{name}" if self._random.random() < 0.25 else name

    def _front(self) -> str:
        return ".".join(self._host() for _ in range(self._random.randint(1, 3)))

    def _host(self) -> str:
        return self._random.choice(_HOSTS) if self._random.random() < 0.5 else self._label()

    def _label(self) -> str:
        chance = self._random.random()
        size = int(self._random.triangular(6, 21, 10))
        label = "".join(self._random.choices(_LETTERS, k=size))
        if chance < 0.15:
            return f"{label[:-2]}{self._random.randint(10, 99)}"
        return f"{label[: size // 2]}-{label[size // 2 + 1 :]}" if chance < 0.25 else label


class Colliding(Names):
    """Names that meet in one place of a hash table without a key."""

    def __init__(self, count: int) -> None:
        self._random = random.Random(1)
        self._suffixes = []
        self._exact = []
        self._others: list[str] = []
        for step, seed in ((_fnv1a, _FNV1A_SEED), (_djb2, _DJB2_SEED)):
            for is_reversed in (False, True):
                labels = self._chains(step, _hashed(step, seed, b"\3com") if is_reversed else seed)
                numbers = self._random.sample(range(1 << sum(_STEPS)), count // 2)
                names = [_pick(labels[::-1] if is_reversed else labels, number) for number in numbers]
                self._exact += names[: count // 4]
                self._others += names[count // 4 :]

    def _hits(self, count: int) -> Iterable[str]:
        return self._random.choices(self._exact, k=count)

    def _misses(self, count: int) -> Iterable[str]:
        return self._random.choices(self._others, k=count)

    def _chains(self, step: _Step, state: int) -> list[list[tuple[str, str]]]:
        """Return two labels, as pairs of blocks of characters: either one of a pair leads to the same state."""
        labels: list[list[tuple[str, str]]] = []
        for blocks in _STEPS:
            state = step(state, blocks * _BLOCK)
            labels.append([])
            for _ in range(blocks):
                seen: dict[int, str] = {}
                block, after = "", state
                while seen.setdefault(after, block) == block:  # some 80,000 times: the birthday paradox
                    block = "".join(self._random.choices(_CHARACTERS, k=_BLOCK))
                    after = _hashed(step, state, block.encode())
                labels[-1].append((seen[after], block))
                state = after
        return labels


class Longest(Names):
    """Names as on public lists, asked for with as many labels as a name can have."""

    zone = _SHORT_ZONE

    def __init__(self, count: int) -> None:
        super().__init__(count)
        short = [f"{host}.q{end}" for host, end in product(_CHARACTERS, _LETTERS)]
        self._random.shuffle(short)
        self._short, self._unlisted = short[:_SHORT_SUFFIXES], short[_SHORT_SUFFIXES:]
        self._suffixes[:_SHORT_SUFFIXES] = self._short

    def _hits(self, count: int) -> Iterable[str]:
        return (self._long(self._random.choice(self._short)) for _ in range(count))

    def _misses(self, count: int) -> Iterable[str]:
        return (self._long(self._random.choice(self._unlisted)) for _ in range(count))

    def _long(self, end: str) -> str:
        return ".".join((*self._random.choices(_CHARACTERS, k=_LONGEST - 2), end))


class Deepest(Longest):
    """The same, with names of so many labels on the list."""

    mark = "it"  # no text has room for such a name twice

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._deep = [self._long(self._random.choice(self._unlisted)) for _ in range(_DEEP_NAMES)]
        self._exact[-_DEEP_NAMES:] = self._deep

    def _hits(self, count: int) -> Iterable[str]:
        yield from self._random.choices(self._deep, k=count // 2)
        yield from super()._hits(count // 2)

    def _misses(self, count: int) -> Iterable[str]:
        # No first label of the list is an underscore.
        yield from ("_" + name[1:] for name in self._random.choices(self._deep, k=count))


def _above(name: str) -> Iterator[str]:
    """Yield the names above a name, without the root."""
    while "." in name:
        name = name.partition(".")[2]
        yield name


def _fnv1a(state: int, byte: int) -> int:
    return (state ^ byte) * 0x1B3 & _LOW  # the low bits of 64 depend on no others


def _djb2(state: int, byte: int) -> int:
    return state * 33 + byte & _LOW


def _hashed(step: _Step, state: int, text: bytes) -> int:
    for byte in text:
        state = step(state, byte)
    return state


def _pick(labels: list[list[tuple[str, str]]], number: int) -> str:
    """Return the name that the bits of a number choose."""
    bits = iter(f"{number:0{sum(_STEPS)}b}")
    return ".".join("".join(pair[next(bits) == "1"] for pair in label) for label in labels) + ".com"
