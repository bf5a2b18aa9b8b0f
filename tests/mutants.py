"""Mutation testing, by hand: which small changes of the program do the tests not notice?

    python -m tests.mutants --seed 1 --count 500 [--workers 2] [--near] [--only model/net.py ...]

Changes one place at a time in the packages that are plain Python and read no socket and no clock, in a copy of the
tree, and runs the tests that belong to it until one fails: first those of its module, then those of its package, then
those of the packages that import it (not with --near). A test that hangs has noticed too. Prints the difference that
each survivor makes, and the share of those killed by package. The same seed chooses the same mutants.

No change is made to annotations, docstrings, f-strings, log calls, and texts for people.
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
from copy import deepcopy
from importlib import import_module
from itertools import islice
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

# Each mutant's tests run in a fork of this process: what they import, but for the program, is there already.
for _name in ("dns.message", "dns.query", "dnslib", "hypothesis.strategies", "pydantic"):
    import_module(_name)

TREE = Path(__file__).parent.parent
PACKAGES = ("model", "dns", "sources", "compiler", "table", "answer")
COPIED = ("dnsbl_server", "tests", "fuzz", "zones", "pyproject.toml")
MEMORY = 4 << 30  # bytes that the tests of a mutant may have
OUTPUT = ".output"  # of the tests that ran last in a copy
LOOK = 0.02  # seconds between two looks whether they have ended

_SWAPPED: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE,),
    ast.LtE: (ast.Lt,),
    ast.Gt: (ast.GtE,),
    ast.GtE: (ast.Gt,),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
}
# Calls whose strings people read.
_SAYING = {"error", "warning", "warn", "info", "debug", "exception", "critical", "log"}
_LOGGERS = {"log", "logger", "logging", "_log", "_logger", "LOG"}


class Mutant(NamedTuple):
    """One change: what stands between two offsets of a file, in bytes, becomes something else."""

    file: str
    start: int
    end: int
    text: str


class Verdict(NamedTuple):
    """What became of a mutant: the group of tests that noticed, or None."""

    mutant: Mutant
    killer: str | None


class Finder(ast.NodeVisitor):
    """All mutants of a file."""

    def __init__(self, file: str, source: bytes) -> None:
        self.found: list[Mutant] = []
        self._file = file
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._for_people = 0
        self._assigned: list[set[str]] = [set()]
        self.visit(ast.parse(source))

    def _replace(self, node: ast.AST, text: str) -> None:
        assert isinstance(node, ast.expr | ast.stmt)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._lines[node.lineno - 1] + node.col_offset
        end = self._lines[node.end_lineno - 1] + node.end_col_offset
        # Brackets keep the meaning of what stands around an expression.
        text = f"({text})" if isinstance(node, ast.BinOp | ast.BoolOp | ast.Compare | ast.UnaryOp) else text
        self.found.append(Mutant(self._file, start, end, text))

    def _change(self, node: ast.AST, **fields: object) -> None:
        changed = deepcopy(node)
        for name, value in fields.items():
            setattr(changed, name, value)
        self._replace(node, ast.unparse(changed))

    def _visit_body(self, node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        is_described = bool(node.body) and ast.get_docstring(node, clean=False) is not None
        for statement in node.body[is_described:]:
            self.visit(statement)

    def visit_Module(self, node: ast.Module) -> None:
        self._visit_body(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_decorators(node)
        self._visit_body(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._visit_decorators(node)
        for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(default)
        self._assigned.append({argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)})
        self._visit_body(node)
        self._assigned.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def _visit_decorators(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            start = self._lines[decorator.lineno - 1] + decorator.col_offset - 1
            assert decorator.end_lineno is not None
            assert decorator.end_col_offset is not None
            end = self._lines[decorator.end_lineno - 1] + decorator.end_col_offset
            if ast.unparse(decorator) not in ("overload", "abstractmethod", "override"):
                self.found.append(Mutant(self._file, start, end, ""))
            self.visit(decorator)

    def visit_Assign(self, node: ast.Assign) -> None:
        names = {target.id for target in node.targets if isinstance(target, ast.Name)}
        if "__all__" in names:
            return
        # Without an assignment to what has no other value, nothing would run at all.
        if not names or names <= self._assigned[-1]:
            self._replace(node, "pass")
        self._assigned[-1] |= names
        self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._replace(node, "pass")
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call) and not self._is_log(node.value):
            self._replace(node, "pass")
            self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._replace(node, "pass")
        self._for_people += 1
        self.generic_visit(node)
        self._for_people -= 1

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None:
            if not (isinstance(node.value, ast.Constant) and node.value.value is None):
                self._replace(node, "return None")
            self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def _negate(self, test: ast.expr) -> None:
        # What compares is negated by its operator.
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            self._replace(test, ast.unparse(test.operand))
        elif not isinstance(test, ast.Compare | ast.BoolOp):
            self._replace(test, f"(not {ast.unparse(test)})")

    def visit_Compare(self, node: ast.Compare) -> None:
        for at, op in enumerate(node.ops):
            for other in _SWAPPED[type(op)]:
                self._change(node, ops=[*node.ops[:at], other(), *node.ops[at + 1 :]])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self._swap_op(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self._swap_op(node)

    def _swap_op(self, node: ast.BoolOp | ast.BinOp) -> None:
        for other in _SWAPPED.get(type(node.op), ()):
            self._change(node, op=other())
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if self._is_log(node):
            return
        for at in range(len(node.keywords)):
            self._change(node, keywords=[*node.keywords[:at], *node.keywords[at + 1 :]])
        is_saying = isinstance(node.func, ast.Attribute) and node.func.attr in _SAYING
        self._for_people += is_saying
        self.generic_visit(node)
        self._for_people -= is_saying

    @staticmethod
    def _is_log(node: ast.Call) -> bool:
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        return isinstance(owner, ast.Name) and owner.id in _LOGGERS

    def visit_Slice(self, node: ast.Slice) -> None:
        for name in ("lower", "upper"):
            bound = getattr(node, name)
            if bound is not None:
                self._change(node, **{name: None})
                if not isinstance(bound, ast.Constant):
                    self._replace(bound, f"{ast.unparse(bound)} + 1")
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave f-strings alone: Python 3.11 does not say where their parts are."""

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self._replace(node, repr(not value))
        elif isinstance(value, int):
            self._replace(node, repr(value + 1))
            self._replace(node, repr(value - 1) if value else "(-1)")
        elif isinstance(value, str | bytes) and not self._for_people:
            self._replace(node, repr(value + "X" if isinstance(value, str) else value + b"X"))
            if value:
                self._replace(node, repr(value[:0]))


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
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            # 5: there was no test to run.
            return os.waitstatus_to_exitcode(status) in (0, 5)
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        time.sleep(LOOK)


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
