"""Strange and damaged record folders, drawn by a seed: what a referee must answer with a verdict or one clear sentence.

Bytes are damaged; statements of valid scripts are shuffled, repeated and nested, so that what parses is strange too; scripts are wrapped,
and the wrapping damaged; logs are joined, repeated and padded; JSON has other types and depths; names and places are odd.
"""

import ast
import base64
import copy
import json
import lzma
import os
import random
import time
import zlib

from blind_styles import BLIND
from later_styles import LATER
from other_styles import CASES

from golf.errors import GolfError
from golf.rules import verify_folder
from golf.rules.calibration.scripts import BOTH, ILLEGAL, LEGAL
from golf.rules.calibration.specimen import write_specimen

KINDS = ("folder", "json", "log", "static", "stats")
SCRIPTS = [
    *LEGAL.values(),
    *(text for _, text in (ILLEGAL | BOTH).values()),
    *(case.files["train_gpt.py"] for case in (*CASES, *BLIND, *LATER)),
]
ODD_NAMES = (
    "train_\n.log",
    "a b;$(x).log",
    "\u202etxt.log",
    "-rf.log",
    "x" * 240 + ".log",
    "train_seed1.log.gz",
    "LOG",
    ".log",
)
ODD_VALUES = (None, [], {}, "x", -1, 1e308, True, "9" * 50, 10**400, [[[]]], {"": {}}, "1.1\u0661", "nan", "\x00")
WORDS = [
    b"val_bpb:",
    b"0.0",
    b"-1e999",
    b"nan",
    b"step:1/",
    b"\0",
    b"\xff\xfe",
    b"{",
    b"}",
    b"(" * 90,
    b"seed:",
    b"9" * 400,
    b"\xe2\x80\xa8",
    b"def f():\n",
]


def damaged(rng, content):
    """Bytes with some cut, repeated, replaced or put in."""
    for _ in range(rng.randint(1, 4)):
        at, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
        end = min(end, at + 2000)
        content = rng.choice(
            [
                content[:at] + content[end:],
                content[:end] + content[at:end] + content[end:],
                content[:at] + rng.choice(WORDS) + content[at:],
                content[:at] + bytes(rng.randrange(256) for _ in range(min(end - at, 40))) + content[end:],
            ]
        )
    return content


def shuffled(rng, text):
    """A script whose statements are moved, repeated, dropped, nested or given each other's names: it parses, and means something else."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return text
    blocks = [node.body for node in ast.walk(tree) if isinstance(getattr(node, "body", None), list) and node.body]
    for _ in range(rng.randint(1, 6)):
        one, two = rng.choice(blocks), rng.choice(blocks)
        statement = copy.deepcopy(rng.choice(one))  # its own, so that none holds itself
        match rng.randrange(6):
            case 0:
                two.insert(rng.randrange(len(two) + 1), statement)
            case 1:
                rng.shuffle(one)
            case 2:
                one[:] = [*one, *one][:200]
            case 3:
                one.insert(0, ast.While(ast.Constant(value=True), [statement], []))
            case 4:
                names = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
                if names:
                    old, new = rng.choice(names), rng.choice(names)
                    for node in ast.walk(tree):
                        if isinstance(node, ast.Name) and node.id == old:
                            node.id = new
            case 5:
                one[:] = [ast.FunctionDef("f", ast.arguments([], [], None, [], [], None, []), one[:], [], None, None)]
    try:
        return ast.unparse(ast.fix_missing_locations(tree))
    except (RecursionError, ValueError, TypeError, AttributeError):  # too deep, or a name that is none
        return text


def wrapped(rng, text):
    """A script as a packed text that it runs itself, whole or damaged."""
    packed = rng.choice((lzma.compress, zlib.compress))(text.encode(errors="replace"))
    name = "lzma" if packed[:1] == b"\xfd" else "zlib"
    if rng.random() < 0.5:
        packed = damaged(rng, packed)
    return f"import base64,{name}\nexec({name}.decompress(base64.b85decode({base64.b85encode(packed).decode()!r})).decode())\n"


def strange_script(rng):
    text = rng.choice(SCRIPTS)
    turn = rng.random()
    if turn < 0.45:
        text = shuffled(rng, text)
    elif turn < 0.6:
        text = wrapped(rng, shuffled(rng, text))
    elif turn < 0.65:
        text = text.replace("\n", "\r\n") if rng.random() < 0.5 else "\ufeff" + text
    elif turn < 0.68:
        depth = rng.choice((90, 1000, 8000))
        text += (
            "\nx = " + rng.choice(("(" * depth + "1" + ")" * depth, "-" * depth + "1", "+".join(["1"] * depth))) + "\n"
        )
    elif turn < 0.7:
        text += "\nt = [" + "0x1F, " * rng.choice((1000, 30_000)) + "]\n"
    return text


def strange_log(rng, text):
    """A log that is longer, doubled, shuffled, or of other numbers."""
    lines = text.splitlines(keepends=True)
    match rng.randrange(5):
        case 0:
            return text * rng.randint(2, 5)
        case 1:
            rng.shuffle(lines)
        case 2:
            lines += [rng.choice(lines) for _ in range(rng.choice((10, 20_000)))] if lines else []
        case 3:
            lines = [
                line.replace("0", rng.choice(("9", "", "e", "-"))) if rng.random() < 0.1 else line for line in lines
            ]
        case 4:
            lines = ["x" * 200_000 + "\n", *lines]
    return "".join(lines)


def strange_folder(rng, base):
    """A specimen with its script, JSON, page, logs and names damaged at random; rarely something that is no file."""
    folder = write_specimen(base, script=strange_script(rng))
    for path in sorted(folder.glob("*.log")):
        if rng.random() < 0.25:
            path.write_text(strange_log(rng, path.read_text()))
        elif rng.random() < 0.05:
            path.rename(folder / rng.choice(ODD_NAMES))
    for path in sorted(folder.iterdir()):
        turn = rng.random()
        if turn < 0.4:
            path.write_bytes(damaged(rng, path.read_bytes()))
        elif turn < 0.45:
            path.write_bytes(b"")
        elif turn < 0.5:
            path.unlink()
    if rng.random() < 0.2:
        table = {
            key: rng.choice([*ODD_VALUES, {str(seed): rng.choice(ODD_VALUES) for seed in (42, 1337, "x")}])
            for key in (
                "val_bpb",
                "val_loss",
                "seed_results",
                "seeds",
                "seed_scores",
                "date",
                "track",
                "author",
                "bytes_total",
            )
        }
        (folder / "submission.json").write_text(json.dumps(table))
    odd = rng.random()
    if odd < 0.05:
        (folder / "loop").symlink_to(folder)
    elif odd < 0.1:
        (folder / "train_gpt.log").mkdir()
    elif odd < 0.15:
        os.mkfifo(folder / "train_seed5.log")
    elif odd < 0.2:
        (folder / "submission2.json").symlink_to("/etc/passwd")
    elif odd < 0.23:
        deep = folder.joinpath(*["d"] * rng.choice((3, 60)))
        deep.mkdir(parents=True)
        (deep / "train.log").write_text("step:1/2 val_loss:1.0 val_bpb:0.5\n")
    elif odd < 0.26:
        for number in range(120):
            (folder / f"train_seed{number}.log").write_text(f"seed: {number}\nstep:1/2 val_loss:1.0 val_bpb:0.5\n")
    elif odd < 0.28:
        (folder / "extra.bin").write_bytes(bytes(5_000_000))
    return folder


def judge_strange(seed, base):
    """CPU seconds of the verdict on one strange folder below `base`, and whether it was a verdict rather than one sentence."""
    folder = strange_folder(random.Random(seed), base)
    began = time.process_time()
    judged = True
    try:
        verdict = verify_folder(folder, only=KINDS)
    except GolfError as fault:
        assert fault.message and "\n" not in fault.message
        judged = False
    else:
        assert len(verdict.findings) > 30
        assert not [
            f.message for f in verdict.findings if f.message.startswith("the check ") and " failed: " in f.message
        ]
    seconds = time.process_time() - began
    assert seconds < 10
    return seconds, judged
