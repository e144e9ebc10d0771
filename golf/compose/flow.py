"""Fields of NamedTuples that nothing reads, or that are one constant: found by following which names hold such a tuple.

A tuple can also be read by place (`a, b = t`, `t[0]`, `*t`). Where one of the names that may hold it is used so, it stays whole.
"""

import ast
from collections.abc import Iterator

from golf.compose.edits import Change, replaced, without_argument, without_statement
from golf.compose.program import Program, Target, Tree, field_given, fields_of, is_called, is_replace

COUNTING = (ast.Constant, ast.Name, ast.Attribute, ast.expr_context, ast.BinOp, ast.operator, ast.UnaryOp, ast.unaryop)


def unread_fields(program: Program) -> Iterator[Change]:
    """A field that nothing reads but the expression that makes its own next value."""
    for kind, node in program.classes.items():
        if not program.is_tuple(kind):
            continue
        for name, statement in fields_of(node).items():
            reads = [(t, n) for t, n in program.attributes.get(name, ()) if isinstance(n.ctx, ast.Load)]
            if any(not _counts_itself(tree, read, name) for tree, read in reads) or holders(program, kind) is None:
                continue  # following is slow, so it comes last
            change = [without_statement(program.trees[kind], statement)]
            for tree, call, value in _settings(program, kind, name):
                if not all(isinstance(n, COUNTING) for n in ast.walk(value)):
                    break
                change.append(without_argument(tree, call, value))
            else:
                if len(fields_of(node)) > 1:
                    yield change


def constant_fields(program: Program) -> Iterator[Change]:
    """A field that every constructor gives the same None or flag, and nothing replaces: its reads are that constant."""
    for kind, node in program.classes.items():
        if not program.is_tuple(kind):
            continue
        for name, statement in fields_of(node).items():
            given = [value for _, _, value in _settings(program, kind, name)]
            calls = [t.parents[n] for t, n in program.reads.get(kind, ())]
            defaults = [statement.value] if statement.value and any(
                isinstance(c, ast.Call) and not {name} & {*dict(zip(fields_of(node), c.args, strict=False)),
                                                          *(k.arg for k in c.keywords)} for c in calls
            ) else []  # fmt: skip
            texts = {ast.unparse(value) for value in [*given, *defaults]}
            replacing = any(k.arg == name for _, c in program.replacing for k in c.keywords)
            if replacing or len(texts) != 1 or not texts <= {"None", "True", "False"}:
                continue
            reads = [(t, n) for t, n in program.attributes.get(name, ()) if isinstance(n.ctx, ast.Load)]
            names = holders(program, kind) if reads else None
            if names is not None and all(
                isinstance(n.value, ast.Name) and (t.scope_of(n.value), n.value.id) in names for t, n in reads
            ):
                yield [replaced(tree, read, next(iter(texts))) for tree, read in reads]


def is_never_none(program: Program, tree: Tree, read: ast.Attribute) -> bool:
    """Whether a field is read that every constructor gives a dictionary or a list, and nothing replaces by anything else."""
    kinds = [kind for kind, node in program.classes.items() if program.is_tuple(kind) and read.attr in fields_of(node)]
    if len(kinds) != 1 or not isinstance(read.value, ast.Name):
        return False
    kind, displays = kinds[0], (ast.Dict, ast.DictComp, ast.List, ast.ListComp)
    given = list(_settings(program, kind, read.attr))
    constructed = {call for _, call, _ in given if not is_replace(call)}
    if not given or not all(isinstance(_only_value(where, value), displays) for where, _, value in given):
        return False
    if any(t.parents[n] not in constructed for t, n in program.reads.get(kind, ())):
        return False
    names = holders(program, kind)
    return names is not None and (tree.scope_of(read.value), read.value.id) in names


def _only_value(tree: Tree, node: ast.expr) -> ast.expr:
    """What an expression is: of a local that is set once, what it is set to."""
    function = tree.scope_of(node) if isinstance(node, ast.Name) else None
    if isinstance(node, ast.Name) and function is not None:
        stores = [n for n in tree.names_in(function, node.id) if not isinstance(n.ctx, ast.Load)]
        setting = tree.parents[stores[0]] if len(stores) == 1 else None
        if isinstance(setting, ast.Assign) and setting.targets == stores:
            return setting.value
    return node


def _counts_itself(tree: Tree, read: ast.Attribute, name: str) -> bool:
    """Whether a field is read only to give `_replace` its next value."""
    for node in tree.around(read):
        if isinstance(node, ast.keyword):
            call = tree.parents[node]
            return node.arg == name and isinstance(call, ast.Call) and is_replace(call)
    return False


def _settings(program: Program, kind: str, name: str) -> Iterator[tuple[Tree, ast.Call, ast.expr]]:
    """Every call that gives a field of a class a value: (where, the call, the value)."""
    fields = list(fields_of(program.classes[kind]))
    for tree, node in program.reads.get(kind, ()):
        call = tree.parents[node]
        if isinstance(call, ast.Call) and call.func is node:
            for field, value in [*zip(fields, call.args, strict=False), *((k.arg, k.value) for k in call.keywords)]:
                if field == name:
                    yield tree, call, value
    for tree, call in program.replacing:
        yield from ((tree, call, k.value) for k in call.keywords if k.arg == name)


def holders(program: Program, kind: str) -> frozenset[tuple[ast.AST | None, str]] | None:
    """The names, with their functions, that may hold a tuple of this class, `self` of its methods left out; None where it may be read by place, or is lost."""
    if kind not in program.holders:
        program.holders[kind] = _holders(program, kind)
    return program.holders[kind]


def _holders(program: Program, kind: str) -> frozenset[tuple[ast.AST | None, str]] | None:
    if any(not is_called(tree, node) for tree, node in program.reads.get(kind, ())):
        return None
    if any(not field_given(program.classes[kind], t.parents[n]) for t, n in program.reads.get(kind, ())):  # type: ignore[arg-type]
        return None
    follow = _Follow(program, kind)
    return frozenset(follow.names) if follow.all() else None


class _Follow:
    """Follows tuples of one class from where they are made, through assignments, calls and returns."""

    def __init__(self, program: Program, kind: str) -> None:
        self.program = program
        self.kind = kind
        self.own = {s.name for s in program.classes[kind].body if isinstance(s, ast.FunctionDef)}
        self.names = set[tuple[ast.AST | None, str]]()  # (the function that it belongs to, the name)
        self.places = set[tuple[int, int]]()  # (length, place) of returned tuples that hold one
        self.alone = False  # whether a function returns one by itself

    def all(self) -> bool:
        """Whether every use is followed; `names` then holds every name."""
        before = None
        while before != (len(self.names), len(self.places), self.alone):
            before = (len(self.names), len(self.places), self.alone)
            for tree in self.program.trees.values():
                known = [
                    node for name in {"self", *(name for _, name in self.names)} for node in tree.names.get(name, ())
                ]
                for node in (*known, *tree.calls, *tree.of(ast.IfExp)):
                    if self.holds(tree, node) and not self.use(tree, node):
                        return False
        return True

    def holds(self, tree: Tree, node: ast.expr) -> bool:
        """Whether an expression may be such a tuple."""
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            mine = node.id == "self" and isinstance(tree.node, ast.ClassDef) and tree.node.name == self.kind
            return mine or (tree.scope_of(node), node.id) in self.names
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return node.func.id == self.kind and tree.scope_of(node.func) is None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return node.func.attr in {"_replace", *self.own} and self.holds(tree, node.func.value)
        return isinstance(node, ast.IfExp) and (self.holds(tree, node.body) or self.holds(tree, node.orelse))

    def use(self, tree: Tree, node: ast.expr) -> bool:
        """Note where a use leads; False where it reads by place or cannot be followed."""
        around = tree.parents[node]
        match around:
            case ast.Attribute() | ast.Compare() | ast.IfExp() | ast.Expr():
                return True
            case ast.Assign(targets=[ast.Name() as name]):
                return self.store(tree, name)
            case ast.Tuple() if isinstance(pair := tree.parents[around], ast.Assign) and isinstance(
                pair.targets[0], ast.Tuple
            ):
                return len(pair.targets) == 1 and self.store(tree, pair.targets[0].elts[around.elts.index(node)])
            case ast.Call():
                return self.given(tree, around, node)
            case ast.keyword():
                call = tree.parents[around]
                return isinstance(call, ast.Call) and self.given(tree, call, node)
            case ast.Return():
                self.alone = self.alone or tree.class_of(around) is None or tree.class_of(around).name != self.kind  # type: ignore[union-attr]
                return True
            case ast.Tuple() if isinstance(tree.parents[around], ast.Return):
                self.places.add((len(around.elts), around.elts.index(node)))
                return True
        return False

    def store(self, tree: Tree, node: ast.expr) -> bool:
        """Note the name that one is stored under; False where it is no name."""
        if isinstance(node, ast.Name):
            self.names.add((tree.scope_of(node), node.id))
        return isinstance(node, ast.Name)

    def _may_hold(self, target: Target, name: str) -> bool:
        """Whether an unknown call may put one there: a module's `forward` that reads it as nothing else, by any name; others by this."""
        if target.kind is None or target.node.name != "forward":
            return any(known == name for _, known in self.names) and not self.program.is_closed(target)
        return not self.program.is_closed(target) and not self._is_other(target, name, frozenset())

    def _is_other(self, target: Target, name: str, seen: frozenset[ast.FunctionDef]) -> bool:
        """Whether a parameter is read as no such tuple can be: it is a tensor, an environment, a number."""
        kind = self.program.classes[self.kind]
        own = {
            *fields_of(kind),
            *(s.name for s in kind.body if isinstance(s, ast.FunctionDef)),
            *dir(tuple),
            "_replace",
            "_asdict",
        }
        tree = self.program.trees[target.owner]
        for node in tree.names_in(target.node, name):
            if not isinstance(node.ctx, ast.Load):
                continue
            match tree.parents[node]:
                case ast.BinOp():
                    return True
                case ast.Attribute(attr=attr) if attr not in own:
                    return True
                case ast.Subscript(slice=ast.Tuple()):
                    return True
                case ast.Call(func=func) as call if func is not node:
                    called = self.program._called(tree, call)
                    if called == []:
                        return True
                    for each in called or ():
                        given = [n for n, value in (each.given(call) or {}).items() if value is node]
                        if each.node not in seen and any(self._is_other(each, n, seen | {target.node}) for n in given):
                            return True
        return False

    def given(self, tree: Tree, call: ast.Call, node: ast.expr) -> bool:
        """A call that is given one: its parameter holds it, and so may what is made of the result."""
        if call.func is node:
            return False
        if is_replace(call) or ast.unparse(call.func) in ("isinstance", "type", "hasattr", "getattr"):
            return is_replace(call)
        called = self.program._called(tree, call)
        for target in self.program.targets if called is None else called:
            for name, value in (target.given(call) or {}).items():
                if value is node and (called is not None or self._may_hold(target, name)):
                    self.names.add((target.node, name))
        if called is not None and not called and not (isinstance(call.func, ast.Name) and call.func.id == self.kind):
            return False  # of another module
        around = tree.parents[call]
        if isinstance(around, ast.Assign) and len(around.targets) == 1:
            target_node = around.targets[0]
            if isinstance(target_node, ast.Tuple):
                for length, place in self.places:
                    if len(target_node.elts) == length:
                        self.store(tree, target_node.elts[place])
            elif self.alone:
                self.store(tree, target_node)
        return True
