"""The zone files that serve the data of an rbldnsd: made from its command line, and from what its files say.

Owns how `ZONE:TYPE:FILE[,FILE...]` is read, what becomes a zone and a list of its own, and the text of the zone file.
Knows nothing of what is listed: the files stay as they are, and are read by the formats of their types.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from dnsbl_server.dns.name import parse_name, parse_zone_name
from dnsbl_server.model.problem import Place, Problems, printable
from dnsbl_server.sources.files import open_regular, reason_of
from dnsbl_server.sources.listreader import MAX_LINE
from dnsbl_server.sources.rbldnsd import DATASETS, UNREAD, parse_section
from dnsbl_server.sources.rbldnsddata import content_of, split_special
from dnsbl_server.sources.rbldnsdvalues import parse_seconds
from dnsbl_server.sources.unpack import DamagedError, unpacked

DEFAULT_TTL = 2100  # rbldnsd's, in seconds
_MAX_NS = 32
_HAVE_HOST_BITS = ("ip4set", "ip4trie", "ip6trie")
_CHUNK = 1 << 20
_SPECIAL = re.compile(rb"^[ \t]*[#;:]?\$[^\n]*", re.MULTILINE)
_UNITS = (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
# What stands in a flow mapping of YAML as it is.
_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./-]*", re.ASCII)
_NO_LIST_NAME = re.compile(r"[^A-Za-z0-9_.-]", re.ASCII)


class TtlOption(NamedTuple):
    """What `-t DEF:MIN:MAX` says, in seconds; 0 is not said."""

    default: int = DEFAULT_TTL
    lowest: int = 0
    highest: int = 0

    def clamped(self, seconds: int) -> int:
        """A TTL within the limits."""
        seconds = max(seconds, self.lowest)
        return min(seconds, self.highest) if self.highest else seconds


class Options(NamedTuple):
    """What the command line of rbldnsd says of all zones.

    directory: where the files are, below the root where there is one; root: its `-r`.
    """

    directory: str = "."
    root: str = ""
    clears_host_bits: bool = False
    ttl: TtlOption = TtlOption()

    def path_of(self, file: str) -> str:
        """The absolute path of a file."""
        path = os.path.join(self.directory, file)
        if self.root:
            path = os.path.join(self.root, os.path.normpath(f"/{path}").lstrip("/"))
        return os.path.abspath(path)


@dataclass(frozen=True)
class Dataset:
    """A dataset as a list file; of a combined file one of its sections.

    label, subzone: of a section; number: which of those of its subzone, from 1, 0 where there is only one.
    """

    kind: str
    files: tuple[str, ...]
    label: str = ""
    subzone: str = ""
    number: int = 0


@dataclass
class ImportedZone:
    """What a zone file is made from.

    above: the zone that it is a subzone of, by a combined file; origins: what it comes from, in words; soa: mname,
    rname, refresh, retry, expire and the negative TTL.
    """

    name: str
    options: Options
    above: "ImportedZone | None" = None
    origins: list[str] = field(default_factory=list)
    datasets: list[Dataset] = field(default_factory=list)
    soa: tuple[str, str, int, int, int, int] | None = None
    ns: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The name of the zone file."""
        return f"{self.name}.yaml"

    def text(self, directory: str = "") -> str:
        """The zone file, as it stands in a directory; without one it may stand anywhere."""
        return "".join(f"{line}\n" for line in _lines_of(self, directory))


def parse_ttl_option(text: str) -> TtlOption:
    """The option `-t DEF:MIN:MAX`, each of which may be missing. Raises ValueError."""
    parts = [parse_seconds(each) if each else 0 for each in text.split(":")]
    if len(parts) > 3:
        raise ValueError("not DEF:MIN:MAX")
    default, lowest, highest = (*parts, 0, 0)[:3]
    return TtlOption(default or DEFAULT_TTL, lowest, highest)


def import_zones(specifications: Iterable[str], options: Options, problems: Problems) -> list[ImportedZone]:
    """The zones of an rbldnsd, from the `ZONE:TYPE:FILE[,FILE...]` of its command line, also those without a dataset.

    Raises ValueError where the command line is wrong; what cannot be imported is a warning, and an error what cannot
    be read.
    """
    parsed = [(text, *_parse_specification(text, options)) for text in specifications]
    zones = {name: ImportedZone(name, options) for _, name, _, _ in parsed}
    subzones: dict[str, ImportedZone] = {}
    for text, name, kind, files in parsed:
        zone = zones[name]
        zone.origins.append(printable(text))
        if kind in DATASETS:
            zone.datasets.append(Dataset(kind, files))
            _take_heads(zone, _specials_of(files, problems), problems)
        elif kind == "combined":
            _add_sections(zone, files, zones, subzones, problems)
        else:
            problems.warning(Place(files[0]), text, f"left out: datasets of type {kind} cannot be imported")
    for each in subzones.values():
        # rbldnsd answers there with the SOA of the zone above.
        if each.above:
            each.soa, each.ns = each.above.soa, each.above.ns
    return [*zones.values(), *subzones.values()]


def _parse_specification(text: str, options: Options) -> tuple[str, str, tuple[str, ...]]:
    """The name of the zone, empty for all zones, the type and the paths. Raises ValueError."""
    parts = text.split(":", 2)
    if len(parts) < 3 or not parts[1] or not parts[2].strip(","):
        raise ValueError(f"{printable(text)}: not ZONE:TYPE:FILE[,FILE...]")
    name, kind, files = parts
    if kind not in DATASETS and kind not in UNREAD:
        raise ValueError(
            f"{printable(text)}: unknown type {printable(kind)}; known are {', '.join((*DATASETS, *UNREAD))}"
        )
    if not text.isprintable():
        raise ValueError(f"{printable(text)}: a name with such characters cannot stand in a zone file")
    # An acl may be for all zones.
    if name or not kind.startswith("acl"):
        try:
            name = parse_zone_name(name)
        except ValueError as error:
            raise ValueError(f"{text}: {error}") from None
    return name, kind, tuple(options.path_of(each) for each in files.split(",") if each)


def _specials_of(paths: Iterable[str], problems: Problems) -> Iterator[tuple[Place, str, str]]:
    """The specials of the files of a dataset, in order: the place of each, its word in lower case, and the rest."""
    for path in paths:
        line = 1
        try:
            with open_regular(path) as file:
                for block in _blocks(unpacked(file).read):
                    for found in _SPECIAL.finditer(block):
                        word, rest = split_special(content_of(found[0])) or ("", "")
                        yield Place(path, line + block.count(b"\n", 0, found.start())), word.lower(), rest
                    line += block.count(b"\n")
        except DamagedError as error:
            problems.error(Place(path), "", str(error))
        except OSError as error:
            problems.error(Place(path), "", reason_of(error))


def _blocks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Blocks of whole lines; of a line that is much too long only the beginning."""
    rest = b""
    while chunk := read(_CHUNK):
        end = chunk.rfind(b"\n") + 1
        if end:
            yield rest + chunk[:end]
            rest = chunk[end:]
        else:
            rest = (rest + chunk)[: MAX_LINE + 1]
    yield rest


def _take_heads(zone: ImportedZone, specials: Iterable[tuple[Place, str, str]], problems: Problems) -> None:
    for place, word, rest in specials:
        _take_head(zone, place, word, rest, problems)


def _take_head(zone: ImportedZone, place: Place, word: str, rest: str, problems: Problems) -> None:
    """Take the SOA or the name servers, the first of each; a line that is wrong is skipped, as rbldnsd does."""
    if word == "ttl":
        _check_ttl(zone.options.ttl, place, rest, problems)
    try:
        if word == "soa" and zone.soa is None:
            zone.soa = _parse_soa(rest)
        elif word in ("ns", "nameserver") and not zone.ns:
            # One with a hyphen in front is switched off.
            names = [each for each in rest.split()[1:] if not each.startswith("-")]
            zone.ns = tuple(dict.fromkeys(map(parse_name, names[:_MAX_NS])))
    except ValueError as error:
        problems.warning(place, f"${word.upper()} {rest}", f"skipped: {error}")


def _check_ttl(option: TtlOption, place: Place, text: str, problems: Problems) -> None:
    """Warn of a TTL that rbldnsd would not take as it is."""
    with suppress(ValueError):
        seconds = parse_seconds(text)
        if seconds and option.clamped(seconds) != seconds:
            message = f"rbldnsd makes {option.clamped(seconds)} of it, by the limits of -t, which there are not here"
            problems.warning(place, f"$TTL {text}", message)


def _parse_soa(text: str) -> tuple[str, str, int, int, int, int]:
    """What stands behind `$SOA`: ttl mname rname serial refresh retry expire minttl. Raises ValueError."""
    words = text.split()
    if len(words) != 8:
        raise ValueError("not ttl mname rname serial refresh retry expire minttl")
    refresh, retry, expire, minimum = map(parse_seconds, words[4:])
    return parse_name(words[1]), parse_name(words[2]), refresh, retry, expire, minimum


def _add_sections(
    zone: ImportedZone,
    files: tuple[str, ...],
    zones: dict[str, ImportedZone],
    subzones: dict[str, ImportedZone],
    problems: Problems,
) -> None:
    """Add the sections of a combined dataset, each to the zone that it is for."""
    sections: list[tuple[Place, str, Dataset]] = []
    counts: Counter[str] = Counter()
    for place, word, rest in _specials_of(files, problems):
        if word != "dataset":
            _take_head(zone, place, word, rest, problems)
            continue
        kind, names = parse_section(rest)
        label = rest.split()[0].partition(":")[2] if rest else ""
        for subzone in dict.fromkeys(names):
            counts[subzone] += 1
            sections.append((place, subzone, Dataset(kind, files, label, subzone, counts[subzone])))
    for place, subzone, dataset in sections:
        target = zone
        if subzone != "@":
            name = f"{subzone}.{zone.name}"
            try:
                parse_zone_name(name)
            except ValueError as error:
                problems.warning(place, subzone, f"left out: {error}")
                continue
            if name in zones:
                problems.warning(place, subzone, f"never asked: {name} is a zone of its own in the command line")
                continue
            target = subzones.setdefault(name, ImportedZone(name, zone.options, zone))
            if not target.origins:
                target.origins.append(f"the subzone {subzone} of {', '.join(zone.origins)}")
        if dataset.kind in DATASETS:
            target.datasets.append(dataset if counts[subzone] > 1 else replace(dataset, number=0))
        else:
            problems.warning(place, subzone, f"left out: datasets of type {dataset.kind} cannot be imported")


def _lines_of(zone: ImportedZone, directory: str) -> Iterator[str]:
    """The lines of the zone file."""
    yield "# Written by `dnsbl-server import rbldnsd`, from:"
    for origin in zone.origins:
        yield f"#   {origin}"
    yield "# The data stays in the files of rbldnsd, which are watched."
    yield ""
    yield f"zone: {zone.name}"
    yield f"ttl: {_duration(zone.options.ttl.clamped(zone.options.ttl.default))}"
    if zone.soa:
        mname, rname, refresh, retry, expire, minimum = zone.soa
        yield f"negative_ttl: {_duration(minimum)}"
    if zone.ns:
        yield f"ns: [{', '.join(zone.ns)}]"
    if zone.soa:
        times = f"refresh: {_duration(refresh)}, retry: {_duration(retry)}, expire: {_duration(expire)}"
        yield f"soa: {{mname: {mname}, rname: {rname}, {times}}}"
    yield ""
    if len(zone.datasets) == 1:
        yield from _list_keys(zone, zone.datasets[0], directory)
        return
    yield "lists:"
    for name, dataset in zip(_list_names(zone.datasets), zone.datasets, strict=True):
        yield f"  - name: {name}"
        for line in _list_keys(zone, dataset, directory):
            yield f"    {line}"


def _list_keys(zone: ImportedZone, dataset: Dataset, directory: str) -> Iterator[str]:
    yield 'txt: "{what} is listed in {zone}"   # of entries that have no text in rbldnsd'
    if dataset.kind == "dnset":
        yield "public_suffixes: true   # rbldnsd takes all of them"
    yield "files:"
    yield f"  - {_item(zone, dataset, directory)}"


def _list_names(datasets: Sequence[Dataset]) -> list[str]:
    """A name for each list: the label of a section, or the type; with a number where several have the same."""
    names = []
    for dataset in datasets:
        name = _NO_LIST_NAME.sub("-", dataset.label).lstrip("_.-")[:50] or dataset.kind
        names.append(name)
    several = {name for name, count in Counter(names).items() if count > 1}
    found: list[str] = []
    for name in names:
        number = 1
        shown = f"{name}-{number}" if name in several else name
        while shown in found:
            number += 1
            shown = f"{name}-{number}"
        found.append(shown)
    return found


def _item(zone: ImportedZone, dataset: Dataset, directory: str) -> str:
    paths = [_quoted(_path_from(directory, each)) for each in dataset.files]
    item = [f"path: {paths[0]}" if len(paths) == 1 else f"path: [{', '.join(paths)}]"]
    item.append(f"format: {'combined' if dataset.subzone else dataset.kind}")
    if dataset.subzone not in ("", "@"):
        item.append(f"subzone: {_quoted(dataset.subzone)}")
    if dataset.number:
        item.append(f"dataset: {dataset.number}")
    if zone.options.clears_host_bits and dataset.kind in _HAVE_HOST_BITS:
        item.append("host_bits: clear")
    return f"{{{', '.join(item)}}}"


def _path_from(directory: str, path: str) -> str:
    """A path as a zone file in a directory names it; absolute without one."""
    if not directory:
        return path
    # What `..` means depends on symbolic links, so they are followed first.
    folder = os.path.realpath(os.path.dirname(path))
    return os.path.relpath(os.path.join(folder, os.path.basename(path)), os.path.realpath(directory))


def _duration(seconds: int) -> str:
    """Seconds in the largest unit that they are a multiple of."""
    return next((f"{seconds // size}{unit}" for unit, size in _UNITS if seconds and seconds % size == 0), str(seconds))


def _quoted(text: str) -> str:
    """A scalar of YAML."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
