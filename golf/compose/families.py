"""Functions that one function hands out, and methods that a base class has for nobody: what they take or hold without need."""

import ast
from collections.abc import Iterator

from golf.compose.edits import Change, replaced, source, without_argument, without_parameter, without_statement
from golf.compose.program import Program, Target, Tree, is_called, is_super

ATOMS = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Constant)
PURE = (ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.expr_context)


def handed_out_parameters(program: Program) -> Iterator[Change]:
    """A parameter that none of the functions reads which one function hands out (`return int8_rows, h.embed_bits`), taken out of all of them.

    They are closed where the file shows every call: by name, or by the local that `quantizer, bits = quantizer_of(role)` sets.
    """
    for chooser in program.functions:
        family = _family(program, chooser)
        calls = _calls_of_family(program, chooser, family) if family else None
        if not family or calls is None:
            continue
        names = [[p.arg for p in target.parameters] for target in family]
        for name in names[0]:
            if any(name not in each for each in names) or any(_reads(program, t, name, family) for t in family):
                continue
            change: Change = [without_parameter(program.trees[target.owner], target.node, name) for target in family]
            for where, call, target in calls:
                given = target.given(call)
                if given is None or name not in given or not all(isinstance(n, PURE) for n in ast.walk(given[name])):
                    break
                change.append(without_argument(where, call, given[name]))
            else:
                yield change


def _family(program: Program, chooser: str) -> list[Target]:
    """The functions that `chooser` returns as the first of a pair; empty where one is handed on elsewhere, or they differ in parameters."""
    tree, found = program.trees[chooser], dict[str, Target]()
    for node in tree.of(ast.Return):
        if isinstance(node.value, ast.Tuple) and len(node.value.elts) == 2:
            first = node.value.elts[0]
            if isinstance(first, ast.Name) and first.id in program.functions and tree.scope_of(first) is None:
                found[first.id] = program.trees[first.id].targets[program.functions[first.id]]
            elif not (isinstance(first, ast.Constant) and first.value is None):
                return []
    for name, target in found.items():
        if name in program.open_names or not target.is_plain or target.defaults:
            return []
        for where, read in program.reads.get(name, ()):
            handed_out = where is tree and isinstance(where.parents[read], ast.Tuple)
            if not (is_called(where, read) or handed_out):
                return []
    orders = {tuple(p.arg for p in target.parameters) for target in found.values()}
    return list(found.values()) if len(orders) == 1 else []


def _calls_of_family(
    program: Program, chooser: str, family: list[Target]
) -> list[tuple[Tree, ast.Call, Target]] | None:
    """Every call that may reach one of them, with one of them; None where the file does not show it."""
    found = [(where, call, target) for target in family for where, call in program.calls_of(target)]
    for where, read in program.reads.get(chooser, ()):
        call = where.parents[read]
        setting = where.parents[call] if isinstance(call, ast.Call) and call.func is read else None
        match setting:
            case ast.Assign(targets=[ast.Tuple(elts=[ast.Name() as local, _])], value=value) if value is call:
                pass
            case _:
                return None
        function = where.scope_of(local)
        if function is None:
            return None
        for use in where.names_in(function, local.id):
            around = where.parents[use]
            if isinstance(around, ast.Call) and around.func is use:
                found.append((where, around, family[0]))
            elif use is not local and not isinstance(around, ast.Compare):
                return None
    return found


def _reads(program: Program, target: Target, name: str, family: list[Target]) -> bool:
    """Whether a function does anything with a parameter but to give it to another of the family as the same."""
    tree = program.trees[target.owner]
    for read in tree.names_in(target.node, name):
        call = tree.parents[read]
        if not isinstance(call, ast.Call):
            return True
        called = next((t for t in family if isinstance(call.func, ast.Name) and call.func.id == t.owner), None)
        if called is None or (called.given(call) or {}).get(name) is not read:
            return True
    return False


def returned_as_given(program: Program) -> Iterator[Change]:
    """A function that returns its only parameter: what each call gives it, in place of the call."""
    for name, node in program.functions.items():
        target = program.trees[name].targets[node]
        body = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
        match body:
            case [ast.Return(value=ast.Name(id=given))] if [p.arg for p in target.parameters] == [given]:
                calls = program.calls_of(target)
                if program.is_closed(target) and all(target.given(call) for _, call in calls):
                    yield [
                        replaced(where, call, source(where, v) if isinstance(v, ATOMS) else f"({source(where, v)})")
                        for where, call in calls
                        for v in (target.given(call) or {}).values()
                    ]


def overridden_methods(program: Program) -> Iterator[Change]:
    """A method of a base class that makes no instance of its own and whose heirs all have another, and one that nothing asks for any more."""
    for base, node in program.classes.items():
        made = any(not isinstance(tree.parents[read], ast.ClassDef) for tree, read in program.reads.get(base, ()))
        heirs = [kind for kind in program.classes if base in program.bases(kind)]
        if made or not heirs or base in program.open_names:
            continue
        tree = program.trees[base]
        for method in node.body:
            if not isinstance(method, ast.FunctionDef) or method.name.startswith("__"):
                continue
            own = [program.method_of(heir, method.name) for heir in heirs]
            mentions = program.attributes.get(method.name, [])
            asked_before = any(n.attr == method.name for each in program.before.values() for n in each.attributes)
            through_super = any(is_super(n.value) for _, n in mentions)
            overridden = not through_super and all(found is not None and found.owner != base for found in own)
            if overridden or (asked_before and not mentions):
                yield [without_statement(tree, method)]
