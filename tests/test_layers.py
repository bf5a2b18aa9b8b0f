"""The order of the modules: each imports only from those before it, so whoever reads a file knows what it rests on."""

import ast
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
    "zone",
    "values",
    "document",
    "fields",
    "listfile",
    "zonefile",
    "config",
    "rib",
    "wire",
    "table",
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
    "server",
    "cli",
    "__main__",
)
MODULES = sorted(path.stem for path in (*PACKAGE.glob("*.py"), *PACKAGE.glob("*.pyx")))
COMPILED_IMPORT = re.compile(r"^ *(?:from [\w.]+ c?import (?:\([^)]*\)|.*)|c?import .*)$", re.MULTILINE)


def parse(module: str) -> ast.Module:
    """A module's source; of a compiled one its docstring and its imports."""
    path = PACKAGE / f"{module}.py"
    if path.exists():
        return ast.parse(path.read_text(), module)
    source = (PACKAGE / f"{module}.pyx").read_text()
    imports = [found.replace("cimport", "import") for found in COMPILED_IMPORT.findall(source)]
    docstring = '"""'.join(source.split('"""')[:2]) + '"""'
    return ast.parse("\n".join([docstring, *imports]))


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
    assert [path.name for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE] == []


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
