"""What a recipe decides: evaluates expressions that are made only of `h.…`, literals and operators, and records what they read."""

import ast
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import CodeType
from typing import Any

from golf.errors import GolfError
from golf.recipe.catalogue import Catalogue
from golf.recipe.knobs import knob_hint

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (abs, all, any, bool, float, int, len, max, min, range, round, set, sorted, str, sum, tuple)
}  # fmt: skip
ALLOWED = (
    *(ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.unaryop, ast.BinOp, ast.operator, ast.Compare),
    *(
        ast.cmpop,
        ast.IfExp,
        ast.Constant,
        ast.Tuple,
        ast.List,
        ast.Subscript,
        ast.Slice,
        ast.JoinedStr,
        ast.expr_context,
    ),
    *(ast.FormattedValue, ast.GeneratorExp, ast.ListComp, ast.comprehension),
)

# what `h` looks like in a part
RECIPE = (ast.dump(ast.Name("h", ast.Load())), ast.dump(ast.Attribute(ast.Name("self", ast.Load()), "h", ast.Load())))


class Choice:
    """A slot's value while an expression is evaluated: true, and equal to itself."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Choice) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return self.name


class Values:
    """The recipe as the fold sees it, and the small twin's values where they differ: a branch that these would settle otherwise stays.

    consulted: every knob that was evaluated → its value and the twin's; decided: those that settled something but an assertion;
    twin_faults: assertions that the twin's values alone break, as sentences with their place.
    """

    def __init__(self, catalogue: Catalogue, values: Mapping[str, Any], twin: Mapping[str, Any] | None = None) -> None:
        self.catalogue = catalogue
        self.values = values
        self.twin = twin or {}
        self.consulted: dict[str, tuple[Any, Any]] = {}
        self.decided: set[str] = set()
        self.twin_faults: list[str] = []

    def kind(self, knob: str) -> str:
        """The knob's type; GolfError with the nearest name when no part declares it."""
        if knob not in self.catalogue.knobs:
            raise GolfError(f"no part has a knob `{knob}`", knob_hint(self.catalogue, knob))
        return self.catalogue.knobs[knob].kind

    def peek(self, knob: str) -> tuple[Any, Any]:
        """The value and the twin's, without recording it: slots as a Choice or None, chains as tuples of them."""
        kind, value = self.kind(knob), self.values[knob]
        if kind == "Slot":
            choice = Choice(self._name(knob, value)) if value else None
            return choice, choice
        if kind == "Chain":
            choices = tuple(Choice(self._name(knob, v)) for v in value)
            return choices, choices
        return value, self.twin.get(knob, value)

    def read(self, knob: str, small: bool = False) -> Any:
        """The value (or the twin's), recorded."""
        self.consulted[knob] = self.peek(knob)
        self.decided.add(knob)
        return self.consulted[knob][small]

    def _name(self, knob: str, reference: str) -> str:
        return self.catalogue.find(reference, f"`{knob}`").names[0]


class _H:
    def __init__(self, values: Values, small: bool) -> None:
        self._values = values
        self._small = small

    def __getattr__(self, name: str) -> Any:
        return self._values.read(name, self._small)


def evaluate(text: str, values: Values, small: bool = False) -> tuple[bool, Any]:
    """(whether the recipe alone decides the expression `text`, its value). `self.h` counts as `h`; small: by the twin's values.

    Raises GolfError when the decided expression cannot be computed, as in `h.loop[3]` of three values.
    """
    code = _compiled(text)
    if code is None:
        return False, None
    try:
        return True, eval(code, {"__builtins__": dict(FUNCTIONS), "h": _H(values, small)})
    except (ArithmeticError, LookupError, TypeError, ValueError) as fault:
        raise GolfError(
            f"`{' '.join(text.split())}` cannot be computed: {fault}", "check the values that it reads"
        ) from fault


def decide(text: str, values: Values) -> tuple[bool, Any]:
    """The same for a condition: it is open, too, where the small twin's values would decide it otherwise."""
    before = set(values.decided)
    known, value = evaluate(text, values)
    code = _compiled(text)
    if known and code is not None and values.twin:
        try:
            small = eval(code, {"__builtins__": dict(FUNCTIONS), "h": _H(values, True)})
        except (ArithmeticError, LookupError, TypeError, ValueError):
            small = not value
        if bool(small) != bool(value):
            values.decided = before
            return False, None
    return known, value


def evaluate_reads(node: ast.expr) -> int:
    """How many knobs an expression reads that the recipe alone decides; 0 when anything else is in it."""
    return _decidable(node, set())


class _Plumbing(ast.NodeTransformer):
    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if node.attr == "h" and isinstance(node.value, ast.Name) and node.value.id == "self":
            return ast.copy_location(ast.Name("h", ast.Load()), node)
        self.generic_visit(node)
        return node


@lru_cache(maxsize=4096)
def _compiled(text: str) -> CodeType | None:
    if "h" not in text:
        return None
    tree = _Plumbing().visit(ast.parse(f"({text})", mode="eval"))
    bound = {
        n.id
        for c in ast.walk(tree)
        if isinstance(c, ast.comprehension)
        for n in ast.walk(c.target)
        if isinstance(n, ast.Name)
    }
    reads = _decidable(tree, bound)
    return compile(ast.fix_missing_locations(tree), "<recipe>", "eval") if reads else None


def _decidable(tree: ast.AST, bound: set[str]) -> int:
    """How many knobs an expression reads; 0 when anything else than the recipe is in it."""
    reads, todo = 0, [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Attribute) and ast.dump(node.value) in RECIPE:
            reads += 1
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
            todo += [*node.args, *(keyword.value for keyword in node.keywords)]
        elif isinstance(node, ALLOWED) or (isinstance(node, ast.Name) and node.id in bound):
            todo += ast.iter_child_nodes(node)
        else:
            return 0
    return reads
