"""The log reader gives every dialect's numbers with the line they came from, whatever the file's encoding."""

import json
import os
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from timing import seconds_of

from golf.cli.pages.logs import read_folder
from golf.errors import GolfError
from golf.logs import counting, read_log, read_text
from golf.logs.backing import backing
from golf.logs.read import read_bytes
from golf.logs.runs import distinct

V1 = """seed:1337
model_params:17059912
world_size:8 grad_accum_steps:1
attention_mode:gqa num_heads:8 num_kv_heads:4
tie_embeddings:True embed_lr:0.03 head_lr:0.0 matrix_lr:0.02 scalar_lr:0.02
train_loader:dataset:fineweb10B_sp1024 train_shards:80
val_loader:shards pattern=./data/datasets/fineweb10B_sp1024/fineweb_val_*.bin tokens:62021632
train_batch_tokens:524288 train_seq_len:1024 iterations:20000 warmup_steps:20 max_wallclock_seconds:600.000
warmup_step:1/20
step:0/20000 val_loss:6.9357 val_bpb:4.1077 train_time:0ms step_avg:0.01ms
step:1/20000 train_loss:6.9370 train_time:24ms step_avg:24.05ms
step:13750/20000 train_loss:2.0827 train_time:599431ms step_avg:43.59ms
step:13764/20000 val_loss:2.0598 val_bpb:1.2199 train_time:600061ms step_avg:43.60ms
stopping_early: wallclock_cap train_time:600061ms step:13764/20000
peak memory allocated: 10184 MiB reserved: 10624 MiB
Serialized model: 67224983 bytes
Code size: 58380 bytes
Total submission size: 67283363 bytes
Serialized model int8+zlib: 15814468 bytes (payload:17178912 raw_torch:17224025 payload_ratio:3.91x)
Total submission size int8+zlib: 15872848 bytes
final_int8_zlib_roundtrip val_loss:2.0741 val_bpb:1.2284 eval_time:5599ms
final_int8_zlib_roundtrip_exact val_loss:2.07405347 val_bpb:1.22837129
"""

V2 = """Hyperparameters:
  iterations: 20000
  max_wallclock_seconds: 600.0
  seed: 42
  train_files: ./data/fineweb_train_*.bin
  vocab_size: 8192
  world_size: 8
train_shards: 128
val_tokens: 40540160
model_params:35944536
gptq:reserving 12s, effective=588000ms
1/20000 train_loss: 9.0087 train_time: 0.0m tok/s: 12535509
4550/20000 train_loss: 2.9 train_time: 9.8m tok/s: 6535509
4550/20000 val_loss: 2.8100 val_bpb: 1.0879
stopping_early: wallclock_cap train_time: 588119ms step: 4557/20000
peak memory allocated: 39045 MiB reserved: 39168 MiB
pre-quantization post-ema val_loss:2.81014279 val_bpb:1.08775313 eval_time:7438ms
Serialized model: 135426937 bytes
Code size: 16594 bytes
GPTQ:collected 67 Hessians in 12.7s
Serialized model quantized+brotli: 15976325 bytes
Total submission size quantized+brotli: 15992919 bytes
quantized val_loss:2.83957454 val_bpb:1.09946892 eval_time:8681ms
quantized_sliding_window val_loss:2.79659675 val_bpb:1.08271394 eval_time:121183ms
quantized_ttt val_loss:2.79241542 val_bpb:1.08103103 eval_time:368074ms
"""

SCRIPT = '''"""A docstring. Reached val_loss:9.9999 val_bpb:9.9999 once.
Total submission size int8+zlib: 1 bytes
"""
import os
from pathlib import Path

class Hyperparameters:
    seed = 1

def main():
    log0(f"final_int8_zlib_roundtrip_exact val_loss:{loss:.8f} val_bpb:{bpb:.8f}")
    # final_int8_zlib_roundtrip_exact val_loss:1.00000000 val_bpb:0.50000000

if __name__ == "__main__":
    main()
'''
SEPARATOR = "=" * 100 + "\n"


def only(text: str):
    log = read_text(text)
    assert len(log.runs) == 1
    return log.runs[0]


def test_the_first_dialect_is_read_to_the_digit() -> None:
    run = only(V1)
    assert (run.seed, run.params, run.world_size, run.vocab_size, run.val_tokens) == (1337, 17059912, 8, 1024, 62021632)
    assert (run.steps, run.train_seconds, run.step_ms, run.stop_reason) == (13764, 600.061, 43.6, "wallclock_cap")
    assert (run.model_bytes, run.code_bytes, run.total_bytes, run.raw_total_bytes) == (
        15814468,
        58380,
        15872848,
        67283363,
    )
    assert run.score is not None and (run.val_bpb, run.val_loss, run.score.line) == (1.22837129, 2.07405347, 22)
    assert run.pre_quant is not None and run.pre_quant.val_bpb == 1.2199
    assert run.sources["total_bytes"] == 20 and run.peak_memory_mib == 10184 and run.complete
    assert run.hyperparameters["matrix_lr"] == "0.02"
    assert [(point.step, point.train_loss) for point in run.curve if point.train_loss] == [(1, 6.937), (13750, 2.0827)]
    assert run.val_bytes == pytest.approx(151.08e6, rel=1e-3)


def test_the_second_dialect_takes_its_header_from_the_block() -> None:
    run = only(V2)
    assert (run.seed, run.world_size, run.vocab_size, run.train_shards, run.val_tokens) == (42, 8, 8192, 128, 40540160)
    assert (run.steps, run.train_seconds, run.calibration_seconds) == (4557, 588.119, 12.7)
    assert run.val_bpb == 1.08103103 and run.eval_seconds == 368.074
    assert run.sliding is not None and run.sliding.val_bpb == 1.08271394
    assert run.quantized is not None and run.quantized.val_bpb == 1.09946892


@pytest.mark.parametrize(
    "encode",
    [
        pytest.param(lambda text: text.encode(), id="utf-8"),
        pytest.param(lambda text: b"\xef\xbb\xbf" + text.encode(), id="utf-8 with BOM"),
        pytest.param(lambda text: text.encode("utf-16"), id="utf-16"),
        pytest.param(lambda text: b"\xfe\xff" + text.encode("utf-16-be"), id="utf-16-be"),
        pytest.param(lambda text: text.encode("utf-16-le"), id="utf-16 without BOM"),
        pytest.param(lambda text: text.replace("\n", "\r\n").encode(), id="CRLF"),
        pytest.param(lambda text: text.replace("\n", "\r").encode(), id="bare CR"),
        pytest.param(lambda text: "".join(f"\x1b[32m{row}\x1b[0m\n" for row in text.split("\n")).encode(), id="ANSI"),
        pytest.param(lambda text: text.encode() + b"\xff\xfe broken \x80 bytes\n", id="not UTF-8"),
    ],
)
@pytest.mark.parametrize("text", [V1, V2], ids=["v1", "v2"])
def test_every_encoding_reads_the_same(encode, text: str) -> None:
    plain, odd = only(text).to_dict(curve=True), read_bytes(encode(text), "odd").runs[0].to_dict(curve=True)
    assert odd == plain


PREFIXES = [
    "1776142348.135 ", "[19:23:20] ", "[2026-04-29 19:05:01,123] INFO: ", "2026-04-30T20:27:24Z ",
    "2026-04-29 19:05:01+08:00 ", "[default0]:", "[rank0]:", "2026-04-30T20:27:24Z [rank0]: ", "[modal] ",
]  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("text", [V1, V2], ids=["v1", "v2"])
def test_every_prefix_is_taken_off_and_named(prefix: str, text: str) -> None:
    log = read_text("".join(prefix + row + "\n" for row in text.splitlines()))
    assert log.runs[0].to_dict(curve=True) == only(text).to_dict(curve=True)
    assert any("prefix" in note for note in log.notes)


@pytest.mark.parametrize("place", ["before", "after", "no separator", "between hyper-parameters and run"])
def test_nothing_in_a_code_dump_is_a_result(place: str) -> None:
    head, tail = V2.split("train_shards", 1)
    text = {
        "before": SCRIPT + SEPARATOR + V1,
        "after": V1 + SEPARATOR + SCRIPT,
        "no separator": SCRIPT + V1,
        "between hyper-parameters and run": head
        + SEPARATOR
        + "Source code:\n"
        + SEPARATOR
        + SCRIPT
        + SEPARATOR
        + "train_shards"
        + tail,
    }[place]
    run = only(text)
    assert run.val_bpb == (1.08103103 if "hyper" in place else 1.22837129)
    assert run.total_bytes in (15872848, 15992919)


def test_a_failed_ttt_at_the_end_is_not_the_score() -> None:
    run = only(
        V2.replace(
            "quantized_ttt val_loss:2.79241542 val_bpb:1.08103103",
            "final_int6_ttt val_loss:3.07421378 val_bpb:1.33603200",
        )
    )
    assert run.val_bpb == 1.08271394
    assert "1.336032" in run.score_why and "cannot be the claim" in run.score_why


def test_a_roundtrip_label_that_repeats_the_sliding_value_is_an_alias() -> None:
    run = only(
        V1.replace(
            "final_int8_zlib_roundtrip val_loss:2.0741 val_bpb:1.2284 eval_time:5599ms\n",
            "final_int6_roundtrip_exact val_loss:1.92248000 val_bpb:1.13860661\n"
            "final_int6_sliding_window_exact val_loss:1.88276292 val_bpb:1.11508120\n",
        ).replace("val_loss:2.07405347 val_bpb:1.22837129", "val_loss:1.88276292 val_bpb:1.11508120")
    )
    assert run.quantized is not None and run.quantized.val_bpb == 1.13860661
    assert run.score is not None and run.score.stage == "sliding" and run.score.alias_of is not None
    assert "repeats the sliding value" in run.score_why


@pytest.mark.parametrize(
    ("mode", "stage"), [("final_eval_mode:sliding_window stride:64", "sliding"), ("eval_mode:online_ttt", "ttt")]
)
def test_an_eval_mode_line_says_what_a_roundtrip_label_hides(mode: str, stage: str) -> None:
    run = only(V1.replace("final_int8_zlib_roundtrip val_loss", f"{mode}\nfinal_int8_zlib_roundtrip val_loss"))
    assert run.score is not None and (run.score.stage, run.val_bpb) == (stage, 1.22837129)


def test_several_runs_are_several_results_and_the_last_complete_one_counts() -> None:
    second = V1.replace("1.22837129", "1.22000000").replace("seed:1337", "seed:7")
    log = read_text(V1 + second + "\n".join(V1.replace("seed:1337", "seed:9").splitlines()[:11]))
    assert [run.seed for run in log.runs] == [1337, 7, 9]
    assert [run.complete for run in log.runs] == [True, True, False]
    assert log.run is not None and log.run.val_bpb == 1.22


def test_a_summary_of_several_seeds_is_several_runs() -> None:
    log = read_text(
        "".join(
            f'[19:23:20] RUN seed={seed}\n{{"val_loss": 2.32, "val_bpb": {bpb}}}\n[19:33:20] DONE seed={seed}\n'
            for seed, bpb in ((42, 1.0631), (7, 1.0635))
        )
    )
    assert [(run.seed, run.val_bpb) for run in log.runs] == [(42, 1.0631), (7, 1.0635)]


def test_an_aborted_run_says_how_it_ended_and_has_no_artifact_score() -> None:
    run = only("\n".join(V1.splitlines()[:12]) + "\nTraceback (most recent call last):\n  boom\n")
    assert not run.complete and run.crash == "Traceback (most recent call last)" and run.total_bytes is None


def test_the_short_dialect_and_the_footer_are_read() -> None:
    run = only(
        "s:0/20000 vl:6.9301 bpb:4.1044 tt:0ms sa:0.02ms\ns:500/20000 tl:2.9 tt:43000ms sa:86.0ms\ns:600/20000 vl:2.5 bpb:1.5 tt:51600ms sa:86.0ms\n"
        "q_rt_x vl:2.10000000 bpb:1.24000000\nq_sw_x vl:2.00000000 bpb:1.18000000\nval_bpb:          1.18000000\n"
    )
    assert (run.steps, run.train_seconds, run.val_bpb) == (600, 51.6, 1.18)
    assert run.score is not None and run.score.stage == "sliding"


@pytest.mark.parametrize(
    ("line", "stage", "bpb"),
    [
        ("EMA BPB: 1.1234", "pre_quant", 1.1234),
        ("INT7+zlib val_bpb 1.2353 (500 batches)", "quantized", 1.2353),
        ("BPB: 1.2353", "loose", 1.2353),
        ('"val_loss": 2.3268, "val_bpb": 1.06335,', "other", 1.06335),
        ("Quantized BPB: 1.1350", "quantized", 1.135),
        ("[12:00:00] Final evaluation with TTT: val_bpb=1.0701", "ttt", 1.0701),
        ("final_ngram val_loss:1.6277 val_bpb:0.9640 ngram_eval_time:895349ms", "disallowed", 0.964),
        ("final_slot_exact val_loss:1.29230000 val_bpb:0.76540000", "disallowed", 0.7654),
        (
            "final_int8_zlib_roundtrip_exact sliding val_loss:2.02120000 sliding val_bpb:1.19709881",
            "sliding",
            1.19709881,
        ),
        ("final_sliding val_loss:2.9877 val_bpb:1.1568 (stride=16, T=0.90) eval_time:428712ms", "sliding", 1.1568),
        ("| int6 sliding | val_bpb=1.1412 | val_loss=1.9269 |"[2:], "sliding", 1.1412),
    ],
)
def test_odd_finals_are_classed_by_their_label(line: str, stage: str, bpb: float) -> None:
    run = only("model_params:17059912\nstep:10/10 val_loss:2.5 val_bpb:1.4321 train_time:100ms\n" + line + "\n")
    assert run.score is not None and (run.score.stage, run.val_bpb) == (stage, bpb)


def test_a_diverged_run_says_so_and_is_still_json() -> None:
    run = only(
        V1.replace("train_loss:2.0827", "train_loss:nan").replace(
            "val_loss:2.07405347 val_bpb:1.22837129", "val_loss:nan val_bpb:nan"
        )
    )
    assert run.val_bpb == 1.2284 and "prints nan" in run.score_why
    assert json.loads(json.dumps(run.to_dict(curve=True), allow_nan=False))["train_loss"] == "nan"


@pytest.mark.parametrize(
    ("line", "bpb"),
    [
        ("ttt epoch 2/3 bpb: 1.0999", 1.08271394),
        ("Final evaluation with TTT: val_bpb=1.0701", 1.0701),
        ("best bpb so far 1.0123", 1.08271394),
    ],
)
def test_a_line_of_no_known_form_does_not_outweigh_a_known_final(line: str, bpb: float) -> None:
    assert only("\n".join(V2.splitlines()[:-1]) + "\n" + line + "\n").val_bpb == bpb


def test_every_line_form_that_the_field_is_known_to_use_is_recognised(shared: Path) -> None:
    from golf.logs.grammar import grammar
    from golf.logs.text import clean

    # they say nothing that a result needs
    silent = {
        "ema_apply",
        "swa_start",
        "swa_apply",
        "late_qat",
        "selective_prune",
        "temp_scaling",
        "ttt_sliding_start",
        "ppm_line",
        "torchrun_banner",
        "logs_path",
        "modal",
    }
    unknown = set()
    for form in json.loads((shared / "line_grammar.json").read_text())["patterns"]:
        lines = list(clean(form["example"].encode()).lines)
        if not lines or grammar().match(lines[0][1]) is None:
            unknown.add(form["id"])
    assert unknown == silent


def test_a_claim_is_matched_to_the_line_that_backs_it() -> None:
    run = only(V2)
    hit = backing(run.scores, 1.0827, 4)
    assert hit is not None and hit.label == "quantized_sliding_window"
    assert backing(run.scores, 1.0500, 4) is None


def test_golf_result_lines_of_a_resumed_run_are_merged() -> None:
    def result(**fields: object) -> str:
        return "golf_result " + json.dumps({"schema": 1, "seed": 1337, **fields}) + "\n"

    header = "seed:1337\nmodel_params:100\n"
    log = read_text(
        header + "golf_phase train\nstep:10/10 val_loss:2.5 val_bpb:1.4 train_time:100ms\n"
        + result(phases=["train"], train_seconds=12.5, steps=10, val_bpb=None, total_bytes=None)
        + header + "golf_phase export\ngolf_phase eval\n"
        + result(phases=["export", "eval"], train_seconds=None, val_bpb=1.41234567, val_loss=2.6, total_bytes=99_000)
    )  # fmt: skip
    assert len(log.runs) == 1
    run = log.runs[0]
    assert (run.train_seconds, run.val_bpb, run.total_bytes, run.complete) == (12.5, 1.41234567, 99_000, True)
    assert run.result is not None and run.result["phases"] == ["train", "export", "eval"]


def test_a_second_training_in_the_same_file_is_another_run() -> None:
    part = (
        "seed:1337\nmodel_params:100\ngolf_phase train\nstep:1/10 train_loss:2.5 train_time:100ms step_avg:100.00ms\n"
    )
    assert len(read_text(part + part).runs) == 2


def test_a_cut_off_result_line_is_noted_and_not_used() -> None:
    run = only(
        'model_params:100\nstep:10/10 val_loss:2.5 val_bpb:1.4 train_time:100ms\ngolf_result {"val_bpb": 1.2, \n'
    )
    assert run.val_bpb == 1.4 and any("cut off" in note for note in run.notes)


@pytest.mark.parametrize("raw", [b"", b"  \n", b"PK\x03\x04rest", b"\x1f\x8b\x08\x00" + b"\0" * 40])
def test_a_file_that_is_no_log_is_one_clear_error(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(raw)
    with pytest.raises(GolfError):
        read_log(path)


def test_text_without_a_log_line_has_no_runs() -> None:
    assert read_text("hello\nworld\n").run is None


def test_a_two_megabyte_log_is_read_within_a_second(tmp_path: Path) -> None:
    import time

    rows = [
        f"step:{step}/200000 train_loss:{3 + step % 7 / 10:.4f} train_time:{step * 43}ms step_avg:43.60ms"
        for step in range(1, 30_000)
    ]
    head, tail = V1.split("step:1/20000", 1)
    path = tmp_path / "big.log"
    path.write_text(SCRIPT * 300 + SEPARATOR + head + "\n".join(rows) + "\nstep:1/20000" + tail)
    assert path.stat().st_size > 2_000_000
    start = time.process_time()
    run = read_log(path).run
    assert run is not None and run.val_bpb == 1.22837129
    assert time.process_time() - start < 5  # of a processor, under load; the benchmark gives MB/s


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes_are_read_without_a_fault(raw: bytes) -> None:
    read_bytes(raw or b" ", "noise")


@settings(max_examples=80, deadline=None)
@given(st.sampled_from([V1, V2]), st.integers(0, 1400), st.integers(0, 1400), st.text(max_size=20))
@example(V2, 410, 508, "")  # leaves `val_bpb: 39045 MiB`
def test_a_damaged_log_gives_no_number_that_it_does_not_print(text: str, start: int, end: int, noise: str) -> None:
    damaged = text[: min(start, end)] + noise + text[max(start, end) :]
    for run in read_text(damaged).runs:
        for score in run.scores:
            printed = (str(score.val_bpb), f"{score.val_bpb:.{score.digits}f}", f"{score.val_bpb:g}")
            assert any(number in damaged for number in printed)
            assert not score.val_bpb >= 12  # NaN is a score of a run that diverged
        if run.total_bytes is not None:
            assert str(run.total_bytes) in damaged.replace(",", "")


OTHERS = {
    "EMA BPB": ("[12:00:01] Seed: 42\n[12:00:01] Model params: 33,862,953\n[12:10:05] step 6800/20000 | loss 2.0234 | 88.2 ms/step\n"
                "[12:10:20] EMA BPB: 1.016500\n[12:11:20] Quantized BPB: 1.027612\n[12:11:21] Artifact: 15,732,112 bytes (15.73 MB)\n"
                "[12:11:21] Total size: 15,790,001 bytes\n", (42, 33_862_953, 6800, 1.027612, 15_790_001, True)),
    "variational": ("seed:7\nmodel_params:30000000\nstep:1/5000 train_loss:6.9 train_time:100ms step_avg:100.00ms\n"
                    "step:5000/5000 val_var_loss:2.0 val_var_bpb:1.1465 train_time:500000ms step_avg:100.00ms\n"
                    "final val_var_bpb: 1.14651234\n", (7, 30_000_000, 5000, 1.14651234, None, True)),
    "final evaluation": ("[12:00:01] seed: 42\n[12:15:06] Final evaluation with TTT: val_bpb=1.00981234\n", (42, None, None, 1.00981234, None, True)),
    "own report": ("Random seed 1337\nParameters: 24,123,456\nTotal: 15,502,333 bytes\nFinal val_bpb: 1.2353 val_loss 2.0858\n",
                   (1337, 24_123_456, None, 1.2353, 15_502_333, True)),
    "JSON": ('{\n  "seed": 314,\n  "val_bpb": 1.06351,\n  "eval_time_ms": 480000\n}\n', (314, None, None, 1.06351, None, True)),
    "artifact only": ("seed:1\nstep:9/9 val_loss:2.0 val_bpb:1.2 train_time:600000ms\nquantized val_bpb: 1.21000000\nArtifact size: 15732112 bytes\n",
                      (1, None, 9, 1.21, 15_732_112, True)),
}  # fmt: skip


@pytest.mark.parametrize("dialect", OTHERS)
def test_rare_dialects_are_read(dialect: str) -> None:
    text, expected = OTHERS[dialect]
    run = read_text(text).run
    assert run is not None
    assert (run.seed, run.params, run.steps, run.val_bpb, run.total_bytes, run.complete) == expected


def test_a_line_without_end_is_cut_and_costs_seconds_at_most() -> None:
    started = time.perf_counter()
    raw = V1.encode() + b"step:1/2 " * 1_500_000 + b"\n" + b"val_bpb " * 1_000_000
    log = read_bytes(raw, "endless")
    assert log.run is not None and log.run.val_bpb == 1.22837129
    assert any("longer than" in note for note in log.notes)
    assert time.perf_counter() - started < 10


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train.log")
    for place in (tmp_path, tmp_path / "train.log"):
        with pytest.raises(GolfError, match="is no file"):
            read_log(place)


def test_a_folder_s_logs_are_read_past_those_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(GolfError, match="has no log"):
        read_folder(tmp_path)
    (tmp_path / "a.log").write_text("")
    (tmp_path / "b.log").write_text(V1)
    assert [log.run and log.run.val_bpb for log in read_folder(tmp_path)] == [1.22837129]


def many(runs: int, seed: str = "{i}", bpb: str = "1.21") -> str:
    """A log of small runs that all print one loss, and so look alike."""
    lines = (
        f"seed:{seed}\nmodel_params:17059912\nstep:1/2 train_loss:1.{{i:04d}} train_time:1ms\n"
        f"final_int8_zlib_roundtrip val_loss:2.0 val_bpb:{bpb} eval_time:5ms\n"
    )
    return "".join(lines.format(i=i) for i in range(runs))


@pytest.mark.slow
def test_work_grows_with_the_runs_of_a_file_and_not_with_their_pairs():
    """Eight thousand runs in a file took minutes: each was compared with each."""
    for seed in ("{i}", "7"):
        few, all_of_them = many(200, seed), many(1600, seed)
        assert [len(counting(read_text(text))) for text in (few, all_of_them)] == [200, 1600]
        first, rest = (seconds_of(lambda text=text: counting(read_text(text))) for text in (few, all_of_them))
        assert rest < 3 * 8 * first + 0.2


def test_more_runs_than_a_log_holds_are_refused_in_one_sentence():
    with pytest.raises(GolfError, match="holds more than 2,000 runs, no log of a run"):
        read_text(many(2001))


@pytest.mark.parametrize(
    ("line", "most", "what"),
    [
        ("final_int8_zlib_roundtrip_exact val_loss:1.0 val_bpb:1.0", 10_000, "evaluations"),
        ("ttt_final val_loss:1.0 val_bpb:1.0", 10_000, "evaluations"),
        ("step:7/9 train_loss:3.1 train_time:7ms step_avg:1.0ms", 50_000, "measured lines"),
        ("step:7/9 val_loss:3.1 val_bpb:1.2 train_time:7ms step_avg:1.0ms", 50_000, "measured lines"),
        ('golf_result {"seed": 1}', 50_000, "measured lines"),
    ],
)
def test_endless_logs_are_refused_in_one_sentence_within_a_second(line, most, what):
    """A log of 300,000 evaluations was read for 17 seconds."""

    def refused():
        with pytest.raises(GolfError, match=f"holds more than {most:,} {what}, no log of a run"):
            read_text(f"{line}\n" * 300_000)

    assert seconds_of(refused) < 2


def test_a_print_is_found_among_runs_of_its_seed_and_among_those_without():
    printed = [replace(run, index=0) for run in read_text(many(3)).runs]
    nameless = [replace(run, seed=None) for run in printed]
    assert distinct(printed + printed) == printed
    assert distinct(printed + nameless) == printed
    assert distinct(nameless + printed) == nameless
    assert distinct([replace(run, seed=run.seed + 3) for run in printed] + printed)[3:] == printed


def test_a_logs_memory_is_a_few_times_its_bytes() -> None:
    prefixed = "".join(
        f"[2026-04-0{i % 9 + 1} 10:00:00] a line of another program, number {i}\n" for i in range(40_000)
    )
    steps = "".join(
        f"step:{step}/900 train_loss:3.1 train_time:{step * 130}ms step_avg:130.00ms\n" for step in range(900)
    )
    raw = f"model_params:1000\nseed:7\n{steps}{prefixed}".encode()
    read_text("seed:7\n")  # the grammar
    tracemalloc.start()
    try:
        run = read_bytes(raw, "a log").runs[0]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert run.curve[-1].step == 899
    assert peak < 4.5 * len(raw), peak / len(raw)
