"""Sources of a list: each list file and feed is read, judged, and replaced by its last good version where it is bad.

Owns what happens to one source that cannot be used: it is a problem of that source alone, and its last good version
stays. Only a list file of which there is no good version at all is an error of its zone; a feed is one never, since
nobody who edits zone files can make it arrive. Knows no formats and no keys.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from dnsbl_server.model.entry import ListFile
from dnsbl_server.model.listing import Listing, format_time
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.source import SourceState
from dnsbl_server.model.subject import Subjects
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.feedstore import data_path, fetched_at, shown_url
from dnsbl_server.sources.fileitem import FileItem
from dnsbl_server.sources.files import OutsideError, Signature, open_regular, reason_of, signature
from dnsbl_server.sources.kept import KeptVersion, KeptVersions
from dnsbl_server.sources.listable import can_be_listed
from dnsbl_server.sources.listfile import read_list_file
from dnsbl_server.sources.listreader import Reading

# A file without a newline at its end that is much smaller than its last good version may be half written: it is not
# read before it has not changed for so many seconds.
REST = 10.0
_HALF = 0.5
_SIZE, _MODIFIED = 2, 3  # in a signature
_LATEST = 253402300799.0  # the last second of the year 9999

# Called with a path and how many of its entries were read, now and then.
Progress = Callable[[str, int], None]


@dataclass
class Surroundings:
    """What reading a source of a zone file needs to know, and what it leaves behind.

    progress: see `Progress`; now: seconds since 1970; below: see `open_regular`; kept: the last good versions, None
    where there is no state directory; versions: where each file goes, as it was when it was opened; noted: what is
    wrong with sources, which is no error of the zone file; states: of the sources, in order.
    """

    progress: Progress
    now: float
    below: Sequence[str] = ()
    kept: KeptVersions | None = None
    versions: dict[str, Signature] = field(default_factory=dict)
    noted: Problems = field(default_factory=Problems)
    states: list[SourceState] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """A source of one list.

    listing: that of the list; text: how entries are read; at, written: where and how the zone file names it.
    """

    item: FileItem
    list: str
    listing: Listing
    text: EntryText
    at: Place
    written: str

    def read(self, around: Surroundings, problems: Problems) -> ListFile | None:
        """What the source lists; None where it has no version that can be used. problems: of the zone file."""
        file, state = self._read_feed(around) if self.item.feed else self._read_files(around, problems)
        around.states.append(replace(state, entries=len(file) if file else 0))
        if file is None:
            return None
        # Of a feed nobody knows the file, but everybody the URL.
        return replace(file, path=self._shown(file.path), provenance=self.item.provenance)

    @property
    def _key(self) -> tuple[str, ...]:
        return self.text.zone, self.list, *(self.item.paths or (self.item.name,)), self.item.reading

    @property
    def _unread(self) -> SourceState:
        return SourceState(self.list, self.item.name, 0.0, 0, feed=self.item.feed)

    def _read_feed(self, around: Surroundings) -> tuple[ListFile | None, SourceState]:
        feed = self.item.feed
        assert feed is not None
        state = around.kept.state if around.kept else ""
        path = data_path(state, feed.url) if state else ""
        if path:
            around.versions.setdefault(path, signature(path))
        try:
            if feed.secret:
                open_regular(feed.secret, around.below).close()
        except OutsideError as error:
            around.noted.error(self.at, feed.secret, reason_of(error))
            return None, replace(self._unread, held_back="its secret may not be read", feed=None)
        except OSError:
            pass  # its fetch says so
        version = around.versions.get(path)
        if version is None:
            message = "has not been fetched yet; the zone is served without it"
            around.noted.warning(self.at, shown_url(feed.url), message)
            return None, replace(self._unread, held_back="has not been fetched yet")
        current_at = min(fetched_at(state, feed.url), around.now) or _written_at(version)
        due = current_at + self.item.stale if self.item.stale else 0.0
        if self.item.stale and due <= around.now:
            message = f"withdrawn: not current since {_shown(current_at)}, and stale says how long it may be so"
            around.noted.error(self.at, shown_url(feed.url), message)
            return None, replace(self._unread, timestamp=current_at, held_back="withdrawn: it is stale")
        file, read = self._judged((path,), around, current_at)
        if file is None:
            around.noted.error(self.at, shown_url(feed.url), f"{read.held_back}; the zone is served without it")
        return file, replace(read, due=due)

    def _read_files(self, around: Surroundings, problems: Problems) -> tuple[ListFile | None, SourceState]:
        paths = self.item.paths
        for path in paths:
            around.versions.setdefault(path, signature(path))
            try:
                open_regular(path, around.below).close()
            except OutsideError as error:
                problems.error(self.at, self.written, reason_of(error))
                return None, replace(self._unread, held_back=reason_of(error))
            except OSError:
                pass  # it is said when it is read
        written = [_written_at(version) for path in paths if (version := around.versions[path])]
        file, state = self._judged(paths, around, max(written, default=0.0))
        if file is None:
            problems.error(self.at, self.written, state.held_back)
        return file, state

    def _judged(
        self, paths: Sequence[str], around: Surroundings, timestamp: float
    ) -> tuple[ListFile | None, SourceState]:
        """What files list, or what their last good version does; neither is None. timestamp: of these files."""
        state = replace(self._unread, timestamp=timestamp)
        kept = around.kept.find(self._key, len(paths)) if around.kept else None
        due = self._rests_at(paths, kept, around)
        file = self._read_kept(kept, around) if kept is not None and due > around.now else None
        if kept is not None and file is not None:
            around.noted.warning(Place(paths[0]), "", "seems to be half written; it is read once it rests")
            return file, replace(state, timestamp=kept.timestamp, held_back="is being written", due=due)
        found = Problems()
        reading = self._reading(paths, around.progress, found, around.below if self.item.paths else ())
        for problem in sorted(found, key=lambda each: (each.place.line == 0, paths.index(each.place.file), each.place)):
            around.noted.add(replace(problem, place=problem.place._replace(file=self._shown(problem.place.file))))
        is_good = not reading.verdict
        if reading.is_empty and (self.item.may_be_empty or kept is None):
            is_good = True
            if not self.item.may_be_empty and not len(found):
                message = "the list file has no entries; may_be_empty: true says that this is right"
                around.noted.warning(Place(self._shown(paths[0])), "", message)
        state = replace(state, skipped=reading.skipped)
        if is_good:
            self._keep(paths, around, timestamp)
            return reading.file, state
        state = replace(state, held_back=reading.verdict)
        file = self._read_kept(kept, around) if kept else None
        if file is None or kept is None:
            return None, replace(state, timestamp=0.0)
        hint = "; may_be_empty: true in its item says that this is right" if reading.is_empty else ""
        message = f"not taken: {reading.verdict}; its version of {_shown(kept.timestamp)} stays{hint}"
        around.noted.error(Place(self._shown(paths[0])), "", message)
        return file, replace(state, timestamp=kept.timestamp)

    def _shown(self, path: str) -> str:
        """What a file of the source is called."""
        return shown_url(self.item.feed.url) if self.item.feed else path

    def _reading(self, paths: Sequence[str], progress: Progress, found: Problems, below: Sequence[str]) -> Reading:
        def accept(what: Subjects, written: str, place: Place) -> bool:
            return can_be_listed(what, written, place, found)

        for path in paths:
            progress(path, 0)
        return read_list_file(
            paths,
            self.listing,
            found,
            progress,
            accept,
            self.text,
            self.item.format,
            self.item.options,
            below,
            self.item.feed is None,
        )

    def _read_kept(self, kept: KeptVersion, around: Surroundings) -> ListFile | None:
        """What the last good version lists; None where it is none any more."""
        reading = self._reading(kept.paths, lambda path, count: None, Problems(), ())
        if reading.verdict and not reading.is_empty:
            return None
        # Its entries are shown as of the file that they came from.
        names = self.item.paths or kept.paths
        parts = tuple((before, name) for (before, _), name in zip(reading.file.parts, names[1:], strict=True))
        return replace(reading.file, path=names[0], parts=parts)

    def _keep(self, paths: Sequence[str], around: Surroundings, timestamp: float) -> None:
        if around.kept is None:
            return
        try:
            around.kept.keep(self._key, {path: around.versions[path] for path in paths}, timestamp)
        except OSError as error:
            message = f"cannot be kept in the state directory {around.kept.state}: {reason_of(error)}"
            around.noted.warning(Place(self._shown(paths[0])), "", message)

    def _rests_at(self, paths: Sequence[str], kept: KeptVersion | None, around: Surroundings) -> float:
        """When a file that seems half written counts as written; 0 where none does."""
        if kept is None or self.item.feed:
            return 0.0
        found = 0.0
        for path, before in zip(paths, kept.paths, strict=True):
            version, size = around.versions[path], signature(before)
            if version is None or size is None or version[_SIZE] >= _HALF * size[_SIZE]:
                continue
            if not _ends_with_newline(path):
                found = max(found, _written_at(version) + REST)
        # A file from the future is not waited for.
        return found if found <= around.now + REST else 0.0


def _ends_with_newline(path: str) -> bool:
    try:
        with open_regular(path) as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"
    except OSError:
        return False


def _written_at(version: Signature) -> float:
    """When a file was written by its own account, which may be any time, in seconds since 1970."""
    return min(max(0.0, version[_MODIFIED] / 1e9), _LATEST) if version else 0.0


def _shown(timestamp: float) -> str:
    return format_time(datetime.fromtimestamp(int(timestamp), UTC))
