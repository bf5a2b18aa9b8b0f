"""What many tests need: a zone from its text, without files of their own; and what the marks of tests mean."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator
from functools import cache
from pathlib import Path

import pytest

from dnsbl_server.answer.snapshot import Identity, Snapshot
from dnsbl_server.supply.load import LoadResult, load_zones
from dnsbl_server.table.table import ZoneTable
from tests import profiles
from tests.answers import BIG_ZONE, ZONE

# The time of every test that does not need another: 2026-11-23 00:00 UTC.
NOW = 1795392000.0


def _load(directory: Path, texts: tuple[str, ...], now: float) -> LoadResult:
    files = []
    for number, text in enumerate(texts):
        path = directory / f"z{number}.yaml"
        path.write_text(text)
        files.append(str(path))
    return load_zones(files, now, lambda path, count: None)


@pytest.fixture
def load_texts(tmp_path: Path) -> Callable[..., LoadResult]:
    """Load zones from texts: `load_texts(text, ..., now=NOW)`; they become z0.yaml, z1.yaml, ... in tmp_path."""

    def make(*texts: str, now: float = NOW) -> LoadResult:
        return _load(tmp_path, texts, now)

    return make


@pytest.fixture(scope="session")
def tables_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, ...], float], list[bytes]]:
    """The tables of zones from texts, which must be free of errors; made once, because hundreds of tests share some."""

    @cache
    def make(texts: tuple[str, ...], now: float) -> list[bytes]:
        result = _load(tmp_path_factory.mktemp("texts"), texts, now)
        assert not result.problems.errors, [str(problem) for problem in result.problems]
        return [loaded.compiled.table for loaded in result.zones.values()]

    return make


@pytest.fixture
def snapshot_of(tables_of: Callable[[tuple[str, ...], float], list[bytes]]) -> Callable[..., Snapshot]:
    """A snapshot of zones from texts, which must be free of errors."""

    def make(*texts: str, now: float = NOW, identity: Identity | None = None) -> Snapshot:
        return Snapshot([ZoneTable(table) for table in tables_of(texts, now)], identity or Identity())

    return make


@pytest.fixture(scope="module")
def zones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a zone that lists of every kind, and one whose answers are too long for UDP."""
    directory = tmp_path_factory.mktemp("zones")
    (directory / "bl.yaml").write_text(ZONE)
    (directory / "big.yaml").write_text(BIG_ZONE)
    return directory


# What Python says before it starts a process.
_STARTS = frozenset({"os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"})
_running: list[pytest.Item] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse to start a process for a test without the mark `server`, so that the mark is always right."""
    if event in _STARTS and _running and not _running[0].get_closest_marker("server"):
        raise RuntimeError("a test that starts a process needs the mark: @pytest.mark.server")


sys.addaudithook(_watch)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    _running[:] = [item]
    try:
        return (yield)
    finally:
        _running.clear()


def pytest_configure(config: pytest.Config) -> None:
    """No test has the state directory of the machine: where none is said, it has one of this run."""
    directory = tempfile.mkdtemp(prefix="dnsbl-tests-")
    os.environ["STATE_DIRECTORY"] = directory
    config.add_cleanup(lambda: shutil.rmtree(directory, ignore_errors=True))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests with the mark `long`, but in the profile of that name."""
    if profiles.NAME != "long":
        left_out = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if not item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)
