"""The load generator (load.c) and the bare echo (echo.c): built, run, and what they print.

Both are compiled for each run of a benchmark; a C compiler is all they need.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from servers import running_on

# As many as rbldnsd's receive buffer takes: with more it loses some, and every loss is a pause.
IN_FLIGHT = 96
_FLAGS = ("-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror")
_PATIENCE = 30.0


@dataclass(frozen=True)
class Traffic:
    """What became of a stream of queries: see load.c. Times in microseconds, of all but `seconds`."""

    sent: int
    answered: int
    wrong: int
    lost: int
    late: int
    dropped: int
    seconds: float
    p50: int
    p99: int
    p999: int
    max: int
    silence: int


def build(directory: Path) -> tuple[Path, Path]:
    """Compile the load generator and the echo into a directory; where they are."""
    compiler = shutil.which(os.environ.get("CC", "gcc")) or shutil.which("cc")
    if compiler is None:
        sys.exit("a C compiler is needed: apt-get install gcc libc6-dev")
    programs = []
    for name in ("load", "echo"):
        programs.append(directory / name)
        source = Path(__file__).with_name(f"{name}.c")
        subprocess.run([compiler, *_FLAGS, "-o", str(programs[-1]), str(source)], check=True)
    return programs[0], programs[1]


def send(
    program: Path, port: int, seconds: float, streams: Sequence[str], *flags: str, core: int | None = None
) -> list[Traffic]:
    """Send streams, each FILE or FILE@RATE, to a port on loopback; one result for each.

    core: where the load generator runs alone; without one, it shares the cores with everybody, and sleeps when it can.
    """
    command = [str(program), "--port", str(port), "--seconds", str(seconds), "--in-flight", str(IN_FLIGHT), *flags]
    if core is None:
        command.append("--sleep")
    with running_on(os.sched_getaffinity(0) if core is None else {core}):
        done = subprocess.run(
            [*command, *streams], check=True, capture_output=True, text=True, timeout=seconds + _PATIENCE
        )
    return [Traffic(**json.loads(line)) for line in done.stdout.splitlines()]
