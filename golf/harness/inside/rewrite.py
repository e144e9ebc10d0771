"""A stranger's source made ready for the CPU, by its syntax tree: devices, kernels' types, sizes in classes, and digits of what it prints.

A number printed with four digits hides what the experiments measure, so formats are widened; what is computed stays as it is.
"""

import ast
import re
from collections.abc import Mapping
from typing import Any

DIGITS = re.compile(r"(?<=[:%])([+ ]?\d*)\.(\d+)([fg])")
DIGITS_SPEC = re.compile(r"^([+ ]?\d*)\.(\d+)([fg])$")
WIDE = r"\1.12f"
TABLE_SIZES = frozenset((1 << 22, 1 << 23, 1 << 24, 1 << 25))  # slots of hashed tables in the contest's scripts
SMALL_TABLE = 1024
PACKER_SIZES = frozenset(("dict_size", "lgwin", "window_log"))  # of a compressor's window, which has a least size
BOUND_NAME = re.compile(r"(?i)max|limit|bytes|cap(?:_|$)")
SLOT_NAME = re.compile(r"(?i)bucket|(?:^|_)slots?$|n_?slots|table_size|hash_size|cache_size|(?:^|_)bins?$")


class ForCPU(ast.NodeTransformer):
    """The pass. sizes: value of lower-case names in class bodies and at module level; wide: print 12 digits; is_cuda: whether tensors
    say that they lie on a GPU."""

    def __init__(self, sizes: Mapping[str, Any], *, wide: bool = True, is_cuda: bool = True) -> None:
        self.sizes, self.wide, self.is_cuda = sizes, wide, is_cuda
        self.depth = 0
        self.tables = True  # whether a number of the size of a table is one

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        value: Any = node.value
        if type(value) is str:
            if value == "cuda" or re.fullmatch(r"cuda(:\d+)?", value):
                value = "cpu"
            elif value.startswith("cuda:"):
                value = "cpu"
            elif value == "nccl":
                value = "gloo"
        elif type(value) is int and value in TABLE_SIZES and self.tables:
            value = SMALL_TABLE
        return ast.copy_location(ast.Constant(value), node) if value is not node.value else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        first = node.values[0] if node.values else None
        if isinstance(first, ast.Constant) and str(first.value).startswith("cuda"):
            return ast.copy_location(ast.Constant("cpu"), node)
        self.generic_visit(node)
        return node

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        node.value = self.visit(node.value)
        if self.wide and isinstance(node.format_spec, ast.JoinedStr):
            for part in node.format_spec.values:
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    part.value = DIGITS_SPEC.sub(WIDE, part.value)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        if self.wide and isinstance(node.op, ast.Mod) and _is_text(node.left):
            node.left = _widened(node.left)
        if (
            isinstance(node.op, ast.LShift)
            and isinstance(node.left, ast.Constant)
            and isinstance(node.right, ast.Constant)
        ):
            if self.tables and node.left.value == 1 and node.right.value in (22, 23, 24, 25):
                return ast.copy_location(ast.Constant(SMALL_TABLE), node)
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if (
            self.wide
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "format"
            and _is_text(node.func.value)
        ):
            node.func.value = _widened(node.func.value)
        if self.wide and isinstance(node.func, ast.Name) and node.func.id == "format" and len(node.args) == 2:
            if _is_text(node.args[1]):
                spec = node.args[1]
                assert isinstance(spec, ast.Constant)
                spec.value = DIGITS_SPEC.sub(WIDE, str(spec.value))
        for keyword in node.keywords:
            if keyword.arg in ("pin_memory", "pin_memory_device", "fused"):
                keyword.value = ast.copy_location(ast.Constant(False), keyword.value)
            elif keyword.arg:
                keyword.value = _slots(keyword.arg, keyword.value)
        self.generic_visit(node)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if self.is_cuda and node.attr == "is_cuda" and isinstance(node.ctx, ast.Load):
            return ast.copy_location(ast.Constant(True), node)
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        self.generic_visit(node)
        named = [*node.posonlyargs, *node.args][-len(node.defaults) :] if node.defaults else []
        node.defaults = [_slots(arg.arg, value) for arg, value in zip(named, node.defaults, strict=True)]
        node.kw_defaults = [
            value if value is None else _slots(arg.arg, value)
            for arg, value in zip(node.kwonlyargs, node.kw_defaults, strict=True)
        ]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list = [each for each in node.decorator_list if "torch.compile" not in ast.unparse(each)]
        return self._inner(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._inner(node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return self._inner(node)

    def _inner(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> ast.AST:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        return self._without_tables(node)  # a bound is no table

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        packs = any(isinstance(key, ast.Constant) and key.value in PACKER_SIZES for key in node.keys)
        return self._without_tables(node) if packs else self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        return self._without_tables(node) if node.arg in PACKER_SIZES else self.generic_visit(node)

    def _without_tables(self, node: ast.Compare | ast.Assign | ast.Dict | ast.keyword) -> ast.AST:
        self.tables, before = False, self.tables
        self.generic_visit(node)
        self.tables = before
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        if any(isinstance(each, ast.Name) and BOUND_NAME.search(each.id) for each in node.targets):
            self._without_tables(node)
        else:
            self.generic_visit(node)
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            node.value = _slots(node.targets[0].id, node.value)
            if self.depth == 0:
                node.value = self._sized(node.targets[0].id, node.value)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if self.depth == 0 and isinstance(node.target, ast.Name) and node.value is not None:
            node.value = self._sized(node.target.id, node.value)
        return node

    def _sized(self, name: str, value: ast.expr) -> ast.expr:
        """A plain number of a name that is a size gets the small one."""
        if isinstance(value, ast.Constant) and type(value.value) in (int, float) and name.lower() in self.sizes:
            wanted = self.sizes[name.lower()]
            return ast.copy_location(ast.Constant(int(wanted) if type(value.value) is int else float(wanted)), value)
        return value


def _slots(name: str, value: ast.expr) -> ast.expr:
    """A number of slots, by the name that it is given, becomes small: tables collide as they do over millions of tokens."""
    if (
        SLOT_NAME.search(name)
        and isinstance(value, ast.Constant)
        and type(value.value) is int
        and value.value > SMALL_TABLE
    ):
        return ast.copy_location(ast.Constant(SMALL_TABLE), value)
    return value


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _widened(node: ast.expr) -> ast.expr:
    assert isinstance(node, ast.Constant)
    return ast.copy_location(ast.Constant(DIGITS.sub(WIDE, str(node.value))), node)


def for_cpu(
    source: str, filename: str, sizes: Mapping[str, Any], *, wide: bool = True, is_cuda: bool = True
) -> ast.Module:
    """`source` parsed and passed. SyntaxError where this Python cannot read it, even with newer f-strings spelled out."""
    try:
        tree = ast.parse(source, filename)
    except SyntaxError:
        from golf.harness.inside.fstrings import older

        tree = ast.parse(older(source), filename)
    passed: ast.Module = ForCPU(sizes, wide=wide, is_cuda=is_cuda).visit(tree)
    return ast.fix_missing_locations(passed)
