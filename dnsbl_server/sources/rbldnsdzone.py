"""The zone files that serve the data of an rbldnsd: made from its command line, and from what its files say.

Owns how `ZONE:TYPE:FILE[,FILE...]` is read, what becomes a zone and a list of its own, and the text of the zone file.
Knows nothing of what is listed: the files stay as they are, and are read by the formats of their types.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dnsbl_server.dns.name import parse_name, parse_zone_name
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.sources.files import open_regular, reason_of
from dnsbl_server.sources.listreader import MAX_LINE
from dnsbl_server.sources.rbldnsd import DATASETS, UNREAD, parse_section
from dnsbl_server.sources.rbldnsddata import content_of, split_special
from dnsbl_server.sources.rbldnsdvalues import parse_seconds
from dnsbl_server.sources.unpack import DamagedError, unpacked

_DEFAULT_TTL = 2100  # rbldnsd's
_CHUNK = 1 << 20
_LINE = re.compile(rb"^[ \t]*[#;:]?\$[^\n]*", re.MULTILINE)
_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./@-]*")


class Options(NamedTuple):
    """What the command line of rbldnsd says of all zones. directory: where the files are; ttl: `DEF:MIN:MAX`."""

    directory: str
    host_bits: bool = False
    ttl: str = ""
    is_apart: bool = True


class Imported(NamedTuple):
    """A zone file. file: its name; is_partial: whether some datasets are not in it."""

    file: str
    text: str
    is_partial: bool


class _Dataset(NamedTuple):
    """A dataset as a list file: of a combined file its section."""

    kind: str
    files: tuple[str, ...]
    label: str = ""
    subzone: str = ""
    number: int = 0


class _Zone:
    """What is known of one zone so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.datasets: list[_Dataset] = []
        self.from_: list[str] = []
        self.soa: list[str] = []
        self.ns: list[str] = []
        self.is_partial = False


def import_zones(specifications: Iterable[str], options: Options, problems: Problems) -> tuple[Imported, ...]:
    """The zone files for datasets as rbldnsd's command line has them. Raises ValueError where that is wrong."""
    zones: dict[str, _Zone] = {}
    for text in specifications:
        name, kind, *files = text.split(":", 2)
        if not kind or not files or not files[0]:
            raise ValueError(f"{text}: not ZONE:TYPE:FILE[,FILE...]")
        if not name:
            raise ValueError(f"{text}: an acl for all zones cannot be imported")
        name = parse_zone_name(name)
        paths = tuple(os.path.join(options.directory, each) for each in files[0].split(","))
        zone = zones.setdefault(name, _Zone(name))
        zone.from_.append(text)
        if kind == "combined":
            _add_sections(zone, zones, paths, problems)
        elif kind in DATASETS:
            zone.datasets.append(_Dataset(kind, paths))
            _read_heads(zone, paths, problems)
        elif kind in UNREAD:
            problems.warning(Place(paths[0]), "", f"left out: a dataset of type {kind} cannot be imported")
            zone.is_partial = True
        else:
            raise ValueError(f"{text}: unknown type {kind}")
    default = _default_ttl(options.ttl, problems)
    kept = [zone for zone in zones.values() if zone.datasets]
    return tuple(Imported(f"{zone.name}.yaml", _text_of(zone, options, default), zone.is_partial) for zone in kept)


def _default_ttl(text: str, problems: Problems) -> int:
    default, *limits = text.split(":") if text else [""]
    if any(limits):
        problems.warning(Place("-t"), text, "the limits of a TTL have no equivalent; $TTL in the files counts as it is")
    return parse_seconds(default) if default else _DEFAULT_TTL


def _specials(path: str, problems: Problems) -> Iterator[tuple[str, str]]:
    """The specials of a file, in order, each as word and rest."""
    try:
        with open_regular(path) as file:
            stream = unpacked(file)
            rest = b""
            while chunk := stream.read(_CHUNK):
                block = rest + chunk
                end = block.rfind(b"\n") + 1
                # Of a line without an end only the beginning matters.
                rest = block[end:][:MAX_LINE]
                yield from _found(block[:end])
            yield from _found(rest)
    except DamagedError as error:
        problems.error(Place(path), "", str(error))
    except OSError as error:
        problems.error(Place(path), "", reason_of(error))


def _found(block: bytes) -> Iterator[tuple[str, str]]:
    for line in _LINE.findall(block):
        special = split_special(content_of(line))
        if special is not None:
            yield special


def _read_heads(zone: _Zone, paths: Iterable[str], problems: Problems) -> None:
    """Take the SOA and the name servers of a zone from its files, the first of each; and the TTLs that they say."""
    for path in paths:
        for special in _specials(path, problems):
            _take(zone, *special)


def _take(zone: _Zone, word: str, rest: str) -> None:
    words = rest.split()
    word = word.lower()
    if word == "soa" and len(words) == 8 and not zone.soa:
        zone.soa = words
    elif word in ("ns", "nameserver") and len(words) > 1 and not zone.ns:
        zone.ns = [each for each in words[1:] if not each.startswith("-")]


def _add_sections(zone: _Zone, zones: dict[str, _Zone], paths: tuple[str, ...], problems: Problems) -> None:
    """Add the sections of a combined dataset, each to the zone that it is for."""
    counts: dict[str, int] = {}
    found: list[tuple[str, _Dataset]] = []
    for path in paths:
        for word, rest in _specials(path, problems):
            if word.lower() != "dataset":
                _take(zone, word, rest)
                continue
            kind, subzones = parse_section(rest)
            label = rest.split()[0].partition(":")[2] if rest else ""
            for subzone in subzones:
                counts[subzone] = counts.get(subzone, 0) + 1
                found.append((subzone, _Dataset(kind, paths, label, subzone, counts[subzone])))
    for subzone, dataset in found:
        name = zone.name if subzone == "@" else parse_zone_name(f"{subzone}.{zone.name}")
        target = zones.setdefault(name, _Zone(name))
        if dataset.kind not in DATASETS:
            problems.warning(Place(paths[0]), subzone, f"left out: a section of type {dataset.kind} cannot be imported")
            target.is_partial = zone.is_partial = True
            continue
        if target is not zone and not target.datasets:
            target.from_.append(f"the subzone {subzone} of {zone.name}")
        several = counts[subzone] > 1
        target.datasets.append(dataset if several else dataset._replace(number=0))


def _text_of(zone: _Zone, options: Options, default: int) -> str:
    """The zone file."""
    lines = [f"# From rbldnsd: {each}" for each in zone.from_]
    lines += [f"zone: {zone.name}", f"ttl: {default}"]
    if len(zone.soa) == 8:
        _, mname, rname, _, refresh, retry, expire, minimum = zone.soa
        lines.append(f"negative_ttl: {parse_seconds(minimum)}")
        times = zip(("refresh", "retry", "expire"), (refresh, retry, expire), strict=True)
        shown = ", ".join(f"{key}: {parse_seconds(value)}" for key, value in times)
        lines.append(f"soa: {{mname: {_name(mname)}, rname: {_name(rname)}, {shown}}}")
    if zone.ns:
        lines.append(f"ns: [{', '.join(map(_name, zone.ns))}]")
    lines.append("lists:")
    taken: set[str] = set()
    for at, dataset in enumerate(zone.datasets, 1):
        name = _list_name(dataset, at, taken)
        lines.append(f"  - name: {name}")
        lines.append('    txt: "{what} is listed in {zone}"  # of entries without a text of their own')
        if dataset.kind == "dnset":
            lines.append("    public_suffixes: true  # rbldnsd asks nothing about them")
        lines.append("    files:")
        lines.append(f"      - {_item(dataset, options)}")
    return "\n".join(lines) + "\n"


def _name(text: str) -> str:
    return parse_name(text)


def _list_name(dataset: _Dataset, at: int, taken: set[str]) -> str:
    """A name for a list: the label of a section, or the type; with a number where that is taken."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", dataset.label).lstrip("_.-")[:50] or dataset.kind
    if name in taken:
        name = f"{name}-{at}"
    taken.add(name)
    return name


def _item(dataset: _Dataset, options: Options) -> str:
    paths = [_quoted(path) for path in dataset.files]
    path = paths[0] if len(paths) == 1 else f"[{', '.join(paths)}]"
    item = f"path: {path}, format: {'combined' if dataset.subzone else dataset.kind}"
    if dataset.subzone:
        item += f", subzone: {_quoted(dataset.subzone)}"
    if dataset.number:
        item += f", dataset: {dataset.number}"
    if options.host_bits:
        item += ", host_bits: clear"
    return f"{{{item}}}"


def _quoted(text: str) -> str:
    """A scalar of YAML."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
