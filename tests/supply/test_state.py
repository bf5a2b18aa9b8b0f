"""The state directory: which one it is, that one server has it, and what there is without one."""

import os
from pathlib import Path

import pytest

from dnsbl_server.supply import state
from dnsbl_server.supply.state import StateError, default_state, kept_in, open_state


def test_the_service_manager_says_which_one_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}:/other")
    assert default_state() == str(tmp_path)


def test_that_of_the_system_where_it_may_be_written_else_the_users_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(state, "_SYSTEM", str(tmp_path / "system" / "dnsbl-server"))
    assert default_state() == str(tmp_path / "xdg" / "dnsbl-server")
    (tmp_path / "system").mkdir()
    assert default_state() == str(tmp_path / "system" / "dnsbl-server")
    monkeypatch.setattr(state, "_SYSTEM", str(tmp_path / "none" / "dnsbl-server"))
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_state() == str(tmp_path / "home" / ".local" / "state" / "dnsbl-server")


def test_it_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with open_state(str(tmp_path / "a" / "b")) as path:
        assert path == str(tmp_path / "a" / "b")
        assert os.stat(path).st_mode & 0o777 == 0o700
        assert (Path(path) / "lock").read_text() == f"{os.getpid()}\n"
    assert Path(path).is_dir()


def test_two_servers_cannot_have_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_state(str(tmp_path)):
        with pytest.raises(StateError) as caught, open_state(str(tmp_path)):
            pass
        said = f"the state directory {tmp_path} is that of another server (process {os.getpid()})"
        assert str(caught.value) == f"{said}; give each its own with --state"
    with open_state(str(tmp_path)) as path:
        assert path == str(tmp_path)


def test_a_default_one_that_another_server_has_is_left_to_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    with open_state(None) as first, open_state(None) as second:
        assert first == str(tmp_path)
        assert second
        assert second != first
        assert "is that of another server" in caplog.text
    assert not Path(second).exists()


def test_one_that_was_named_and_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = str(tmp_path / "file" / "x")
    with pytest.raises(StateError, match="cannot be written: not a directory"), open_state(path):
        pass


def test_off_is_in_memory_and_gone_afterwards() -> None:
    with open_state("") as path:
        assert os.stat(path).st_mode & 0o777 == 0o700
        (Path(path) / "x").write_text("x")
    assert not Path(path).exists()


def test_who_only_looks_makes_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert kept_in("off") is None
    found = kept_in(str(tmp_path / "none"))
    assert found is not None
    assert found.find(("a",)) is None
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "given"))
    found = kept_in(None)
    assert found is not None
    assert found.state == str(tmp_path / "given")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_no_server_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "truncate", full)
    with open_state(str(tmp_path)) as path:
        assert path == str(tmp_path)


def test_a_lock_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("precious")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "lock").symlink_to(tmp_path / "other")
    with pytest.raises(StateError, match="cannot be written"), open_state(str(tmp_path / "state")):
        pass
    assert (tmp_path / "other").read_text() == "precious"
