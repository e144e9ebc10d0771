"""The kept definitions read together, by Python's scoping: who reads a name, who calls a function, with what.

A composed file is a closed world: whatever calls its functions stands in it, but for what others call by name (`open_names`). What cannot be followed (a function
handed on as a value, a call of a local name) counts as able to do anything.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import TypeVar

Node = TypeVar("Node", bound=ast.AST)
Function = ast.FunctionDef
Scope = ast.FunctionDef | ast.Lambda | ast.ClassDef | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, eq=False)
class Tree:
    """One definition's text, parsed. parents: node → the node around it; bound: scope → the names that it binds itself.

    reads: the global names that it reads, annotations left out; with calls and attributes what the whole program is made of.
    """

    text: str
    node: ast.stmt
    nodes: tuple[ast.AST, ...]
    parents: Mapping[ast.AST, ast.AST]
    bound: Mapping[ast.AST, frozenset[str]]

    @cached_property
    def data(self) -> bytes:
        """The text as the bytes that columns are counted in."""
        return self.text.encode()

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def line_starts(self) -> list[int]:
        """Where each line begins, in bytes."""
        return [0, *accumulate(len(line) for line in self.data.splitlines(keepends=True))]

    @cached_property
    def scopes(self) -> dict[ast.AST, ast.AST | None]:
        """What `scope_of` has found."""
        return {}

    @cached_property
    def targets(self) -> dict[ast.AST, "Target"]:
        """Its function, or its methods: node → target."""
        if isinstance(self.node, ast.FunctionDef):
            return {self.node: Target(self.node.name, self.node)}
        body = self.node.body if isinstance(self.node, ast.ClassDef) else []
        kind = self.node if isinstance(self.node, ast.ClassDef) else None
        return {s: Target(kind.name, s, kind) for s in body if kind and isinstance(s, ast.FunctionDef)}

    @cached_property
    def kinds(self) -> dict[type, list[ast.AST]]:
        """Its nodes by their class."""
        found: dict[type, list[ast.AST]] = {}
        for node in self.nodes:
            found.setdefault(type(node), []).append(node)
        return found

    def of(self, *kinds: type[Node]) -> list[Node]:
        """Its nodes of these classes, each class in the order of the tree."""
        return [node for kind in kinds for node in self.kinds.get(kind, ())]  # type: ignore[misc]

    @cached_property
    def bases(self) -> list[str]:
        """What a class inherits from, as written."""
        return [ast.unparse(base) for base in self.node.bases] if isinstance(self.node, ast.ClassDef) else []

    @cached_property
    def blocks(self) -> list[list[ast.stmt]]:
        """Its suites of statements."""
        found = [getattr(node, name, None) for node in self.nodes for name in ("body", "orelse", "finalbody")]
        return [block for block in found if isinstance(block, list)]

    @cached_property
    def reads(self) -> tuple[ast.Name, ...]:
        annotations = {n for each in self.nodes for a in (getattr(each, "annotation", None),) if a for n in ast.walk(a)}
        return tuple(
            n
            for n in self.nodes
            if isinstance(n, ast.Name)
            and isinstance(n.ctx, ast.Load)
            and n not in annotations
            and self.scope_of(n) is None
        )

    @cached_property
    def names(self) -> dict[str, list[ast.Name]]:
        """Every mention of a name, read or set, local or global."""
        found: dict[str, list[ast.Name]] = {}
        for node in self.nodes:
            if isinstance(node, ast.Name):
                found.setdefault(node.id, []).append(node)
        return found

    def names_in(self, around: ast.AST, name: str) -> list[ast.Name]:
        """The mentions of a name in a statement or expression."""
        first = (around.lineno, around.col_offset)  # type: ignore[attr-defined]
        last = (around.end_lineno, around.end_col_offset)  # type: ignore[attr-defined]
        return [n for n in self.names.get(name, ()) if first <= (n.lineno, n.col_offset) < last]

    @cached_property
    def calls(self) -> tuple[ast.Call, ...]:
        return tuple(self.of(ast.Call))

    @cached_property
    def attributes(self) -> tuple[ast.Attribute, ...]:
        return tuple(self.of(ast.Attribute))

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, from the inside out."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def scope_of(self, name: ast.Name) -> ast.AST | None:
        """The function, lambda, comprehension or class whose own name it is; None for a global or builtin."""
        if name not in self.scopes:
            self.scopes[name] = self._scope_of(name)
        return self.scopes[name]

    def _scope_of(self, name: ast.Name) -> ast.AST | None:
        below: ast.AST = name
        inner = True  # a class's names are only in its own body's scope
        for node in self.around(name):
            if isinstance(node, COMPREHENSIONS):
                outside = any(n is below for n in (node.generators[0],)) and _is_in(name, node.generators[0].iter)
                if not outside and name.id in self.bound[node]:
                    return node
                inner = False
            elif isinstance(node, ast.Lambda | ast.FunctionDef):
                body = node.body if isinstance(node, ast.FunctionDef) else [node.body]
                if any(statement is below for statement in body):
                    if name.id in self.bound[node]:
                        return node
                    inner = False
            elif isinstance(node, ast.ClassDef) and inner and name.id in self.bound[node]:
                return node
            below = node
        return None

    def function_of(self, node: ast.AST) -> Function | None:
        """The function around a node."""
        return next((n for n in self.around(node) if isinstance(n, ast.FunctionDef)), None)

    def class_of(self, node: ast.AST) -> ast.ClassDef | None:
        """The class around a node."""
        return next((n for n in self.around(node) if isinstance(n, ast.ClassDef)), None)


def _is_in(node: ast.AST, whole: ast.AST) -> bool:
    return any(n is node for n in ast.walk(whole))


@lru_cache(maxsize=4096)
def tree_of(text: str) -> Tree:
    """The definition in `text` (one top-level statement)."""
    module = ast.parse(text)
    nodes = tuple(ast.walk(module))
    parents = {child: node for node in nodes for child in ast.iter_child_nodes(node)}
    bound: dict[ast.AST, set[str]] = {n: set() for n in nodes if isinstance(n, Scope)}
    tree = Tree(text, module.body[0], nodes, parents, {})
    for node in nodes:
        name, at = _binding(node), node
        if isinstance(node, ast.arg):
            bound[next(n for n in tree.around(node) if isinstance(n, ast.FunctionDef | ast.Lambda))].add(node.arg)
        elif name:
            scopes = [n for n in tree.around(at) if isinstance(n, Scope)]
            if not _of_comprehension(tree, node):
                scopes = [n for n in scopes if not isinstance(n, COMPREHENSIONS)]
            if scopes:
                bound[scopes[0]].add(name)
    for node in nodes:
        if isinstance(node, ast.Global | ast.Nonlocal):
            around = tree.function_of(node)
            if around is not None:
                bound[around] -= set(node.names)
    return Tree(text, module.body[0], nodes, parents, {scope: frozenset(names) for scope, names in bound.items()})


def _binding(node: ast.AST) -> str:
    """The name that a node binds, or ""."""
    match node:
        case ast.Name(ctx=ast.Store() | ast.Del()):
            return node.id
        case ast.FunctionDef() | ast.ClassDef():
            return node.name
        case ast.ExceptHandler() | ast.MatchAs() | ast.MatchStar():
            return node.name or ""
        case ast.alias():
            return (node.asname or node.name).partition(".")[0]
    return ""


def _of_comprehension(tree: Tree, node: ast.AST) -> bool:
    """Whether a stored name is a comprehension's own: one of its targets, not what `:=` binds in it."""
    below = node
    for around in tree.around(node):
        if isinstance(around, ast.comprehension):
            return below is around.target
        if isinstance(around, Scope | ast.NamedExpr):
            return False
        below = around
    return False


@dataclass(frozen=True, eq=False)
class Target:
    """A function or method that a call may reach. bound_self: whether the call leaves its first parameter out."""

    owner: str  # the definition that holds it
    node: Function
    kind: ast.ClassDef | None = None

    @cached_property
    def parameters(self) -> list[ast.arg]:
        """Its parameters that a call gives, by position first; without `self`."""
        positional = [*self.node.args.posonlyargs, *self.node.args.args]
        return [*positional[self.has_self :], *self.node.args.kwonlyargs]

    @cached_property
    def positional(self) -> list[str]:
        """The names of those that a call may give by position."""
        return [a.arg for a in self.node.args.args][self.has_self :]

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(a.arg for a in self.parameters)

    @cached_property
    def has_self(self) -> bool:
        return self.kind is not None and "staticmethod" not in map(ast.unparse, self.node.decorator_list)

    @cached_property
    def defaults(self) -> dict[str, ast.expr]:
        """Parameter → its default."""
        args = self.node.args
        positional = [*args.posonlyargs, *args.args]
        found = dict(
            zip([a.arg for a in positional[len(positional) - len(args.defaults) :]], args.defaults, strict=True)
        )
        return found | {a.arg: d for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if d is not None}

    @cached_property
    def is_plain(self) -> bool:
        """Whether it takes no star and no parameter by position only, and nothing but `no_grad` and the like decorates it."""
        args = self.node.args
        known = ("staticmethod", "torch.no_grad()", "torch.inference_mode()")
        return not (args.vararg or args.kwarg or args.posonlyargs) and all(
            ast.unparse(d) in known for d in self.node.decorator_list
        )

    def given(self, call: ast.Call) -> dict[str, ast.expr] | None:
        """Parameter → what a call gives it, without those left to their default; None where a star hides it or it does not fit."""
        if any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords):
            return None
        if len(call.args) > len(self.positional):
            return None
        found = dict(zip(self.positional, call.args, strict=False)) | {str(k.arg): k.value for k in call.keywords}
        return found if self.names - self.defaults.keys() <= found.keys() <= self.names else None


@dataclass
class Program:
    """Every kept definition by its first name."""

    trees: Mapping[str, Tree]
    open_names: frozenset[str]
    values: Mapping[str, tuple[object, object]] = field(default_factory=dict)  # knob → its value and the small twin's
    before: Mapping[str, Tree] = field(default_factory=dict)  # definitions that trimming has changed, as they were

    @cached_property
    def functions(self) -> dict[str, Function]:
        return {name: t.node for name, t in self.trees.items() if isinstance(t.node, ast.FunctionDef)}

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        return {name: t.node for name, t in self.trees.items() if isinstance(t.node, ast.ClassDef)}

    @cached_property
    def globals(self) -> frozenset[str]:
        """Every name that a definition binds at the top of the file."""
        return frozenset(name for tree in self.trees.values() for name in _top_names(tree.node)) | self.trees.keys()

    @cached_property
    def imported(self) -> frozenset[str]:
        """Names that a definition imports if it can, and sets to None if not: what they call is not in the file."""
        tries = [tree.node for tree in self.trees.values() if isinstance(tree.node, ast.Try)]
        return frozenset(name for node in tries if _only_imports(node) for name in _top_names(node))

    @cached_property
    def reads(self) -> dict[str, list[tuple[Tree, ast.Name]]]:
        """Global name → where it is read."""
        found: dict[str, list[tuple[Tree, ast.Name]]] = {}
        for tree in self.trees.values():
            for node in tree.reads:
                found.setdefault(node.id, []).append((tree, node))
        return found

    @cached_property
    def attributes(self) -> dict[str, list[tuple[Tree, ast.Attribute]]]:
        """Attribute name → every mention of it, read or set."""
        found: dict[str, list[tuple[Tree, ast.Attribute]]] = {}
        for tree in self.trees.values():
            for node in tree.attributes:
                found.setdefault(node.attr, []).append((tree, node))
        return found

    @cached_property
    def calls(self) -> list[tuple[Tree, ast.Call]]:
        return [(tree, node) for tree in self.trees.values() for node in tree.calls]

    @cached_property
    def replacing(self) -> list[tuple[Tree, ast.Call]]:
        """The calls of `_replace`."""
        return [(tree, call) for tree, call in self.calls if is_replace(call)]

    @cached_property
    def methods(self) -> dict[str, list[Target]]:
        """Method name → the methods of that name."""
        found: dict[str, list[Target]] = {}
        for owner in self.classes:
            for target in self.trees[owner].targets.values():
                found.setdefault(target.node.name, []).append(target)
        return found

    @cached_property
    def targets(self) -> list[Target]:
        """Every function, and every method that is trimmed: `__init__`, `forward` and those that only `self` calls."""
        return [
            *(self.trees[name].targets[node] for name, node in self.functions.items()),
            *(target for name in self.methods for target in self.methods[name]),
        ]

    # classes ----------------------------------------------------------------------------------------------------------

    def bases(self, name: str) -> list[str]:
        return self.trees[name].bases

    def is_tuple(self, name: str) -> bool:
        """Whether a class is a NamedTuple."""
        return name in self.classes and "NamedTuple" in self.bases(name)

    def method_of(self, name: str, method: str) -> Target | None:
        """The method that an instance of a class has, its own or a base's; None for one of a base outside the file."""
        for target in self.methods.get(method, ()):
            if target.owner == name:
                return target
        for base in self.bases(name):
            if base in self.classes:
                return self.method_of(base, method)
        return None

    def heirs(self, name: str, method: str) -> list[str]:
        """The classes whose instances have this class's own `method`: itself, and what inherits it."""
        own = self.method_of(name, method)
        return [c for c in self.classes if own is not None and self.method_of(c, method) is own] or [name]

    # calls ------------------------------------------------------------------------------------------------------------

    @cached_property
    def instances(self) -> dict[str, list[str] | None]:
        """Attribute → the classes whose instances alone are ever stored under it (`self.attn = Attention(…)`); None otherwise."""
        found: dict[str, list[str] | None] = {}
        for name, mentions in self.attributes.items():
            stores = [(tree, node) for tree, node in mentions if not isinstance(node.ctx, ast.Load)]
            kinds = [self._stored_class(tree, node) for tree, node in stores]
            if stores:
                found[name] = [k for k in kinds if k] if all(kinds) else None
        return found

    def _stored_class(self, tree: Tree, node: ast.Attribute) -> str | None:
        around = tree.parents[node]
        if isinstance(around, ast.Assign) and len(around.targets) == 1 and isinstance(around.value, ast.Call):
            func = around.value.func
            if isinstance(func, ast.Name) and func.id in self.classes and tree.scope_of(func) is None:
                return func.id
        return None

    @cached_property
    def reached(self) -> tuple[dict[Function, list[tuple[Tree, ast.Call]]], list[tuple[Tree, ast.Call]]]:
        """(function → the calls that name it, the calls that may reach any function which is handed on)."""
        named: dict[Function, list[tuple[Tree, ast.Call]]] = {}
        unknown = []
        for tree, call in self.calls:
            found = self._called(tree, call)
            for target in found or ():
                named.setdefault(target.node, []).append((tree, call))
            if found is None:
                unknown.append((tree, call))
        return named, unknown

    def _called(self, tree: Tree, call: ast.Call) -> list[Target] | None:
        """What a call reaches in the file; None where that is open."""
        func = call.func
        if isinstance(func, ast.Name):
            if tree.scope_of(func) is not None or func.id == "partial":
                return None
            if func.id in self.functions:
                return [self.trees[func.id].targets[self.functions[func.id]]]
            if func.id in self.classes:
                init = self.method_of(func.id, "__init__")
                return [init] if init else []
            return None if func.id in self.globals - self.imported else []
        if not isinstance(func, ast.Attribute):
            return None
        if is_super(func.value):
            kind = tree.class_of(call)
            bases = (
                [b for b in self.bases(kind.name) if b in self.classes] if kind and kind.name in self.classes else []
            )
            found = [self.method_of(base, func.attr) for base in bases]
            return [target for target in found if target]
        root = root_of(func)
        if root is not None and tree.scope_of(root) is None and root.id not in self.globals and root.id != "self":
            return []  # of an imported module
        if func.attr in self.instances:
            kinds = self.instances[func.attr]
            if kinds is None or func.attr in self.methods:
                return None
            called = [self.method_of(kind, "forward") or self.method_of(kind, "__call__") for kind in kinds]
            return [target for target in called if target]
        return list(self.methods.get(func.attr, ()))

    def calls_of(self, target: Target) -> list[tuple[Tree, ast.Call]]:
        """The calls that name it."""
        return self.reached[0].get(target.node, [])

    def is_closed(self, target: Target) -> bool:
        """Whether every call of it is known and may be changed with it."""
        if target not in self.closed:
            self.closed[target] = self._is_closed(target)
        return self.closed[target]

    @cached_property
    def closed(self) -> dict[Target, bool]:
        """What `is_closed` has found."""
        return {}

    def _is_closed(self, target: Target) -> bool:
        if not target.is_plain or target.owner in self.open_names:
            return False
        if target.kind is None:
            return all(is_called(tree, node) for tree, node in self.reads.get(target.owner, ()))
        if target.node.name == "__init__":
            return all(self._only_made(kind) for kind in self.heirs(target.owner, "__init__"))
        if target.node.name == "forward":
            return all(self._only_called(kind) for kind in self.heirs(target.owner, "forward"))
        return self._is_private(target)

    def _only_made(self, kind: str) -> bool:
        """Whether a class is only called, inherited from, asked for its attributes or tested for."""
        if kind in self.open_names:
            return False
        for tree, node in self.reads.get(kind, ()):
            around = tree.parents[node]
            tests = isinstance(around, ast.Call) and ast.unparse(around.func) in ("isinstance", "hasattr")
            names = isinstance(around, ast.ClassDef | ast.Attribute)
            if not (is_called(tree, node) or tests or names):
                return False
        return True

    def _only_called(self, kind: str) -> bool:
        """Whether every instance of a module lives under one attribute and is only called there."""
        if not self._only_made(kind) or "nn.Module" not in self._roots(kind):
            return False
        for tree, node in self.reads.get(kind, ()):
            call = tree.parents[node]
            if isinstance(call, ast.Call) and call.func is node and not self._is_kept(tree.parents[call]):
                return False
        return all(is_super(node.value) for _, node in self.attributes.get("forward", ()))

    def _is_kept(self, setting: ast.AST) -> bool:
        """Whether a new instance is stored under an attribute that is only ever called, or asked for attributes of its own."""
        if not (isinstance(setting, ast.Assign) and len(setting.targets) == 1):
            return False
        target = setting.targets[0]
        if not (isinstance(target, ast.Attribute) and self.instances.get(target.attr)):
            return False
        reads = [(tree, n) for tree, n in self.attributes[target.attr] if isinstance(n.ctx, ast.Load)]
        return all(is_called(tree, n) or isinstance(tree.parents[n], ast.Attribute) for tree, n in reads)

    def _roots(self, kind: str) -> set[str]:
        """The bases outside the file that a class comes from."""
        found = set[str]()
        for base in self.bases(kind):
            found |= self._roots(base) if base in self.classes else {base}
        return found

    def _is_private(self, target: Target) -> bool:
        """Whether a method is called by `self.method(…)` of its own class alone, and has no namesake."""
        name = target.node.name
        if len(self.methods[name]) > 1 or name.startswith("__") or name in self.instances:
            return False
        if self._roots(target.owner) - {"nn.Module", "torch.optim.Optimizer"}:
            return False
        family = set(self.heirs(target.owner, name))
        for tree, node in self.attributes.get(name, ()):
            kind = tree.class_of(node)
            own = (
                isinstance(node.value, ast.Name)
                and node.value.id == "self"
                and kind is not None
                and kind.name in family
            )
            if not (own and is_called(tree, node)):
                return False
        return True

    @cached_property
    def holders(self) -> dict[str, frozenset[tuple[ast.AST | None, str]] | None]:
        """Kept for golf.compose.flow: NamedTuple → the names that may hold one."""
        return {}

    # values -----------------------------------------------------------------------------------------------------------

    def values_of(
        self, tree: Tree, node: ast.AST, asked: frozenset[tuple[int, str]] = frozenset()
    ) -> frozenset[object] | None:
        """Every value that an expression can have, where the file shows it: texts, numbers, flags; None where it does not."""
        match node:
            case ast.Constant():
                return frozenset({node.value})
            case ast.IfExp():
                return _union(self.values_of(tree, branch, asked) for branch in (node.body, node.orelse))
            case ast.Attribute(value=ast.Name(id="h")):
                found = self.values.get(node.attr, ())
                return frozenset(found) if found and all(isinstance(v, str) for v in found) else None
            case ast.Attribute():
                return self._field_values(node.attr, asked)
            case ast.Name():
                return self._parameter_values(tree, node, asked)
        return None

    def _parameter_values(
        self, tree: Tree, node: ast.Name, asked: frozenset[tuple[int, str]]
    ) -> frozenset[object] | None:
        function = tree.scope_of(node)
        target = tree.targets.get(function) if function is not None else None
        if target is not None and node.id not in {a.arg for a in target.parameters}:
            return self._local_values(tree, target.node, node.id, asked)
        if target is None or is_set(tree, target.node, node.id):
            return None
        key = (id(function), node.id)
        if key in asked:
            return frozenset()
        if not self.is_closed(target):
            return None
        default = target.defaults.get(node.id)
        found = []
        for where, call in self.calls_of(target):
            given = target.given(call)
            value = given.get(node.id, default) if given is not None else None
            if value is None:
                return None
            found.append(self.values_of(tree if value is default else where, value, asked | {key}))
        return _union(found)

    def _local_values(
        self, tree: Tree, function: Function, name: str, asked: frozenset[tuple[int, str]]
    ) -> frozenset[object] | None:
        """The values of a local that only assignments set, by itself or as one of a pair."""
        found: list[frozenset[object] | None] = []
        for node in tree.names_in(function, name):
            if isinstance(node.ctx, ast.Load):
                continue
            around = tree.parents[node]
            match around, tree.parents[around]:
                case ast.Assign(targets=[_], value=value), _:
                    found.append(self.values_of(tree, value, asked))
                case ast.Tuple(elts=names), ast.Assign(targets=[_], value=ast.Tuple(elts=given)) if len(names) == len(
                    given
                ):
                    found.append(self.values_of(tree, given[names.index(node)], asked))
                case _:
                    return None
        return _union(found) if found else None

    def _field_values(self, name: str, asked: frozenset[tuple[int, str]]) -> frozenset[object] | None:
        """The values of a NamedTuple's field, where one class alone has an attribute of that name."""
        kinds = [kind for kind in self.classes if self.is_tuple(kind) and name in fields_of(self.classes[kind])]
        if len(kinds) != 1 or name in self.methods or name in self.instances or (0, name) in asked:
            return None
        kind, found = kinds[0], []
        if any(k.arg == name for _, call in self.replacing for k in call.keywords):
            return None
        for tree, node in self.reads.get(kind, ()):
            call = tree.parents[node]
            if not (isinstance(call, ast.Call) and call.func is node):
                return None
            value = field_given(self.classes[kind], call).get(name)
            if value is None:
                return None
            found.append(self.values_of(tree, value, asked | {(0, name)}))
        return _union(found)


def _union(sets: object) -> frozenset[object] | None:
    found: frozenset[object] = frozenset()
    for each in sets:  # type: ignore[attr-defined]
        if each is None:
            return None
        found |= each
    return found


def _only_imports(node: ast.Try) -> bool:
    """Whether a `try` imports and its handlers set nothing but None."""
    handled = [step for handler in node.handlers for step in handler.body]
    return all(isinstance(step, ast.Import | ast.ImportFrom) for step in node.body) and all(
        isinstance(step, ast.Assign) and isinstance(step.value, ast.Constant) and step.value.value is None
        for step in handled
    )


def _top_names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
        return
    for each in ast.walk(node):
        if name := _binding(each):
            yield name


def fields_of(kind: ast.ClassDef) -> dict[str, ast.AnnAssign]:
    """A NamedTuple's fields in order."""
    return {
        s.target.id: s for s in kind.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)
    }  # fmt: skip


def field_given(kind: ast.ClassDef, call: ast.Call) -> dict[str, ast.expr]:
    """Field → what a call of a NamedTuple gives it, defaults filled in; empty where a star hides it."""
    fields = fields_of(kind)
    if any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords):
        return {}
    found = {name: s.value for name, s in fields.items() if s.value is not None}
    return found | dict(zip(fields, call.args, strict=False)) | {str(k.arg): k.value for k in call.keywords}


def is_replace(call: ast.Call) -> bool:
    """Whether a call is `x._replace(…)`."""
    return isinstance(call.func, ast.Attribute) and call.func.attr == "_replace"


def is_called(tree: Tree, node: ast.AST) -> bool:
    """Whether a node stands in a call as what is called."""
    around = tree.parents[node]
    return isinstance(around, ast.Call) and around.func is node


def is_super(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def is_set(tree: Tree, function: Function, name: str) -> bool:
    """Whether a function sets one of its parameters anew, at any depth, or a function inside it has a parameter of that name."""
    for node in ast.walk(function):
        if node is not function and _binding(node) == name:
            return True
        if isinstance(node, ast.arg) and node.arg == name and tree.parents[tree.parents[node]] is not function:
            return True
    return False


def root_of(node: ast.AST) -> ast.Name | None:
    """The name that a chain of attributes begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node if isinstance(node, ast.Name) else None
