"""Static checks on scripts in the styles of the contest: no legal one is blocked, every illegal one is named."""

import base64
import time
import zlib

import pytest

from golf.rules import State, verify_folder
from golf.rules.calibration.families import LEGAL_TTT, PREQUANT
from golf.rules.calibration.scripts import HEAD, ILLEGAL, LEGAL, packings, script


def judge(tmp_path, text, name="train_gpt.py"):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return verify_folder(path, only=["static"])


def failed(verdict):
    return {finding.code for finding in verdict.having(State.FAIL)}


@pytest.mark.parametrize("name", LEGAL)
def test_legal_styles_are_not_blocked(tmp_path, name):
    verdict = judge(tmp_path, LEGAL[name])
    assert not verdict.having(State.FAIL), [(f.code, f.message) for f in verdict.having(State.FAIL)]


@pytest.mark.parametrize("name", ILLEGAL)
def test_illegal_families_are_named_with_their_line(tmp_path, name):
    code, text = ILLEGAL[name]
    found = [finding for finding in judge(tmp_path, text).having(State.FAIL) if finding.code == code]
    assert found, name
    assert found[0].file == "train_gpt.py" and found[0].line


@pytest.mark.parametrize("name", ILLEGAL)
def test_each_fault_breaks_only_its_own_rules(tmp_path, name):
    code, text = ILLEGAL[name]
    allowed = {
        code,
        *{"R32": {"R36"}, "R34": {"R36"}, "R33": {"R31"}, "R38": {"R31"}, "R39": {"R31"}, "R41": {"R31"}}.get(
            code, set()
        ),
    }
    assert failed(judge(tmp_path, text)) <= allowed


@pytest.mark.parametrize("form", packings(""))
def test_packed_scripts_are_seen_through_without_running_them(tmp_path, form):
    assert "R36" in failed(
        judge(tmp_path, packings(script(PREQUANT, before="ttt_adapt_adamw(args, base_model, 'cpu', val_tokens)"))[form])
    )
    assert not failed(judge(tmp_path, packings(LEGAL["score-first TTT"])[form]))


def test_a_stub_leads_to_its_sibling(tmp_path):
    (tmp_path / "train_gpt_decode.py").write_text(ILLEGAL["pre-quant TTT"][1])
    verdict = judge(tmp_path, "exec(open('train_gpt_decode.py').read())\n")
    assert "R36" in failed(verdict)


def test_switches_in_the_log_decide_over_defaults(tmp_path):
    (tmp_path / "train_gpt.py").write_text(LEGAL["dead SLOT behind an off switch"])
    log = "Hyperparameters:\n  seed: 1\n  slot_enabled: {}\nval_tokens: 62021632\n1/10 train_loss: 6.9 train_time: 0.0m tok/s: 1\nquantized val_loss:2.0 val_bpb:1.2 eval_time:1ms\n"
    for value, expected in (("False", False), ("True", True)):
        (tmp_path / "train_seed1.log").write_text(log.format(value))
        verdict = verify_folder(tmp_path, only=["static"])
        assert ("R37" in failed(verdict)) is expected


def test_a_script_of_four_thousand_lines_takes_seconds(tmp_path):
    forward = "\nclass Block{i}(nn.Module):\n" + "".join(
        f"    def forward_{j}(self, x, g):\n        y = x * g + {j}\n        return y.relu()\n\n" for j in range(40)
    )
    text = script(*(forward.replace("{i}", str(i)) for i in range(25)), LEGAL_TTT)
    assert text.count("\n") > 4000
    started = time.process_time()
    verdict = judge(tmp_path, text)
    assert not failed(verdict)
    assert time.process_time() - started < 4.0


def test_python_312_strings_are_read(tmp_path):
    newer = HEAD + '\ndef show(d):\n    return f"{d["key"]} and {", ".join(d)}"\n'
    verdict = verify_folder(_written(tmp_path, newer), only=["static", "folder"])
    assert not failed(verdict)
    assert "3.12" in next(finding.message for finding in verdict.findings if finding.code == "R10") or __import__(
        "sys"
    ).version_info >= (3, 12)


def _written(tmp_path, text):
    path = tmp_path / "train_gpt.py"
    path.write_text(text)
    return path


def test_what_does_not_parse_is_said_and_nothing_is_proven(tmp_path):
    verdict = verify_folder(_written(tmp_path, "def broken(:\n    pass\n"), only=["static", "folder"])
    assert failed(verdict) == {"R10"}
    assert all(finding.state is not State.PASS for finding in verdict.findings if finding.code.startswith("R3"))


def test_the_command_in_the_readme_decides_where_no_log_prints_settings(tmp_path):
    (tmp_path / "train_gpt.py").write_text(LEGAL["dead SLOT behind an off switch"])
    for value, expected in (("0", False), ("1", True)):
        command = f"```bash\nSEED=42 SLOT_ENABLED={value} torchrun --standalone --nproc_per_node=8 train_gpt.py\n```\n"
        (tmp_path / "README.md").write_text(f"# A record\n\n{command}")
        assert ("R37" in failed(verify_folder(tmp_path, only=["static"]))) is expected


PAYLOAD = base64.b85encode(zlib.compress(b"import os\nos.system('pip install brotli')\n")).decode()
UNPACK = f"zlib.decompress(base64.b85decode({PAYLOAD!r}))"
HIDDEN = {
    "in the main guard": (f"if __name__ == '__main__':\n    exec({UNPACK})", State.FAIL),
    "under try": (f"try:\n    exec({UNPACK})\nexcept OSError:\n    raise", State.FAIL),
    "beside other code": (f"import os\nos.system('pip install x')\nexec(zlib.decompress({zlib.compress(b'x = 1')!r}))", State.FAIL),
    "in a function": (f"def go():\n    exec({UNPACK}, globals())\ngo()", State.UNKNOWN),
    "by eval": (f"eval(compile({UNPACK}, 'f', 'exec'))", State.UNKNOWN),
    "by builtins": (f"import builtins\nbuiltins.exec({UNPACK})", State.UNKNOWN),
    "by another name": (f"run = exec\nrun({UNPACK})", State.UNKNOWN),
    "twice": (f"exec(zlib.decompress({zlib.compress(b'x = 1')!r}))\nexec({UNPACK}, globals())", State.UNKNOWN),
}  # fmt: skip


@pytest.mark.parametrize("where", HIDDEN)
def test_code_that_cannot_be_seen_never_passes(tmp_path, where):
    text, state = HIDDEN[where]
    path = tmp_path / "train_gpt.py"
    path.write_text(f"import base64, zlib\n{text}\n")
    found = {finding.code: finding.state for finding in verify_folder(path, only=["static"]).findings}
    assert found["R03"] is state
    assert state is State.FAIL or State.PASS not in {found[code] for code in ("R34", "R37", "R38")}


@pytest.mark.parametrize(
    "line", ["model.eval()", "x = eval('1 + 1')", "exec(open('helper.py').read())", "import ast; ast.literal_eval('1')"]
)
def test_what_hides_nothing_is_not_held_against_a_script(tmp_path, line):
    (tmp_path / "helper.py").write_text("x = 1\n")
    (tmp_path / "train_gpt.py").write_text(f"{line}\n")
    found = {
        finding.code: finding.state for finding in verify_folder(tmp_path / "train_gpt.py", only=["static"]).findings
    }
    assert found["R03"] is State.CLEAN


SWEEP = """
def eval_val_mine(args, base_model, val_tokens, *luts):
    opt = torch.optim.SGD(base_model.parameters(), lr=0.1)
    total = 0.0
    for start in range(0, val_tokens.numel() - 1, 1024):
        x, y = val_tokens[start : start + 1024], val_tokens[start + 1 : start + 1025]
        {first}
        with torch.no_grad():
            total += float(base_model(x, y))
        {then}
    return total, total
"""
LEARN = "loss = base_model(x, y); loss.backward(); opt.step(); opt.zero_grad()"


def of_sweep(tmp_path, first="pass", then="pass", calls=1):
    evaluation = "val_loss, val_bpb = eval_val_mine(args, base_model, val_tokens, *luts)"
    text = script(SWEEP.format(first=first, then=then), evaluation="\n    ".join([evaluation] * calls))
    return {finding.code: finding for finding in judge(tmp_path, text).findings}


def test_the_order_of_learning_and_scoring_is_followed_through_loops_whatever_things_are_called(tmp_path):
    assert of_sweep(tmp_path / "1", first=LEARN)["R32"].state is State.FAIL
    legal = of_sweep(tmp_path / "2", then=LEARN)
    assert not [code for code in ("R32", "R33", "R36", "R37") if legal[code].state is State.FAIL]
    twice = of_sweep(tmp_path / "3", then=LEARN, calls=2)
    assert twice["R33"].state is State.FAIL and "again" in twice["R33"].message


def test_a_guard_by_size_is_named(tmp_path):
    guarded = of_sweep(tmp_path, then="if val_tokens.numel() > 1_000_000: loss = base_model(x, y)")
    assert guarded["R31"].state is State.UNKNOWN and "by size" in guarded["R31"].message


def test_two_hashed_tables_divided_are_no_distribution_and_exact_counts_are(tmp_path):
    table = """
def eval_val_memory(args, base_model, val_tokens, *luts):
    one, two, total = np.zeros(4096), np.zeros({shape}), 0.0
    for at in range(3, len(val_tokens)):
        a, b = key(val_tokens[at - 2 : at]), {key}
        p = math.exp(-float(base_model(val_tokens[at - 1 : at], val_tokens[at : at + 1])))
        total -= math.log(0.7 * p + 0.3 * two[{index}] / max(one[a], 1))
        one[a] += 1
        two[{index}] += 1
    return total, total

def key(ids):
    value = 7
    for each in ids:
        value = value * 31 + int(each)
    return value % 4096
"""
    evaluation = "val_loss, val_bpb = eval_val_memory(args, base_model, val_tokens, *luts)"
    hashed = table.format(shape="4096", key="key(val_tokens[at - 2 : at + 1])", index="b")
    rows = table.format(shape="(4096, 1024)", key="int(val_tokens[at])", index="a, b")
    for name, text, state in (("hashed", hashed, State.FAIL), ("rows", rows, State.CLEAN)):
        found = {f.code: f.state for f in judge(tmp_path / name, script(text, evaluation=evaluation)).findings}
        assert found["R38"] is state or (state is State.CLEAN and found["R38"] is not State.FAIL), name
