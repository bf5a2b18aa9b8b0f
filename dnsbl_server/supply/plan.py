"""What is to be loaded, why, and when the next look at the files is due.

Owns the rules; tests/supply/test_plan.py has them by these numbers. All functions are pure: what is known of the files,
what was seen of them, and the time are arguments. Knows nothing of how files are looked at, waited for and loaded.

What is loaded after a look:
 1. a zone file that was not there before (NEW);
 2. one of whose sources, itself and its list files, another version is there now, or none, or one at last (CHANGED);
 3. every file, when that was asked for (FORCED);
 4. one whose table in service has an entry that has expired since the last load for an expiry (EXPIRED). There is one
    load for each expiry: should it fail, the table answers what is right all the same;
 5. but no sooner after a load for an expiry than EXPIRY_SHARE times as long as that took: entries that expire one after
    the other keep a loader busy for a part of the time, and not all of it;
 6. one whose table was made at a time that has not come yet, when the clock was ahead: entries may be missing in it
    (CLOCK). Only if its last load succeeded, since the next one would fail like the last;
 7. one whose last load failed, when any other file is loaded or gone: that may have been in its way, or it in that
    file's (FAILED).
What is taken out of service:
 8. the zone of a file that was found in a directory, when the directory can be listed, has zone files, and has this
    one no more. A file that was named by itself stays, whatever becomes of it: nobody said that its zone is to go;
 9. but a path of which no files can be told keeps those that it had, and gets no others: one that cannot be looked at
    (missing, a link to nothing or to itself, no permission, a failing disk), a directory without zone files, and one
    that is not what it was, a directory that has become a file or a file that has become a directory. It says nothing
    of the files of other paths.
When the next look is due:
10. after the pause between two looks, or when the first load for an expiry, for a source or of a file that failed its
    loader is due (rules 4, 5, 17 and 19), whatever comes first. Hints of changes and requests bring further looks.
After a load that failed as a whole, before the loader was at any zone file:
11. the next try comes after the first delay, and after each further failure twice as late, up to the longest;
12. until then hints change nothing, and a request brings the try at once;
13. the try loads every file (rule 3), whatever the failed one was to load;
14. a success makes the delays begin anew.
After a loader that failed in its work (killed, out of memory or time, or talking nonsense), at one zone file:
15. at the first SUSPICIONS failures of one load, the other files are loaded without it, and then it alone; at further
    ones the files are halved, as it may be all of them together that are too much for one loader;
16. a file whose loader failed with nothing else to load has failed; what it was made from counts as the version there
    was before that, so that a change is seen (rule 2);
17. it is loaded again after a delay (RETRY), the first after CRASH_DELAY, each twice as long as the one before up to
    CRASH_DELAY_MAX, and none shorter than EXPIRY_SHARE times as long as the failed load took; and not for rule 7. One
    that failed at a time that has not come yet, when the clock was ahead, is due at the next look;
18. until it succeeds it has a loader of its own, after all others.
Because of its list files and feeds:
19. one that is to be read again at a time, though none of its files may have changed by then: a list file seemed half
    written, or a feed becomes stale (SOURCE). There is one load for each such time, and rule 5 holds for it too.
"""

import os.path
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from dnsbl_server.sources.files import Signature
from dnsbl_server.supply.paths import PathLook, directory_of

# Rules 5 and 17.
EXPIRY_SHARE = 10
# Rule 15.
SUSPICIONS = 3
# Rule 17; seconds.
CRASH_DELAY = 2.0
CRASH_DELAY_MAX = 3600.0


class Reason(Enum):
    """Why a zone file is loaded; the number of its rule stands in the header."""

    NEW = auto()
    CHANGED = auto()
    FORCED = auto()
    EXPIRED = auto()
    CLOCK = auto()
    FAILED = auto()
    RETRY = auto()
    SOURCE = auto()


@dataclass(frozen=True)
class KnownFile:
    """What is known of a zone file since its last load. All times in seconds since 1970.

    sources: the files it was made from, and their versions; has_succeeded: whether its last load did; made_at: as of
    when the table in service was made, 0 where there is none; next_expiry: when the next entry of that table expires, 0
    is never; tried_at: of the last
    load for rule 4, 6 or 19; not_before: no load for an expiry until then (rule 5);
    crashes: how many of its loaders failed in a row, crashed_at: when the last one did, retry_at: when it is due then
    (rule 17); source_due: when it is to be read again because of a source, 0 is never (rule 19).
    """

    sources: Mapping[str, Signature]
    has_succeeded: bool
    made_at: float = 0.0
    next_expiry: float = 0.0
    tried_at: float = 0.0
    not_before: float = 0.0
    crashes: int = 0
    crashed_at: float = 0.0
    retry_at: float = 0.0
    source_due: float = 0.0

    @property
    def retry_due(self) -> float | None:
        """When a file that failed its loader is due (rule 17); None is never."""
        return self.retry_at if self.crashes else None

    @property
    def expiry_due(self) -> float | None:
        """When a load for an expired entry is due (rules 4 and 5); None is never."""
        return max(self.next_expiry, self.not_before) if self.next_expiry > self.tried_at else None

    @property
    def source_load_due(self) -> float | None:
        """When a load because of a source is due (rules 19 and 5); None is never."""
        return max(self.source_due, self.not_before) if self.source_due > self.tried_at else None


@dataclass(frozen=True)
class Look:
    """What was seen of the files.

    paths: what each path holds; versions: the signatures of all files that known zone files were made from.
    """

    paths: tuple[PathLook, ...]
    versions: Mapping[str, Signature]


@dataclass(frozen=True)
class Plan:
    """What to do after a look.

    load: the zone files to load, in their order, and why; gone: those that are gone; kept: the paths of which no files
    can be told, and why (rule 9).
    """

    load: Mapping[str, frozenset[Reason]]
    gone: tuple[str, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.load and not self.gone

    @property
    def due(self) -> tuple[str, ...]:
        """The files that are loaded because of the time, whether or not also for another reason."""
        return tuple(
            path for path, reasons in self.load.items() if reasons & {Reason.EXPIRED, Reason.CLOCK, Reason.SOURCE}
        )


def plan(known: Mapping[str, KnownFile], look: Look, now: float, is_forced: bool = False) -> Plan:
    """What to load and what is gone (rules 1 to 9, 17 and 19). known: by zone file; now: seconds since 1970."""
    files, kept = _present(known, look)
    gone = tuple(path for path in known if path not in files)
    load = {path: _reasons(known.get(path), look.versions, now, is_forced) for path in files}
    if gone or any(load.values()):
        failed = {path for path, file in known.items() if not file.has_succeeded and not file.crashes}
        load = {path: reasons | ({Reason.FAILED} if path in failed else set()) for path, reasons in load.items()}
    return Plan({path: frozenset(reasons) for path, reasons in load.items() if reasons}, gone, kept)


def _present(known: Iterable[str], look: Look) -> tuple[dict[str, None], dict[str, str]]:
    """The files that count as there, in order, and the paths of which none can be told (rules 8 and 9)."""
    named = set(known)
    inside: dict[str, list[str]] = {}
    for file in known:
        inside.setdefault(os.path.dirname(file), []).append(file)
    files: dict[str, None] = {}
    kept: dict[str, str] = {}
    for each in look.paths:
        itself = [each.path] if each.path in named else []
        before = [*inside.get(directory_of(each.path), ()), *itself]
        why = each.problem
        if not why and each.is_directory and itself:
            why = "was a zone file, and is a directory now"
        elif not why and not each.is_directory and len(before) > len(itself):
            why = "was a directory, and is none now"
        if why:
            kept[each.path] = why
        files.update(dict.fromkeys(before if why else each.files))
    return files, kept


def _reasons(file: KnownFile | None, versions: Mapping[str, Signature], now: float, is_forced: bool) -> set[Reason]:
    reasons = {Reason.FORCED} if is_forced else set()
    if file is None:
        return reasons | {Reason.NEW}
    if any(versions[source] != version for source, version in file.sources.items()):
        reasons.add(Reason.CHANGED)
    if file.expiry_due is not None and file.expiry_due <= now:
        reasons.add(Reason.EXPIRED)
    if file.source_load_due is not None and file.source_load_due <= now:
        reasons.add(Reason.SOURCE)
    if file.has_succeeded and file.made_at > now:
        reasons.add(Reason.CLOCK)
    if file.retry_due is not None and not file.crashed_at <= now < file.retry_due:
        reasons.add(Reason.RETRY)
    return reasons


def after_due_load(file: KnownFile, planned_at: float, duration: float) -> KnownFile:
    """What is known of a file once a load for rule 4, 6 or 19 has ended (rules 4 and 5). duration: seconds it took."""
    return replace(file, tried_at=planned_at, not_before=planned_at + EXPIRY_SHARE * duration)


def after_crash(file: KnownFile, sources: Mapping[str, Signature], now: float, duration: float) -> KnownFile:
    """What is known of a file whose loader has failed (rules 16 and 17).

    sources: what it was or would have been made from, as it was before; now: seconds since 1970; duration: seconds.
    """
    delay = max(min(CRASH_DELAY * 2**file.crashes, CRASH_DELAY_MAX), EXPIRY_SHARE * duration)
    # Enough for the longest delay: the number must not grow for weeks.
    crashes = file.crashes + (CRASH_DELAY * 2**file.crashes < CRASH_DELAY_MAX)
    return replace(file, sources=sources, has_succeeded=False, crashes=crashes, crashed_at=now, retry_at=now + delay)


def first_batches(files: Iterable[str], known: Mapping[str, KnownFile]) -> list[tuple[str, ...]]:
    """Which files are loaded together, in their order (rule 18)."""
    apart = [path for path in files if path in known and known[path].crashes]
    together = tuple(path for path in files if path not in known or not known[path].crashes)
    return [*([together] if together else []), *((path,) for path in apart)]


def batches_after(batch: Sequence[str], suspect: str, failures: int) -> list[tuple[str, ...]]:
    """What is loaded instead of a batch of several files whose loader has failed (rule 15).

    suspect: the file that it was at; failures: of this load, this one included.
    """
    if failures <= SUSPICIONS:
        return [tuple(path for path in batch if path != suspect), (suspect,)]
    middle = len(batch) // 2
    return [tuple(batch[:middle]), tuple(batch[middle:])]


def seconds_to_next_look(known: Mapping[str, KnownFile], now: float, pause: float) -> float:
    """How long until the next look is due (rule 10). pause: seconds between two looks."""
    times = (at for file in known.values() for at in (file.expiry_due, file.source_load_due, file.retry_due))
    return max(0.0, min([pause, *(at - now for at in times if at is not None)]))


@dataclass(frozen=True)
class Backoff:
    """When to try again after loads that failed as a whole (rules 11 to 14).

    first, longest: delays in seconds; failures: so many in a row; retry_at: on the monotonic clock, None where the last
    load did not fail.
    """

    first: float
    longest: float
    failures: int = 0
    retry_at: float | None = None

    @property
    def delay(self) -> float:
        """Seconds from the next failure to the try after it."""
        return float(min(self.first * 2**self.failures, self.longest))

    def failed(self, now: float) -> "Backoff":
        """After one more failure."""
        # Twice the longest delay is as good as any: the number must not grow for weeks.
        failures = self.failures + (self.delay < self.longest)
        return replace(self, failures=failures, retry_at=now + self.delay)

    def succeeded(self) -> "Backoff":
        """After a success."""
        return replace(self, failures=0, retry_at=None)

    def is_due(self, now: float, is_requested: bool) -> bool:
        """Whether it is time for the next try."""
        return is_requested or self.retry_at is None or now >= self.retry_at
