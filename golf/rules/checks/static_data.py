"""What a script scores and how it counts bytes, by its code alone: R20, R21, R22, R24."""

import ast
import codecs
import re
from collections.abc import Generator, Iterable

from golf.files import own_files, read_text
from golf.reading.module import Module, walk
from golf.reading.script import MAX_READ_BYTES
from golf.rules.code import Code, Piece, leaf
from golf.rules.findings import Result, State
from golf.rules.subject import Subject


def coverage_options(subject: Subject) -> Iterable[Result]:
    """Settings and literals that shorten the validation stream."""
    code = subject.code
    if code is None:
        return
    file = subject.source.path.name if subject.source else None
    short = False
    for name, setting in code.settings.items():
        value = code.value(name)
        part = name == "val_doc_fraction" and isinstance(value, float) and 0 < value < 1
        capped = re.fullmatch(
            r"(?:ppm|eval|val)_(?:subset|max|limit)_?(?:tokens|docs)|(?:max|limit)_(?:val|eval)_(?:tokens|docs)", name
        )
        if part or (capped and isinstance(value, int) and not isinstance(value, bool) and value > 0):
            short = True
            yield Result(
                State.FAIL, f"{name.upper()} = {value}: a part of the validation set", file=file, line=setting.line
            )
        elif name == "ttt_eval_batches" and value not in (..., False, 0, ""):
            short = True
            yield Result(
                State.FAIL, f"TTT_EVAL_BATCHES = {value}: a part of the validation set", file=file, line=setting.line
            )
    for piece in code:
        for node in piece.nodes:
            if (
                isinstance(node, ast.Subscript)
                and isinstance(node.slice, ast.Slice)
                and _long_constant(node.slice.upper)
                and leaf(node.value).startswith("val")
            ):
                short = True
                state = State.FAIL if code.is_live(piece) else State.UNKNOWN
                yield Result(
                    state, f"`{ast.unparse(node)}` cuts the validation tokens", file=piece.path.name, line=node.lineno
                )
            short = short or (yield from _cut_by_setting(code, piece, node))
    if not short and not any(run.val_tokens for run in subject.runs):
        yield Result(
            State.UNKNOWN, "no setting that shortens validation; no log counts the tokens", file=file, weak=True
        )


FULL_TOKENS = 30_000_000  # fewer than any official tokenizer makes of the validation text


def _cut_by_setting(code: Code, piece: Piece, node: ast.AST) -> Generator[Result, None, bool]:
    """`val[: a number of settings]`, and a mask that takes tokens out of the stream."""
    if not (
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Load)
        and re.match(r"(?i)val|holdout|validation", leaf(node.value))
    ):
        return False
    if isinstance(node.slice, ast.Slice) and node.slice.lower is None and node.slice.upper is not None:
        number = None if isinstance(node.slice.upper, ast.Constant) else code.number(node.slice.upper, piece)
        if number is not None and 0 < number < FULL_TOKENS:
            on = code.is_on(piece, node.lineno)
            yield Result(
                State.FAIL if on else State.UNKNOWN, f"`{ast.unparse(node)}` keeps the first {number:,.0f} validation tokens",
                file=piece.path.name, line=node.lineno, weak=not on,
            )  # fmt: skip
            return True
    elif isinstance(node.slice, ast.Compare):
        yield Result(
            State.UNKNOWN,
            f"`{ast.unparse(node)}` takes tokens out of the validation stream",
            file=piece.path.name,
            line=node.lineno,
        )
        return True
    return False


def _long_constant(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value >= 100_000


def val_docs(subject: Subject) -> Iterable[Result]:
    """Data preparation beside the script that keeps fewer than 50,000 documents for validation by default."""
    if subject.kind == "script":
        return
    for path in own_files(subject.folder, "*.py")[:20]:
        text = (read_text(path, MAX_READ_BYTES) or "")[:400_000]
        found = re.search(r"--val[-_]docs[\"'][^)]*?default\s*=\s*([\d_]+)", text)
        if found and int(found[1].replace("_", "")) != 50_000:
            shards = any(run.train_shards for run in subject.runs)
            yield Result(
                State.UNKNOWN, f"{path.name} keeps {found[1]} documents for validation by default: run so, the rest lands in training",
                file=path.name, line=text.count("\n", 0, found.start()) + 1, weak=shards,
            )  # fmt: skip


def byte_table(subject: Subject) -> Iterable[Result]:
    """The look-up table of bytes per token: the known ways to get it wrong."""
    code = subject.code
    if code is None:
        return
    faults = list(_table_faults(code))
    yield from faults
    tables = [piece for piece in code if "base_bytes" in " ".join(piece.names) and "id_to_piece" in piece.names]
    if tables and not faults:
        yield Result(
            State.PASS,
            f"`{tables[0].name}` counts bytes as the challenge's table does",
            file=tables[0].path.name,
            line=tables[0].node.lineno,
            weak=True,
        )


def _table_faults(code: Code) -> Iterable[Result]:
    spaced = any("has_leading_space" in name or "has_space" in name for piece in code for name in piece.names)
    for piece in code:
        if (line := _no_byte_branch(piece)) is not None:
            yield Result(
                State.FAIL, f"`{piece.name}` counts byte tokens by the length of their name: `<0x0A>` is one byte, not six",
                file=piece.path.name, line=line,
            )  # fmt: skip
        for node in piece.nodes:
            if (coding := _other_coding(node)) is not None and "id_to_piece" in piece.names:
                yield Result(
                    State.FAIL, f"`{piece.name}` counts bytes in {coding}: the metric's are UTF-8's", file=piece.path.name,
                    line=getattr(node, "lineno", 1),
                )  # fmt: skip
            if isinstance(node, ast.Assign | ast.AugAssign) and node.value is not None:
                assigned = node.targets[0] if isinstance(node, ast.Assign) else node.target
                target = assigned.id if isinstance(assigned, ast.Name) else ast.unparse(assigned)
                if re.search(r"(?i)base_bytes|byte_count|token_bytes|bytes_lut", target):
                    yield from _byte_assignment(piece, node, spaced)
            if (
                isinstance(node, ast.Constant)
                and node.value in (2.44, 2.4359, 3.5, 3.73, 3.7266)
                and _divides_bpb(piece, node)
            ):
                yield Result(
                    State.FAIL, f"{node.value} bytes per token are typed in", file=piece.path.name, line=node.lineno
                )


def _other_coding(node: ast.AST) -> str | None:
    """The name of the coding in `len(….encode(coding))` where it is not UTF-8."""
    if not (isinstance(node, ast.Call) and leaf(node.func) == "len" and node.args):
        return None
    call = node.args[0]
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "encode"):
        return None
    given = [*call.args[:1], *(each.value for each in call.keywords if each.arg == "encoding")]
    if not (given and isinstance(given[0], ast.Constant) and isinstance(given[0].value, str)):
        return None
    try:
        name = codecs.lookup(given[0].value).name
    except LookupError:
        return None
    return None if name == "utf-8" else given[0].value


def _no_byte_branch(piece: Piece) -> int | None:
    """The line of a table over all pieces that encodes each and asks of none whether it is a byte."""
    if "id_to_piece" not in piece.names:
        return None
    text = piece.text
    if re.search(r"is_byte|<0x|\bbyte_(?:tokens|pieces|ids)|decode_ids|\.decode\(", text):
        return None
    for node in piece.nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            value = ast.unparse(node.value)
            if (
                re.match(r"(?i)\w*(?:byte|base|size|len)", leaf(node.targets[0]))
                and "len(" in value
                and "encode" in value
            ):
                return node.lineno
    return None


def _byte_assignment(piece: Piece, node: ast.Assign | ast.AugAssign, spaced: bool) -> Iterable[Result]:
    value = node.value
    encoded = value is not None and "encode" in ast.unparse(value)
    plus_one = isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add) and any(
        isinstance(side, ast.Constant) and side.value == 1 for side in (value.left, value.right)
    )  # fmt: skip
    added = (
        isinstance(node, ast.AugAssign)
        and isinstance(node.op, ast.Add)
        and isinstance(value, ast.Constant)
        and value.value == 1
    )
    if ((plus_one and encoded) or (added and "startswith" in piece.text)) and spaced:
        yield Result(
            State.FAIL,
            f"`{ast.unparse(node)[:80]}` counts the leading space that is added again when scoring",
            file=piece.path.name,
            line=node.lineno,
        )
    if isinstance(value, ast.Constant) and value.value == 3 and "is_byte" in piece.text:
        yield Result(State.FAIL, "byte tokens are counted as 3 bytes", file=piece.path.name, line=node.lineno)


def _divides_bpb(piece: Piece, constant: ast.Constant) -> bool:
    for node in piece.nodes:
        named = isinstance(node, ast.Assign) and any("bpb" in leaf(target).lower() for target in node.targets)
        given = isinstance(node, ast.Return) and node.value is not None and "log(2" in ast.unparse(node.value)
        if isinstance(node, ast.Assign | ast.Return) and node.value is not None and (named or given):
            if any(inner is constant for inner in walk(node.value)):
                return True
    return False


TEXT_WORD = re.compile(r"(?i)text|docs?\b|document|story|page|line")
WAY_BACK = re.compile(
    r"(?i)\bdef \w*(?:decode|undo|restore|invert|inverse|recover|unmark|back)\w*|\.upper\(|capitalize\(|title\("
)


def _lowers_text(module: Module) -> ast.Call | None:
    """Where data preparation lowers documents, in a file without a way back."""
    if WAY_BACK.search(module.text) or not re.search(r"json\.loads|\[[\"']text[\"']\]|docs|documents", module.text):
        return None
    for node in module.nodes:
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "lower"
            and not node.args
        ):
            if TEXT_WORD.search(ast.unparse(node.func.value)):
                return node
    return None


def lossy_text(subject: Subject) -> Iterable[Result]:
    """Lower-casing of the text before tokenization, without a way back."""
    pages = list(subject.code.modules) if subject.code else []
    from golf.reading.script import parse

    if subject.kind != "script" and subject.source is not None:
        used = {module.path.name for module in pages}
        for path in own_files(subject.folder, "*.py")[:20]:
            if path.name not in used and path.stat().st_size < 400_000:
                pages.append(parse(path, read_text(path, MAX_READ_BYTES) or ""))
    lossy = False
    for module in pages:
        if (call := _lowers_text(module)) is not None and not (subject.code and module in subject.code.modules):
            lossy = True
            said = f"`{ast.unparse(call)[:60]}` lowers the text before it is tokenized: the original cannot be restored"
            yield Result(State.FAIL, said, file=module.path.name, line=call.lineno)
        if "casefold" not in module.text or "def decode" in module.text:
            continue
        for node in module.nodes:
            if isinstance(node, ast.Call) and leaf(node.func) == "casefold":
                lossy = True
                said = "the text is case-folded: the original cannot be restored"
                yield Result(State.FAIL, said, file=module.path.name, line=node.lineno)
    data = str(subject.code.value("data_path")) if subject.code else ""
    if "casefold" in data.lower():
        lossy = True
        yield Result(State.UNKNOWN, f"the default data is {data}", weak=True)
    if not lossy and pages:
        yield Result(State.UNKNOWN, "no text transform in the code; the shards themselves are not here", weak=True)
