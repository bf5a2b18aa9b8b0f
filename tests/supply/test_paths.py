"""What a look at a path says: the zone files it means, or why they cannot be told."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dnsbl_server.model.problem import Problems
from dnsbl_server.supply.paths import PathLook, directory_of, find_zone_files, look_at_path
from tests.answers import ZONE


def test_a_directory_means_its_yaml_files(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", ".hidden.yaml", ".#a.yml", "a.yml~", "c.yaml.bak", "README.md", "feed.txt", "yaml"):
        (tmp_path / name).write_text("")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "d.yaml").write_text("")
    problems = Problems()
    assert find_zone_files([str(tmp_path)], problems) == [str(tmp_path / "a.yml"), str(tmp_path / "b.yaml")]
    assert find_zone_files([str(tmp_path), str(tmp_path / "b.yaml")], problems)[1:] == [str(tmp_path / "b.yaml")]
    assert len(problems) == 0


def test_a_file_is_taken_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "zone.conf"
    path.write_text(ZONE)
    problems = Problems()
    assert find_zone_files([str(path)], problems) == [str(path)]


def test_a_directory_without_zone_files_is_a_mistake(tmp_path: Path) -> None:
    problems = Problems()
    assert find_zone_files([str(tmp_path)], problems) == []
    assert [str(problem) for problem in problems] == [f"{tmp_path}: the directory has no zone files (*.yaml, *.yml)"]


def test_a_directory_that_may_not_be_read_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> list[str]:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "listdir", refuse)
    problems = Problems()
    assert find_zone_files([str(tmp_path)], problems) == []
    assert [str(problem) for problem in problems] == [f"{tmp_path}: permission denied"]


def test_a_mounted_config_map_is_one_set_of_files(tmp_path: Path) -> None:
    # Kubernetes: bl.yaml -> ..data/bl.yaml, ..data -> ..2026_11_23
    data = tmp_path / "..2026_11_23"
    data.mkdir()
    (data / "bl.yaml").write_text(ZONE)
    (tmp_path / "..data").symlink_to(data.name)
    (tmp_path / "bl.yaml").symlink_to("..data/bl.yaml")
    problems = Problems()
    files = find_zone_files([str(tmp_path)], problems)
    assert files == [str(tmp_path / "bl.yaml")]


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: None, "no such directory or zone file"),
        (lambda path: path.symlink_to("nowhere"), "a symbolic link to nothing"),
        (_loop, "too many levels of symbolic links"),
        (_below_a_file, "not a directory"),
        (Path.mkdir, "the directory has no zone files (*.yaml, *.yml)"),
        (Path.touch, ""),
        (os.mkfifo, ""),
    ],
)
@pytest.mark.parametrize("name", ["zones", "bl.yaml"])
def test_what_is_no_directory_means_itself_or_cannot_be_told(
    tmp_path: Path, make: Callable[[Path], object], problem: str, name: str
) -> None:
    path = tmp_path / "above" / name
    path.parent.mkdir()
    make(path)
    look = look_at_path(str(path))
    assert look.problem == problem
    assert look.files == (() if problem else (str(path),))
    problems = Problems()
    assert find_zone_files([str(path)], problems) == list(look.files)
    assert [str(each) for each in problems] == ([f"{path}: {problem}"] if problem else [])


def test_a_name_that_no_file_can_have() -> None:
    assert look_at_path("a\0b") == PathLook("a\0b", problem="no file has such a name")


@pytest.mark.parametrize("path", ["zones", "zones/", "./zones", "/zones//", "/", "."])
def test_the_directory_of_what_is_in_a_directory(path: str) -> None:
    assert os.path.dirname(os.path.join(path, "a.yaml")) == directory_of(path)
