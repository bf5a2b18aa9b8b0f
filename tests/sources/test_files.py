"""Files on disk: which are opened, and what tells one version from another."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dnsbl_server.sources import files
from dnsbl_server.sources.files import open_regular, reason_of, signature
from tests.reloading import wait_until


def edit(path: Path) -> None:
    status = path.stat()
    path.write_text("192.0.2.7")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def lock(path: Path) -> None:
    path.chmod(0o400)


@pytest.mark.parametrize("change", [edit, lock])
def test_no_change_goes_unseen(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = tmp_path / "list.txt"
    path.write_text("192.0.2.1")
    before = signature(str(path))
    assert before == signature(str(path))

    def is_seen() -> bool:
        # Again and again, because the clock of a file system may tick slowly.
        change(path)
        return signature(str(path)) != before

    wait_until(is_seen, "the change")
    after = signature(str(path))
    assert before is not None
    assert after is not None
    assert before[:4] == after[:4]
    assert signature(str(tmp_path / "none")) is None


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.yaml"
    os.mkfifo(fifo)
    for path, message in [
        (fifo, "is not a regular file"),
        (tmp_path, "is a directory"),
        (Path(os.devnull), "is not a regular file"),
        (tmp_path / "none", "no such file or directory"),
        (tmp_path / ("x" * 300), "file name too long"),
    ]:
        with pytest.raises(OSError) as refused:
            open_regular(str(path))
        assert reason_of(refused.value) == message


def test_refused_files_leave_no_descriptor_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(OSError):
            open_regular(str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_signature_tells_versions_apart(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert signature(str(path)) is None
    assert signature("a\0b") is None
    path.write_text("one")
    one = signature(str(path))
    assert one is not None
    assert signature(str(path)) == one
    os.utime(path, ns=(0, one[3] + 1))
    touched = signature(str(path))
    other = tmp_path / "b"
    other.write_text("one")
    assert touched is not None
    os.utime(other, ns=(0, touched[3]))
    os.replace(other, path)
    assert len({one, touched, signature(str(path))}) == 3


def test_an_open_file_is_in_a_directory_by_what_was_opened(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for directory in (inside, outside):
        directory.mkdir()
        (directory / "feed").write_text("x")
    link = inside / "link"
    link.symlink_to(outside / "feed")
    with pytest.raises(OSError, match="files_below"):
        open_regular(str(link), [str(inside)])
    # The link leads outside when it is opened, and inside by the time that its target is looked at.
    descriptor = os.open(link, os.O_RDONLY)
    link.unlink()
    link.symlink_to(inside / "feed")
    assert not files._is_below(str(link), descriptor, [str(inside)])
    os.close(descriptor)
    open_regular(str(link), [str(outside), str(inside)]).close()
    open_regular(str(link), ["/"]).close()
    # A directory is known by what it leads to, as well.
    (tmp_path / "other").symlink_to(inside)
    open_regular(str(link), [str(tmp_path / "other")]).close()


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 3_000_000])
def test_a_file_is_read_up_to_a_limit(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    for limit in (10, 1 << 30):
        with path.open("rb") as stream:
            data = files.read_at_most(stream, limit)
        assert len(data) == size if size <= limit else limit < len(data) <= size
    # The kernel's own files have no size.
    with Path("/proc/self/status").open("rb") as stream:
        assert files.read_at_most(stream, 1 << 20).endswith(b"\n")
