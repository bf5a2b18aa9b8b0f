"""The order of the packages: what each may import, in one table that CONTRIBUTING.md shows in the same words."""

import ast
import importlib
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import dnsbl_server

PACKAGE = Path(dnsbl_server.__file__).parent
CONTRIBUTING = PACKAGE.parent / "CONTRIBUTING.md"
# What the modules of a package, or a module beside the packages, may import besides their own package.
MAY_IMPORT = {
    "__init__": "",
    "model": "",
    "endpoint": "",
    "notify": "",
    "log": "model",
    "privileges": "",
    "dns": "model",
    "sources": "model, dns",
    "table": "model, dns",
    "compiler": "model, table",
    "answer": "model, dns, table",
    "engine": "endpoint, dns, table, answer",
    "supply": "__init__, model, dns, sources, table, compiler",
    "explain": "model, dns, table, compiler, answer, supply",
    "http": "endpoint",
    "config": "model, endpoint, sources",
    "server": "__init__, model, endpoint, notify, privileges, answer, engine, supply, http, config",
    "cli": "__init__, model, endpoint, log, dns, sources, supply, explain, config, server",
    "__main__": "cli",
}


def modules_of(suffix: str) -> set[str]:
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob(f"*{suffix}")}


COMPILED = sorted(modules_of(".pyx"))
# With those that have nothing but a .pxd, which Cython puts into the modules that import it.
CYTHON = sorted(modules_of(".pyx") | modules_of(".pxd"))
MODULES = sorted(modules_of(".py") | set(CYTHON))
# For tests only: these may import each other, and nothing else imports them.
PROBES = {"answer._probe", "answer._mutation", "answer._storm"}
# An import of Cython's or Python's, with whatever stands before it in its line.
IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+\S+[ \t]+)?c?import[ \t]+(?:\([^)]*\)|[^\n]*)", re.MULTILINE)


def package_of(module: str) -> str:
    """The package of a module, or the module itself where it stands beside the packages."""
    return module.partition(".")[0]


def parse(module: str) -> ast.Module:
    """A module; of a compiled one, what it says of itself and what it and its declarations import."""
    path = PACKAGE.joinpath(*module.split("."))
    if module not in CYTHON:
        return ast.parse(path.with_suffix(".py").read_text(), module)
    files = [path.with_suffix(suffix) for suffix in (".pyx", ".pxd", ".pyi")]
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
    """The modules of the program that a module imports, wherever it does so. (ruff refuses relative imports.)"""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            top, *parts = name.split(".")
            if top == "dnsbl_server":
                # What is no module is a name that a module, or the program itself, defines.
                while parts and ".".join(parts) not in MODULES:
                    parts.pop()
                yield ".".join(parts) or "__init__"


def hidden_imports(tree: ast.Module) -> list[int]:
    """The lines of the imports that are not at the top level: in functions, and those that are optional."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom) and node not in tree.body
    ]


def described_in_contributing() -> dict[str, str]:
    """The rules as CONTRIBUTING.md has them: the rows of its table of packages."""
    rows = re.findall(r"^\| `(\S+?)/?` \| ([^|]*) \| [^|]* \|$", CONTRIBUTING.read_text(), re.MULTILINE)
    return {name: "" if allowed == "nothing" else allowed for name, allowed in rows}


def test_the_rules_are_those_of_contributing() -> None:
    assert described_in_contributing() == {name: rule for name, rule in MAY_IMPORT.items() if "__" not in name}


def test_every_module_has_its_place() -> None:
    assert sorted({package_of(module) for module in MODULES}) == sorted(MAY_IMPORT)
    inside = [path for suffix in ("pyx", "pxd", "pyi") for path in PACKAGE.rglob(f"*.{suffix}")]
    assert [path.name for path in inside if path.parent == PACKAGE] == []


def test_the_rules_are_a_partial_order() -> None:
    graph = {name: set(rule.split(", ")) if rule else set() for name, rule in MAY_IMPORT.items()}
    assert sorted(TopologicalSorter(graph).static_order()) == sorted(MAY_IMPORT)


@pytest.mark.parametrize("module", MODULES)
def test_imports_are_allowed(module: str) -> None:
    allowed = {package_of(module), *MAY_IMPORT[package_of(module)].split(", ")}
    assert [name for name in imports_of(parse(module)) if package_of(name) not in allowed] == []


def test_every_rule_is_used() -> None:
    used: dict[str, set[str]] = {}
    for module in MODULES:
        names = {package_of(name) for name in imports_of(parse(module))} - {package_of(module)}
        used.setdefault(package_of(module), set()).update(names)
    assert {name: ", ".join(each for each in MAY_IMPORT if each in names) for name, names in used.items()} == MAY_IMPORT


@pytest.mark.parametrize("module", MODULES)
def test_what_is_for_tests_is_imported_by_tests_only(module: str) -> None:
    assert set(MODULES) >= PROBES
    assert module in PROBES or not PROBES & set(imports_of(parse(module)))


def test_no_import_cycles() -> None:
    graph = {module: set(imports_of(parse(module))) - {module} for module in MODULES}
    assert any(graph.values())
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("module", COMPILED)
def test_the_types_of_a_compiled_module_are_of_what_it_has(module: str) -> None:
    stub = ast.parse(PACKAGE.joinpath(*module.split(".")).with_suffix(".pyi").read_text())
    compiled = importlib.import_module(f"dnsbl_server.{module}")
    declared = [node for node in stub.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    for node in declared:
        for each in node.body if isinstance(node, ast.ClassDef) else ():
            assert isinstance(each, ast.FunctionDef | ast.AnnAssign)
            name = each.name if isinstance(each, ast.FunctionDef) else ast.unparse(each.target)
            assert hasattr(getattr(compiled, node.name), name)
    public = {name for name, value in vars(compiled).items() if getattr(value, "__module__", "") == compiled.__name__}
    assert {node.name for node in declared} == {name for name in public if not name.startswith("_")}
    constants = {ast.unparse(node.target) for node in stub.body if isinstance(node, ast.AnnAssign)}
    assert constants == {name for name, value in vars(compiled).items() if isinstance(value, int)}


@pytest.mark.parametrize("module", MODULES)
def test_imports_stand_at_the_top(module: str) -> None:
    assert hidden_imports(parse(module)) == []


@pytest.mark.parametrize("module", MODULES)
def test_module_says_what_it_is(module: str) -> None:
    assert (ast.get_docstring(parse(module)) or "").strip()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import dnsbl_server.model.zone", ["model.zone"]),
        ("import dnsbl_server", ["__init__"]),
        ("from dnsbl_server import __version__, endpoint", ["__init__", "endpoint"]),
        ("from dnsbl_server.table.table import ZoneTable", ["table.table"]),
        ("from dnsbl_server.table import table", ["table.table"]),
        ("import model, os.path\nfrom model import zone", []),
        ("def f():\n    import dnsbl_server.cli.main", ["cli.main"]),
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
        ("from dnsbl_server.model._spans cimport Span, Spans", ["model._spans", "model._spans"]),
        ("from dnsbl_server.model._spans cimport (\n    Span,\n)\ncdef int f(): pass", ["model._spans"]),
        ("cimport dnsbl_server.model._spans", ["model._spans"]),
        ("cdef int f():\n    from dnsbl_server.model cimport _spans", ["model._spans"]),
        ("from libc.stdint cimport uint32_t\ncdef extern from *:\n    pass", []),
    ],
)
def test_imports_of_compiled_modules_are_seen(source: str, found: list[str]) -> None:
    assert list(imports_of(parse_compiled(source))) == found
    assert bool(hidden_imports(parse_compiled(source))) == ("f():\n    from" in source)
