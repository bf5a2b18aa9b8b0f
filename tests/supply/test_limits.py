"""How much memory a loader may have by default: half of what the machine or the control group has."""

import os
from pathlib import Path

import pytest

from dnsbl_server.supply import limits
from dnsbl_server.supply.limits import default_load_memory

GIB = 1 << 30


@pytest.mark.parametrize(
    ("own", "groups", "expected"),
    [
        (None, {}, 8 * GIB),
        ("0::/", {"": "max"}, 8 * GIB),
        ("0::/", {"": str(4 * GIB)}, 2 * GIB),
        ("12:cpu:/x\n0::/a/b", {"a/b": str(6 * GIB), "a": "max"}, 3 * GIB),
        # The one above may have less.
        ("0::/a/b", {"a/b": str(6 * GIB), "a": str(2 * GIB)}, GIB),
        ("0::/a", {"a": "1000"}, 256 << 20),
        ("0::/a", {"a": str(64 * GIB)}, 8 * GIB),
        ("1:memory:/a", {"a": str(GIB)}, 8 * GIB),
    ],
)
def test_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str | None, groups: dict[str, str], expected: int
) -> None:
    entry, tree = tmp_path / "cgroup", tmp_path / "tree"
    tree.mkdir()
    if own is not None:
        entry.write_text(f"{own}\n")
    for name, limit in groups.items():
        (tree / name).mkdir(parents=True, exist_ok=True)
        (tree / name / "memory.max").write_text(f"{limit}\n")
    monkeypatch.setattr(limits, "_OWN_GROUP", entry)
    monkeypatch.setattr(limits, "_GROUPS", tree)
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 16 * GIB // 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    assert default_load_memory() == expected
