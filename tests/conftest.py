"""What many tests need: a zone from its text, without files of their own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dnsbl_server.answer.snapshot import Identity, Snapshot
from dnsbl_server.supply.load import LoadResult, load_zones
from dnsbl_server.table.table import ZoneTable
from tests.answers import BIG_ZONE, ZONE

# The time of every test that does not need another: 2026-11-23 00:00 UTC.
NOW = 1795392000.0


@pytest.fixture
def load_texts(tmp_path: Path) -> Callable[..., LoadResult]:
    """Load zones from texts: `load_texts(text, ..., now=NOW)`; they become z0.yaml, z1.yaml, ... in tmp_path."""

    def make(*texts: str, now: float = NOW) -> LoadResult:
        files = []
        for number, text in enumerate(texts):
            path = tmp_path / f"z{number}.yaml"
            path.write_text(text)
            files.append(str(path))
        return load_zones(files, now, lambda path, count: None)

    return make


@pytest.fixture
def snapshot_of(load_texts: Callable[..., LoadResult]) -> Callable[..., Snapshot]:
    """A snapshot of zones from texts, which must be free of errors."""

    def make(*texts: str, now: float = NOW, identity: Identity | None = None) -> Snapshot:
        result = load_texts(*texts, now=now)
        assert not result.problems.errors, [str(problem) for problem in result.problems]
        tables = [ZoneTable(loaded.compiled.table) for loaded in result.zones.values()]
        return Snapshot(tables, identity or Identity())

    return make


@pytest.fixture(scope="module")
def zones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a zone that lists of every kind, and one whose answers are too long for UDP."""
    directory = tmp_path_factory.mktemp("zones")
    (directory / "bl.yaml").write_text(ZONE)
    (directory / "big.yaml").write_text(BIG_ZONE)
    return directory
