"""Going on as another user: which groups it has then, and in what order privileges go."""

import os
import pwd
import subprocess
import sys

import pytest

from dnsbl_server.privileges import PrivilegeError, become_user
from tests.serving import PATIENCE

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can go on as another user")
# A group that root may have at the start, and that nobody is not in.
FOREIGN = 54321
BECOME = """
import json, os, sys
from dnsbl_server.privileges import become_user
become_user("nobody")
print(json.dumps([os.getresuid(), os.getresgid(), os.getgroups()]))
"""


@needs_root
@pytest.mark.server
def test_the_groups_of_root_are_gone() -> None:
    nobody = pwd.getpwnam("nobody")
    # The interpreter of the tests may be one that nobody cannot run, which is another rule.
    script = f"import os\nos.access = lambda *_: True\nos.setgroups([0, {FOREIGN}])\n{BECOME}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    groups = os.getgrouplist("nobody", nobody.pw_gid)
    assert FOREIGN not in groups
    uid, gid = nobody.pw_uid, nobody.pw_gid
    assert done.stdout.strip() == str([[uid] * 3, [gid] * 3, groups])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What the system is asked for, by a process that believes to be root."""
    made: list[tuple[object, ...]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in ("initgroups", "setgid", "setuid"):
        monkeypatch.setattr(os, name, lambda *arguments, name=name: made.append((name, *arguments)))
    return made


def test_the_groups_go_first_and_the_user_last(calls: list[tuple[object, ...]]) -> None:
    nobody = pwd.getpwnam("nobody")
    become_user("nobody")
    assert calls == [
        ("initgroups", "nobody", nobody.pw_gid),
        ("setgid", nobody.pw_gid),
        ("setuid", nobody.pw_uid),
    ]


@pytest.mark.parametrize("name", [None, pwd.getpwuid(0).pw_name])
def test_whoever_stays_root_is_warned(
    calls: list[tuple[object, ...]], caplog: pytest.LogCaptureFixture, name: str | None
) -> None:
    become_user(name)
    assert calls == []
    assert "running as root" in caplog.text


def test_the_same_user_who_is_not_root_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, calls: list[tuple[object, ...]], caplog: pytest.LogCaptureFixture
) -> None:
    nobody = pwd.getpwnam("nobody")
    monkeypatch.setattr(os, "geteuid", lambda: nobody.pw_uid)
    become_user("nobody")
    become_user(None)
    assert (calls, caplog.records) == ([], [])


def test_a_user_that_is_not_there_is_an_error(calls: list[tuple[object, ...]]) -> None:
    with pytest.raises(PrivilegeError, match=r"^there is no user no-such-user; "):
        become_user("no-such-user")
    assert calls == []


def test_without_the_privilege_it_is_an_error(calls: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "initgroups", refuse)
    with pytest.raises(PrivilegeError, match=r"^only root can go on as user nobody; "):
        become_user("nobody")
    assert calls == []
