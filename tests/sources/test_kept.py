"""The last good versions in the state directory: kept, found again, and not believed when they are damaged."""

import json
import os
from pathlib import Path

import pytest

from dnsbl_server.sources.files import signature
from dnsbl_server.sources.kept import KeptVersions

KEY = ("bl.example.org", "bl.example.org", "list.txt", "plain")


@pytest.fixture
def kept(tmp_path: Path) -> KeptVersions:
    return KeptVersions(str(tmp_path / "state"), may_write=True)


def keep(kept: KeptVersions, path: Path, content: str, key: tuple[str, ...] = KEY) -> None:
    path.write_text(content)
    kept.keep(key, {str(path): signature(str(path))}, 5.5)


def content_of(kept: KeptVersions, key: tuple[str, ...] = KEY) -> list[str] | None:
    found = kept.find(key)
    return None if found is None else [Path(path).read_text() for path in found.paths]


def the_directory(kept: KeptVersions) -> Path:
    (directory,) = (Path(kept.state) / "sources").iterdir()
    return directory


def test_a_version_is_found_again(kept: KeptVersions, tmp_path: Path) -> None:
    assert content_of(kept) is None
    keep(kept, tmp_path / "list.txt", "one")
    again = KeptVersions(kept.state, may_write=False)
    assert content_of(again) == ["one"]
    found = again.find(KEY)
    assert found is not None
    assert found.timestamp == 5.5
    assert content_of(again, (*KEY[:3], "csv")) is None


def test_a_later_version_replaces_the_one_before(kept: KeptVersions, tmp_path: Path) -> None:
    for content in ("one", "two", "three"):
        keep(kept, tmp_path / "list.txt", content)
    assert content_of(kept) == ["three"]
    assert len(list(the_directory(kept).iterdir())) == 2


def test_what_is_kept_already_is_not_copied_again(kept: KeptVersions, tmp_path: Path) -> None:
    keep(kept, tmp_path / "list.txt", "one")
    before = {each.name: each.stat().st_ino for each in the_directory(kept).iterdir()}
    kept.keep(KEY, {str(tmp_path / "list.txt"): signature(str(tmp_path / "list.txt"))}, 5.5)
    assert {each.name: each.stat().st_ino for each in the_directory(kept).iterdir()} == before


def test_several_files_are_one_version(kept: KeptVersions, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    paths = [str(tmp_path / name) for name in ("b", "a")]
    kept.keep(KEY, {path: signature(path) for path in paths}, 0.0)
    found = kept.find(KEY, 2)
    assert found is not None
    assert [Path(path).read_text() for path in found.paths] == ["b", "a"]
    assert kept.find(KEY) is None


def test_what_changed_after_it_was_read_is_not_kept(kept: KeptVersions, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    keep(kept, path, "one")
    read = signature(str(path))
    path.write_text("half of tw")
    kept.keep(KEY, {str(path): read}, 6.0)
    assert content_of(kept) == ["one"]
    assert len(list(the_directory(kept).iterdir())) == 2


def test_who_only_looks_writes_nothing(tmp_path: Path) -> None:
    kept = KeptVersions(str(tmp_path / "state"), may_write=False)
    keep(kept, tmp_path / "list.txt", "one")
    assert content_of(kept) is None
    assert not (tmp_path / "state").exists()


def test_leftovers_of_an_interrupted_copy_go(kept: KeptVersions, tmp_path: Path) -> None:
    keep(kept, tmp_path / "list.txt", "one")
    (the_directory(kept) / "tmpabc").mkdir()
    (the_directory(kept) / "tmpabc" / "x").write_text("x")
    (the_directory(kept) / "0123.0").write_text("x")
    keep(kept, tmp_path / "list.txt", "two")
    assert content_of(kept) == ["two"]
    assert len(list(the_directory(kept).iterdir())) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda meta, data: meta.write_text("{"),
        lambda meta, data: meta.write_bytes(b"\xff"),
        lambda meta, data: meta.write_text("[]"),
        lambda meta, data: meta.write_text("[" * 100_000),
        lambda meta, data: meta.unlink(),
        lambda meta, data: data.unlink(),
        lambda meta, data: os.truncate(data, 1),
        lambda meta, data: data.write_text("longer"),
        lambda meta, data: meta.write_text(json.dumps({**json.loads(meta.read_text()), "format": 2})),
        lambda meta, data: meta.write_text(json.dumps({**json.loads(meta.read_text()), "key": ["other"]})),
        lambda meta, data: meta.write_text(json.dumps({**json.loads(meta.read_text()), "files": [["/etc/passwd", 3]]})),
        lambda meta, data: meta.write_text(json.dumps({**json.loads(meta.read_text()), "files": 1})),
        lambda meta, data: meta.write_text(json.dumps({**json.loads(meta.read_text()), "files": []})),
        lambda meta, data: meta.write_text(json.dumps({**json.loads(meta.read_text()), "timestamp": 3e11})),
        lambda meta, data: meta.write_text(json.dumps({**json.loads(meta.read_text()), "timestamp": float("nan")})),
        lambda meta, data: meta.write_text(json.dumps({**json.loads(meta.read_text()), "timestamp": None})),
    ],
)
def test_a_damaged_version_is_none(kept: KeptVersions, tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    keep(kept, tmp_path / "list.txt", "one")
    (meta,) = the_directory(kept).glob("meta.json")
    (data,) = (each for each in the_directory(kept).iterdir() if each != meta)
    damage(meta, data)
    assert content_of(kept) is None
    # And the next good one takes its place.
    keep(kept, tmp_path / "list.txt", "two")
    assert content_of(kept) == ["two"]
