"""What the commands write for people: colours, on a terminal alone."""

import json
import os
import pty
import select
import subprocess
from pathlib import Path

import pytest

from tests.commands import ANY, COMMAND, ESCAPE, PLAIN, make_place
from tests.serving import PATIENCE

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_place(tmp_path_factory.mktemp("place"))


def terminal(place: Path, *arguments: str, stdout: bool) -> tuple[int, str, str]:
    """Run a command on a terminal: the exit status, what stands there, and the standard output where it is a pipe."""
    ours, theirs = pty.openpty()
    shown = b""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=theirs if stdout else subprocess.PIPE,
        stderr=theirs,
        cwd=place,
        env={**PLAIN, "TERM": "xterm-256color"},
    ) as process:
        os.close(theirs)
        while select.select([ours], [], [], PATIENCE)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break  # EIO: nobody has it open any more
            shown += part
        os.close(ours)
        piped = process.stdout.read() if process.stdout else b""
        return process.wait(PATIENCE), shown.decode(), piped.decode()


@pytest.mark.parametrize(
    ("arguments", "status", "colour"),
    [
        (("check", "zones"), 0, "32"),
        (("check", "warned"), 0, "33"),
        (("check", "bad"), 1, "31"),
        (("lookup", "192.0.2.7"), 0, "1;31"),
        (("lookup", "192.0.2.25"), 1, "32"),
        (("serve", *ANY, "bad"), 2, "31"),
    ],
)
def test_colours_on_a_terminal(place: Path, arguments: tuple[str, ...], status: int, colour: str) -> None:
    returned, shown, _ = terminal(place, *arguments, stdout=True)
    assert returned == status
    assert f"{ESCAPE}[{colour}m" in shown
    assert shown.count(ESCAPE) % 2 == 0


def test_colours_on_the_stream_that_is_a_terminal(place: Path) -> None:
    returned, shown, piped = terminal(place, "check", "bad", stdout=False)
    assert returned == 1
    assert f"{ESCAPE}[31m" in shown
    assert ESCAPE not in piped
    assert "1 good zone" in piped


def test_json_has_no_colours_on_a_terminal(place: Path) -> None:
    _, shown, _ = terminal(place, "lookup", "--json", "192.0.2.7", stdout=True)
    assert ESCAPE not in shown
    assert json.loads(shown)[0]["listed"] is True
