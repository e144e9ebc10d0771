"""A chain of one member: what serves any number of members, written for the one that the file has.

`members((XSA,), layer)` is the dictionary that it makes. `for hook in self.attn_out.values(): y = hook(y)` over `nn.ModuleDict({"XSA": XSA()})` is
`y = self.attn_out["XSA"](y)`, under `if "XSA" in self.attn_out` where a layer may lack it. The dictionary stays: it names the weights.
A function's own dictionary names none: `averages = {"EMA": EMA(model)}` is `ema = EMA(model)`, also in what `averages` is handed to.
"""

import ast
from collections.abc import Iterator

from golf.compose.edits import Change, Edit, dedented, lines_of, replaced, rewritten, source, span
from golf.compose.program import Program, Target, Tree, fields_of, is_set


def inlined_chains(program: Program) -> Iterator[Change]:
    """A helper of one comprehension over its first parameter, which every call gives one member: the expression in place of the calls."""
    for name, node in program.functions.items():
        target = program.trees[name].targets[node]
        tree, calls = program.trees[name], program.calls_of(target)
        body = node.body[-1]
        if not (
            calls and target.parameters and program.is_closed(target) and isinstance(body, ast.Return) and body.value
        ):
            continue
        if any(not isinstance(s, ast.Expr) for s in node.body[:-1]) or not _is_over(body.value, target):
            continue
        change: Change = []
        for where, call in calls:
            given = target.given(call)
            if given is None or len(given) < len(target.parameters) or not _fits(tree, where, given, target):
                break
            edits = [
                replaced(tree, read, source(where, value))
                for parameter, value in given.items()
                for read in tree.names_in(body.value, parameter)
            ]
            change.append(replaced(where, call, rewritten(tree, *span(tree, body.value), edits)))
        else:
            yield change


def _is_over(value: ast.expr, target: Target) -> bool:
    """Whether an expression is a call of one comprehension over the first parameter."""
    if not (isinstance(value, ast.Call) and len(value.args) == 1 and isinstance(value.args[0], ast.DictComp)):
        return False
    each = value.args[0].generators
    return len(each) == 1 and isinstance(each[0].iter, ast.Name) and each[0].iter.id == target.parameters[0].arg


def _fits(tree: Tree, where: Tree, given: dict[str, ast.expr], target: Target) -> bool:
    """Whether a call gives one class of the file, and names that mean the same inside the comprehension."""
    chain, *others = (given[parameter.arg] for parameter in target.parameters)
    inner = {name for names in tree.bound.values() for name in names} - given.keys()
    one = isinstance(chain, ast.Tuple) and len(chain.elts) == 1 and isinstance(chain.elts[0], ast.Name)
    plain = all(isinstance(value, ast.Name | ast.Constant) for value in others)
    return one and plain and not any(source(where, value) in inner for value in (chain, *others))


def members_by_name(program: Program) -> Iterator[Change]:
    """A loop over a dictionary of one module is that module, by its key."""
    for tree in program.trees.values():
        if not isinstance(tree.node, ast.ClassDef):
            continue
        for name, (key, always) in _only_members(tree).items():
            is_field = any(program.is_tuple(kind) and name in fields_of(node) for kind, node in program.classes.items())
            mentions = [
                (where, n) for where, n in program.attributes[name] if not is_field or ast.unparse(n.value) == "self"
            ]
            if not all(_is_asked(where, node) for where, node in mentions):
                continue
            for node in tree.of(ast.For):
                if _is_call_of(node.iter, name, "values") and (edit := _once(tree, node, name, key, always)):
                    yield [edit]
            for comp in tree.of(ast.DictComp):
                each = comp.generators[0]
                if always and len(comp.generators) == 1 and not each.ifs and _is_call_of(each.iter, name, "items"):
                    if edit := _entry(tree, comp, name, key):
                        yield [edit]


def _only_members(tree: Tree) -> dict[str, tuple[str, bool]]:
    """Attribute → (the key of its only module, whether it always has it), where it is set once, to such a dictionary."""
    stores: dict[str, list[ast.AST]] = {}
    for node in tree.attributes:
        if not isinstance(node.ctx, ast.Load):
            stores.setdefault(node.attr, []).append(tree.parents[node])
    found = {}
    for name, settings in stores.items():
        match settings:
            case [ast.Assign(targets=[_], value=ast.Call(func=func, args=[made], keywords=[]))]:
                if ast.unparse(func) != "nn.ModuleDict":
                    continue
                always = isinstance(made, ast.Dict)
                if isinstance(made, ast.IfExp) and isinstance(made.orelse, ast.Dict) and not made.orelse.keys:
                    made = made.body
                if (
                    isinstance(made, ast.Dict)
                    and len(made.keys) == 1
                    and isinstance(key := made.keys[0], ast.Constant)
                    and isinstance(key.value, str)
                ):
                    found[name] = (key.value, always)
    return found


def _is_asked(tree: Tree, node: ast.Attribute) -> bool:
    """Whether a mention of a dictionary sets it, or only asks what it holds: nothing else may come in later."""
    around = tree.parents[node]
    if not isinstance(node.ctx, ast.Load):
        return True
    if isinstance(around, ast.Attribute):
        return around.attr in ("values", "items", "keys")
    return isinstance(around, ast.Compare) or (isinstance(around, ast.Subscript) and isinstance(around.ctx, ast.Load))


def _is_call_of(node: ast.expr, name: str, method: str) -> bool:
    """Whether an expression is `self.name.method()`."""
    return ast.unparse(node) == f"self.{name}.{method}()"


def _once(tree: Tree, node: ast.For, name: str, key: str, always: bool) -> Edit | None:
    """The loop's body for the only module; None where it may not stand alone."""
    column = node.col_offset + (0 if always else 4)
    body = _pass_of(tree, node, f'self.{name}["{key}"]', column)
    if body is None:
        return None
    head = "" if always else " " * node.col_offset + f'if "{key}" in self.{name}:\n'
    return Edit(tree, *lines_of(tree, node.lineno, node.body[-1].end_lineno or 0), head + body)


def _pass_of(tree: Tree, node: ast.For, member: str, column: int) -> str | None:
    """A loop's body, moved to a column, with `member` for what it loops over; None where it may not stand alone."""
    function = tree.function_of(node)
    if not isinstance(node.target, ast.Name) or node.orelse or function is None:
        return None
    if any(isinstance(n, ast.Break | ast.Continue | ast.Lambda | ast.FunctionDef) for s in node.body for n in ast.walk(s)):  # fmt: skip
        return None
    inside = [n for s in node.body for n in tree.names_in(s, node.target.id)]
    elsewhere = [n for n in tree.names_in(function, node.target.id) if n is not node.target and n not in inside]
    loops = [n for n in tree.of(ast.For) if isinstance(n.target, ast.Name) and n.target.id == node.target.id]
    own = [m for loop in loops for m in (loop.target, *(n for s in loop.body for n in tree.names_in(s, node.target.id)))]  # fmt: skip
    if any(not isinstance(n.ctx, ast.Load) for n in inside) or any(n not in own for n in elsewhere):
        return None
    edits = [replaced(tree, read, member) for read in inside]
    return dedented(tree, node.body, node.iter.end_lineno or node.lineno, column, edits)


def only_entries(program: Program) -> Iterator[Change]:
    """A function's own dictionary that is made with one entry and only asked for it: the entry, by its key in small letters."""
    for target in program.targets:
        tree = program.trees[target.owner]
        for made in [n for n in tree.of(ast.Assign) if tree.function_of(n) is target.node]:
            match made:
                case ast.Assign(
                    targets=[ast.Name(id=name) as place],
                    value=ast.Dict(keys=[ast.Constant(value=str(key))], values=[entry]),
                ) if key.isidentifier():
                    word = key.lower()
                    change = _asked_for(program, target, name, key, word, place)
                    if change is not None and word not in program.globals:
                        yield [replaced(tree, place, word), replaced(tree, made.value, source(tree, entry)), *change]


def _asked_for(
    program: Program, target: Target, name: str, key: str, word: str, place: ast.Name | None = None
) -> Change | None:
    """The edits that put `word` where a function reads the only entry of its dictionary `name`; None where it does more with it.

    place: where the name is set, for a local one; a parameter is set by the calls.
    """
    tree, change = program.trees[target.owner], Change()
    if word in {n.arg for n in ast.walk(target.node.args) if isinstance(n, ast.arg)} or tree.names.get(word):
        return None
    for read in tree.names_in(target.node, name):
        if read is place:
            continue
        around = tree.parents[read]
        if not isinstance(read.ctx, ast.Load) or tree.scope_of(read) is not target.node:
            return None
        match around:
            case ast.Subscript(slice=ast.Constant(value=str(asked)), ctx=ast.Load()) if asked == key:
                change.append(replaced(tree, around, word))
            case ast.Attribute(attr="values"):
                loop = tree.parents[tree.parents[around]]
                if not (isinstance(loop, ast.For) and ast.unparse(loop.iter) == f"{name}.values()"):
                    return None
                body = _pass_of(tree, loop, word, loop.col_offset)
                if body is None:
                    return None
                change.append(Edit(tree, *lines_of(tree, loop.lineno, loop.body[-1].end_lineno or 0), body))
            case ast.Call(args=args) if read in args:
                inner = _handed_to(program, tree, around, read, key, word)
                if inner is None:
                    return None
                change += [replaced(tree, read, word), *inner]
            case _:
                return None
    return change


def _handed_to(program: Program, tree: Tree, call: ast.Call, read: ast.Name, key: str, word: str) -> Change | None:
    """The edits of a function that only this call calls, and that takes the dictionary by position and asks for the entry."""
    for target in program.targets:
        if program.calls_of(target) != [(tree, call)] or not program.is_closed(target):
            continue
        given = target.given(call) or {}
        parameter = next((p for p in target.parameters if given.get(p.arg) is read), None)
        if parameter is None or is_set(program.trees[target.owner], target.node, parameter.arg):
            return None
        inner = _asked_for(program, target, parameter.arg, key, word)
        return None if inner is None else [replaced(program.trees[target.owner], parameter, word), *inner]
    return None


def _entry(tree: Tree, comp: ast.DictComp, name: str, key: str) -> Edit | None:
    """`{key: self.name[key](…)}` of `{k: module(…) for k, module in self.name.items()}`."""
    target = comp.generators[0].target
    if not (isinstance(target, ast.Tuple) and all(isinstance(n, ast.Name) for n in target.elts)):
        return None
    first, module = (n.id for n in target.elts if isinstance(n, ast.Name))
    texts = []
    for part in (comp.key, comp.value):
        edits = [replaced(tree, read, f'"{key}"') for read in tree.names_in(part, first)]
        edits += [replaced(tree, read, f'self.{name}["{key}"]') for read in tree.names_in(part, module)]
        texts.append(rewritten(tree, *span(tree, part), edits))
    return replaced(tree, comp, f"{{{texts[0]}: {texts[1]}}}")
