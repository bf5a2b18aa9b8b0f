"""The last good version of each list file and feed, kept in the state directory.

Owns where such a version is and what is written beside it. A version is a copy of the bytes, so that it can be read
again by whatever rules hold then; it counts for one list of one zone and for one way of reading, and it is replaced
as a whole or not at all. A version that is damaged, cut or of another file is none. Knows no formats.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from dnsbl_server.sources.files import Signature, open_regular, signature

_DIRECTORY = "sources"
_META = "meta.json"
_MODE = 0o700
_FORMAT = 1
_LATEST = 253402300800  # the year 10000


@dataclass(frozen=True, slots=True)
class KeptVersion:
    """A version that is kept. paths: its files, in order; timestamp: when it was written, in seconds since 1970."""

    paths: tuple[str, ...]
    timestamp: float


class KeptVersions:
    """The versions that a state directory holds."""

    def __init__(self, state: str, may_write: bool) -> None:
        """state: the state directory; may_write: whether new versions are kept; a command that only looks must not."""
        self.state = state
        self._may_write = may_write

    def find(self, key: Sequence[str], count: int = 1) -> KeptVersion | None:
        """The version of a source, of so many files. key: its zone, list, name and way of reading."""
        meta = _read_meta(self._directory(key), key)
        if meta is None or len(meta.files) != count:
            return None
        paths = tuple(path for path, _ in meta.files)
        sizes = tuple(known[2] if (known := signature(path)) else -1 for path in paths)
        return KeptVersion(paths, meta.timestamp) if sizes == tuple(size for _, size in meta.files) else None

    def keep(self, key: Sequence[str], sources: Mapping[str, Signature], timestamp: float) -> None:
        """Keep what is in these files as the version of a source, unless it is kept already.

        sources: the signatures with which they were read; what has changed since is not kept. Raises OSError.
        """
        directory = self._directory(key)
        if not self._may_write:
            return
        versions = [list(known) if known else None for known in sources.values()]
        before = _read_meta(directory, key)
        if before is not None and before.versions == versions:
            return
        directory.mkdir(_MODE, parents=True, exist_ok=True)
        known = {Path(path).name for path, _ in before.files} if before else set()
        _remove_others(directory, {_META, *known})
        with tempfile.TemporaryDirectory(dir=directory) as aside:
            files: list[tuple[str, int]] = []
            for number, path in enumerate(sources):
                # A name of its own for each version: until the meta file says so, the one before is the version.
                copy = Path(aside) / f"{sha256(json.dumps(versions).encode()).hexdigest()[:16]}.{number}"
                with open_regular(path) as source, copy.open("xb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                    target.flush()
                    # The version before is removed afterwards.
                    os.fsync(target.fileno())
                files.append((copy.name, copy.stat().st_size))
            if any(signature(path) != version for path, version in sources.items()):
                return
            meta = {"format": _FORMAT, "key": list(key), "timestamp": timestamp, "files": files, "versions": versions}
            (Path(aside) / _META).write_text(json.dumps(meta))
            for name in (*(name for name, _ in files), _META):
                os.replace(Path(aside) / name, directory / name)
        _remove_others(directory, {_META, *(name for name, _ in files)})

    def _directory(self, key: Sequence[str]) -> Path:
        return Path(self.state) / _DIRECTORY / sha256(json.dumps(list(key)).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class _Meta:
    files: tuple[tuple[str, int], ...]
    versions: object
    timestamp: float


def _read_meta(directory: Path, key: Sequence[str]) -> _Meta | None:
    """What is written beside a version; None where there is nothing, or nothing that makes sense."""
    try:
        with open_regular(str(directory / _META)) as stream:
            meta = json.loads(stream.read(1 << 20))
        if meta["format"] != _FORMAT or meta["key"] != list(key):
            return None
        files = tuple((str(directory / os.path.basename(str(name))), int(size)) for name, size in meta["files"])
        timestamp = float(meta["timestamp"])
        return _Meta(files, meta["versions"], timestamp) if 0 <= timestamp < _LATEST else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None


def _remove_others(directory: Path, names: Iterable[str]) -> None:
    """Remove what an interrupted copy left."""
    names = set(names)
    for each in os.scandir(directory):
        if each.name not in names:
            if each.is_dir(follow_symlinks=False):
                shutil.rmtree(each.path, ignore_errors=True)
            else:
                os.unlink(each.path)
