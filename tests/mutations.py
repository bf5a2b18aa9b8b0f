"""Small changes of a Python file that its tests should notice; `tests/mutants.py` tries them.

Comparisons, boundaries, `and` and `or`, conditions, arithmetic, what is returned, statements left out, texts, keywords,
decorators and the bounds of slices. Nothing is changed in annotations, docstrings, f-strings, log calls, and texts for
people, nor what cannot be noticed: caches, type variables, and `strict=True`, which states what holds anyway.
"""

import ast
from copy import deepcopy
from typing import NamedTuple

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
            if ast.unparse(decorator).startswith(("lru_cache(", "cache(")):
                continue
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
        if self._is_log(node) or ast.unparse(node.func) == "TypeVar":
            return
        for at, keyword in enumerate(node.keywords):
            if keyword.arg != "strict":
                self._change(node, keywords=[*node.keywords[:at], *node.keywords[at + 1 :]])
        is_saying = isinstance(node.func, ast.Attribute) and node.func.attr in _SAYING
        self._for_people += is_saying
        self.generic_visit(node)
        self._for_people -= is_saying

    @staticmethod
    def _is_log(node: ast.Call) -> bool:
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        return isinstance(owner, ast.Name) and owner.id in _LOGGERS

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg != "strict":
            self.visit(node.value)

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
