"""Zone files on disk to compiled zones, in one pass.

Owns which files are zone files, and the rules between zones. `check`, `lookup` and the loader process of the server all
go through `load_zones`. Whatever goes wrong is a problem; only a bug raises.
"""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from dnsbl_server.compiler.compile import Compiled, compile_zone
from dnsbl_server.compiler.rib import ZoneRib
from dnsbl_server.dns.reversed import parse_reversed
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.zone import Zone
from dnsbl_server.sources.files import Signature, reason_of, signature
from dnsbl_server.sources.listkeys import Progress
from dnsbl_server.sources.zonefile import ZoneFile, read_zone_file
from dnsbl_server.table.table import ZoneTable

# A file that changes while it is read is read again, this often and after so many seconds.
_READ_ATTEMPTS = 5
_READ_PAUSE = 0.1
_SUFFIXES = (".yaml", ".yml")


class CompiledZone(NamedTuple):
    """A zone that is fit to be served."""

    zone: Zone
    rib: ZoneRib
    compiled: Compiled


class LoadResult(NamedTuple):
    """What came of a load.

    zones: the good ones, by zone file; sources: for every zone file, the files it was or would have been made from.
    """

    zones: dict[str, CompiledZone]
    problems: Problems
    sources: dict[str, dict[str, Signature]]


def find_zone_files(paths: Iterable[str], problems: Problems) -> list[str]:
    """The zone files that the paths mean: files as they are, directories with their *.yaml and *.yml files."""
    found: dict[str, None] = {}
    for path in paths:
        if not os.path.isdir(path):
            # A file that is named is wanted, there or not. Any other name is a directory that is missing now, and no
            # file: so its zones are not taken for removed.
            if os.path.lexists(path) or path.endswith(_SUFFIXES):
                found[path] = None
            else:
                problems.error(Place(path), "", "no such directory or zone file")
            continue
        try:
            names = sorted(os.listdir(path))
        except OSError as error:
            problems.error(Place(path), "", reason_of(error))
            continue
        files = [name for name in names if name.endswith(_SUFFIXES) and not name.startswith(".")]
        if not files:
            problems.error(Place(path), "", "the directory has no zone files (*.yaml, *.yml)")
        found.update((os.path.join(path, name), None) for name in files)
    return list(found)


def load_zones(
    files: Iterable[str],
    now: float,
    progress: Progress,
    served: Mapping[str, str] | None = None,
    previous: Mapping[str, ZoneTable] | None = None,
    files_below: Sequence[str] = (),
) -> LoadResult:
    """Read, check and compile zone files.

    now: seconds since 1970; served: the zones that are in service, name to zone file, with which the new ones must
    agree; previous: the tables of those zones, behind whose serials the new ones do not go back; files_below: the
    directories that list files may be in, none: any.
    """
    problems = Problems()
    read = {file: _read_settled(file, problems, progress, files_below) for file in files}
    owners = _owners(read, served or {}, problems)
    zones: dict[str, CompiledZone] = {}
    for file, zone_file in read.items():
        zone = zone_file.zone
        if zone is None:
            continue
        found = Problems()
        is_refused = zone_file.failed or owners.get(zone.name) != file or _is_hiding(zone, owners, read, problems)
        before = (previous or {}).get(zone.name)
        serial = max(_serial(zone_file.sources), before.info.serial if before else 0)
        try:
            # One that is refused already is looked through all the same: one run shows all problems.
            rib = ZoneRib(zone, found)
            compiled = compile_zone(rib, serial, now, found, zone_file.sources)
        except Exception as error:
            # A zone that the compiler cannot take must not keep the others from being loaded.
            if not is_refused:
                found.error(zone.place, zone.name, f"cannot be compiled: {type(error).__name__}: {error}")
            compiled = None
        problems.extend(found)
        if compiled is not None and not is_refused and not found.errors:
            zones[file] = CompiledZone(zone, rib, compiled)
    for name, owner in (served or {}).items():
        if owner in read and owner not in zones:
            # It goes on serving what it had, whatever name its new content has.
            for file, compiled_zone in list(zones.items()):
                if compiled_zone.zone.name == name:
                    problems.error(
                        compiled_zone.zone.place, name, f"two files for one zone, the other is {Place(owner)}"
                    )
                    del zones[file]
    return LoadResult(zones, problems, {file: zone_file.sources for file, zone_file in read.items()})


def _read_settled(file: str, problems: Problems, progress: Progress, below: Sequence[str]) -> ZoneFile:
    """Read a zone file, again when it or a list file changed meanwhile: half a file can be a valid one."""
    for attempt in range(_READ_ATTEMPTS):
        if attempt:
            time.sleep(_READ_PAUSE)
        found = Problems()
        zone_file = read_zone_file(file, found, progress, below)
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


def _is_hiding(zone: Zone, owners: Mapping[str, str], read: Mapping[str, ZoneFile], problems: Problems) -> bool:
    """Whether one of two zones has a name like a reversed address below the other, whose listings it would hide.

    Of two zones in one load the lower one is refused; of two others the one that is not in service yet.
    """
    for other, file in owners.items():
        pairs = [(zone.name, other)] if file in read else [(zone.name, other), (other, zone.name)]
        for below, above in pairs:
            if below.endswith("." + above):
                address, partial = parse_reversed(below.removesuffix("." + above).encode().split(b"."))
                if address or partial:
                    message = f"{below} would hide addresses of {above}: below a zone, a name needs a non-digit word"
                    problems.error(zone.place, zone.name, message)
                    return True
    return False


def _serial(sources: Mapping[str, Signature]) -> int:
    """The time of the newest source file, in seconds since 1970, as far as a serial can hold it."""
    newest = max((known[3] // 1_000_000_000 for known in sources.values() if known), default=0)
    return min(max(newest, 1), (1 << 32) - 1)
