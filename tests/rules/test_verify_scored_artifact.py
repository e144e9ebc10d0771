"""R48 without running anything: which model the last score is of, and whether the final line can be the artifact's."""

import pytest

from golf.rules.calibration.faults import READ
from golf.rules.calibration.scripts import script
from golf.rules.calibration.specimen import changed, write_specimen
from golf.rules.checks.artifact_log import final_line
from golf.rules.checks.static_artifact import scored_model
from golf.rules.findings import State
from golf.rules.pack import load_pack
from golf.rules.subject import Subject

BLOB = 'open("final_model.ptz", "rb").read()'
OTHER = "eval_model = GPT(1024, 512)\n    "
EVALUATION = "val_loss, val_bpb = eval_val_sliding(args, {}, 0, 1, 'cpu', val_tokens, *luts, stride=64)"
HELPERS = """
def unpacked(blob):
    return {name: q.float() * s for name, (q, s) in torch.load(io.BytesIO(zlib.decompress(blob))).items()}


def restored(path):
    model = GPT(1024, 512)
    with open(path, "rb") as file:
        for name, param in model.named_parameters():
            param.data.copy_(unpacked(file.read())[name])
    return model


def score_all(args, model, val_tokens, luts):
    return eval_val_sliding(args, model, 0, 1, "cpu", val_tokens, *luts, stride=64)
"""
SAYS = {
    "its own weights are replaced": (READ, "base_model", State.CLEAN),
    "a wrapped model shares them": (f"{READ}\n    compiled = torch.compile(base_model)", "compiled", State.CLEAN),
    "another model is given them": (f"{OTHER}{READ.replace('base_model', 'eval_model')}", "eval_model", State.CLEAN),
    "a function makes that model": ('eval_model = restored("final_model.ptz")', "eval_model", State.CLEAN),
    "they are set one by one": (f"for p, w in zip(base_model.parameters(), unpacked({BLOB})): p.data = w", "base_model", State.CLEAN),
    "they are set by name": (f"for n, w in unpacked({BLOB}).items(): setattr(base_model, n, nn.Parameter(w))", "base_model", State.CLEAN),
    "a helper from elsewhere sets them": (f"elsewhere.fill(base_model, {BLOB})", "base_model", State.CLEAN),
    "they are unpacked from memory": ("base_model.load_state_dict(unpacked(zlib.compress(blob)))", "base_model", State.CLEAN),
    "what is read goes where it is not seen": (f"table = unpacked({BLOB})", "base_model", State.UNKNOWN),
    "the other model serves the plain check": (f"{OTHER}{READ.replace('base_model', 'eval_model')}\n    {EVALUATION.format('eval_model')}", "base_model", State.FAIL),
    "a wrapper of the trained model": (f"compiled = torch.compile(base_model)\n    {OTHER}{READ.replace('base_model', 'eval_model')}", "compiled", State.FAIL),
    "a function's model is set aside": ('check = restored("final_model.ptz")', "base_model", State.FAIL),
    "the averaged weights come back": (f"ema = dict(base_model.state_dict())\n    {READ}\n    base_model.load_state_dict(ema)", "base_model", State.FAIL),
    "nothing is read": ("size = len(blob) + len(open(__file__, 'rb').read())", "base_model", State.FAIL),
}  # fmt: skip


@pytest.mark.parametrize("what", SAYS)
def test_which_model_the_last_score_is_of(tmp_path, what):
    between, model, state = SAYS[what]
    text = script(HELPERS, evaluation=f"val_loss, val_bpb = score_all(args, {model}, val_tokens, luts)")
    text = text.replace(READ, between)
    (tmp_path / "train_gpt.py").write_text(text)
    found = list(scored_model(Subject(tmp_path / "train_gpt.py", load_pack(), "script")))
    assert [result.state for result in found] == [state], found
    if state is State.FAIL:
        assert "bpb = score_all" in text.splitlines()[found[0].line - 1]


def test_a_script_that_packs_nothing_is_not_judged(tmp_path):
    (tmp_path / "train_gpt.py").write_text(
        script().replace(READ, "pass").replace('open("final_model.ptz", "wb").write(blob)', "pass").replace("quantize_state_dict", "rounded")
    )  # fmt: skip
    assert not list(scored_model(Subject(tmp_path / "train_gpt.py", load_pack(), "script")))


# plain from before packing, plain from the artifact, the final score and its label; window and vocabulary
LOGS = {
    "#1120, seed 42": ((1.1338, 1.1438, 1.11018163, "final_int6_sliding_window"), 2048, 1024, State.FAIL),
    "#1060, seed 1337": ((1.1317, 1.13532, 1.11184, "final_int6_sliding_window"), 2048, 1024, None),
    "#1204, seed 42": ((1.1235, 1.13235347, 1.10774252, "final_int6_sliding_window"), 2048, 1024, State.CLEAN),
    "#1334, seed 314": ((1.09687, 1.10846, 1.08983, "final_int6_sliding_window"), 2048, 4096, State.CLEAN),
    "gains more than any other, over both": ((1.1338, 1.1438, 1.1002, "final_int6_sliding_window"), 2048, 1024, State.UNKNOWN),
    "a window that no log has": ((1.1338, 1.1438, 1.1102, "final_int6_sliding_window"), 4096, 1024, None),
    "float weights, plain": ((1.1338, 1.1438, 1.13380000, "final_model"), 2048, 1024, State.FAIL),
    "the artifact, plain": ((1.1338, 1.1438, 1.14380000, "final_model"), 2048, 1024, None),
    "adapted, and by chance as before": ((1.07229, 1.08336, 1.07229, "quantized_ttt"), 2048, 8192, None),
}  # fmt: skip


@pytest.mark.parametrize("what", LOGS)
def test_whether_the_final_line_can_be_the_artifacts(tmp_path, what):
    (before, trip, final, label), window, vocab, state = LOGS[what]
    folder = write_specimen(tmp_path, changed(bpb=(final,) * 3))
    for log in folder.glob("*.log"):
        log.write_text(
            f"seed:{log.stem[10:]}\ntrain_loader:dataset:fineweb10B_sp{vocab} train_shards:80\n"
            f"val_loader:shards pattern=./data/datasets/fineweb10B_sp{vocab}/fineweb_val_*.bin tokens:62021632\n"
            f"train_batch_tokens:786432 train_seq_len:{window} iterations:20000 warmup_steps:20 max_wallclock_seconds:600.000\n"
            f"step:7000/20000 val_loss:1.9 val_bpb:{before:.4f} train_time:600010ms step_avg:85.00ms\n"
            f"DIAGNOSTIC post_ema val_loss:1.9 val_bpb:{before:.8f} eval_time:2000ms\n"
            "Serialized model int6+zstd: 15800000 bytes\n"
            f"final_int6_roundtrip val_loss:1.9 val_bpb:{trip:.8f} eval_time:8000ms\n"
            f"{label} val_loss:1.9 val_bpb:{final:.8f} eval_time:79000ms\n"
        )
    found = list(final_line(Subject(folder, load_pack(), "record")))
    assert {result.state for result in found} == ({state} if state else set()), found
    if state is State.FAIL:
        assert len(found) == 3  # every seed's
        assert "float weights" in found[0].message
