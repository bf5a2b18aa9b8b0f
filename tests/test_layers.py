"""The order of the modules: each imports only from those before it, so whoever reads a file knows what it rests on."""

import ast
import importlib
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import dnsbl_server

PACKAGE = Path(dnsbl_server.__file__).parent
# From the bottom to the top.
LAYERS = (
    "__init__",
    "_answer",
    "_engine",
    "problem",
    "address",
    "_spans",
    "zone",
    "values",
    "document",
    "fields",
    "_scan",
    "listfile",
    "zonefile",
    "config",
    "rib",
    "wire",
    "_prints",
    "table",
    "_merge",
    "compiler",
    "load",
    "loader",
    "snapshot",
    "respond",
    "service",
    "lookup",
    "udp",
    "tcp",
    "watch",
    "reload",
    "metrics",
    "notify",
    "server",
    "cli",
    "__main__",
)
COMPILED = sorted(path.stem for path in PACKAGE.glob("*.pyx"))
MODULES = sorted([*(path.stem for path in PACKAGE.glob("*.py")), *COMPILED])
# An import of Cython's or Python's, with whatever stands before it in its line.
IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+\S+[ \t]+)?c?import[ \t]+(?:\([^)]*\)|[^\n]*)", re.MULTILINE)


def parse(module: str) -> ast.Module:
    """A module; of a compiled one, what it says of itself and what it and its declarations import."""
    if module not in COMPILED:
        return ast.parse((PACKAGE / f"{module}.py").read_text(), module)
    files = [PACKAGE / f"{module}{suffix}" for suffix in (".pyx", ".pxd", ".pyi")]
    return parse_compiled("".join(file.read_text() for file in files if file.exists()))


def parse_compiled(source: str) -> ast.Module:
    """The docstring and the imports of Cython source, as Python that can be looked at like any other."""
    docstring = re.match(r'""".*?"""', source, re.DOTALL)
    found = [docstring.group()] if docstring else []
    for statement in IMPORT.findall(source):
        plain = re.sub(r"\bcimport\b", "import", statement)
        found.append(f"if hidden:\n{plain}" if plain[0].isspace() else plain)
    return ast.parse("\n".join(found))


def imports_of(tree: ast.Module) -> Iterator[str]:
    """The modules of the package that a module imports, wherever it does so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = "dnsbl_server" if node.level else ""
            source = ".".join(filter(None, (start, node.module)))
            names = [f"{source}.{alias.name}" for alias in node.names] if source == "dnsbl_server" else [source]
        else:
            continue
        for name in names:
            package, _, module = name.partition(".")
            if package == "dnsbl_server":
                # What the package itself defines comes from its __init__.
                yield module.partition(".")[0] if module.partition(".")[0] in MODULES else "__init__"


def hidden_imports(tree: ast.Module) -> list[int]:
    """The lines of the imports that are not at the top level: in functions, and those that are optional."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom) and node not in tree.body
    ]


def test_every_module_has_its_place() -> None:
    assert sorted(LAYERS) == MODULES
    inside = [path for suffix in ("py", "pyx", "pxd", "pyi") for path in PACKAGE.rglob(f"*.{suffix}")]
    assert [path.name for path in inside if path.parent != PACKAGE] == []
    assert [path.name for path in inside if path.stem not in MODULES] == []


@pytest.mark.parametrize("module", COMPILED)
def test_the_types_of_a_compiled_module_are_of_what_it_has(module: str) -> None:
    stub = ast.parse((PACKAGE / f"{module}.pyi").read_text())
    compiled = importlib.import_module(f"dnsbl_server.{module}")
    declared = [node for node in stub.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    for node in declared:
        for each in node.body if isinstance(node, ast.ClassDef) else ():
            assert isinstance(each, ast.FunctionDef)
            assert hasattr(getattr(compiled, node.name), each.name)
    public = {name for name, value in vars(compiled).items() if getattr(value, "__module__", "") == compiled.__name__}
    assert {node.name for node in declared} == {name for name in public if not name.startswith("_")}


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_from_modules_before(module: str) -> None:
    allowed = LAYERS[: LAYERS.index(module)]
    assert [name for name in imports_of(parse(module)) if name not in allowed] == []


def test_no_import_cycles() -> None:
    graph = {module: set(imports_of(parse(module))) for module in MODULES}
    assert any(graph.values())
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("module", MODULES)
def test_imports_stand_at_the_top(module: str) -> None:
    assert hidden_imports(parse(module)) == []


@pytest.mark.parametrize("module", MODULES)
def test_module_says_what_it_is(module: str) -> None:
    assert (ast.get_docstring(parse(module)) or "").strip()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import dnsbl_server.zone", ["zone"]),
        ("import dnsbl_server", ["__init__"]),
        ("from dnsbl_server import __version__, rib", ["__init__", "rib"]),
        ("from dnsbl_server.table import ZoneTable", ["table"]),
        ("from .cli import main", ["cli"]),
        ("from . import cli", ["cli"]),
        ("import zone, os.path\nfrom zone import cli", []),
        ("def f():\n    import dnsbl_server.cli", ["cli"]),
    ],
)
def test_imports_are_seen(source: str, found: list[str]) -> None:
    assert list(imports_of(ast.parse(source))) == found


@pytest.mark.parametrize(
    "source", ["def f():\n import os", "try:\n import os\nexcept E:\n pass", "if x:\n from a import b"]
)
def test_hidden_imports_are_seen(source: str) -> None:
    assert hidden_imports(ast.parse(source)) == [2]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from dnsbl_server._spans cimport Span, Spans", ["_spans"]),
        ("from dnsbl_server.zone cimport (\n    Span,\n    Spans,\n)\ncdef int f(): pass", ["zone"]),
        ("cimport dnsbl_server.zone", ["zone"]),
        ("cdef int f():\n    from dnsbl_server cimport zone", ["zone"]),
        ("from libc.stdint cimport uint32_t\ncdef extern from *:\n    pass", []),
    ],
)
def test_imports_of_compiled_modules_are_seen(source: str, found: list[str]) -> None:
    assert list(imports_of(parse_compiled(source))) == found
    assert bool(hidden_imports(parse_compiled(source))) == ("f():\n    from" in source)
