"""What a script's main flow learns from validation tokens, and whether the score that it reports was computed after that: by its code.

The main flow is followed statement by statement, loops twice, local functions inlined. Values carry which windows of the validation
stream they come from and which objects (models, adapters, fresh tensors) learned from these windows before. Names do not matter:
windows are told apart by the loop variables that they are sliced with, learning by `.backward()` and `.step()`, or by counting targets
into a table that the prediction of the same targets then reads.
"""

import ast
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from golf.reading.module import children, walk
from golf.rules.code import Code, dotted, leaf

LoopVars = frozenset[tuple[int, int]]  # (loop, iteration)
MODEL_NAME = re.compile(r"(?i)gpt|model|net$|transformer|(?:^|_)lm$")
LAYER = re.compile(r"^(?:torch\.)?nn\.(?!Parameter$)[A-Z]\w+$")
MOST_NODES = 120_000
LOOKED_AT = 16  # so many acts or windows looked through count as a node: strange scripts pile them up
MOST_DEPTH = 10
FILLS = frozenset((
    "append", "extend", "add", "update", "add_", "copy_", "index_add_", "insert", "frombytes", "fromlist", "appendleft", "extendleft",
    "put", "put_nowait",
))  # fmt: skip
SAME = frozenset(("detach", "detach_", "clone", "requires_grad_"))  # gives the tensor that it is called on
TURNS = 2  # of a loop whose length is not known
COUNTS = frozenset(("bincount", "Counter", "histogram", "histc"))  # give the counts of what they are given
RAISES = frozenset(
    ("index_add_", "scatter_add_", "index_put_", "subtract_at", "at")
)  # raise entries of a table in place
SCORES = frozenset(("cross_entropy", "nll_loss", "log_softmax", "logsumexp", "log", "log2", "log1p"))
DRAINS = frozenset(("list", "tuple", "sum", "max", "min", "sorted", "deque", "dict"))
SIZES = frozenset(("len", "numel", "size", "nelement", "dim", "getsize"))  # say nothing of what the tokens are
GRADIENTS = frozenset(("grad", "grad_and_value", "value_and_grad", "jacrev", "jacfwd", "hessian"))  # of a function
WRAPPERS = frozenset(
    ("compile", "vmap", "jit", "script", "cache", "no_grad", "inference_mode", "wraps")
)  # give it back
RUNNERS = frozenset(
    (
        "submit",
        "apply",
        "apply_async",
        "map",
        "imap",
        "starmap",
        "run_in_executor",
        "Thread",
        "Process",
        "Timer",
        "checkpoint",
    )
)  # call the function that they are given with what else they are given
SAVES = frozenset(("save", "savez", "savez_compressed", "dump", "dumps", "save_file", "write_bytes"))
ENTRIES = frozenset(("items", "keys", "values", "most_common"))  # of a dictionary
FOLDS = frozenset(("reduce", "accumulate"))
PICKS = frozenset(("min", "max", "sorted", "nsmallest", "nlargest", "sort"))  # by a key
MOST_PARTS, MOST_FUNCTIONS, MOST_BASES = 8, 12, 8


Record = TypeVar("Record")


def replace(each: Record, **changes: Any) -> Record:
    """A record with other values, as `dataclasses.replace`, in a third of its time: records of this module have no slots and check nothing."""
    made = object.__new__(type(each))
    made.__dict__.update(each.__dict__)
    made.__dict__.update(changes)
    return made


@dataclass(frozen=True)
class Learned:
    """One act of learning from validation tokens. kind: "module", "tensor" (a fresh trainable tensor), "table" (of counts), "slope" (a
    gradient of a function), "mask" or "better" (of scores, by these scores themselves), "weights" (of targets in a mean of their losses); counted_before: the loss of the same window was added up before; order: in the flow; sure:
    under no switch whose value is unknown; ahead: from targets, or from all tokens of its window."""

    window: LoopVars
    line: int
    file: str
    function: str
    kind: str
    order: int
    counted_before: bool
    sure: bool
    ahead: bool = True


@dataclass(frozen=True)
class Value:
    """An abstract value. windows: of the validation stream; turns: loop variables that it depends on; things: objects that it is or
    holds; late: acts of learning before it was computed from the same windows; nats: windows whose loss is in it; known: what the
    tables that it was read from had counted; ahead: whether it is sliced one token on, as targets are; functions: that it may be, in
    order; parts: of a pair or of what yields pairs; first: what was appended to it first; stored: read
    from what was packed; models: (name, whether its weights were read from what was packed) of what gave the loss."""

    windows: frozenset[LoopVars] = frozenset()
    turns: LoopVars = frozenset()
    things: frozenset[int] = frozenset()
    late: frozenset[Learned] = frozenset()
    nats: frozenset[LoopVars] = frozenset()
    known: frozenset[Learned] = frozenset()
    ahead: bool = False
    number: int | None = None
    functions: tuple[Any, ...] = ()
    parts: "tuple[Value, ...] | None" = None
    first: "Value | None" = None
    stored: bool = False
    models: frozenset[tuple[str, bool]] = frozenset()

    def __or__(self, other: "Value") -> "Value":
        if other is NOTHING:
            return replace(self, number=None) if self.number is not None else self
        if self is NOTHING:
            return replace(other, number=None) if other.number is not None else other
        if self is other and self.number is None:
            return self
        return replace(
            self, windows=self.windows | other.windows, turns=self.turns | other.turns, things=self.things | other.things,
            late=self.late | other.late, nats=self.nats | other.nats, known=self.known | other.known, ahead=self.ahead or other.ahead,
            number=None, functions=(self.functions + tuple(each for each in other.functions if each not in self.functions))[:MOST_FUNCTIONS],
            parts=_paired(self.parts, other.parts), first=self.first or other.first, stored=self.stored or other.stored,
            models=self.models | other.models,
        )  # fmt: skip

    @property
    def plain(self) -> "Value":
        """The same as the result of some operation on it: no function, number or pair."""
        if not self.functions and self.number is None and self.parts is None and self.first is None:
            return self
        return replace(self, functions=(), number=None, parts=None, first=None)


NOTHING = Value()
ALL: LoopVars = frozenset()


def _paired(one: tuple[Value, ...] | None, two: tuple[Value, ...] | None) -> tuple[Value, ...] | None:
    if one is None or two is None or len(one) != len(two):
        return one or two if one is None or two is None else None
    return tuple(a | b for a, b in zip(one, two, strict=True))


@dataclass(eq=False)
class Function:
    """A local function or lambda with the names around it. bound: arguments that `functools.partial` has given it."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    around: dict[str, Value]
    file: str
    owner: Value | None = None
    bound: tuple[Value, ...] = ()
    keywords: dict[str, Value] = field(default_factory=dict)
    slope: bool = False  # its gradient is called, not itself
    cls: str = ""  # of a method: the class that it is defined in
    started: bool = False  # a coroutine: `send` goes through its body from one yield to the next


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
    chosen: list[Learned] = field(default_factory=list)  # choices by validation scores that what is packed hangs on
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


class _Answered(Exception):
    """A coroutine has come to the yield that gives its answer."""

    def __init__(self, value: Value) -> None:
        super().__init__()
        self.value = value


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
        self.files: dict[str, Value] = {}  # constant path → what was written there
        self.pending: frozenset[LoopVars] = frozenset()
        self.pending_line = 0
        self.counted: set[tuple[LoopVars, str]] = set()  # windows whose loss was added up, by which function
        self.unsure = 0
        self.taker: Callable[[Value], None] | None = (
            None  # the loop body that runs at each yield of the generator that is followed
        )
        self.drained: set[ast.expr] = set()  # calls whose generator is run to its end at once
        self.handing: tuple[ast.Call, Callable[[Value], None]] | None = None
        self.artifact: dict[int, frozenset[Learned]] | None = None
        self.saved: set[int] = set()  # models whose weights were put into what is packed
        self.restored: set[int] = set()  # things whose weights were read from what was packed
        self.called: dict[int, str] = {}  # thing → the name that it was first bound to
        self.loops: list[int] = []
        self.file = ""
        self.function = "main"
        self.written: dict[ast.Call, ast.Call] = {}  # calls as they are written with a dot
        self.classes: dict[str, tuple[ast.ClassDef, str]] = {}  # name → where it is defined
        self.records: dict[str, tuple[str, ...]] = {}  # name of a record's class → its fields
        self.names: dict[str, Value] = {}  # of all modules
        self.modules: set[str] = set()
        self.inside: Function | None = None  # what is being followed
        self.sent: Value | None = (
            None  # what the next yield of the coroutine gives; None: it is not being followed by `send`
        )
        self.answers = False  # whether that yield was passed, so that the next one gives its answer back
        self.things = 0

    def run(self) -> None:
        """Helpers are definitions; then the script itself."""
        for module in self.code.modules:
            for node in module.nodes:
                if isinstance(node, ast.ClassDef):
                    self.classes.setdefault(node.name, (node, module.path.name))
                    self.records.setdefault(node.name, _fields_of(node))
                    if any("Module" in ast.unparse(base) for base in node.bases):
                        self.modules.add(node.name)
                elif (
                    isinstance(node, ast.Assign)
                    and isinstance(node.value, ast.Call)
                    and leaf(node.value.func) == "namedtuple"
                ):
                    self.records[leaf(node.targets[0])] = _fields_named(node.value)
        names = self.names
        for module in reversed(self.code.modules):
            self.file = module.path.name
            for node in getattr(module.tree, "body", ()):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    names[node.name] = Value(functions=(Function(node, names, module.path.name),))
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
                made = Value(functions=(Function(node, names, self.file),))
                names[node.name] = made
                for decorator in node.decorator_list:  # which may put it into a register
                    if isinstance(decorator, ast.Name) and (keeper := names.get(decorator.id, NOTHING)).functions:
                        self.enter(keeper.functions[0], [made], {})
            case ast.Return():
                value = self.value(node.value, names)
                if value.nats:
                    self.flow.scorers.add(self.function)
                return value
            case ast.Assign():
                if any(isinstance(each, ast.Tuple | ast.List) for each in node.targets):
                    self.drained.add(node.value)
                value = self.value(node.value, names)
                for target in node.targets:
                    self.bind(target, value, names, node.value)
                if (
                    value.nats
                    and "bpb" in _text(node).lower()
                    and any("bpb" in leaf(each).lower() for each in walk(node) if isinstance(each, ast.Name))
                ):
                    self.flow.reports.append(Report(node.lineno, self.file, ast.unparse(node)[:100], value))
            case ast.AnnAssign() if node.value is not None:
                self.bind(node.target, self.value(node.value, names), names, node.value)
            case ast.AugAssign():
                added = self.value(node.value, names)
                if isinstance(node.target, ast.Subscript):
                    self.count(node.target, added, names, node.lineno)
                self.counted |= {(window, self.function) for window in added.nats}
                value = self.value(node.target, names) | added
                turn = frozenset(((self.loops[-1], self.turn),)) if self.loops and not value.nats else ALL
                self.bind(node.target, replace(value, turns=value.turns | turn, number=None), names, node.value)
            case ast.Expr():
                if isinstance(node.value, ast.Yield | ast.YieldFrom):
                    return self.yielded(node.value, names)
                self.value(node.value, names)
            case ast.For() | ast.AsyncFor():
                if self.generated(node, names):
                    return None
                iterated = self.value(node.iter, names)
                if isinstance(node.iter, ast.Tuple | ast.List):
                    iterated = replace(iterated, parts=None)
                if isinstance(node.iter, ast.Call) and leaf(node.iter.func) == "enumerate":
                    iterated = replace(iterated, parts=(NOTHING, replace(iterated, number=None)))
                return self.loop(node, names, iterated, self.length(node.iter, names))
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
                return self.within(node.items, node.body, names)
            case ast.Match():
                subject = self.value(node.subject, names)
                cases = [each for case in node.cases if (each := self.case(case, subject, names)) is not None]
                return _join(cases) if cases else None
            case ast.Try():
                given = self.block(node.body, names)
                last = self.block(node.finalbody, names)
                return last if given is None else given
        return None

    def case(self, case: ast.match_case, subject: Value, names: dict[str, Value]) -> Value | None:
        """The body of a case, with what its pattern takes from the subject."""
        self.matched(case.pattern, subject, names)
        return self.block(case.body, names)

    def matched(self, pattern: ast.pattern, value: Value, names: dict[str, Value]) -> None:
        match pattern:
            case ast.MatchAs(pattern=inner, name=name):
                if name is not None:
                    names[name] = value
                if inner is not None:
                    self.matched(inner, value, names)
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                names[name] = value
            case ast.MatchSequence(patterns=patterns):
                parts = value.parts if value.parts is not None and len(value.parts) == len(patterns) else None
                for at, each in enumerate(patterns):
                    self.matched(each, parts[at] if parts else replace(value, parts=None), names)
            case ast.MatchClass(cls=cls, patterns=patterns, kwd_attrs=words, kwd_patterns=worded):
                fields = (*self.records.get(leaf(cls), ())[: len(patterns)], *words)
                for field, each in zip(fields, (*patterns, *worded), strict=False):
                    held = [
                        self.attributes[key] for thing in value.things if (key := (thing, field)) in self.attributes
                    ]
                    self.matched(each, self.read(_join(held)) if held else replace(value, parts=None), names)
            case ast.MatchOr(patterns=patterns):
                for each in patterns:
                    self.matched(each, value, names)

    def resumed(self, coroutine: Function, sent: Value) -> Value:
        """What a coroutine answers when it is sent something: its body from the yield that takes it to the next one."""
        before = (self.sent, self.answers, self.unsure, self.turn, len(self.loops))
        self.sent, self.answers = sent, False
        answer = NOTHING
        try:
            self.enter(coroutine, [], {}, drained=True)
        except _Answered as told:
            answer = told.value
        self.sent, self.answers, self.unsure, self.turn, depth = before
        del self.loops[depth:]
        return answer

    def generator(self, node: ast.expr | None, names: dict[str, Value]) -> ast.Call | None:
        """The call of one local generator function that an expression is."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
            return None
        functions = self.value(node.func, names).functions
        return node if len(functions) == 1 and _yields(functions[0].node) else None

    def generated(self, node: ast.For | ast.AsyncFor, names: dict[str, Value]) -> bool:
        """Whether a loop runs over a local generator: then its body is followed at every yield, as it runs, between what stands around it."""
        target, iterated = node.target, node.iter
        if isinstance(iterated, ast.Call) and leaf(iterated.func) == "enumerate" and iterated.args:
            if isinstance(target, ast.Tuple) and len(target.elts) == 2:
                target, iterated = target.elts[1], iterated.args[0]
        call = self.generator(iterated, names)
        if call is None:
            return False
        taken, mine = 0, self.nodes * 1000 + node.lineno
        outer = (self.taker, self.function, self.file)

        def take(value: Value) -> None:
            nonlocal taken
            taken += 1
            inner = (self.taker, self.function, self.file)
            self.taker, self.function, self.file = outer
            self.bind(target, _turned(value, frozenset(((mine, taken),))), names, None)
            self.block(node.body, names)
            self.taker, self.function, self.file = inner

        self.handing = (call, take)
        self.call(call, names)
        self.handing = None
        self.close(mine, names)
        return taken > 0

    def within(self, items: list[ast.withitem], body: list[ast.stmt], names: dict[str, Value]) -> Value | None:
        """The body of a `with`, between what its contexts do before and after: a local generator around its yield, a local class in
        `__enter__` and `__exit__`."""
        if not items:
            return self.block(body, names)
        item, target = items[0], items[0].optional_vars
        call = self.generator(item.context_expr, names)
        given: list[Value | None] = []
        if call is not None:
            outer = (self.taker, self.function, self.file)

            def take(value: Value) -> None:
                inner = (self.taker, self.function, self.file)
                self.taker, self.function, self.file = outer
                if target is not None:
                    self.bind(target, value, names, None)
                given.append(self.within(items[1:], body, names))
                self.taker, self.function, self.file = inner

            self.handing = (call, take)
            self.call(call, names)
            self.handing = None
            if given:
                return given[0]
        value = self.value(item.context_expr, names)
        start, end = (
            next((method for thing in sorted(value.things) if (method := self.method(thing, name, value))), None)
            for name in ("__enter__", "__exit__")
        )
        if start is not None:
            value = self.enter(start, [], {}) | value
        if target is not None:
            self.bind(target, value, names, item.context_expr)
        found = self.within(items[1:], body, names)
        if end is not None:
            self.enter(end, [NOTHING] * 3, {})
        return found

    def yielded(self, node: ast.Yield | ast.YieldFrom, names: dict[str, Value]) -> Value:
        if self.taker is None:
            return self.value(node.value, names) if node.value else NOTHING
        call = self.generator(node.value, names) if isinstance(node, ast.YieldFrom) else None
        if call is not None:
            self.handing = (call, self.taker)
            self.call(call, names)
        else:
            self.taker(self.value(node.value, names))
        return NOTHING

    def truth(self, test: ast.expr, names: dict[str, Value]) -> bool | None:
        if isinstance(test, ast.Compare) and _text(test).replace('"', "'") == "__name__ == '__main__'":
            return True
        return self.code.truth(test)

    def is_switch(self, test: ast.expr) -> bool:
        """Whether a condition hangs on a setting, or is a bare flag."""
        while isinstance(test, ast.UnaryOp):
            test = test.operand
        return isinstance(test, ast.Name | ast.Attribute) or not self.code.settings.keys().isdisjoint(_names_in(test))

    def is_place(self, value: Value) -> bool:
        """Whether a value may be a number that a slice begins with: arithmetic on numbers and settings alone."""
        held = any(self.kinds[thing] in ("module", "tensor", "table") for thing in value.things)
        return not (held or value.windows or value.nats or value.late or value.known or value.functions or value.parts)

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
        several = iterated.functions if len(iterated.functions) > 1 and isinstance(node, ast.For) else ()
        carried = _assigned(node)
        for turn in range(len(several) or turns):
            self.turn = turn
            here = frozenset(((mine, turn),))
            for name in carried:  # a place in the stream that one turn hands to the next: another one in each
                if (place := names.get(name)) is not None and self.is_place(place):
                    names[name] = replace(place, turns=_without(place.turns, mine) | here, number=None)
            if isinstance(node, ast.For | ast.AsyncFor):
                element = _turned(iterated, here)
                if several:  # each in turn, on the same windows
                    element = replace(element, functions=several[turn : turn + 1], parts=None)
                self.bind(node.target, element, names, None)
            found = self.block(node.body, names)
            if found is not None:
                given = found if given is None else given | found
        self.turn = outer
        self.loops.pop()
        tokens = not (isinstance(node, ast.For) and isinstance(node.iter, ast.Call) and leaf(node.iter.func) in ENTRIES)
        self.close(mine, names, tokens=tokens)
        if given is not None:
            given = _closed(given, mine, tokens)
        other = self.block(node.orelse, names)
        return other if given is None else given if other is None else given | other

    def close(self, loop: int, names: dict[str, Value], *, tokens: bool = True) -> None:
        """Forget a loop's variable everywhere: what was done to each window was done to all of them."""
        self.nodes += (len(self.counted) + sum(map(len, self.knows.values()))) // LOOKED_AT
        for thing, acts in self.knows.items():
            self.knows[thing] = _acts_closed(acts, loop, tokens)
        self.pending = frozenset(_without(window, loop) for window in self.pending)
        self.counted = {(_without(window, loop), by) for window, by in self.counted}
        for held in (names, self.attributes):
            for name, value in list(held.items()):  # of variables, and of things
                if value.windows or value.turns or value.nats or value.late or value.known:
                    held[name] = _closed(value, loop, tokens)  # type: ignore[index]

    def bind(self, target: ast.expr, value: Value, names: dict[str, Value], source: ast.expr | None) -> None:
        match target:
            case ast.Name():
                named = _names_val(target.id) and not value.windows and not value.functions
                for thing in value.things:
                    self.called.setdefault(thing, target.id)
                names[target.id] = value | WHOLE if named else value
            case ast.Tuple() | ast.List():
                paired = value.parts is not None and len(value.parts) == len(target.elts)
                sources = source.elts if isinstance(source, ast.Tuple | ast.List) and paired else None
                for at, each in enumerate(target.elts):
                    part = value.parts[at] if paired and value.parts else replace(value, parts=None)
                    self.bind(each, part, names, sources[at] if sources else None)
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
                    self.put_into(target.value, replace(value, number=None, parts=None), names)

    def put_into(self, holder: ast.expr, value: Value, names: dict[str, Value]) -> None:
        """What a container holds besides, wherever its name lives."""
        if isinstance(holder, ast.Name):
            place = names
            while isinstance(place, _Names) and holder.id not in place:
                place = place.around
            place[holder.id] = place.get(holder.id, NOTHING) | value
        elif isinstance(holder, ast.Attribute):
            self.bind(holder, self.value(holder, names) | value, names, None)

    def count(self, target: ast.expr, added: Value, names: dict[str, Value], line: int, keys: Value = NOTHING) -> bool:
        """Whether entries of a table are raised by what hangs on validation tokens, which it knows from now on. Sums of scores are none."""
        while isinstance(target, ast.Subscript):
            keys = keys | self.value(target.slice, names)
            target = target.value
        given = keys | added
        if given.nats or not given.windows:
            return False
        tables = [each for each in self.value(target, names).things if self.kinds[each] == "table"]
        if not tables:
            made = self.thing("table")
            tables = list(made.things)
            self.put_into(target, made, names)
        for thing in tables:
            acts = frozenset(self.act(window, line, "table", ahead=given.ahead) for window in given.windows)
            self.knows[thing] = self.knows.get(thing, frozenset()) | acts
        return True

    def act(self, window: LoopVars, line: int, kind: str, *, ahead: bool = True) -> Learned:
        before = any(by == self.function and (window <= done or done <= window) for done, by in self.counted)
        return Learned(window, line, self.file, self.function, kind, self.clock, before, not self.unsure, ahead)

    def read(self, value: Value) -> Value:
        """A value as it is read: with what its tables know now."""
        if not value.things:
            return value
        known = [self.knows.get(thing, frozenset()) for thing in value.things if self.kinds[thing] == "table"]
        return replace(value, known=value.known.union(*known)) if any(known) else value

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
                return self.read(names.get(node.id) or (WHOLE if _names_val(node.id) else NOTHING))
            case ast.Attribute():
                if (inherited := self.of_super(node)) is not None:
                    return inherited
                owner = self.value(node.value, names)
                if node.attr in ("shape", "ndim", "dtype", "device"):
                    return NOTHING
                known = [
                    self.attributes[thing, node.attr] for thing in owner.things if (thing, node.attr) in self.attributes
                ]
                if known:
                    return self.read(_join(known))
                method = next(
                    (found for thing in owner.things if (found := self.method(thing, node.attr, owner))), None
                )
                if method is not None and _is_property(method.node):
                    return self.enter(method, [], {})
                if method is not None:
                    return replace(owner, functions=(method,))
                return (
                    owner | WHOLE
                    if _names_val(node.attr) and not owner.windows
                    else owner.plain
                    if node.attr not in ("items", "values", "append", "extend", "pop", "popleft")
                    else owner  # a container's own: what it holds is kept
                )
            case ast.Subscript():
                base, index = self.value(node.value, names), self.value(node.slice, names)
                if index.number is not None and base.parts and -len(base.parts) <= index.number < len(base.parts):
                    return base.parts[index.number]
                if index.number == 0 and base.first is not None:
                    return base.first
                turns = index.turns | frozenset(each for window in index.windows for each in window)
                # an entry of what is no stream and no table of counts hangs on the tokens that look it up
                looked_up = frozenset() if any(self.kinds[thing] == "table" for thing in base.things) else index.windows
                return replace(
                    base, windows=frozenset(window | turns for window in base.windows) or looked_up, turns=base.turns | index.turns,
                    late=base.late | index.late | self.chosen(base, index), ahead=base.ahead or index.ahead or _is_shifted(node.slice),
                    known=base.known | index.known, number=None, parts=None, first=None,
                )  # fmt: skip
            case ast.Call():
                return self.call(node, names)
            case ast.Lambda():
                return Value(functions=(Function(node, names, self.file),))
            case ast.Yield() if self.sent is not None and self.inside is not None and self.inside.started:
                given = self.value(node.value, names)
                if self.answers:
                    raise _Answered(given)
                self.answers = True
                return self.sent
            case ast.Tuple():
                items = tuple(self.value(each, names) for each in node.elts)
                starred = any(isinstance(each, ast.Starred) for each in node.elts)
                return replace(_join(items), parts=None if starred or not 1 < len(items) <= MOST_PARTS else items)
            case ast.UnaryOp():
                value = self.value(node.operand, names)
                minus = isinstance(node.op, ast.USub) and value.number is not None
                return replace(value.plain, number=-value.number if minus and value.number is not None else None)
            case ast.BinOp():
                left, right = self.value(node.left, names), self.value(node.right, names)
                late = (
                    (self.chosen(left, right) | self.chosen(right, left))
                    if isinstance(node.op, ast.Mult)
                    else frozenset()
                )
                both = (left | right).plain
                return replace(both, late=both.late | late) if late else both
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                inner = _Names(names)
                for part in node.generators:
                    iterated = self.value(part.iter, inner)
                    if len(iterated.functions) > 1 and isinstance(node, ast.ListComp | ast.GeneratorExp):
                        each_gives = []
                        for function in iterated.functions:
                            self.bind(part.target, replace(iterated, functions=(function,)), inner, None)
                            each_gives.append(self.value(node.elt, inner))
                        return _join(each_gives)
                    self.bind(part.target, iterated, inner, None)
                    if picked := frozenset().union(*(self.selects(test, inner) for test in part.ifs)):
                        self.bind(part.target, iterated | Value(windows=picked), inner, None)
                parts = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
                return _join(self.value(part, inner) for part in parts)
            case ast.Compare():
                sides = [self.value(each, names) for each in (node.left, *node.comparators)]
                scored = sum(bool(each.nats) for each in sides) > 1  # scores against scores: a choice among these
                return Value(known=self.choices(_join(sides), node.lineno)) if scored else NOTHING
            case ast.NamedExpr():
                value = self.value(node.value, names)
                self.bind(node.target, value, names, node.value)
                return value
        return _join(
            self.value(each, names)
            for each in children(node)
            if isinstance(each, ast.expr | ast.keyword | ast.slice | ast.comprehension)
        )

    def selects(self, test: ast.expr, names: dict[str, Value]) -> frozenset[LoopVars]:
        """The validation windows that a condition lets through: of files, those whose name says so."""
        match test:
            case ast.BoolOp(op=ast.And(), values=values):
                return frozenset().union(*(self.selects(each, names) for each in values))
            case ast.Compare(left=left, ops=[ast.In() | ast.Eq()], comparators=[right]):
                return (self.value(left, names) | self.value(right, names)).windows
            case ast.Call():
                return self.value(test, names).windows
        return frozenset()

    def method(self, thing: int, name: str, owner: Value, after: str = "") -> Function | None:
        """A method of a local class or of one of its bases, with the names of the modules around it. after: the class whose `super()` it is."""
        kind = self.kinds.get(thing, "")
        order = self.order(kind.removeprefix("class ")) if kind.startswith("class ") else []
        for cls in order[order.index(after) + 1 if after in order else 0 :]:
            node, file = self.classes[cls]
            for each in node.body:
                if isinstance(each, ast.FunctionDef) and each.name == name:
                    return Function(each, self.names, file, replace(owner, functions=()), cls=cls)
        return None

    def order(self, cls: str, depth: int = MOST_BASES) -> list[str]:
        """A local class and its bases in the order in which their methods are looked up: each base behind all that derive from it."""
        if cls not in self.classes or depth < 0:
            return []
        found = [cls]
        for base in self.classes[cls][0].bases:
            found += self.order(leaf(base), depth - 1)
        return [each for at, each in enumerate(found) if each not in found[at + 1 :]]

    def of_super(self, node: ast.Attribute) -> Value | None:
        """`super().name`: the method behind that of the class that is being followed; None where it is something else."""
        if not (isinstance(node.value, ast.Call) and leaf(node.value.func) == "super" and self.inside is not None):
            return None
        owner, cls = self.inside.owner or NOTHING, self.inside.cls
        method = next((found for thing in owner.things if (found := self.method(thing, node.attr, owner, cls))), None)
        return replace(owner, functions=(method,) if method else ())

    def call(self, node: ast.Call, names: dict[str, Value]) -> Value:
        node = self.plainly(node)
        name, path = leaf(node.func), dotted(node.func)
        taker = None
        if self.handing is not None and self.handing[0] is node:
            taker, self.handing = self.handing[1], None
        if name in DRAINS:
            self.drained.update(node.args)
        arguments: list[Value] = []
        for each in node.args:
            value = self.value(each, names)
            if not isinstance(each, ast.Starred):
                arguments.append(value)
            elif value.parts is not None:
                arguments += value.parts
            else:  # as many as the function still wants
                arguments += [value] * max(self.wants(node, names) - len(node.args) + 1, 1)
        keywords = {each.arg or "": self.value(each.value, names) for each in node.keywords}
        if name == "send" and isinstance(node.func, ast.Attribute) and arguments:
            started = [each for each in self.value(node.func.value, names).functions if each.started]
            if started:
                return self.resumed(started[0], arguments[0])
        function = self.value(node.func, names)
        self.clock += 1
        given = _join([*arguments, *keywords.values()])
        if len(function.functions) == 1 and _is_sent(function.functions[0].node):
            whole = function.functions[0]
            bound = replace(whole, bound=(*whole.bound, *arguments), keywords=whole.keywords | keywords, started=True)
            return Value(functions=(bound,))
        if name in SIZES:
            return NOTHING
        if name == "partial" and arguments and arguments[0].functions:
            whole = arguments[0].functions[0]
            bound = replace(whole, bound=(*whole.bound, *arguments[1:]), keywords=whole.keywords | keywords)
            return replace(given, functions=(bound,), parts=None)
        if name in ("items", "values") and function.functions and isinstance(node.func, ast.Attribute):
            return function
        if not function.functions and not isinstance(
            node.func, ast.Attribute
        ):  # an object of a local class that is called
            methods = [method for thing in function.things if (method := self.method(thing, "__call__", function))]
            function = replace(function, functions=tuple(methods)) if methods else function
        if not function.functions and (local := self.with_function(node, name, arguments, keywords)) is not None:
            return local
        if function.functions and not (name in FILLS and isinstance(node.func, ast.Attribute)):
            if any(window == ALL or all(loop > 0 for loop, _ in window) for window in given.windows):
                self.flow.handed.append((getattr(function.functions[0].node, "name", ""), self.file, node.lineno))
            self.unsure += len(function.functions) > 1  # one of them
            answer = _join(
                [
                    self.sloped(
                        each, self.enter(each, arguments, keywords, taker, drained=node in self.drained), node.lineno
                    )
                    for each in function.functions
                ]
            )
            self.unsure -= len(function.functions) > 1
            if answer is not NOTHING and not (answer.windows or answer.nats) and any(map(_is_val, node.args)):
                return answer | WHOLE  # tokens by the name of their split, by a route that was lost
            return answer
        if name in RAISES and isinstance(node.func, ast.Attribute) and (path.endswith("add.at") or name != "at"):
            table = node.args[0] if name == "at" and node.args else node.func.value
            added = arguments[1:] if name == "at" else arguments
            keys = [
                each for each in added if each.windows and not each.nats
            ]  # beside them, values that a model computed
            if self.count(
                table, NOTHING, names, node.lineno, _join(keys if any(each.ahead for each in keys) else added)
            ):
                return function
        if (
            name in FILLS
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name | ast.Attribute)
        ):
            self.counted |= {(window, self.function) for window in given.nats}
            first = given.plain if name == "append" and function.first is None else None
            self.put_into(node.func.value, replace(given, number=None, first=first), names)
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
        if self.records.get(name) and not isinstance(node.func, ast.Attribute):
            return self.recorded(name, arguments, keywords)
        if name in self.classes and not isinstance(node.func, ast.Attribute):
            return self.made(name, arguments, keywords)
        elsewhere = MODEL_NAME.search(name) and name[:1].isupper() and not isinstance(node.func, ast.Attribute)
        if elsewhere or LAYER.search(path):
            return self.thing("module") | replace(
                given, things=given.things if LAYER.search(path) else frozenset(), functions=(), number=None, parts=None
            )
        learner = frozenset(each for each in function.things if self.kinds[each] in ("module", "tensor"))
        if name in SAME and learner:
            return replace(
                function, things=learner, windows=frozenset(), nats=frozenset(), functions=(), number=None, parts=None
            )
        if _is_fresh(node, name):
            return self.thing("module" if self.function == "__init__" else "tensor")  # an object's own: its weights
        if name == "deepcopy" and given.things:
            copied = self.thing("module")
            for thing in copied.things:
                self.knows[thing] = frozenset(act for each in given.things for act in self.knows.get(each, ()))
            if given.things & self.restored:
                self.restored |= copied.things
            return copied
        if name == "load_state_dict":
            for thing in function.things:
                self.knows[thing] = self.loaded(thing, given)
            others = given.things - function.things  # its own, kept before, may be of another time
            self.fill(function.things, given.stored or bool(others & self.restored), node.lineno)
            return NOTHING
        if name == "copy_" and function.things:
            self.fill(function.things, given.stored or bool(given.things & self.restored), node.lineno)
        if name in SAVES:
            self.saved |= {thing for thing in given.things if self.kinds[thing] == "module"}
        if _writes_file(node, name, path):
            self.flow.chosen += [act for act in given.known if act.kind == "choice"]
            self.flow.packed_at.append(self.clock)
            self.artifact = dict(self.knows)
        if name in ("print", "log", "log0", "info", "write", "logged", "say") and _reports(node):
            self.flow.reports.append(Report(node.lineno, self.file, ast.unparse(node)[:100], given))
        # a helper from elsewhere puts weights into a model
        if name == "setattr" or (given.stored and not given.windows):
            self.fill(function.things | given.things, given.stored, node.lineno, only=True)
        found = self.elsewhere(node, name, function, given, arguments)
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

    def elsewhere(self, node: ast.Call, name: str, function: Value, given: Value, arguments: list[Value]) -> Value:
        """What a call of something gives that no class and no function of the script is."""
        if name in COUNTS and given.windows and not given.nats:
            acts = {self.act(each, node.lineno, "table", ahead=given.ahead or each == ALL) for each in given.windows}
            return replace(given.plain, known=given.known | acts)
        if (kept := self.kept_file(node, name, given)) is not None:
            return kept
        if name == "zip":
            return replace(_join(arguments), parts=tuple(arguments) if 1 < len(arguments) <= MOST_PARTS else None)
        if name == "pairwise" and len(arguments) == 1:
            return replace(given, number=None, parts=(given, replace(given, ahead=True)))
        if name in (
            "tolist",
            "iter",
            "reversed",
            "list",
            "tuple",
            "cycle",
            "chain",
            "next",
            "enumerate",
            "islice",
            "double",
            "float",
            "long",
            "to",
        ):
            return (
                replace(function | given, number=None, functions=())
                if not given.nats
                else self.computed(function, given)
            )
        if name in ("argmin", "argmax") and (function | given).nats:
            return Value(known=given.known | self.choices(function | given, node.lineno))
        if name in SCORES and isinstance(node.func, ast.Attribute):
            value = self.scored(self.computed(function, given))
            if self.weighs(node) and value.nats:
                weighed = {self.act(window, node.lineno, "weights") for window in given.windows}
                return replace(value, late=value.late | weighed)
            return value
        if name == "where" and len(arguments) == 3:
            rest = arguments[1] | arguments[2]
            return replace(self.computed(function, given), late=given.late | self.chosen(rest, arguments[0], "better"))
        return self.computed(function, given)

    def plainly(self, node: ast.Call) -> ast.Call:
        """A call as it is written with a dot: of `methodcaller("m")(x)`, `getattr(x, "m")()` and `torch.autograd.backward(x)`."""
        func = node.func
        plain: ast.Call | None = self.written.get(node)
        if plain is not None:
            return plain
        if isinstance(func, ast.Call) and leaf(func.func) == "methodcaller" and func.args and node.args:
            if (name := _word(func.args[0])) is not None:
                plain = ast.Call(ast.Attribute(node.args[0], name, ast.Load()), func.args[1:], func.keywords)
        elif isinstance(func, ast.Call) and leaf(func.func) == "getattr" and len(func.args) > 1:
            if (name := _word(func.args[1])) is not None:
                plain = ast.Call(ast.Attribute(func.args[0], name, ast.Load()), node.args, node.keywords)
        elif dotted(func).endswith(("autograd.backward", "Tensor.backward")) and node.args:
            plain = ast.Call(ast.Attribute(node.args[0], "backward", ast.Load()), node.args[1:], node.keywords)
        if plain is None:
            return node
        self.written[node] = ast.fix_missing_locations(ast.copy_location(plain, node))
        return plain

    def with_function(
        self, node: ast.Call, name: str, arguments: list[Value], keywords: dict[str, Value]
    ) -> Value | None:
        """What a call of something from elsewhere gives that is handed a local function: its gradient, itself, what it gives when it is
        run, or what is chosen by it. None where it is none of these."""
        at = next((at for at, each in enumerate(arguments) if each.functions), None)
        if name in GRADIENTS and at == 0:
            each = arguments[0]
            return replace(each, functions=tuple(replace(one, slope=True) for one in each.functions))
        if name in ("vjp", "jvp", "linearize") and at == 0:
            one = replace(arguments[0].functions[0], slope=True)
            return self.sloped(one, self.enter(one, arguments[1:], keywords), node.lineno)
        if name in WRAPPERS and at == 0:
            return arguments[0]
        if name == "filter" and at == 0 and len(arguments) > 1:
            kept = self.enter(arguments[0].functions[0], [replace(arguments[1], parts=None)], {})
            return arguments[1] | Value(windows=kept.windows)
        if name in FOLDS and at == 0 and len(arguments) > 1:
            return self.folded(arguments[0], arguments[1], keywords.get("initial", _join(arguments[2:])), node)
        if name in RUNNERS and (at is not None or keywords.get("target", NOTHING).functions):
            runs = keywords["target"] if at is None else arguments[at]
            rest = [] if at is None else arguments[at + 1 :]
            handed = keywords.get("args", NOTHING)
            rest += handed.parts or ([handed] if "args" in keywords else [])
            return self.sloped(runs.functions[0], self.enter(runs.functions[0], rest, {}), node.lineno)
        if name in PICKS and (key := keywords.get("key", NOTHING)).functions:
            judged = self.enter(key.functions[0], [replace(_join(arguments), parts=None)], {})
            chosen = _join(arguments) if arguments else self.value(node.func, {})
            if ALL in judged.windows and not (
                judged.models or chosen.windows
            ):  # other text, by what validation's tokens are: all that it holds hangs on these
                chosen = chosen | WHOLE
                for key_of, held in self.attributes.items():
                    if key_of[0] in chosen.things:
                        self.attributes[key_of] = held | WHOLE
            return replace(chosen, number=None, first=None, known=chosen.known | self.choices(judged, node.lineno))
        return None

    def folded(self, function: Value, iterated: Value, total: Value, node: ast.Call) -> Value:
        """A left fold: what it has so far and the next element are given to a function, again and again, as in a loop."""
        mine = self.nodes * 1000 + node.lineno
        outer = self.turn
        self.loops.append(mine)
        for self.turn in range(TURNS):
            element = _turned(iterated, frozenset(((mine, self.turn),)))
            total = total | self.enter(function.functions[0], [total, element], {})
        self.turn = outer
        self.loops.pop()
        self.close(mine, self.names)
        return _closed(total, mine)

    def sloped(self, function: Function, value: Value, line: int) -> Value:
        """What a function gives; of its gradient: something that knows the targets of its windows, and is none of them."""
        if not function.slope:
            return value
        acts = (self.act(window, line, "slope") for window in value.windows | value.nats if value.ahead)
        return Value(things=value.things, known=value.known.union(acts), late=value.late)

    def choices(self, value: Value, line: int) -> frozenset[Learned]:
        """A choice by losses of targets."""
        return frozenset(self.act(window, line, "choice") for window in value.nats | value.windows if value.ahead)

    def weighs(self, node: ast.Call) -> bool:
        """Whether a loss is a mean weighed by class, and the weights are not all one."""
        given = next((each.value for each in node.keywords if each.arg == "weight"), None)
        if leaf(node.func) not in ("cross_entropy", "nll_loss") or given is None or isinstance(given, ast.Constant):
            return False
        ones = re.compile(r"\b(?:ones|ones_like|None)\b")
        made = [
            ast.unparse(each.value) for module in self.code.modules for each in module.nodes
            if isinstance(each, ast.Assign) and any(leaf(target) == leaf(given) for target in each.targets)
        ]  # fmt: skip
        return not any(ones.search(text) for text in (ast.unparse(given), *made))

    def wants(self, node: ast.Call, names: dict[str, Value]) -> int:
        """How many arguments without defaults the called local function has; 0 where it is none."""
        called = self.value(node.func, names).functions if isinstance(node.func, ast.Name) else ()
        arguments = called[0].node.args if called else None
        return len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults) if arguments else 0

    def kept_file(self, node: ast.Call, name: str, given: Value) -> Value | None:
        """What is written to a file of a constant name, and read from there again."""
        writes = name in ("save", "savez", "dump", "write_bytes", "write_text", "tofile") and (
            given.known or given.late
        )
        if not writes and name not in ("load", "fromfile", "read_bytes", "read_text", "loadtxt"):
            return None
        path = next(
            (each.value for each in walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)),
            None,
        )
        if path is None or "." not in path:
            return None
        if writes:
            self.files[path] = self.files.get(path, NOTHING) | given.plain
        return None if writes else self.files.get(path)

    def scored(self, value: Value) -> Value:
        """A loss or logarithm: late where the tables that it was read from had counted its own targets, where weights were moved by their
        gradient, or where something in it was chosen by their loss."""
        late = frozenset(
            replace(act, kind="better") if act.kind == "choice" else act
            for act in value.known
            if act.kind in ("table", "slope", "choice")
            and act.ahead
            and any(act.window <= window for window in value.windows)
        )
        return replace(value, late=value.late | late, nats=value.nats | value.windows) if late else value

    def chosen(self, scores: Value, by: Value, kind: str = "mask") -> frozenset[Learned]:
        """A choice of scores by these scores themselves: some of them left out, or the better taken."""
        return frozenset(
            replace(act, kind=kind)
            for act in by.known
            if act.kind == "choice" and any(act.window <= window for window in scores.nats)
        )

    def computed(self, function: Value, given: Value) -> Value:
        """What a call of something unknown gives: a loss where an object meets windows, late where it learned from them before."""
        things = frozenset(each for each in function.things | given.things if self.kinds[each] in ("module", "tensor"))
        windows = function.windows | given.windows
        both = function | given
        if not (things and windows):
            return both.plain
        held = [self.read(value).known for (thing, _), value in self.attributes.items() if thing in function.things]
        acts_held = sum(map(len, held)) + sum(len(self.knows.get(thing, ())) for thing in things)
        self.nodes += acts_held * len(windows) // LOOKED_AT
        late = frozenset(
            act
            for thing in things
            for act in self.knows.get(thing, ())
            if any(act.window <= window for window in windows)
        ).union(
            act
            for acts in held  # tables among an object's own
            for act in acts
            if act.kind == "table" and act.ahead and any(act.window <= window for window in windows)
        )
        kept = frozenset(each for each in both.things if self.kinds[each] == "table")
        models = frozenset(
            (self.called.get(thing, "a model"), thing in self.restored)
            for thing in things
            if self.kinds[thing] == "module"
        )
        return Value(
            windows,
            both.turns,
            kept,
            both.late | late,
            both.nats | windows,
            both.known,
            both.ahead,
            models=both.models | models,
        )

    def loaded(self, thing: int, given: Value) -> frozenset[Learned]:
        if given.things:
            return frozenset(act for each in given.things for act in self.knows.get(each, ()))
        kept = self.artifact or self.knows
        if thing in kept or not self.saved or thing < max(self.saved):
            return kept.get(thing, frozenset())
        return frozenset(act for each in self.saved for act in kept.get(each, ()))  # made since, for what was packed

    def learn(self, windows: frozenset[LoopVars], things: frozenset[int], line: int) -> None:
        for window in windows:
            for thing in things:
                if self.kinds[thing] not in ("module", "tensor"):
                    continue
                kind = "tensor" if self.kinds.get(thing) == "tensor" else "module"
                act = self.act(window, line, kind)
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
        return value | replace(given, things=frozenset(), functions=(), number=None, parts=None)

    def recorded(self, name: str, arguments: list[Value], keywords: dict[str, Value]) -> Value:
        """An instance of a named tuple or a data class: each field keeps what it was given."""
        value = self.thing(f"class {name}")
        given = dict(zip(self.records[name], arguments, strict=False)) | keywords
        for thing in value.things:
            self.attributes.update({(thing, field): each for field, each in given.items()})
        parts = tuple(arguments) if 1 < len(arguments) <= MOST_PARTS else None
        return replace(value | _join(given.values()), functions=(), number=None, parts=parts)

    def thing(self, kind: str) -> Value:
        self.things += 1
        self.kinds[self.things] = kind
        return Value(things=frozenset((self.things,)))

    def enter(
        self,
        function: Function,
        arguments: list[Value],
        keywords: dict[str, Value],
        taker: Callable[[Value], None] | None = None,
        *,
        drained: bool = False,
    ) -> Value:
        """A local function's body with its parameters bound; what it returns. taker: what runs at its yields; a generator that is neither
        looped over nor drained at once is followed as if it were, and what it learns is not sure."""
        given = _join([*arguments, *keywords.values()])
        if self.depth >= MOST_DEPTH:
            return given
        node = function.node
        names = _Names(function.around)
        parameters = [*node.args.posonlyargs, *node.args.args]
        values = [*([function.owner] if function.owner is not None else ()), *function.bound, *arguments]
        keywords = function.keywords | keywords
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
        lazy = int(taker is None and not drained and _yields(node))
        self.unsure += lazy
        outer, self.taker = self.taker, taker
        inside, self.inside = self.inside, function
        try:
            if isinstance(node, ast.Lambda):
                return self.value(node.body, names)
            self.function = node.name
            return self.block(node.body, names) or NOTHING
        finally:
            self.depth -= 1
            self.unsure -= lazy
            self.taker, self.inside = outer, inside
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


@lru_cache(maxsize=4096)
def _assigned(loop: ast.For | ast.While) -> tuple[str, ...]:
    """Names that a loop's body assigns, sorted; not those that the loop itself binds."""
    found = {
        each.id for statement in loop.body for each in walk(statement)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    }  # fmt: skip
    return tuple(sorted(found))


def _fields_named(call: ast.Call) -> tuple[str, ...]:
    """The fields of `namedtuple("Name", "one two")`, of a list of words too."""
    words = [each.value for each in walk(call) if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return tuple(" ".join(words[1:]).replace(",", " ").split())


def _fields_of(node: ast.ClassDef) -> tuple[str, ...]:
    """The fields of a named tuple's or a data class, which makes its own `__init__`; none for any other class."""
    made = [leaf(each) for each in node.bases] + [
        leaf(each.func if isinstance(each, ast.Call) else each) for each in node.decorator_list
    ]
    if not {"NamedTuple", "dataclass"} & set(made):
        return ()
    return tuple(
        each.target.id for each in node.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    )


@lru_cache(maxsize=4096)
def _yields(node: ast.AST) -> bool:
    """Whether a function is a generator: it yields in its own body."""
    queue: list[ast.AST] = list(getattr(node, "body", ())) if not isinstance(node, ast.Lambda) else []
    while queue:
        each = queue.pop()
        if isinstance(each, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef | ast.GeneratorExp):
            queue += children(each)
    return False


@lru_cache(maxsize=4096)
def _is_sent(node: ast.AST) -> bool:
    """Whether a function is a coroutine of the old kind: it does something with what its yields give."""
    if isinstance(node, ast.Lambda) or not _yields(node):
        return False
    plain = {each.value for each in walk(node) if isinstance(each, ast.Expr)}
    return any(isinstance(each, ast.Yield) and each not in plain for each in walk(node))


def _acts_closed(acts: frozenset[Learned], loop: int, tokens: bool = True) -> frozenset[Learned]:
    """Acts when their loop is over: what was done to each token of a window was done to the window, targets and all. tokens: whether the
    loop runs over such, and not over what a dictionary holds."""
    return frozenset(
        act
        if (window := _without(act.window, loop)) == act.window
        else replace(act, window=window, ahead=tokens or act.ahead)
        for act in acts
    )


def _closed(value: Value, loop: int, tokens: bool = True) -> Value:
    within = (value.turns, *value.windows, *value.nats, *(act.window for act in value.known))
    if value.parts is None and value.first is None and not any(each[0] == loop for window in within for each in window):
        return value
    return replace(
        value, windows=frozenset(_without(window, loop) for window in value.windows), turns=_without(value.turns, loop),
        nats=frozenset(_without(window, loop) for window in value.nats), known=_acts_closed(value.known, loop, tokens),
        parts=value.parts and tuple(_closed(part, loop, tokens) for part in value.parts), first=value.first and _closed(value.first, loop, tokens),
    )  # fmt: skip


def _turned(value: Value, here: LoopVars) -> Value:
    """An element of what is iterated, in one turn."""
    if value is NOTHING:
        return Value(turns=here)
    return replace(
        value, windows=frozenset(window | here for window in value.windows), turns=value.turns | here, number=None,
        parts=value.parts and tuple(_turned(part, here) for part in value.parts), first=None,
    )  # fmt: skip


def _is_shifted(index: ast.expr) -> bool:
    """Whether a slice begins one token on: `[1:]`, `[a + 1 : b + 1]`, `[None, a + 1 : b + 1]`."""
    if isinstance(index, ast.Tuple):
        return any(_is_shifted(each) for each in index.elts)
    low = index.lower if isinstance(index, ast.Slice) else None
    sides = (low.left, low.right) if isinstance(low, ast.BinOp) and isinstance(low.op, ast.Add) else (low,)
    return any(isinstance(each, ast.Constant) and each.value == 1 for each in sides)


def _join(values: Iterable[Value]) -> Value:
    found = NOTHING
    first = True
    for value in values:
        found = value if first else found | value
        first = False
    return found


WHOLE = Value(windows=frozenset((ALL,)))


def _word(node: ast.expr) -> str | None:
    """A string, also one that is added up from strings."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _word(node.left), _word(node.right)
        return None if left is None or right is None else left + right
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _is_val(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and _says_val(node.value)


def _says_val(text: str) -> bool:
    return text == "val" or "fineweb_val" in text or text in ("valid", "validation") or "_val_" in text


def _names_val(name: str) -> bool:
    """A name that stands for the validation stream itself where nothing assigns it."""
    return name.lower() in ("val_files", "val_tokens", "val_data", "val_pattern", "val_glob", "val_path")


def _is_property(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and any(leaf(each) == "property" for each in node.decorator_list)


def _is_fresh(node: ast.Call, name: str) -> bool:
    if name == "requires_grad_":
        return "parameters" not in _text(node)
    return name == "Parameter" or (
        name in ("zeros", "zeros_like", "empty", "randn", "ones", "full", "new_zeros")
        and "requires_grad=True" in _text(node)
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
        path in ("torch.save", "np.savez", "np.savez_compressed", "np.save")
        and len(node.args) + len(node.keywords) > 1
        and not _in_memory(node.args[1] if len(node.args) > 1 and path == "torch.save" else node.args[0])
    )


def _reads_file(node: ast.Call, name: str, path: str) -> bool:
    """Whether a call gives what stands in a file, or what was packed in memory; the script itself is no such file."""
    if name == "load":
        reads = path.partition(".")[0] in ("torch", "np", "numpy", "pickle", "msgpack")
    else:
        reads = name in ("read", "read_bytes", "load_file", "decompress", "safe_open")
    return reads and "__file__" not in _text(node)


@lru_cache(maxsize=4096)
def _names_in(node: ast.AST) -> frozenset[str]:
    """The last parts of all names in an expression, in lower case."""
    return frozenset(leaf(each).lower() for each in walk(node) if isinstance(each, ast.Name | ast.Attribute))


@lru_cache(maxsize=4096)
def _text(node: ast.AST) -> str:
    """A node as text, made once: loops and functions are followed again and again."""
    return ast.unparse(node)


def _in_memory(node: ast.expr) -> bool:
    return "buf" in ast.unparse(node).lower() or "io." in ast.unparse(node)


def _reports(node: ast.Call) -> bool:
    text = _text(node).lower()
    return "bpb" in text or "val_loss" in text
