"""What a script's main flow learns from validation tokens, and whether the score that it reports was computed after that: by its code.

The main flow is followed statement by statement, loops twice, local functions inlined. Values carry which windows of the validation
stream they come from and which objects (models, adapters, fresh tensors) learned from these windows before. Names do not matter:
windows are told apart by the loop variables that they are sliced with, learning by `.backward()` and `.step()`.
"""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from golf.rules.code import Code, dotted, leaf

LoopVars = frozenset[tuple[int, int]]  # (loop, iteration)
MODEL_NAME = re.compile(r"(?i)gpt|model|net$|transformer|(?:^|_)lm$")
LAYER = re.compile(r"^(?:torch\.)?nn\.(?!Parameter$)[A-Z]\w+$")
MOST_NODES = 120_000
MOST_DEPTH = 10
FILLS = frozenset(("append", "extend", "add", "update", "add_", "copy_", "index_add_", "insert"))
SAME = frozenset(("detach", "detach_", "clone", "requires_grad_"))  # gives the tensor that it is called on
TURNS = 2  # of a loop whose length is not known


@dataclass(frozen=True)
class Learned:
    """One act of learning from validation tokens. kind: "module" or "tensor" (a fresh trainable tensor); counted_before: the loss of
    the same window was added up before; order: in the flow; sure: under no switch whose value is unknown."""

    window: LoopVars
    line: int
    file: str
    function: str
    kind: str
    order: int
    counted_before: bool
    sure: bool


@dataclass(frozen=True)
class Value:
    """An abstract value. windows: of the validation stream; turns: loop variables that it depends on; things: objects that it is or
    holds; late: acts of learning before it was computed from the same windows; nats: windows whose loss is in it; stored: read from
    what was packed; models: (name, whether its weights were read from what was packed) of what gave the loss."""

    windows: frozenset[LoopVars] = frozenset()
    turns: LoopVars = frozenset()
    things: frozenset[int] = frozenset()
    late: frozenset[Learned] = frozenset()
    nats: frozenset[LoopVars] = frozenset()
    number: int | None = None
    function: Any = None
    stored: bool = False
    models: frozenset[tuple[str, bool]] = frozenset()

    def __or__(self, other: "Value") -> "Value":
        if other is NOTHING:
            return replace(self, number=None) if self.number is not None else self
        if self is NOTHING:
            return replace(other, number=None) if other.number is not None else other
        return Value(
            self.windows | other.windows, self.turns | other.turns, self.things | other.things, self.late | other.late,
            self.nats | other.nats, None, self.function or other.function, self.stored or other.stored, self.models | other.models,
        )  # fmt: skip


NOTHING = Value()
ALL: LoopVars = frozenset()


@dataclass
class Function:
    """A local function or lambda with the names around it."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    around: dict[str, Value]
    file: str
    owner: Value | None = None


@dataclass
class Report:
    """A printed score. late: the learning that came before it on its own windows."""

    line: int
    file: str
    text: str
    value: Value


@dataclass
class Flow:
    """What was followed. packed_at: when an artifact was written, in the flow's order; whole: whether the flow was followed to its end."""

    reports: list[Report] = field(default_factory=list)
    learned: list[Learned] = field(default_factory=list)
    packed_at: list[int] = field(default_factory=list)
    read_back: list[tuple[str, int]] = field(default_factory=list)  # where something was read after packing
    restored: list[tuple[str, str, int]] = field(
        default_factory=list
    )  # models given weights that were read back; where
    handed: list[tuple[str, str, int]] = field(default_factory=list)  # local functions given validation tokens; where
    scorers: set[str] = field(default_factory=set)  # functions that give a loss back
    whole: bool = True

    @property
    def late(self) -> list[Learned]:
        """The learning that the last reported score came after, on its own windows."""
        scored = [report for report in self.reports if report.value.nats]
        return sorted(scored[-1].value.late, key=lambda each: each.order) if scored else []

    @property
    def scored(self) -> Report | None:
        """The last reported score that a model gave."""
        return next((report for report in reversed(self.reports) if report.value.nats and report.value.models), None)

    def before_packing(self, act: Learned) -> bool:
        """Whether an artifact is written after this act."""
        return any(at > act.order for at in self.packed_at)


@lru_cache(maxsize=8)
def flow_of(code: Code) -> Flow:
    """The followed flow of a script."""
    follower = _Follower(code)
    try:
        follower.run()
    except (_Enough, RecursionError):
        follower.flow.whole = False
    return follower.flow


class _Enough(Exception):
    """The flow is longer than what is followed."""


class _Follower:
    def __init__(self, code: Code) -> None:
        self.code = code
        self.flow = Flow()
        self.clock = 0
        self.nodes = 0
        self.depth = 0
        self.knows: dict[int, frozenset[Learned]] = {}  # thing → acts
        self.kinds: dict[int, str] = {}
        self.attributes: dict[tuple[int, str], Value] = {}
        self.pending: frozenset[LoopVars] = frozenset()
        self.pending_line = 0
        self.counted: set[tuple[LoopVars, str]] = set()  # windows whose loss was added up, by which function
        self.unsure = 0
        self.artifact: dict[int, frozenset[Learned]] | None = None
        self.restored: set[int] = set()  # things whose weights were read from what was packed
        self.called: dict[int, str] = {}  # thing → the name that it was first bound to
        self.loops: list[int] = []
        self.file = ""
        self.function = "main"
        self.classes: dict[str, ast.ClassDef] = {}
        self.modules: set[str] = set()
        self.things = 0

    def run(self) -> None:
        """Helpers are definitions; then the script itself."""
        for module in self.code.modules:
            for node in module.nodes:
                if isinstance(node, ast.ClassDef):
                    self.classes[node.name] = node
                    if any("Module" in ast.unparse(base) for base in node.bases):
                        self.modules.add(node.name)
        names: dict[str, Value] = {}
        for module in reversed(self.code.modules):
            self.file = module.path.name
            for node in getattr(module.tree, "body", ()):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    names[node.name] = Value(function=Function(node, names, module.path.name))
        main = self.code.modules[0]
        for module in self.code.modules:
            if module.path == main.path:  # the script, then the texts in it that it runs
                self.file = module.path.name
                self.block(getattr(module.tree, "body", ()), names)

    # statements

    def block(self, body: Iterable[ast.stmt], names: dict[str, Value]) -> Value | None:
        """What the statements return or yield, joined; None for nothing."""
        given: Value | None = None
        for statement in body:
            self.nodes += 1
            if self.nodes > MOST_NODES:
                raise _Enough
            found = self.statement(statement, names)
            if found is not None:
                given = found if given is None else given | found
            if isinstance(statement, ast.Return):
                break
        return given

    def statement(self, node: ast.stmt, names: dict[str, Value]) -> Value | None:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                names[node.name] = Value(function=Function(node, names, self.file))
            case ast.Return():
                value = self.value(node.value, names)
                if value.nats:
                    self.flow.scorers.add(self.function)
                return value
            case ast.Assign():
                value = self.value(node.value, names)
                for target in node.targets:
                    self.bind(target, value, names, node.value)
                if value.nats and any(
                    "bpb" in leaf(each).lower() for each in ast.walk(node) if isinstance(each, ast.Name)
                ):
                    self.flow.reports.append(Report(node.lineno, self.file, ast.unparse(node)[:100], value))
            case ast.AnnAssign() if node.value is not None:
                self.bind(node.target, self.value(node.value, names), names, node.value)
            case ast.AugAssign():
                added = self.value(node.value, names)
                self.counted |= {(window, self.function) for window in added.nats}
                value = self.value(node.target, names) | added
                turn = frozenset(((self.loops[-1], self.turn),)) if self.loops and not value.nats else ALL
                self.bind(node.target, replace(value, turns=value.turns | turn, number=None), names, node.value)
            case ast.Expr():
                if isinstance(node.value, ast.Yield | ast.YieldFrom):
                    return self.value(node.value.value, names) if node.value.value else NOTHING
                self.value(node.value, names)
            case ast.For() | ast.AsyncFor():
                return self.loop(node, names, self.value(node.iter, names), self.length(node.iter, names))
            case ast.While():
                return self.loop(node, names, self.value(node.test, names), TURNS)
            case ast.If():
                truth = self.truth(node.test, names)
                self.value(node.test, names)
                switch = int(truth is None and self.is_switch(node.test))
                self.unsure += switch
                given = self.block(node.body, names) if truth is not False else None
                other = self.block(node.orelse, names) if truth is not True else None
                self.unsure -= switch
                return other if given is None else given if other is None else given | other
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    value = self.value(item.context_expr, names)
                    if item.optional_vars is not None:
                        self.bind(item.optional_vars, value, names, item.context_expr)
                return self.block(node.body, names)
            case ast.Try():
                given = self.block(node.body, names)
                last = self.block(node.finalbody, names)
                return last if given is None else given
        return None

    def truth(self, test: ast.expr, names: dict[str, Value]) -> bool | None:
        if isinstance(test, ast.Compare) and ast.unparse(test).replace('"', "'") == "__name__ == '__main__'":
            return True
        return self.code.truth(test)

    def is_switch(self, test: ast.expr) -> bool:
        """Whether a condition hangs on a setting, or is a bare flag."""
        while isinstance(test, ast.UnaryOp):
            test = test.operand
        flag = isinstance(test, ast.Name | ast.Attribute)
        return flag or any(
            leaf(each).lower() in self.code.settings
            for each in ast.walk(test)
            if isinstance(each, ast.Name | ast.Attribute)
        )

    def length(self, iterated: ast.expr, names: dict[str, Value]) -> int:
        """How often a loop is turned: as often as a short `range` says, else twice."""
        if isinstance(iterated, ast.Call) and leaf(iterated.func) == "range" and len(iterated.args) == 1:
            number = self.number(iterated.args[0], names)
            if number is not None:
                return min(max(number, 0), TURNS)
        if isinstance(iterated, ast.Tuple | ast.List):
            return min(len(iterated.elts), TURNS)
        return TURNS

    def number(self, node: ast.expr, names: dict[str, Value]) -> int | None:
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return node.value
        if isinstance(node, ast.Name) and node.id in names:
            return names[node.id].number
        if isinstance(node, ast.Name | ast.Attribute):
            value = self.code.value(leaf(node))
            return value if type(value) is int else None
        return None

    turn = 0

    def loop(self, node: Any, names: dict[str, Value], iterated: Value, turns: int) -> Value | None:
        """The body `turns` times; afterwards the windows of this loop are those of the whole that it ran over."""
        given: Value | None = None
        mine = self.nodes * 1000 + node.lineno  # the same loop, entered again, is another one
        self.loops.append(mine)
        outer = self.turn
        for turn in range(turns):
            self.turn = turn
            here = frozenset(((mine, turn),))
            if isinstance(node, ast.For | ast.AsyncFor):
                element = replace(
                    iterated,
                    windows=frozenset(window | here for window in iterated.windows),
                    turns=iterated.turns | here,
                    number=None,
                )
                self.bind(node.target, element, names, None)
            found = self.block(node.body, names)
            if found is not None:
                given = found if given is None else given | found
        self.turn = outer
        self.loops.pop()
        self.close(mine, names)
        if given is not None:
            given = _closed(given, mine)
        other = self.block(node.orelse, names)
        return other if given is None else given if other is None else given | other

    def close(self, loop: int, names: dict[str, Value]) -> None:
        """Forget a loop's variable everywhere: what was done to each window was done to all of them."""
        for thing, acts in self.knows.items():
            self.knows[thing] = frozenset(replace(act, window=_without(act.window, loop)) for act in acts)
        self.pending = frozenset(_without(window, loop) for window in self.pending)
        self.counted = {(_without(window, loop), by) for window, by in self.counted}
        for name, value in list(names.items()):
            if value.windows or value.turns or value.nats or value.late:
                names[name] = _closed(value, loop)

    def bind(self, target: ast.expr, value: Value, names: dict[str, Value], source: ast.expr | None) -> None:
        match target:
            case ast.Name():
                named = _names_val(target.id) and not value.windows and value.function is None
                for thing in value.things:
                    self.called.setdefault(thing, target.id)
                names[target.id] = value | WHOLE if named else value
            case ast.Tuple() | ast.List():
                parts = (
                    source.elts
                    if isinstance(source, ast.Tuple | ast.List) and len(source.elts) == len(target.elts)
                    else None
                )
                for at, each in enumerate(target.elts):
                    if parts is not None:
                        self.bind(each, self.value(parts[at], names), names, parts[at])
                    else:
                        self.bind(each, value, names, None)
            case ast.Starred():
                self.bind(target.value, value, names, None)
            case ast.Attribute():
                owner = self.value(target.value, names)
                for thing in owner.things:
                    self.attributes[thing, target.attr] = value
                if value.stored:
                    self.fill(owner.things, True, target.lineno)
            case ast.Subscript():
                if isinstance(target.value, ast.Name):
                    names[target.value.id] = names.get(target.value.id, NOTHING) | replace(value, number=None)

    # expressions

    def value(self, node: ast.AST | None, names: dict[str, Value]) -> Value:
        if node is None:
            return NOTHING
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise _Enough
        match node:
            case ast.Constant():
                if type(node.value) is int:
                    return Value(number=node.value)
                return WHOLE if isinstance(node.value, str) and _says_val(node.value) else NOTHING
            case ast.Name():
                return names.get(node.id) or (WHOLE if _names_val(node.id) else NOTHING)
            case ast.Attribute():
                owner = self.value(node.value, names)
                known = [
                    self.attributes[thing, node.attr] for thing in owner.things if (thing, node.attr) in self.attributes
                ]
                if known:
                    return _join(known)
                method = next(
                    (found for thing in owner.things if (found := self.method(thing, node.attr, owner))), None
                )
                if method is not None and _is_property(method.node):
                    return self.enter(method, [], {})
                if method is not None:
                    return replace(owner, function=method)
                return (
                    owner | WHOLE
                    if _names_val(node.attr) and not owner.windows
                    else replace(owner, function=None, number=None)
                )
            case ast.Subscript():
                base, index = self.value(node.value, names), self.value(node.slice, names)
                turns = index.turns | frozenset(each for window in index.windows for each in window)
                return replace(
                    base, windows=frozenset(window | turns for window in base.windows), turns=base.turns | index.turns,
                    late=base.late | index.late, number=None, function=None,
                )  # fmt: skip
            case ast.Call():
                return self.call(node, names)
            case ast.Lambda():
                return Value(function=Function(node, names, self.file))
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                inner = dict(names)
                for part in node.generators:
                    self.bind(part.target, self.value(part.iter, inner), inner, None)
                parts = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
                return _join(self.value(part, inner) for part in parts)
            case ast.Compare():
                _join(self.value(each, names) for each in (node.left, *node.comparators))
                return NOTHING
            case ast.NamedExpr():
                value = self.value(node.value, names)
                self.bind(node.target, value, names, node.value)
                return value
        return _join(
            self.value(each, names)
            for each in ast.iter_child_nodes(node)
            if isinstance(each, ast.expr | ast.keyword | ast.slice | ast.comprehension)
        )

    def method(self, thing: int, name: str, owner: Value) -> Function | None:
        kind = self.kinds.get(thing, "")
        cls = self.classes.get(kind.removeprefix("class ")) if kind.startswith("class ") else None
        for node in cls.body if cls is not None else ():
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return Function(node, {}, self.file, replace(owner, function=None))
        return None

    def call(self, node: ast.Call, names: dict[str, Value]) -> Value:
        name, path = leaf(node.func), dotted(node.func)
        arguments = [self.value(each, names) for each in node.args]
        keywords = {each.arg or "": self.value(each.value, names) for each in node.keywords}
        function = self.value(node.func, names)
        self.clock += 1
        given = _join([*arguments, *keywords.values()])
        if function.function is not None:
            if any(window == ALL or all(loop > 0 for loop, _ in window) for window in given.windows):
                self.flow.handed.append((getattr(function.function.node, "name", ""), self.file, node.lineno))
            return self.enter(function.function, arguments, keywords)
        if (
            name in FILLS
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name | ast.Attribute)
        ):
            self.counted |= {(window, self.function) for window in given.nats}
            self.bind(node.func.value, function | given, names, None)
        if name == "backward":
            self.pending, self.pending_line = function.windows, node.lineno
            return NOTHING
        if path.endswith("autograd.grad"):
            self.learn(arguments[0].windows if arguments else frozenset(), given.things, node.lineno)
            return given
        if name == "step" and function.things and self.pending:
            self.learn(self.pending, function.things, self.pending_line)
            return NOTHING
        if name == "randint" and any(isinstance(each, ast.Tuple) and len(each.elts) == 1 for each in node.args):
            return Value(
                windows=frozenset((frozenset(((-self.clock, 0),)),))
            )  # a text that is drawn is a stream of its own
        if name in self.classes and not isinstance(node.func, ast.Attribute):
            return self.made(name, arguments, keywords)
        elsewhere = MODEL_NAME.search(name) and name[:1].isupper() and not isinstance(node.func, ast.Attribute)
        if elsewhere or LAYER.search(path):
            return self.thing("module") | replace(
                given, things=given.things if LAYER.search(path) else frozenset(), function=None, number=None
            )
        learner = frozenset(each for each in function.things if self.kinds[each] in ("module", "tensor"))
        if name in SAME and learner:
            return replace(function, things=learner, windows=frozenset(), nats=frozenset(), function=None, number=None)
        if _is_fresh(node, name):
            return self.thing("module" if self.function == "__init__" else "tensor")  # an object's own: its weights
        if name == "deepcopy" and given.things:
            copied = self.thing("module")
            for thing in copied.things:
                self.knows[thing] = frozenset(act for each in given.things for act in self.knows.get(each, ()))
            return copied
        if name == "load_state_dict":
            for thing in function.things:
                self.knows[thing] = self.loaded(thing, given)
            self.fill(function.things, given.stored, node.lineno)
            return NOTHING
        if name == "copy_" and function.things:
            self.fill(function.things, given.stored or any(each in self.restored for each in given.things), node.lineno)
        if _writes_file(node, name, path):
            self.flow.packed_at.append(self.clock)
            self.artifact = dict(self.knows)
        if name in ("print", "log", "log0", "info", "write", "logged", "say") and _reports(node):
            self.flow.reports.append(Report(node.lineno, self.file, ast.unparse(node)[:100], given))
        if name == "setattr" or (
            given.stored and not given.windows
        ):  # a helper from elsewhere puts weights into a model
            self.fill(function.things | given.things, given.stored, node.lineno, only=True)
        found = self.computed(function, given)
        if self.flow.packed_at and _reads_file(node, name, path) and not found.windows:
            self.flow.read_back.append((self.file, node.lineno))
            return replace(found, stored=True)
        return found

    def fill(self, things: frozenset[int], stored: bool, line: int, *, only: bool = False) -> None:
        """Weights are loaded: from what was packed, or from elsewhere. only: what is not from there takes nothing away."""
        things = frozenset(thing for thing in things if self.kinds[thing] == "module")
        if not stored or not things:
            self.restored -= frozenset() if only else things
            return
        self.restored |= things
        named = next((self.called[thing] for thing in sorted(things) if thing in self.called), "a model")
        self.flow.restored.append((named, self.file, line))

    def computed(self, function: Value, given: Value) -> Value:
        """What a call of something unknown gives: a loss where an object meets windows, late where it learned from them before."""
        things = frozenset(each for each in function.things | given.things if self.kinds[each] in ("module", "tensor"))
        windows = function.windows | given.windows
        both = function | given
        if not (things and windows):
            return replace(both, function=None, number=None)
        late = frozenset(
            act
            for thing in things
            for act in self.knows.get(thing, ())
            if any(act.window <= window for window in windows)
        )
        models = frozenset(
            (self.called.get(thing, "a model"), thing in self.restored)
            for thing in things
            if self.kinds[thing] == "module"
        )
        return Value(
            windows, both.turns, frozenset(), both.late | late, both.nats | windows, models=both.models | models
        )

    def loaded(self, thing: int, given: Value) -> frozenset[Learned]:
        if given.things:
            return frozenset(act for each in given.things for act in self.knows.get(each, ()))
        return (self.artifact or self.knows).get(thing, frozenset())

    def learn(self, windows: frozenset[LoopVars], things: frozenset[int], line: int) -> None:
        for window in windows:
            for thing in things:
                if self.kinds[thing] not in ("module", "tensor"):
                    continue
                kind = "tensor" if self.kinds.get(thing) == "tensor" else "module"
                before = any(by == self.function and (window <= done or done <= window) for done, by in self.counted)
                act = Learned(window, line, self.file, self.function, kind, self.clock, before, not self.unsure)
                self.knows[thing] = self.knows.get(thing, frozenset()) | {act}
                self.flow.learned.append(act)

    def made(self, name: str, arguments: list[Value], keywords: dict[str, Value]) -> Value:
        """An instance of a local class; of a class that is no module, `__init__` is followed, for what it keeps."""
        given = _join([*arguments, *keywords.values()])
        is_module = name in self.modules
        value = self.thing("module" if is_module else f"class {name}")
        start = next((found for thing in value.things if (found := self.method(thing, "__init__", value))), None)
        if start is not None and not is_module:
            self.enter(start, arguments, keywords)
        if given.stored and is_module:
            self.fill(value.things, True, 0)
        value = replace(value, things=value.things | (frozenset() if is_module else given.things))
        return value | replace(given, things=frozenset(), function=None, number=None)

    def thing(self, kind: str) -> Value:
        self.things += 1
        self.kinds[self.things] = kind
        return Value(things=frozenset((self.things,)))

    def enter(self, function: Function, arguments: list[Value], keywords: dict[str, Value]) -> Value:
        """A local function's body with its parameters bound; what it returns."""
        given = _join([*arguments, *keywords.values()])
        if self.depth >= MOST_DEPTH:
            return given
        node = function.node
        names = _Names(function.around)
        parameters = [*node.args.posonlyargs, *node.args.args]
        values = [*([function.owner] if function.owner is not None else ()), *arguments]
        for parameter, default in zip(
            parameters[len(parameters) - len(node.args.defaults) :], node.args.defaults, strict=True
        ):
            names[parameter.arg] = self.value(default, names)
        for parameter, kw_default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
            names[parameter.arg] = self.value(kw_default, names)
        for parameter, value in zip(parameters, values, strict=False):
            names[parameter.arg] = value
        if len(values) > len(parameters) and node.args.vararg:
            names[node.args.vararg.arg] = _join(values[len(parameters) :])
        names.update({name: value for name, value in keywords.items() if name})
        for parameter in (*parameters, *node.args.kwonlyargs):
            names.setdefault(parameter.arg, NOTHING)
        file, name, self.file = self.file, self.function, function.file
        self.depth += 1
        try:
            if isinstance(node, ast.Lambda):
                return self.value(node.body, names)
            self.function = node.name
            return self.block(node.body, names) or NOTHING
        finally:
            self.depth -= 1
            self.file, self.function = file, name


class _Names(dict[str, Value]):
    """Names of a function, with those around it behind."""

    def __init__(self, around: dict[str, Value]) -> None:
        super().__init__()
        self.around = around

    def get(self, name: str, default: Any = None) -> Any:
        if name in self:
            return self[name]
        return self.around.get(name, default)


def _without(window: LoopVars, loop: int) -> LoopVars:
    return frozenset(each for each in window if each[0] != loop)


def _closed(value: Value, loop: int) -> Value:
    return replace(
        value, windows=frozenset(_without(window, loop) for window in value.windows), turns=_without(value.turns, loop),
        nats=frozenset(_without(window, loop) for window in value.nats),
    )  # fmt: skip


def _join(values: Iterable[Value]) -> Value:
    found = NOTHING
    first = True
    for value in values:
        found = value if first else found | value
        first = False
    return found


WHOLE = Value(windows=frozenset((ALL,)))


def _says_val(text: str) -> bool:
    return text == "val" or "fineweb_val" in text or text in ("valid", "validation") or "_val_" in text


def _names_val(name: str) -> bool:
    """A name that stands for the validation stream itself where nothing assigns it."""
    return name.lower() in ("val_files", "val_tokens", "val_data", "val_pattern", "val_glob", "val_path")


def _is_property(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and any(leaf(each) == "property" for each in node.decorator_list)


def _is_fresh(node: ast.Call, name: str) -> bool:
    text = ast.unparse(node)
    if name == "requires_grad_":
        return "parameters" not in text
    return name == "Parameter" or (
        name in ("zeros", "zeros_like", "empty", "randn", "ones", "full", "new_zeros") and "requires_grad=True" in text
    )


def _writes_file(node: ast.Call, name: str, path: str) -> bool:
    if re.search(r"(?i)quantize_|^quantize|pack_model|save_artifact|serialize", name) and "dequant" not in name.lower():
        return True
    if name == "open":
        return any(
            isinstance(each, ast.Constant) and each.value in ("wb", "xb")
            for each in (*node.args, *(k.value for k in node.keywords))
        )
    return name in ("write_bytes", "tofile", "save_file") or (
        path in ("torch.save", "np.savez", "np.save") and len(node.args) > 1 and not _in_memory(node.args[1])
    )


def _reads_file(node: ast.Call, name: str, path: str) -> bool:
    """Whether a call gives what stands in a file, or what was packed in memory; the script itself is no such file."""
    if "__file__" in ast.unparse(node):
        return False
    if name == "load":
        return path.partition(".")[0] in ("torch", "np", "numpy", "pickle", "msgpack")
    return name in ("read", "read_bytes", "load_file", "decompress", "safe_open")


def _in_memory(node: ast.expr) -> bool:
    return "buf" in ast.unparse(node).lower() or "io." in ast.unparse(node)


def _reports(node: ast.Call) -> bool:
    text = ast.unparse(node).lower()
    return "bpb" in text or "val_loss" in text
