"""Rules 4, 5 and 6: `h` is the recipe, is handed on bare to callables of the parts, and decides the branches."""

import ast
import builtins
from collections.abc import Iterator

from golf.compose.settle import evaluate_reads
from golf.recipe.catalogue import Catalogue, did_you_mean
from golf.recipe.partfile import Part

Broken = tuple[int, ast.AST, str, str]


def lint_h(catalogue: Catalogue, part: Part, tree: ast.Module, takes_h: set[str]) -> Iterator[Broken]:
    """Every use of `h` that folding could not follow, and every branch that it could not settle. takes_h: see `callables`."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    outside = {i.bound for i in part.imports}
    # members of a chain: what they define is known when a recipe chooses them
    looped = [n.target for n in ast.walk(tree) if isinstance(n, ast.For | ast.comprehension)]
    members = {n.id for target in looped for n in ast.walk(target) if isinstance(n, ast.Name)}
    for node in ast.walk(tree):
        yield from _bindings(node)
        if _is_h(node):
            yield from _use(catalogue, node, parents, outside, takes_h | members)
        elif isinstance(node, ast.BoolOp):
            yield from _flags(node, parents)
        elif isinstance(node, ast.ClassDef):
            yield from _instance_flags(node)


def _is_h(node: ast.AST) -> bool:
    """A read of `h`, bare or as `self.h`."""
    if isinstance(node, ast.Attribute) and node.attr == "h" and isinstance(node.ctx, ast.Load):
        return isinstance(node.value, ast.Name) and node.value.id == "self"
    return isinstance(node, ast.Name) and node.id == "h" and isinstance(node.ctx, ast.Load)


def _bindings(node: ast.AST) -> Iterator[Broken]:
    """`h` bound to anything but a parameter."""
    reserved = "`h` is the recipe: name this otherwise"
    if isinstance(node, ast.Name) and node.id == "h" and not isinstance(node.ctx, ast.Load):
        yield 4, node, "`h` is bound here to something else", reserved
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == "h":
        yield 4, node, "`h` is defined here", reserved
    elif isinstance(node, ast.alias) and (node.asname or node.name) == "h":
        yield 4, node, "`h` is imported here", reserved
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name == "h":
        yield 4, node, "`h` is bound here to something else", reserved
    elif isinstance(node, ast.Global | ast.Nonlocal) and "h" in node.names:
        yield 4, node, "`h` is declared here", "it is always a parameter"
    elif isinstance(node, ast.Lambda) and any(a.arg == "h" for a in _arguments(node.args)):
        yield 4, node, "a lambda takes `h`, which folding does not follow", "write a function"
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from _parameter(node)
    elif isinstance(node, ast.Attribute) and node.attr == "h" and not _is_self(node.value):
        yield 4, node, f"`{ast.unparse(node)}` reads the recipe of another object", "take `h` as a parameter"


def _parameter(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Broken]:
    args = node.args
    starred = [a for a in (args.vararg, args.kwarg) if a is not None and a.arg == "h"]
    defaulted = [*args.posonlyargs, *args.args][len(args.posonlyargs) + len(args.args) - len(args.defaults) :]
    defaulted += [a for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if d is not None]
    if starred or any(a.arg == "h" for a in defaulted):
        yield 4, node, "`h` has a default or a star", "it is a plain parameter that every caller gives"


def _arguments(args: ast.arguments) -> list[ast.arg]:
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *(a for a in (args.vararg, args.kwarg) if a)]


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _use(
    catalogue: Catalogue, node: ast.AST, parents: dict[ast.AST, ast.AST], outside: set[str], takes_h: set[str]
) -> Iterator[Broken]:
    """One read of `h`: `h.x` of a declared knob, a bare argument to a callable of the parts, or `self.h = h`."""
    parent = parents[node]
    if isinstance(parent, ast.Attribute) and parent.value is node:
        if isinstance(parent.ctx, ast.Load) and parent.attr not in catalogue.knobs:
            fix = (
                did_you_mean(parent.attr, list(catalogue.knobs))
                or "declare it in `class Knobs` of the part that reads it"
            )
            yield 4, node, f"no part declares the knob `{parent.attr}`", fix
        elif not isinstance(parent.ctx, ast.Load):
            yield 4, node, f"`{ast.unparse(parent)}` is set here", "a recipe is fixed"
        return
    if (
        isinstance(parent, ast.Assign)
        and isinstance(node, ast.Name)
        and [ast.unparse(t) for t in parent.targets] == ["self.h"]
    ):
        return
    call = parents.get(parent) if isinstance(parent, ast.keyword) else parent
    if (
        isinstance(call, ast.Call)
        and call.func is not node
        and not (isinstance(parent, ast.keyword) and parent.arg != "h")
    ):
        yield from _callee(catalogue, call, outside, takes_h)
        return
    text = ast.unparse(parent).partition("\n")[0]
    yield (
        4,
        node,
        f"`{text}` keeps `h` where folding loses it",
        "store it only as `self.h`, pass it bare only to callables of the parts",
    )


def _callee(catalogue: Catalogue, call: ast.Call, outside: set[str], takes_h: set[str]) -> Iterator[Broken]:
    func = call.func
    root = func
    while isinstance(root, ast.Attribute | ast.Call | ast.Subscript):
        root = root.func if isinstance(root, ast.Call) else root.value
    name = root.id if isinstance(root, ast.Name) else ""
    text = ast.unparse(func)
    fix = "only callables of the parts take `h`: pass the knobs that it needs"
    if text.startswith("super()"):
        return
    if name in outside or (hasattr(builtins, name) and name not in catalogue.definitions):
        yield 4, call, f"`{text}` does not come from a part, and `h` would be lost", fix
    elif isinstance(func, ast.Name) and name in catalogue.definitions:
        if name not in takes_h:
            yield 4, call, f"`{text}` has no parameter `h`", f"add it, or {fix.partition(': ')[2]}"
    elif isinstance(func, ast.Attribute) and not {name, func.attr} & {"h", "self", *takes_h}:
        yield 4, call, f"`{text}` is no method of a part that takes `h`", fix


def callables(catalogue: Catalogue) -> set[str]:
    """Names of functions, methods and classes of the parts with a parameter `h`; a class without `__init__` takes its base's."""
    names = set[str]()
    classes: dict[str, ast.ClassDef] = {}
    for part in catalogue.parts.values():
        for node in ast.walk(ast.parse(part.text)):
            if isinstance(node, ast.FunctionDef) and any(a.arg == "h" for a in _arguments(node.args)):
                names.add(node.name)
            elif isinstance(node, ast.ClassDef):
                classes[node.name] = node
    constants = {n for d in catalogue.definitions.values() if d.kind == "constant" for n in d.names}
    names |= constants

    def init_takes(node: ast.ClassDef) -> bool:
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef) and statement.name in ("__init__", "__new__"):
                return any(a.arg == "h" for a in _arguments(statement.args))
        return any(
            init_takes(classes[b]) for b in map(ast.unparse, node.bases) if b in classes and classes[b] is not node
        )

    return (names - {"__init__"}) | {name for name, node in classes.items() if init_takes(node)}


def _flags(node: ast.BoolOp, parents: dict[ast.AST, ast.AST]) -> Iterator[Broken]:
    """Rule 6, and rule 5's corollary: a condition of the recipe stands first, or folding cannot see it."""
    reads = [evaluate_reads(value) for value in node.values]
    negated = [
        isinstance(v, ast.UnaryOp) and isinstance(v.op, ast.Not) and r for v, r in zip(node.values, reads, strict=True)
    ]
    parent = parents.get(node)
    if (
        isinstance(node.op, ast.And)
        and any(negated)
        and sum(map(bool, reads)) > 1
        and isinstance(parent, ast.If | ast.IfExp)
    ):
        yield (
            6,
            node,
            f"`{ast.unparse(node)}` makes two choices exclude each other",
            "what cannot coexist shares a slot",
        )
    elif any(r and not reads[i] for i in range(len(reads)) for r in reads[i + 1 :]):
        yield (
            5,
            node,
            f"`{ast.unparse(node)}` decides by the recipe last",
            "put the condition on `h` first, so that it folds",
        )


def _instance_flags(node: ast.ClassDef) -> Iterator[Broken]:
    """A branch on an attribute that only repeats a choice of the recipe."""
    copies: dict[str, str] = {}
    for statement in ast.walk(node):
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            if isinstance(target, ast.Attribute) and _is_self(target.value) and evaluate_reads(statement.value):
                copies[target.attr] = ast.unparse(statement.value)
    for branch in ast.walk(node):
        if isinstance(branch, ast.If | ast.IfExp | ast.While | ast.Assert):
            for read in ast.walk(branch.test):
                if isinstance(read, ast.Attribute) and _is_self(read.value) and read.attr in copies:
                    yield (
                        5,
                        branch,
                        f"`self.{read.attr}` repeats `{copies[read.attr]}` and decides a branch",
                        "branch on `h`",
                    )
