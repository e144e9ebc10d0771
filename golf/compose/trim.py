"""Trim: what one composed file does not need of code that serves many. The fourth step, after shaking; the same bits come out.

1. A parameter that its function never reads goes, with what every call gives it. So does one that every call leaves at its default, or
   gives the same `None` or flag: the value stands in its place. A default that every call overrides goes.
2. A NamedTuple's field that nothing reads goes, and one that is always None is None.
3. A test that this settles is resolved as the fold resolves it: also a field compared with a text that no call ever puts there.
4. A loop over one member is that member, also where a dictionary has only one; neighbours of an `if` that do the same are one; a
   method that only returns `self` is `self`, a function that returns what it is given is that.
5. A local that is set and never read goes, where setting it has no effect; so does an attribute that is always None and never read.
   `x = …` right before `return x` is `return …`.
6. A docstring's sentence on a parameter goes with it (golf.compose.docstrings).
7. What all functions that one function hands out take and none reads goes (`quantizer_of`), and a base class's method that no instance has.

Only what the file shows is believed (golf.compose.program): a function that is handed on otherwise keeps its parameters.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from golf.compose.chains import inlined_chains, members_by_name, only_entries
from golf.compose.docstrings import for_the_reader, without_sentence_on
from golf.compose.edits import (
    Change,
    Edit,
    applied,
    dedented,
    lines_of,
    replaced,
    rewritten,
    settled,
    source,
    span,
    without_argument,
    without_parameter,
    without_statement,
)
from golf.compose.families import handed_out_parameters, overridden_methods, returned_as_given
from golf.compose.flow import constant_fields, is_never_none, unread_fields
from golf.compose.program import Program, Target, Tree, is_called, is_set, root_of, tree_of

MOST_ROUNDS = 40


def trim(
    texts: Mapping[str, str], open_names: frozenset[str], values: Mapping[str, tuple[object, object]]
) -> dict[str, str]:
    """The kept definitions (first name → text) without what nothing in the file needs.

    open_names: what others call by name, and so keeps its parameters. values: knob → its value and the small twin's.
    """
    now = dict(texts)
    for _ in range(MOST_ROUNDS):
        before = {name: tree_of(texts[name]) for name, text in now.items() if text != texts[name]}
        program = Program({name: tree_of(text) for name, text in now.items()}, open_names, values, before)
        changes = (change for rule in RULES for change in rule(program) if change)
        names = {id(tree): name for name, tree in program.trees.items()}
        done = list(applied(changes))
        if not done:
            break
        now |= {names[id(tree)]: text for tree, text in done}
    return {name: for_the_reader(text) for name, text in now.items()}


# parameters -----------------------------------------------------------------------------------------------------------


def unread_parameters(program: Program) -> Iterator[Change]:
    """A parameter that its function never reads, where every call is known and what it gives has no effect."""
    for target in program.targets:
        tree = program.trees[target.owner]
        for parameter in target.parameters:
            name = parameter.arg
            if tree.names_in(target.node, name) or is_set(tree, target.node, name) or not program.is_closed(target):
                continue
            change = [without_parameter(tree, target.node, name), *without_sentence_on(tree, target.node, name)]
            for where, call in program.calls_of(target):
                given = target.given(call)
                if given is None or (name in given and not _may_go(where, given[name])):
                    break
                if name in given:
                    change.append(without_argument(where, call, given[name]))
            else:
                yield change


def constant_parameters(program: Program) -> Iterator[Change]:
    """A parameter that is the same constant in every call: by its default, or a None or flag that all of them give."""
    for target in program.targets:
        tree = program.trees[target.owner]
        for parameter in target.parameters:
            found = _constant(program, target, parameter)
            if found is None or is_set(tree, target.node, parameter.arg):
                continue
            text, change = found
            reads = tree.names_in(target.node, parameter.arg)
            if any(not isinstance(read.ctx, ast.Load) for read in reads):
                continue
            yield [
                without_parameter(tree, target.node, parameter.arg),
                *without_sentence_on(tree, target.node, parameter.arg),
                *change,
                *(replaced(tree, read, text) for read in reads),
            ]


def _constant(program: Program, target: Target, parameter: ast.arg) -> tuple[str, Change] | None:
    """(the one value that a parameter has, the edits that take it out of the calls)."""
    name, default, calls = parameter.arg, target.defaults.get(parameter.arg), program.calls_of(target)
    closed = program.is_closed(target)
    optional = parameter in target.node.args.kwonlyargs and default is not None
    if not closed:
        if not (optional and target.is_plain and _is_forward(target)):
            return None
        if any(
            t is not target and name in {a.arg for a in t.parameters} and not program.is_closed(t)
            for t in program.targets
        ):
            return None  # a call that is not known may mean that one
        calls = [*calls, *program.reached[1]]
    own = _default_text(program.trees[target.owner], default) if default is not None else None
    texts, change = set[str](), Change()
    for where, call in calls:
        given = target.given(call)
        if given is None:
            mentions = any(k.arg in (None, name) for k in call.keywords)
            if closed or mentions:
                return None
            given = {}
        value = given.get(name)
        if value is not None:
            change.append(without_argument(where, call, value))
        elif default is None:
            return None
        text = _constant_text(program, where, value, own) if value else own
        if text is None:
            return None
        texts.add(text)
    if not calls and default is not None and target.node.name != "forward":
        return None  # nothing in the file calls it by name
    if not texts and own is not None:
        texts = {own}
    return (texts.pop(), change) if len(texts) == 1 else None


def _is_forward(target: Target) -> bool:
    """Whether it is the `forward` of a module: called through the module, with the arguments that the file shows."""
    return target.kind is not None and target.node.name == "forward" and target.has_self


def _constant_text(program: Program, tree: Tree, value: ast.expr, default: str | None) -> str | None:
    """The text of an argument that means the same inside the function: a None or flag, members of a chain, or what is the default."""
    if isinstance(value, ast.Constant):
        is_flag = value.value is None or isinstance(value.value, bool)
        return source(tree, value) if is_flag or source(tree, value) == default else None
    names = value.elts if isinstance(value, ast.Tuple) else []
    members = [n for n in names if isinstance(n, ast.Name) and n.id in program.globals and tree.scope_of(n) is None]
    return source(tree, value) if names and len(members) == len(names) else None


def _default_text(tree: Tree, default: ast.expr) -> str | None:
    """The text of a default that is a constant or the name of something global, as `str` or `time.perf_counter`."""
    root = root_of(default)
    is_global = root is not None and root.id != "h" and tree.scope_of(root) is None
    return source(tree, default) if isinstance(default, ast.Constant) or is_global else None


def needless_defaults(program: Program) -> Iterator[Change]:
    """A default that every call overrides."""
    for target in program.targets:
        defaults = target.defaults
        if not defaults or not program.is_closed(target):
            continue
        calls = [target.given(call) for _, call in program.calls_of(target)]
        if not calls:
            continue
        for parameter in target.parameters:
            default = defaults.get(parameter.arg)
            if default is None:
                continue
            if not all(given is not None and parameter.arg in given for given in calls):
                if parameter in target.node.args.kwonlyargs:
                    continue
                break  # those after it need theirs
            tree = program.trees[target.owner]
            end = replaced(tree, parameter, "").end
            yield [Edit(tree, end, replaced(tree, default, "").end)]


def _may_go(tree: Tree, value: ast.expr) -> bool:
    """Whether an argument may be left out: it has no effect, and leaves no local behind that nothing else reads."""
    if not is_pure(value):
        return False
    function = tree.function_of(value)
    for node in ast.walk(value):
        if isinstance(node, ast.Name) and function is not None and tree.scope_of(node) is function:
            is_parameter = node.id in {a.arg for a in ast.walk(function.args) if isinstance(a, ast.arg)}
            loads = [n for n in tree.names_in(function, node.id) if isinstance(n.ctx, ast.Load)]
            if not is_parameter and len(loads) < 2 and not _is_removable(tree, function, node.id):
                return False
    return True


def is_pure(node: ast.AST) -> bool:
    """Whether evaluating an expression has no effect and cannot fail."""
    plain = (ast.Constant, ast.Name, ast.Attribute, ast.Tuple, ast.expr_context, ast.UnaryOp, ast.unaryop)
    tests = (ast.Compare, ast.cmpop, ast.BoolOp, ast.boolop, ast.IfExp)
    return all(isinstance(n, plain + tests) or (isinstance(n, ast.Dict) and not n.keys) for n in ast.walk(node))


# fields ---------------------------------------------------------------------------------------------------------------


def needless_methods(program: Program) -> Iterator[Change]:
    """`x._replace()` is x; a NamedTuple's method that only returns `self` is the tuple; an `__init__` that only calls its parent's goes."""
    for tree, call in program.calls:
        if isinstance(call.func, ast.Attribute) and call.func.attr == "_replace" and not call.args + call.keywords:
            yield [replaced(tree, call, source(tree, call.func.value))]
    for methods in program.methods.values():
        for target in methods:
            tree, body = program.trees[target.owner], target.node.body
            only = ast.unparse(body[0]) if len(body) == 1 else ""
            name = target.node.name
            if only == "super().__init__()" and name == "__init__" and len(target.node.args.args) == 1:
                yield [without_statement(tree, target.node)]
            if only == "return self" and program.is_tuple(target.owner) and len(methods) == 1 and not target.parameters:
                mentions = program.attributes.get(name, [])
                if name not in program.instances and all(is_called(where, node) for where, node in mentions):
                    there = [
                        replaced(where, where.parents[node], source(where, node.value)) for where, node in mentions
                    ]
                    yield [without_statement(tree, target.node), *there]


def constant_attributes(program: Program) -> Iterator[Change]:
    """An attribute that is only ever a function of a module (`self.now = time.perf_counter`), read in its own class alone."""
    for name, mentions in program.attributes.items():
        stores = [(tree, node) for tree, node in mentions if not isinstance(node.ctx, ast.Load)]
        if len(stores) != 1 or name in program.methods or any(tree is not stores[0][0] for tree, _ in mentions):
            continue
        tree, store = stores[0]
        setting = tree.parents[store]
        root = (
            root_of(setting.value)
            if isinstance(setting, ast.Assign) and isinstance(setting.value, ast.Attribute)
            else None
        )
        if root is None or tree.scope_of(root) is not None or root.id in (*program.globals, "h", "self"):
            continue
        if isinstance(setting, ast.Assign) and len(setting.targets) == 1:
            reads = [node for _, node in mentions if node is not store]
            text = source(tree, setting.value)
            yield [without_statement(tree, setting), *(replaced(tree, read, text) for read in reads)]


def unread_attributes(program: Program) -> Iterator[Change]:
    """An attribute that is only ever set to None: what set it to something was not chosen."""
    for mentions in program.attributes.values():
        settings = [tree.parents[node] for tree, node in mentions]
        if all(
            isinstance(s, ast.Assign)
            and len(s.targets) == 1
            and isinstance(s.value, ast.Constant)
            and s.value.value is None
            for s in settings
        ):
            yield [
                without_statement(tree, s)
                for (tree, _), s in zip(mentions, settings, strict=True)
                if isinstance(s, ast.stmt)
            ]


def inlined_functions(program: Program) -> Iterator[Change]:
    """A helper for chains that trimming has given the only chain's members, left with one call and one expression: the expression."""
    for name in sorted(program.before.keys() & program.functions.keys()):
        target = program.trees[name].targets[program.functions[name]]
        tree, calls = program.trees[name], program.calls_of(target)
        statements = [s for s in target.node.body if not _is_docstring(s)]
        if len(calls) != 1 or len(statements) != 1 or target.node.decorator_list or not program.is_closed(target):
            continue
        where, call = calls[0]
        given, returned = target.given(call), statements[0]
        if (
            given is None
            or len(given) < len(target.parameters)
            or not isinstance(returned, ast.Return)
            or returned.value is None
        ):
            continue
        inner = {n for names in tree.bound.values() for n in names} - given.keys()
        outer = {n for scope in where.around(call) for n in where.bound.get(scope, ())}
        free = {n.id for n in tree.reads}
        if not free & program.globals - {n.id for n in program.before[name].reads}:
            continue
        if (
            not all(isinstance(v, ast.Name | ast.Constant) and source(where, v) not in inner for v in given.values())
            or free & outer
        ):
            continue
        edits = [
            replaced(tree, read, source(where, value))
            for parameter, value in given.items()
            for read in tree.names_in(returned.value, parameter)
        ]
        text = rewritten(tree, *span(tree, returned.value), edits)
        closed = isinstance(
            returned.value, ast.Call | ast.Name | ast.Attribute | ast.Subscript | ast.List | ast.Dict | ast.Constant
        )
        yield [replaced(where, call, text if closed else f"({text})")]


# tests ----------------------------------------------------------------------------------------------------------------


def known(program: Program, tree: Tree, node: ast.AST) -> object:
    """The truth of a test where the file shows it, else None."""
    match node:
        case ast.Constant():
            return bool(node.value)
        case ast.UnaryOp(op=ast.Not()):
            value = known(program, tree, node.operand)
            return None if value is None else not value
        case ast.BoolOp():
            values = [known(program, tree, value) for value in node.values]
            ends = isinstance(node.op, ast.Or)
            if values[0] is ends:
                return ends
            return not ends if all(value is (not ends) for value in values) else None
        case ast.Compare(ops=[op], comparators=[right]):
            return _compared(program, tree, node.left, op, right)
        case ast.Call(func=ast.Name(id="any"), args=[ast.GeneratorExp() as each]):
            return False if known(program, tree, each.elt) is False and is_pure(each.generators[0].iter) else None
        case ast.Call(func=ast.Name(id="hasattr"), args=[ast.Name() as kind, ast.Constant(value=str() as name)]):
            if tree.scope_of(kind) is None and kind.id in program.classes:
                return True if program.method_of(kind.id, name) else _lacks(program, kind.id, name)
        case ast.Call(func=ast.Name() as func) if tree.scope_of(func) is None and func.id in program.functions:
            body = [s for s in program.functions[func.id].body if not _is_docstring(s)]
            if len(body) == 1 and isinstance(body[0], ast.Return) and body[0].value is not None:
                value = known(program, program.trees[func.id], body[0].value)
                given = [*node.args, *(k.value for k in node.keywords)]
                return value if all(_is_harmless(program, tree, argument) for argument in given) else None
    return None


def _lacks(program: Program, kind: str, name: str) -> bool | None:
    """False where a class of the file has no `at`, the layers that it asks for, which PyTorch's modules have none of; else None."""
    if name != "at" or "at" in {each.id for each in ast.walk(program.classes[kind]) if isinstance(each, ast.Name)}:
        return None
    bases = program.bases(kind)
    known_bases = all(
        base in ("nn.Module", "torch.nn.Module", "Module", "object") or base in program.classes for base in bases
    )
    inside = [_lacks(program, base, name) for base in bases if base in program.classes]
    return False if known_bases and all(each is False for each in inside) else None


def _is_harmless(program: Program, tree: Tree, node: ast.expr) -> bool:
    """Whether an argument has no effect: a pure one, or a call of a function that only looks (`collect(model)`)."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in program.functions:
        body = program.functions[node.func.id].body
        looks = not any(isinstance(n, ast.Attribute | ast.Subscript) and not isinstance(n.ctx, ast.Load)
                        for s in body for n in ast.walk(s))  # fmt: skip
        return looks and all(is_pure(argument) for argument in node.args) and not node.keywords
    return is_pure(node)


def _compared(program: Program, tree: Tree, left: ast.expr, op: ast.cmpop, right: ast.expr) -> object:
    if isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
        operations: dict[type, Callable[[Any, Any], bool]] = {
            ast.Is: lambda a, b: a is b, ast.IsNot: lambda a, b: a is not b,
            ast.Eq: lambda a, b: a == b, ast.NotEq: lambda a, b: a != b,
        }  # fmt: skip
        compare = operations.get(type(op))
        return compare(left.value, right.value) if compare else None
    if isinstance(op, ast.Is | ast.IsNot) and isinstance(left, ast.Attribute) and ast.unparse(right) == "None":
        return isinstance(op, ast.IsNot) if is_never_none(program, tree, left) else None
    if not isinstance(op, ast.Eq | ast.NotEq) or any(_is_knob(side) for side in (left, right)):
        return None
    ours, theirs = (program.values_of(tree, side) for side in (left, right))
    if not ours or not theirs or not all(isinstance(v, str) for v in ours | theirs):
        return None
    return isinstance(op, ast.NotEq) if ours.isdisjoint(theirs) else None


def _is_knob(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "h"


def settled_tests(program: Program) -> Iterator[Change]:
    """Branches that a known test takes, operands that it leaves over, assertions that hold."""
    for tree in program.trees.values():
        for node in tree.of(ast.If, ast.IfExp, ast.BoolOp, ast.comprehension, ast.Assert):
            match node:
                case ast.If():
                    value = known(program, tree, node.test)
                    edit = None if value is None else settled(tree, node, bool(value))
                    if edit:
                        yield [edit]
                case ast.IfExp():
                    value = known(program, tree, node.test)
                    if value is not None:
                        chosen = node.body if value else node.orelse
                        yield [replaced(tree, node, _enclosed(tree, chosen))]
                case ast.BoolOp():
                    values = [known(program, tree, value) for value in node.values]
                    ends = isinstance(node.op, ast.Or)
                    rest = [v for v, k in zip(node.values, values, strict=True) if k is not (not ends)]
                    around = tree.parents[node]
                    is_test = getattr(around, "test", None) is node  # elsewhere the last operand is a value
                    if 0 < len(rest) < len(node.values) and (is_test or rest[-1] is node.values[-1]):
                        word = " or " if ends else " and "
                        yield [replaced(tree, node, word.join(_enclosed(tree, v, len(rest) > 1) for v in rest))]
                case ast.comprehension():
                    for test in node.ifs:
                        if known(program, tree, test) is True:
                            end = replaced(tree, test, "").end
                            start = tree.data.rindex(b"if", 0, end - len(source(tree, test).encode()))
                            yield [Edit(tree, start, end)]
                case ast.Assert():
                    if known(program, tree, node.test) is True:
                        yield [without_statement(tree, node)]


def _enclosed(tree: Tree, node: ast.expr, inside: bool = True) -> str:
    """An expression's text, in parentheses where it might be torn apart."""
    loose = (ast.IfExp, ast.Lambda, ast.NamedExpr, ast.BoolOp, ast.Compare, ast.BinOp, ast.UnaryOp, ast.GeneratorExp)
    text = source(tree, node)
    return f"({text})" if isinstance(node, loose[: 4 if inside else 3]) or "\n" in text else text


def dead_statements(program: Program) -> Iterator[Change]:
    """What stands behind a `return`, `raise`, `break` or `continue`; an `if` of nothing; `x = x`."""
    ends = (ast.Return, ast.Raise, ast.Break, ast.Continue)
    for tree in program.trees.values():
        for block in tree.blocks:
            end = next((i for i, s in enumerate(block) if isinstance(s, ends)), len(block))
            if block[end + 1 :]:
                yield [without_statement(tree, s) for s in block[end + 1 :]]
        for setting in tree.of(ast.Assign):
            match setting:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name(id=same)) if name == same:
                    yield [without_statement(tree, setting)]
        for node in tree.of(ast.If):
            if [type(s) for s in node.body] == [ast.Pass] and not node.orelse:
                if is_pure(node.test) and not tree.lines[node.lineno - 1].strip().startswith("elif"):
                    yield [without_statement(tree, node)]


# neighbours and loops of one ------------------------------------------------------------------------------------------


def equal_neighbours(program: Program) -> Iterator[Change]:
    """`if a: x elif b: x` is `if a or b: x`."""
    for tree in program.trees.values():
        lines = tree.lines
        for node in tree.of(ast.If):
            if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
                continue
            other = node.orelse[0]
            if lines[other.lineno - 1][other.col_offset :].startswith("elif") and _alike(node.body, other.body):
                test = f" or {_enclosed(tree, other.test, isinstance(other.test, ast.IfExp))}"
                start = lines_of(tree, other.lineno, other.lineno)[0]
                head = source(tree, node.test)
                if isinstance(node.test, ast.IfExp | ast.Lambda | ast.NamedExpr) or "\n" in head:
                    continue
                end = lines_of(tree, other.body[-1].end_lineno or 0, other.body[-1].end_lineno or 0)[1]
                at = replaced(tree, node.test, "").end
                yield [Edit(tree, at, at, test), Edit(tree, start, end)]


def _alike(one: list[ast.stmt], other: list[ast.stmt]) -> bool:
    return [ast.dump(s) for s in one] == [ast.dump(s) for s in other]


def loops_of_one(program: Program) -> Iterator[Change]:
    """A comprehension over one member: `{T.__name__: T(layer) for T in (XSA,) if T.at(layer)}`."""
    for tree in program.trees.values():
        found: list[ast.DictComp | ast.ListComp] = [*tree.of(ast.DictComp), *tree.of(ast.ListComp)]
        for node in found:
            if len(node.generators) != 1:
                continue
            each = node.generators[0]
            if not (
                isinstance(each.iter, ast.Tuple) and len(each.iter.elts) == 1 and isinstance(each.target, ast.Name)
            ):
                continue
            member, name = source(tree, each.iter.elts[0]), each.target.id
            if not isinstance(each.iter.elts[0], ast.Name) or len(each.ifs) > 1:
                continue
            parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            texts = [_with_member(tree, part, name, member) for part in (*parts, *each.ifs)]
            made = f"{{{texts[0]}: {texts[1]}}}" if len(parts) == 2 else f"[{texts[0]}]"
            if each.ifs:
                test = f"({texts[-1]})" if isinstance(each.ifs[0], ast.IfExp) else texts[-1]
                made += f" if {test} else {made[0]}{made[-1]}"
                inside = isinstance(tree.parents[node], ast.Call | ast.Assign | ast.Return | ast.keyword)
                made = made if inside else f"({made})"
            yield [replaced(tree, node, made)]


def plain_lists(program: Program) -> Iterator[Change]:
    """`[x for x in y]` is `list(y)`: what it left out was not chosen."""
    for tree in program.trees.values():
        for node in tree.of(ast.ListComp):
            each = node.generators[0]
            if len(node.generators) > 1 or each.ifs or each.is_async or not isinstance(each.target, ast.Name):
                continue
            if isinstance(node.elt, ast.Name) and node.elt.id == each.target.id:
                yield [replaced(tree, node, f"list({source(tree, each.iter)})")]


def single_passes(program: Program) -> Iterator[Change]:
    """`for loop in (False,):` is its body, once."""
    for tree in program.trees.values():
        for node in tree.of(ast.For):
            only = (
                node.iter.elts[0] if isinstance(node.iter, ast.Tuple | ast.List) and len(node.iter.elts) == 1 else None
            )
            if not isinstance(only, ast.Constant | ast.Name) or not isinstance(node.target, ast.Name) or node.orelse:
                continue
            if any(isinstance(n, ast.Break | ast.Continue) for s in node.body for n in ast.walk(s)):
                continue
            function = tree.function_of(node)
            mentions = tree.names_in(function, node.target.id) if function else []
            inside = [n for s in node.body for n in tree.names_in(s, node.target.id)]
            if len(mentions) != len(inside) + 1 or any(not isinstance(n.ctx, ast.Load) for n in inside):
                continue
            if isinstance(only, ast.Name) and any(n.id == only.id for s in node.body for n in _stored(s)):
                continue
            edits = [replaced(tree, read, source(tree, only)) for read in inside]
            body = dedented(tree, node.body, node.iter.end_lineno or node.lineno, node.col_offset, edits)
            if body is not None:
                yield [Edit(tree, *lines_of(tree, node.lineno, node.body[-1].end_lineno or 0), body)]


def _stored(statement: ast.stmt) -> Iterator[ast.Name]:
    return (n for n in ast.walk(statement) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load))


def _with_member(tree: Tree, part: ast.expr, name: str, member: str) -> str:
    """An expression's text with the member in the place of the loop's variable; its `__name__` is its name."""
    edits = []
    for node in tree.names_in(part, name):
        around = tree.parents[node]
        named = isinstance(around, ast.Attribute) and around.attr == "__name__"
        edits.append(replaced(tree, around, f'"{member}"') if named else replaced(tree, node, member))
    return rewritten(tree, *span(tree, part), edits)


# locals ---------------------------------------------------------------------------------------------------------------


def dead_locals(program: Program) -> Iterator[Change]:
    """A local that is set by something without effect, and that nothing reads any more; one that nothing ever read is the part's fault."""
    for owner, before in program.before.items():
        tree = program.trees[owner]
        read_before = {n.id for n in before.of(ast.Name) if isinstance(n.ctx, ast.Load)}
        for function in tree.of(ast.FunctionDef):
            stores = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            for name in sorted(stores & read_before):
                reads = [n for n in tree.names_in(function, name) if isinstance(n.ctx, ast.Load)]
                if not reads and _is_removable(tree, function, name):
                    yield [without_statement(tree, s) for s in _settings(tree, function, name)]


def constant_locals(program: Program) -> Iterator[Change]:
    """A local that is set once, to None or a flag, before anything reads it: the constant."""
    for owner in program.before:
        tree = program.trees[owner]
        for function in tree.of(ast.FunctionDef):
            for setting in function.body:
                match setting:
                    case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=None | True | False)):
                        mentions = [n for n in tree.names_in(function, name) if n is not setting.targets[0]]
                        if mentions and all(
                            isinstance(n.ctx, ast.Load) and n.lineno > setting.lineno and tree.scope_of(n) is function
                            for n in mentions
                        ):
                            text = source(tree, setting.value)
                            yield [without_statement(tree, setting), *(replaced(tree, n, text) for n in mentions)]


def returned_at_once(program: Program) -> Iterator[Change]:
    """`x = …` and then `return x` is `return …`."""
    for tree in program.trees.values():
        for block in tree.blocks:
            for setting, end in pairwise(block):
                if not (isinstance(end, ast.Return) and isinstance(end.value, ast.Name)):
                    continue
                if not (
                    isinstance(setting, ast.Assign)
                    and len(setting.targets) == 1
                    and end.lineno == (setting.end_lineno or 0) + 1
                ):
                    continue
                target, function = setting.targets[0], tree.function_of(setting)
                if not (isinstance(target, ast.Name) and target.id == end.value.id and function):
                    continue
                if len(tree.names_in(function, target.id)) == 2 and tree.scope_of(target) is function:
                    start = replaced(tree, target, "").start
                    value = replaced(tree, setting.value, "").start
                    opening = (
                        tree.data[start:value].partition(b"=")[2].strip().decode()
                    )  # a parenthesis, where there is one
                    yield [
                        Edit(tree, start, value, f"return {opening}"),
                        Edit(tree, *lines_of(tree, end.lineno, end.end_lineno or 0)),
                    ]


def _settings(tree: Tree, function: ast.FunctionDef, name: str) -> list[ast.stmt]:
    stores = [n for n in tree.names_in(function, name) if not isinstance(n.ctx, ast.Load)]
    return [s for n in stores if isinstance(s := tree.parents[n], ast.Assign) and len(s.targets) == 1]


def _is_removable(tree: Tree, function: ast.FunctionDef, name: str) -> bool:
    """Whether every statement that sets a local only does that, without effect."""
    stores = [n for n in tree.names_in(function, name) if not isinstance(n.ctx, ast.Load)]
    settings = _settings(tree, function, name)
    return (
        bool(stores)
        and len(settings) == len(stores)
        and all(is_pure(s.value) for s in settings if isinstance(s, ast.Assign))
    )


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


RULES: tuple[Callable[[Program], Iterator[Change]], ...] = (
    settled_tests,
    dead_statements,
    constant_parameters,
    unread_parameters,
    constant_fields,
    unread_fields,
    needless_methods,
    constant_attributes,
    unread_attributes,
    inlined_functions,
    inlined_chains,
    returned_as_given,
    handed_out_parameters,
    overridden_methods,
    loops_of_one,
    members_by_name,
    only_entries,
    plain_lists,
    single_passes,
    equal_neighbours,
    needless_defaults,
    dead_locals,
    constant_locals,
    returned_at_once,
)
