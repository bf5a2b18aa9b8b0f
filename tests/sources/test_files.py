"""What tells one version of a file from another: also an edit that keeps size and time, and a change of its mode."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dnsbl_server.sources.files import signature
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
