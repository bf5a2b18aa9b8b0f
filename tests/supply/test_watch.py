"""Which directories are watched, and that a change in one of them is told."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dnsbl_server.supply import watch
from dnsbl_server.supply.watch import Watcher, directories_of

pytestmark = pytest.mark.clock

PATIENCE = 30.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory whose own path has no symbolic link in it."""
    return tmp_path.resolve()


def watched(*paths: Path) -> set[str]:
    return set(directories_of([str(path) for path in paths]))


def test_a_file_is_watched_through_its_directory(root: Path) -> None:
    (root / "bl.yaml").write_text("")
    assert watched(root / "bl.yaml") == {str(root)}


def test_a_directory_is_watched_itself(root: Path) -> None:
    assert watched(root) == {str(root)}


def test_paths_add_up_and_each_directory_stands_once(root: Path) -> None:
    for name in ("a", "b"):
        (root / name).mkdir()
    for name in ("a/one", "a/two", "b/three"):
        (root / name).write_text("")
    assert watched(root / "a/one", root / "a/two", root / "b/three") == {str(root / "a"), str(root / "b")}
    assert directories_of([]) == {}


def test_identity_is_device_and_inode(root: Path) -> None:
    status = root.stat()
    assert directories_of([str(root)]) == {str(root): (status.st_dev, status.st_ino)}


@pytest.mark.parametrize(
    ("missing", "nearest"),
    [("bl.yaml", ""), ("there/bl.yaml", "there"), ("there/not/yet/bl.yaml", "there"), ("no/such/bl.yaml", "")],
)
def test_a_missing_file_is_watched_in_the_nearest_directory(root: Path, missing: str, nearest: str) -> None:
    (root / "there").mkdir()
    assert watched(root / missing) == {str(root / nearest)}


def test_a_path_through_a_file_is_watched_where_the_file_is(root: Path) -> None:
    (root / "file").write_text("")
    assert watched(root / "file/below") == {str(root)}


@pytest.mark.parametrize("relative", [True, False])
def test_a_symlinked_file_is_watched_at_the_link_and_at_its_target(root: Path, relative: bool) -> None:
    for name in ("zones", "data"):
        (root / name).mkdir()
    (root / "data/bl.yaml").write_text("")
    (root / "zones/bl.yaml").symlink_to("../data/bl.yaml" if relative else root / "data/bl.yaml")
    assert watched(root / "zones/bl.yaml") == {str(root / "zones"), str(root / "data")}


def test_a_chain_of_links_is_watched_at_every_link(root: Path) -> None:
    for name in "abcd":
        (root / name).mkdir()
    (root / "d/file").write_text("")
    (root / "c/link").symlink_to("../d/file")
    (root / "b/link").symlink_to("../c/link")
    (root / "a/link").symlink_to("../b/link")
    assert watched(root / "a/link") == {str(root / name) for name in "abcd"}


def test_a_configmap_is_watched_at_the_volume_and_at_the_data(root: Path) -> None:
    (root / "..2026_a").mkdir()
    (root / "..2026_a/bl.yaml").write_text("")
    (root / "..data").symlink_to("..2026_a")
    (root / "bl.yaml").symlink_to("..data/bl.yaml")
    assert watched(root / "bl.yaml") == {str(root), str(root / "..2026_a")}


def test_a_symlinked_directory_is_watched_where_the_link_is(root: Path) -> None:
    for name in ("links", "real"):
        (root / name).mkdir()
    (root / "real/bl.yaml").write_text("")
    (root / "links/zones").symlink_to(root / "real")
    assert watched(root / "links/zones") == {str(root / "links"), str(root / "real")}
    assert watched(root / "links/zones/bl.yaml") == {str(root / "links"), str(root / "real")}


def test_a_dangling_link_is_watched_at_the_link_and_near_the_target(root: Path) -> None:
    for name in ("links", "data"):
        (root / name).mkdir()
    (root / "links/bl.yaml").symlink_to("../data/later/bl.yaml")
    assert watched(root / "links/bl.yaml") == {str(root / "links"), str(root / "data")}


def test_dots_after_a_link_mean_what_they_mean_to_the_kernel(root: Path) -> None:
    (root / "zones").mkdir()
    (root / "elsewhere/deep").mkdir(parents=True)
    (root / "elsewhere/list.txt").write_text("")
    (root / "zones/deep").symlink_to(root / "elsewhere/deep")
    # The directory above `deep` is the one above its target.
    (root / "zones/list.txt").symlink_to("deep/../list.txt")
    assert str(root / "elsewhere") in watched(root / "zones/list.txt")
    assert watched(root / "zones/deep/../new.txt") == {str(root / "zones"), str(root / "elsewhere")}


def test_loops_of_links_end(root: Path) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    (root / "self").symlink_to("self/self")
    assert watched(root / "a", root / "self", root / "a/below") == {str(root)}


def test_relative_paths_count_from_the_working_directory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    assert set(directories_of(["bl.yaml"])) == {str(root)}


async def _told(event: asyncio.Event, change: Callable[[], object]) -> None:
    """Change something until the watcher tells of it: it takes a moment to begin."""
    async with asyncio.timeout(PATIENCE):
        while not event.is_set():
            change()
            try:
                await asyncio.wait_for(event.wait(), 0.5)
            except TimeoutError:
                continue


async def _quiet(event: asyncio.Event) -> None:
    """Wait until what has happened already is told."""
    async with asyncio.timeout(PATIENCE):
        while True:
            event.clear()
            try:
                await asyncio.wait_for(event.wait(), 0.6)
            except TimeoutError:
                return


def test_every_kind_of_change_is_told(root: Path) -> None:
    path = root / "bl.yaml"
    other = root / "other"

    def rename() -> None:
        other.write_text("new")
        other.rename(path)

    def link() -> None:
        other.unlink(missing_ok=True)
        other.symlink_to("bl.yaml")

    def remove() -> None:
        path.write_text("there")
        path.unlink()

    async def main() -> None:
        event = asyncio.Event()
        watcher = Watcher(event.set)
        watcher.watch(directories_of([str(path)]))
        for change in (lambda: path.write_text("text"), rename, link, remove):
            event.clear()
            await _told(event, change)
        await watcher.close()

    asyncio.run(main())


def test_the_same_directories_are_not_watched_anew(root: Path) -> None:
    async def main() -> None:
        watcher = Watcher(lambda: None)
        assert watcher.watch(directories_of([str(root)]))
        assert not watcher.watch(directories_of([str(root)]))
        (root / "more").mkdir()
        assert watcher.watch(directories_of([str(root), str(root / "more")]))
        await watcher.close()

    asyncio.run(main())


def test_a_replaced_directory_is_watched_anew(root: Path) -> None:
    zones = root / "zones"
    zones.mkdir()

    async def main() -> None:
        event = asyncio.Event()
        watcher = Watcher(event.set)
        watcher.watch(directories_of([str(zones)]))
        await _told(event, lambda: (zones / "bl.yaml").write_text("old"))
        event.clear()
        # The move itself is told, though it happens in the directory above.
        zones.rename(root / "old")
        await asyncio.wait_for(event.wait(), PATIENCE)
        zones.mkdir()
        assert watcher.watch(directories_of([str(zones)]))
        await _quiet(event)
        await _told(event, lambda: (zones / "bl.yaml").write_text("new"))
        await watcher.close()

    asyncio.run(main())


def test_the_end_leaves_no_task_and_no_descriptor(root: Path) -> None:
    async def main() -> None:
        watcher = Watcher(lambda: None)
        await watcher.close()  # never began
        watcher.watch(directories_of([str(root)]))
        await watcher.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        asyncio.run(main())
    assert len(os.listdir("/proc/self/fd")) <= before


def test_what_cannot_be_watched_is_a_warning(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(watch, "awatch", refuse)

    async def main() -> None:
        watcher = Watcher(lambda: None)
        watcher.watch(directories_of([str(root)]))
        async with asyncio.timeout(PATIENCE):
            while not caplog.records:  # noqa: ASYNC110 - a log knows no event
                await asyncio.sleep(0.01)
        await watcher.close()

    asyncio.run(main())
    assert str(root) in caplog.text
    assert "no space left on device" in caplog.text


def test_a_directory_that_is_gone_by_then_does_no_harm(root: Path) -> None:
    async def main() -> None:
        event = asyncio.Event()
        watcher = Watcher(event.set)
        watcher.watch({str(root / "gone"): (0, 0)})
        await asyncio.sleep(0)
        watcher.watch(directories_of([str(root)]))
        await _told(event, lambda: (root / "file").write_text("text"))
        await watcher.close()

    asyncio.run(main())
