"""Zone files on disk to compiled zones, in one pass.

Owns the rules between zones. `check`, `lookup` and the loader process of the server all
go through `load_zones`. Whatever goes wrong is a problem; only a bug raises.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from dnsbl_server.compiler.compile import Compiled, compile_zone
from dnsbl_server.compiler.rib import ZoneRib
from dnsbl_server.dns.name import labels_of
from dnsbl_server.dns.reversed import parse_reversed
from dnsbl_server.model.domain import INVALID, TEST
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.source import SourceState
from dnsbl_server.model.zone import Zone
from dnsbl_server.sources.files import Signature, signature
from dnsbl_server.sources.kept import KeptVersions
from dnsbl_server.sources.listsource import Progress
from dnsbl_server.sources.zonefile import ZoneFile, read_zone_file
from dnsbl_server.supply.serial import ZoneVersion, next_serial, serial_at
from dnsbl_server.supply.way import stand_in, steps_to
from dnsbl_server.table.pack import info_of, with_serial
from dnsbl_server.table.table import ZoneTable

# A file that changes while it is read is read again, this often and after so many seconds.
_READ_ATTEMPTS = 5
_READ_PAUSE = 0.1
_CHANGED = 4  # in a signature: when the file was changed, renamed or linked, in nanoseconds


# Reads a zone file.
_Read = Callable[[str, Problems, Progress], ZoneFile]


class CompiledZone(NamedTuple):
    """A zone that is fit to be served."""

    zone: Zone
    rib: ZoneRib
    compiled: Compiled


class LoadResult(NamedTuple):
    """What came of a load.

    zones: the good ones, by zone file; sources: for every zone file, the files it was or would have been made from;
    states: for every zone file, those of its list files and feeds; starved: the zone files for which there was not
    enough memory.
    """

    zones: dict[str, CompiledZone]
    problems: Problems
    sources: dict[str, dict[str, Signature]]
    states: dict[str, tuple[SourceState, ...]]
    starved: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all zone files are good."""
        return len(self.zones) == len(self.sources)


def load_zones(
    files: Iterable[str],
    now: float,
    progress: Progress,
    served: Mapping[str, str] | None = None,
    previous: Mapping[str, ZoneVersion] | None = None,
    files_below: Sequence[str] = (),
    kept: KeptVersions | None = None,
) -> LoadResult:
    """Read, check and compile zone files.

    now: seconds since 1970; served: the zones that are in service, name to zone file, with which the new ones must
    agree; previous: the last version of every zone that was in service since the start; files_below: the directories
    that list files may be in, none: any; kept: the last good versions of list files and feeds, None where there is no
    state directory.
    """
    problems = Problems()
    starved: list[str] = []

    def read_file(path: str, found: Problems, note: Progress) -> ZoneFile:
        return read_zone_file(path, found, note, files_below, kept, now)

    read = {file: _read_or_refuse(file, problems, progress, starved, read_file) for file in files}
    owners = _owners(read, served or {}, problems)
    neighbours = _Neighbours(owners, read)
    # Many files are in one directory.
    newest_link = cache(_newest_link)
    zones: dict[str, CompiledZone] = {}
    for file, zone_file in read.items():
        zone = zone_file.zone
        if zone is None:
            continue
        found = Problems()
        is_refused = zone_file.failed or owners.get(zone.name) != file or neighbours.is_hiding(zone, problems)
        before = (previous or {}).get(zone.name)
        serial = next_serial(_serial(zone, zone_file.sources, newest_link, now), before)
        try:
            progress(file, 0)
            # One that is refused already is looked through all the same: one run shows all problems.
            rib = ZoneRib(zone, found)
            compiled = compile_zone(rib, serial, now, found, zone_file.sources)
            if before is not None and compiled is not None and info_of(compiled.table).digest == before.digest:
                compiled = compiled._replace(table=with_serial(compiled.table, before.serial))
        except Exception as error:
            # A zone that the compiler cannot take must not keep the others from being loaded.
            if not is_refused:
                found.error(zone.place, zone.name, f"cannot be compiled: {_reason(error)}")
            if isinstance(error, MemoryError):
                starved.append(file)
            compiled = None
        problems.extend(found)
        if compiled is not None and not is_refused and not found.errors:
            zones[file] = CompiledZone(zone, rib, compiled)
    files_of = {compiled_zone.zone.name: file for file, compiled_zone in zones.items()}
    for name, owner in (served or {}).items():
        if owner in read and owner not in zones and name in files_of:
            # The owner goes on serving what it had, whatever name its new content has.
            problems.error(
                zones.pop(files_of[name]).zone.place, name, f"two files for one zone, the other is {Place(owner)}"
            )
    _warn_of_hidden_names(zones.values(), owners, problems)
    sources = {file: zone_file.sources for file, zone_file in read.items()}
    states = {file: zone_file.states for file, zone_file in read.items()}
    return LoadResult(zones, problems, sources, states, tuple(starved))


def _read_or_refuse(file: str, problems: Problems, progress: Progress, starved: list[str], read: _Read) -> ZoneFile:
    """Read a zone file; one that the reader cannot take must not keep the others from being loaded."""
    sources = {file: signature(file)}

    def note(path: str, count: int) -> None:
        if count == 0:
            sources.setdefault(path, signature(path))
        progress(path, count)

    try:
        note(file, 0)
        return _read_settled(file, problems, note, read)
    except Exception as error:
        if isinstance(error, MemoryError):
            starved.append(file)
        problems.error(Place(file), "", f"cannot be read: {_reason(error)}")
        return ZoneFile(file, None, True, sources)


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it takes more memory than there is"
    return f"{type(error).__name__}: {error}"


def _read_settled(file: str, problems: Problems, progress: Progress, read: _Read) -> ZoneFile:
    """Read a zone file, again when it or a list file changed meanwhile: half a file can be a valid one."""
    for attempt in range(_READ_ATTEMPTS):
        if attempt:
            time.sleep(_READ_PAUSE)
        found = Problems()
        zone_file = read(file, found, progress)
        if all(signature(source) == known for source, known in zone_file.sources.items()):
            break
    else:
        found.error(Place(file), "", "it or its list files change all the time; write files aside and rename them")
        zone_file = zone_file._replace(failed=True)
    problems.extend(found)
    return zone_file


def _owners(read: Mapping[str, ZoneFile], served: Mapping[str, str], problems: Problems) -> dict[str, str]:
    """The one file that each zone comes from: the one that serves it already, else the first; others are refused."""
    owners = {
        name: file
        for name, file in served.items()
        # A file that is broken now goes on serving what it had.
        if file not in read or read[file].failed or (zone := read[file].zone) is None or zone.name == name
    }
    for file, zone_file in read.items():
        zone = zone_file.zone
        if zone is None or not zone.name:
            continue
        owner = owners.setdefault(zone.name, file)
        if owner != file:
            other = read[owner].zone if owner in read else None
            place = other.place if other else Place(owner)
            problems.error(zone.place, zone.name, f"two files for one zone, the other is {place}")
    return owners


def _newest_link(path: str) -> int:
    """When the newest symbolic link on the way to a path was made or renamed, in nanoseconds since 1970; else 0."""
    return max((step.link_changed for step in steps_to(path)), default=0)


class _Neighbours:
    """The zones that a name may be above or below, so that one would hide listings of the other."""

    def __init__(self, owners: Mapping[str, str], read: Mapping[str, ZoneFile]) -> None:
        self._owners = owners
        # Zones of other loads whose names begin like a reversed address, by the names that these are below.
        self._below: dict[str, list[str]] = defaultdict(list)
        for name, file in owners.items():
            if file not in read:
                for above in _names_above(name):
                    self._below[above].append(name)

    def is_hiding(self, zone: Zone, problems: Problems) -> bool:
        """Whether one of two zones has a name below the other, whose listings of addresses it would hide.

        It does if what stands in front of the other's name is like a reversed address. Of two zones in one load the
        lower one is refused; of two others the one that is not in service yet.
        """
        for above in _names_above(zone.name):
            if above in self._owners:
                self._refuse(zone, zone.name, above, problems)
                return True
        for below in self._below.get(zone.name, ()):
            self._refuse(zone, below, zone.name, problems)
            return True
        return False

    @staticmethod
    def _refuse(zone: Zone, below: str, above: str, problems: Problems) -> None:
        message = f"{below} would hide addresses of {above}: below a zone, a name needs a non-digit word"
        problems.error(zone.place, zone.name, message)


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """The names above, each with what stands in front of it."""
    labels = name.split(".")
    return ((".".join(labels[at:]), ".".join(labels[:at])) for at in range(1, len(labels)))


def _warn_of_hidden_names(zones: Iterable[CompiledZone], names: Iterable[str], problems: Problems) -> None:
    """Warn where a zone lists domain names for which another zone below it is asked. names: those of all zones.

    Only a warning: a feed must not be able to take another zone out of service.
    """
    fronts = defaultdict(list)
    for name in names:
        for above, front in _splits(name):
            fronts[above].append((front, name))
    for each in zones:
        zone = each.zone
        if zone.name not in fronts or not any(block_list.has_names for block_list in zone.lists):
            continue
        table = ZoneTable(each.compiled.table)
        for front, below in fronts[zone.name]:
            if front in (TEST, INVALID) or table.find_name(labels_of(front), 0)[1]:
                message = f"lists {front}, or names below it, for which the zone {below} is asked"
                problems.warning(zone.place, zone.name, message)


def _names_above(name: str) -> list[str]:
    """The names above, as far as what stands in front of them is a reversed address or a part of one."""
    found = []
    for above, front in _splits(name):
        address, partial = parse_reversed([label.encode() for label in front.split(".")])
        if address or partial:
            found.append(above)
    return found


def _serial(zone: Zone, sources: Mapping[str, Signature], newest_link: Callable[[str], int], now: float) -> int:
    """The serial of a zone's last change, as far as its files and entries tell. newest_link: on the way to a path."""
    changed = [known[_CHANGED] for known in sources.values() if known]
    changed += map(newest_link, set(map(stand_in, sources)))
    of_entries = {id(entry.listing): entry.listing for each in zone.lists for entry in each.entries}
    listings = [*of_entries.values(), *(own for each in zone.lists for file in each.files for own in file.listings)]
    return serial_at(changed, (listing.expires_at for listing in listings), now)
