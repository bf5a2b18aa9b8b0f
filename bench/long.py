"""What takes too long for every day, one part after the other, into bench/results: `make long MINUTES=10`.

    tests     all tests, with twenty times the examples and those that are marked `long`; an hour at most
    packets   10,000,000 messages a minute, changed at random, in the checked and the sanitized build (fuzz/storm.py)
    files     10,000 zone files and list files a minute, changed at random (fuzz/files.py)
    fuzz      the engine against its specification, so many minutes; needs clang (fuzz/README.md)
    storm     a list of 1,000,000 hosts replaced again and again under load (bench/latency.py)
    floods    floods of TCP and of the metrics port beside good clients (bench/floods.py)
    scale     10,000,000 hosts (bench/scale.py)

    python bench/long.py [--minutes 10] [--workers 2] [--only tests ...]

What each part printed last goes into a file of the day, with the machine, the commit, and how long it took. A part that
takes longer than it may is ended, and has failed.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from servers import machine

TREE = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
_LINES = 40  # of the output, at most
_GRACE = 600  # seconds that a part may take to get ready and to end


class Part(NamedTuple):
    """A command, and the seconds that it may take."""

    name: str
    command: list[str]
    seconds: float


def parts(minutes: float, workers: int) -> list[Part]:
    python = sys.executable
    seconds = round(60 * minutes)
    limits = ["--timeout=3600", "--override-ini=faulthandler_timeout=3700"]
    return [
        Part("tests", [python, "-m", "pytest", "-q", "--numprocesses", str(workers), "--durations=10", *limits], 3600),
        Part("packets", ["make", "storm", f"PACKETS={round(10_000_000 * minutes)}"], 10 * seconds + _GRACE),
        Part("files", [python, "-m", "fuzz.files", "--files", str(round(10_000 * minutes))], 10 * seconds + _GRACE),
        Part("fuzz", ["make", "fuzz", f"SECONDS={seconds}"], seconds + _GRACE),
        Part(
            "storm",
            [python, "bench/latency.py", "--only", "reload", "--rounds", "1", "--seconds", str(seconds / 5)],
            seconds + _GRACE,
        ),
        Part("floods", [python, "bench/floods.py"], seconds + _GRACE),
        Part("scale", [python, "bench/scale.py", "--millions", "10", "--rounds", "1"], seconds + _GRACE),
    ]


def run(part: Part) -> tuple[str, list[str]]:
    """Run a part; what became of it, and the last lines of what it printed."""
    start = time.monotonic()
    process = subprocess.Popen(
        part.command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=TREE,
        env={**os.environ, "DNSBL_PROFILE": "long"},
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=part.seconds)
        ended = "passed" if process.returncode == 0 else f"FAILED with status {process.returncode}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        ended = f"FAILED: it took longer than {part.seconds:.0f} s"
    return f"{ended}, {time.monotonic() - start:.0f} s", output.splitlines()[-_LINES:]


def main() -> None:
    """Run the parts, and write down what became of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="of a part whose length can be chosen")
    parser.add_argument("--workers", type=int, default=2, help="tests at a time")
    parser.add_argument("--only", nargs="+", choices=[part.name for part in parts(1, 1)], default=[])
    options = parser.parse_args()
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=TREE, capture_output=True, text=True)
    now = datetime.now(UTC)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now:%Y-%m-%d}-long.txt"
    failed = False
    with path.open("a") as stream:
        print(f"# {now:%Y-%m-%d %H:%M} UTC, commit {commit.stdout.strip() or 'unknown'}", file=stream)
        print(f"# {machine()}", file=stream, flush=True)
        for part in parts(options.minutes, options.workers):
            if options.only and part.name not in options.only:
                continue
            print(f"== {part.name}")
            ended, lines = run(part)
            print(f"   {ended}")
            print(f"\n== {part.name}: {ended}", *lines, sep="\n", file=stream, flush=True)
            failed |= not ended.startswith("passed")
        print(file=stream)
    print(path)
    sys.exit(failed)


if __name__ == "__main__":
    main()
