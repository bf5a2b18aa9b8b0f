"""The commands run as a shell runs them, in a directory with zones of every kind."""

import gc
import io
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO, NamedTuple
from unittest.mock import patch

from dnsbl_server.cli.main import main
from tests.serving import PATIENCE

COMMAND = [sys.executable, "-m", "dnsbl_server"]
# Without what makes rich and click think of a terminal.
PLAIN = {name: value for name, value in os.environ.items() if "COLOR" not in name and not name.startswith("TTY_")}
ESCAPE = "\x1b"

GOOD = """\
zone: bl.test
except: [203.0.113.25]
lists:
  - name: traps
    code: [127.0.0.2, 127.0.0.9]
    txt: "{ip}: {reason}"
    reason: spam
    entries:
      - 192.0.2.0/24
      - net: 192.0.2.64/26
        reason: ticket 1
        ttl: 1h
        listed: 2020-01-01
        expires: 2199-01-01T12:00:00Z
      - {net: 198.51.100.7, listed: 2020-01-01, expires: 30d}
      - 203.0.113.0/24
    except: [192.0.2.25]
  - {name: six, code: 127.0.0.6, txt: "{ip} six", entries: ["2001:db8::/32"]}
"""
OTHER = "zone: other.test\nentries: [10.0.0.0/8]\n"
WARNED = "zone: warned.test\nentries: [10.0.0.0/8, 127.0.0.0/24]\n"
BAD = {"a.yaml": "zone: a.test\nentries:\n  - 10.0.0.0/33\n  - 10.0.0.1/8\n", "b.yaml": "zone: b.test\nentires: []\n"}
BAD_LINES = ["a.yaml:3:5: 10.0.0.0/33: ", "a.yaml:4:5: 10.0.0.1/8: ", "b.yaml:2:1: entires: ", "b.yaml:1:1: "]


def make_place(directory: Path) -> Path:
    """Fill a directory to work in: zones in `zones`, and others beside them."""
    for name, files in {
        "zones": {"bl.yaml": GOOD, "other.yml": OTHER},
        "bad": {**BAD, "c.yaml": OTHER},
        "warned": {"w.yaml": WARNED},
        "empty": {},
    }.items():
        (directory / name).mkdir()
        for file, text in files.items():
            (directory / name / file).write_text(text)
    return directory


class Done(NamedTuple):
    """What came of a command."""

    status: int
    stdout: str
    stderr: str


def run(place: Path, *arguments: str) -> Done:
    """Run a command in this process, which is much faster than in its own."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(place), redirect_stdout(out), redirect_stderr(err), patch.dict(os.environ, PLAIN, clear=True):
        try:
            main(arguments, prog_name="dnsbl-server")
        except SystemExit as ended:
            status = ended.code
        finally:
            gc.enable()
    assert isinstance(status, int)
    return _checked(Done(status, out.getvalue(), err.getvalue()))


def run_process(
    place: Path, *arguments: str, stdout: IO[str] | int = subprocess.PIPE, stderr: IO[str] | int = subprocess.PIPE
) -> Done:
    """Run a command as a shell does. stdout, stderr: where it writes to; what goes elsewhere is empty in the result."""
    done = subprocess.run(
        [*COMMAND, *arguments], stdout=stdout, stderr=stderr, text=True, cwd=place, env=PLAIN, timeout=PATIENCE
    )
    return _checked(Done(done.returncode, done.stdout or "", done.stderr or ""))


def _checked(done: Done) -> Done:
    assert ESCAPE not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


# Endpoints that are always free.
ANY = ("--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0")
