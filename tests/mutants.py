"""Mutation testing, by hand: which small changes of the program do the tests not notice?

    python -m tests.mutants --seed 1 --count 500 [--workers 2] [--near] [--only model/address.py ...]

Changes one place at a time in the packages that are plain Python and read no socket and no clock, in a copy of the
tree, and runs the tests that belong to it until one fails: first those of its module, then those of its package, then
those of the packages that import it (not with --near). A test that hangs has noticed too. Prints the difference that
each survivor makes, and the share of those killed by package. The same seed chooses the same mutants.

What is changed stands in `tests/mutations.py`.
"""

import argparse
import ast
import difflib
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from itertools import islice
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from tests.mutations import Finder, Mutant

# Each mutant's tests run in a fork of this process: what they import, but for the program, is there already.
for _name in ("asyncio", "dns.message", "dns.query", "dnslib", "hypothesis.strategies", "pydantic", "pytricia", "yaml"):
    import_module(_name)

TREE = Path(__file__).parent.parent
PACKAGES = ("model", "dns", "sources", "compiler", "table", "answer")
COPIED = ("dnsbl_server", "tests", "fuzz", "zones", "pyproject.toml")
# Plugins of pytest that no mutant needs, and that take longer to start than most tests of a module take.
WITHOUT = ("anyio", "xdist", "xdist.looponfail")
MEMORY = 4 << 30  # bytes that the tests of a mutant may have
OUTPUT = ".output"  # of the tests that ran last in a copy
LOOK = 0.02  # seconds between two looks whether they have ended


class Verdict(NamedTuple):
    """What became of a mutant: the group of tests that noticed, or None."""

    mutant: Mutant
    killer: str | None


def find_mutants(only: list[str]) -> list[Mutant]:
    """Every change that can be made, once each."""
    found: dict[Mutant, None] = {}
    for package in PACKAGES:
        for path in sorted((TREE / "dnsbl_server" / package).glob("*.py")):
            file = str(path.relative_to(TREE))
            if not only or any(file.endswith(name) for name in only):
                found.update(dict.fromkeys(Finder(file, path.read_bytes()).found))
    return list(found)


def choose(every: list[Mutant], seed: int, count: int) -> list[Mutant]:
    """So many of the mutants that are a change, in random order."""
    shuffled = Random(seed).sample(every, len(every))
    return list(islice(filter(_is_change, shuffled), count))


def _mutated(mutant: Mutant) -> bytes:
    source = (TREE / mutant.file).read_bytes()
    return source[: mutant.start] + mutant.text.encode() + source[mutant.end :]


def _is_change(mutant: Mutant) -> bool:
    source = (TREE / mutant.file).read_bytes()
    try:
        return ast.dump(ast.parse(_mutated(mutant))) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def groups_of(file: str, near: bool) -> Iterator[tuple[str, list[str]]]:
    """The tests that belong to a file, by name of the group: nearest first, each once."""
    package, module = file.split("/")[1], Path(file).stem
    everything = sorted(str(path.relative_to(TREE)) for path in (TREE / "tests" / package).glob("test_*.py"))
    own = [path for path in everything if Path(path).stem.startswith(f"test_{module}")]
    yield "module", own
    yield "package", [path for path in everything if path not in own]
    if not near:
        for directory in sorted((TREE / "dnsbl_server").iterdir()):
            sources = [path for suffix in ("py", "pyx") for path in directory.glob(f"*.{suffix}")]
            uses = any(re.search(rf"\bdnsbl_server\.{package}\b", path.read_text()) for path in sources)
            if uses and directory.name != package and (TREE / "tests" / directory.name).is_dir():
                yield "others", [f"tests/{directory.name}"]


def _pytest(copy: Path, paths: list[str]) -> int:
    os.setsid()
    output = os.open(copy / OUTPUT, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    for descriptor in (0, 1, 2):
        os.dup2(output, descriptor)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.chdir(copy)
    sys.path[:] = [str(copy), *(path for path in sys.path if path not in ("", str(TREE)))]
    # The tests of the copy, not those that this module is one of.
    for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
        del sys.modules[name]
    # Hypothesis is imported already, which pytest would warn of.
    quiet = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    options = [*quiet, "-x", "-q", "-p", "no:cacheprovider", "-m", "not server", "--basetemp", str(copy / ".tmp")]
    options += [f"-pno:{name}" for name in WITHOUT]
    return pytest.main([*options, *paths])


def run_tests(copy: Path, paths: list[str], limit: float) -> bool:
    """Whether all of these tests pass in a copy of the tree, within so many seconds."""
    child = os.fork()
    if not child:
        try:
            os._exit(_pytest(copy, paths))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    end = time.monotonic() + limit
    done = 0
    try:
        while time.monotonic() <= end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                # 5: there was no test to run.
                return os.waitstatus_to_exitcode(status) in (0, 5)
            time.sleep(LOOK)
        return False
    finally:
        # Too late, or interrupted. It has a session of its own, so that whatever it started goes too.
        if not done:
            os.kill(child, signal.SIGKILL)
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)


def try_mutant(copy: Path, mutant: Mutant, near: bool, limits: dict[str, float]) -> Verdict:
    """Run the tests of a mutant until a group notices."""
    path = copy / mutant.file
    original, stat = path.read_bytes(), path.stat()
    path.write_bytes(_mutated(mutant))
    try:
        for name, paths in groups_of(mutant.file, near):
            if paths and not run_tests(copy, paths, limits[paths[0].split("/")[1]]):
                return Verdict(mutant, name)
        return Verdict(mutant, None)
    finally:
        # With its old time, so that what is compiled of it counts again.
        path.write_bytes(original)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def copy_tree(source: Path, target: Path) -> None:
    for name in COPIED:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name)
        else:
            shutil.copy2(source / name, target / name)


def measure(copy: Path, near: bool) -> dict[str, float]:
    """The seconds that the tests of each package may take: they must pass, and a mutant gets four times as many."""
    limits = {}
    for directory in sorted(path for path in (copy / "tests").iterdir() if (path / "__init__.py").exists()):
        if near and directory.name not in PACKAGES:
            continue
        start = time.monotonic()
        if not run_tests(copy, [f"tests/{directory.name}"], 600):
            sys.exit(f"{(copy / OUTPUT).read_text()}\ntests/{directory.name} fails without any change")
        limits[directory.name] = 10 + 4 * (time.monotonic() - start)
    return limits


def _diff(mutant: Mutant) -> str:
    before = (TREE / mutant.file).read_text().splitlines(keepends=True)
    after = _mutated(mutant).decode().splitlines(keepends=True)
    return "".join(difflib.unified_diff(before, after, mutant.file, mutant.file, n=1))


def report(verdicts: list[Verdict]) -> None:
    """Print the survivors and the shares."""
    for mutant, killer in sorted(verdicts):
        if killer is None:
            print(_diff(mutant))
    print("| package | mutants | killed by its module's tests | by its package's | by others | survived | killed |")
    print("|---|---|---|---|---|---|---|")
    for package in (*PACKAGES, "all"):
        counts = Counter(
            verdict.killer or "none" for verdict in verdicts if package in (verdict.mutant.file.split("/")[1], "all")
        )
        total = counts.total()
        if total:
            figures = " | ".join(str(counts[name]) for name in ("module", "package", "others", "none"))
            print(f"| {package} | {total} | {figures} | {(total - counts['none']) / total:.1%} |")


def work(number: int, copy: Path, chosen: list[Mutant], options: argparse.Namespace, limits: dict[str, float]) -> None:
    """Try every n-th mutant; one line for each goes into a file beside the copy."""
    with (copy.parent / f"{number}.txt").open("w") as stream:
        for at in range(number, len(chosen), options.workers):
            killer = try_mutant(copy, chosen[at], options.near, limits).killer
            print(at, killer or "none", file=stream, flush=True)
            print(f"{at}: {chosen[at].file}: {killer or 'SURVIVED'}", file=sys.stderr)


def main() -> None:
    """Choose mutants, try them in several processes, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--near", action="store_true", help="only the tests of a mutant's own package")
    parser.add_argument("--only", nargs="+", default=[], metavar="FILE", help="ends of paths")
    options = parser.parse_args()
    os.environ["DNSBL_PROFILE"] = "quick"
    every = find_mutants(options.only)
    chosen = choose(every, options.seed, options.count)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        copies = [Path(name) / f"copy{number}" for number in range(options.workers)]
        copies[0].mkdir()
        copy_tree(TREE, copies[0])
        limits = measure(copies[0], options.near)
        sys.dont_write_bytecode = True  # what is compiled of a mutant must not be found by the next
        for copy in copies[1:]:
            copy.mkdir()
            copy_tree(copies[0], copy)
        children = []
        for number, copy in enumerate(copies):
            child = os.fork()
            if not child:
                work(number, copy, chosen, options, limits)
                os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        lines = [line.split() for number in range(options.workers) for line in (Path(name) / f"{number}.txt").open()]
    report([Verdict(chosen[int(at)], None if killer == "none" else killer) for at, killer in lines])
    print(f"\n{len(lines)} of {len(every)} mutants, seed {options.seed}, in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
