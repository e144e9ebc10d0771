"""The cases that a reader got wrong on real folders, small: which number counts, how many runs there are."""

import json
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from timing import seconds_of

from golf.logs import RunResult, counting, read_log, read_text
from golf.logs.grammar import grammar
from golf.logs.result import same_run
from golf.logs.runs import configuration, differing, fingerprint

HEADER = "model_params:26993756\nworld_size:8 grad_accum_steps:1\nseed:{seed}\n"
TRAINED = (
    "step:0/20000 val_loss:6.9300 val_bpb:4.1044 train_time:0ms step_avg:0.01ms\n"
    "step:5000/20000 train_loss:{loss} train_time:600010ms step_avg:120.00ms\n"
    "step:5000/20000 val_loss:1.9500 val_bpb:1.1549 train_time:600010ms step_avg:120.00ms\n"
    "stopping_early: wallclock_cap train_time:600010ms step:5000/20000\n"
)
SIZES = "Serialized model int6+zstd: 15800000 bytes\nCode size: 60000 bytes\nTotal submission size int6+zstd: 15860000 bytes\n"


def log_of(before: str = "", after: str = "", seed: int = 42, loss: float = 1.9312) -> str:
    """A log with these lines before and after the sizes of the artifact."""
    return HEADER.format(seed=seed) + TRAINED.format(loss=loss) + before + SIZES + after


def run_of(text: str) -> RunResult:
    run = read_text(text).run
    assert run is not None
    return run


CASES = {
    "a1_post_prequant_ttt.log": ("sliding", 1.1194),
    "a2_diagnostic_post_ttt.log": ("quantized", 1.08382222),
    "a3_final_pre_quant_sliding.log": ("quantized", 1.1075),
    "c1_one_number_final_line.log": ("sliding", 1.10312345),
    "c2_unknown_final_label.log": ("other", 1.06015555),
    "c3_arrow_prefix.log": ("ttt", 1.1487),
    "c4_ppm.log": ("disallowed", 1.020304),
    "c5_rounded_alias.log": ("sliding", 1.13023446),
}


@pytest.mark.parametrize("name", CASES)
def test_the_number_that_counts(shared: Path, name: str) -> None:
    run = read_log(shared / "log_cases" / name).run
    assert run is not None and run.score is not None
    assert (run.score.stage, run.val_bpb) == CASES[name]
    if name.startswith("a"):
        assert run.pre_quant is not None and run.pre_quant.line < run.score.line
    if name.startswith("c5"):
        assert run.quantized is not None and run.quantized.val_bpb == 1.14620289


def test_runs_not_files(shared: Path) -> None:
    """Three seeds in a file are three runs, a launcher's summaries are runs, one printed twice is one."""
    cases = shared / "log_cases"
    found = {run.seed: run.val_bpb for run in counting(read_log(cases / "b1_three_seeds_one_file.log"))}
    assert found == {42: 1.11402222, 1337: 1.11461448, 7: 1.115799}
    launched = counting(read_log(cases / "c6_result_launcher.log"))
    assert {run.seed: run.val_bpb for run in launched} == {42: 1.1908, 7: 1.1888}
    assert [run.total_bytes for run in launched] == [15128724, 15154068]
    twice = read_log(cases / "d1_same_run_twice.log")
    assert len(twice.runs) == 1 and [run.val_bpb for run in counting(twice)] == [1.13713333]


@pytest.mark.parametrize(
    ("label", "after_the_sizes"),
    [
        ("post-prequant-ttt", 1.1371),
        ("DIAGNOSTIC post_ttt", 1.0602),
        ("final_sgd_ttt", 1.0602),
        ("final_pre_quant_sliding", 1.1371),
        ("final_int6_sliding", 1.0602),
    ],
)
def test_before_the_artifact_is_pre_quant_whatever_the_label(label: str, after_the_sizes: float) -> None:
    """Position before label; after the sizes the label decides, and `pre-quant` in it is stronger than any other word."""
    line, plain = f"{label} val_loss:1.7900 val_bpb:1.0602\n", "final_int6_roundtrip val_loss:1.9200 val_bpb:1.1371\n"
    run = run_of(log_of(before=line, after=plain))
    assert run.val_bpb == 1.1371 and run.pre_quant is not None and run.pre_quant.val_bpb == 1.0602
    assert run_of(log_of(after=plain + line)).val_bpb == after_the_sizes


def test_an_artifact_measured_in_memory_before_its_size_is_printed() -> None:
    """Where nothing follows the sizes, labels stand from the first that names the quantized model on."""
    run = run_of(
        log_of(
            before="diag val_loss:1.93 val_bpb:1.1420\nint6_roundtrip val_loss:1.92 val_bpb:1.1371\nsliding val_loss:1.89 val_bpb:1.1194\n"
        )
    )
    assert run.val_bpb == 1.1194 and run.score is not None and run.score.stage == "sliding"
    only_float = run_of(log_of(before="final_ttt val_loss:1.89 val_bpb:1.0900\n"))
    assert only_float.score is not None and only_float.score.stage == "pre_quant"


def test_every_later_line_with_another_bpb_is_named() -> None:
    """Also those that no stage is known for; a repetition of the score, rounded or not, is none."""
    run = run_of(
        log_of(
            after="final_sliding_exact val_loss:1.88000000 val_bpb:1.11344444\n"
            "sequence_matching val_loss:1.8500 val_bpb:1.0956\nbaseline_with_correction val_loss:1.8000 val_bpb:1.0889\n"
            "final_sliding val_loss:1.8800 val_bpb:1.1134\n"
        )
    )
    assert run.val_bpb == 1.11344444
    assert "1.0956" in run.score_why and "1.0889" in run.score_why and "`final_sliding`" not in run.score_why


def test_a_disallowed_evaluation_that_is_worse_is_not_the_score() -> None:
    """As for test-time training; one that is better counts, and the reason keeps the legal number."""
    legal = "quantized_ttt val_loss:2.8000 val_bpb:1.08380000\n"
    worse = run_of(log_of(after=legal + "final_ngram val_loss:2.9000 val_bpb:1.10000000\n"))
    assert worse.val_bpb == 1.0838 and "ended worse" in worse.score_why
    better = run_of(log_of(after=legal + "final_ngram val_loss:0.4500 val_bpb:0.17350000\n"))
    assert better.val_bpb == 0.1735 and "1.0838" in better.score_why


def test_a_setting_in_a_label_is_no_stage() -> None:
    """`cache:True` says how the evaluation ran, not that an n-gram cache did."""
    run = run_of(log_of(after="final_int6_sliding_window cache:True val_loss:1.8900 val_bpb:1.1194\n"))
    assert run.score is not None and run.score.stage == "sliding"


def test_a_progress_line_is_no_evaluation() -> None:
    """`>>> step:` with and without a loss is training."""
    run = run_of(
        log_of() + ">>> step:5000 val_bpb:1.0500 best:1.0500\nfinal_int6_roundtrip val_loss:1.92 val_bpb:1.1371\n"
    )
    assert run.val_bpb == 1.1371


def test_launcher_summaries_that_come_after_all_starts() -> None:
    """Parallel stages: each result has the hyper-parameters of its own run."""
    text = (
        "[STAGE 1/2] run=aa | 8xH100 | hparams: {'num_layers': 10, 'seed': 42}\n"
        "[STAGE 2/2] run=bb | 8xH100 | hparams: {'num_layers': 11, 'seed': 7}\n"
        "[RESULT] run=bb | score=1.1888 | size=15,154,068B | OK | 1071s\n"
        "[RESULT] run=aa | score=1.1908 | size=15,128,724B | OK | 1070s\n"
    )
    runs = counting(read_text(text))
    assert [(run.seed, run.val_bpb, run.hyperparameters["num_layers"]) for run in runs] == [
        (7, 1.1888, "11"),
        (42, 1.1908, "10"),
    ]


def test_logs_of_other_repositories_are_read_for_what_they_are() -> None:
    """modded-nanogpt prints losses alone; autoresearch a footer."""
    loss = run_of(
        "step:1250/1480 val_loss:3.4131 train_time:71354ms\nstep:1480/1480 val_loss:3.2794 train_time:81354ms\n"
    )
    assert loss.score is None and loss.last_loss is not None and loss.last_loss.val_loss == 3.2794 and loss.complete
    footer = run_of(
        "---\nval_bpb:          0.997900\ntraining_seconds: 300.1\npeak_vram_mb:     45060.2\nnum_steps:        953\nnum_params_M:     50.3\n"
    )
    assert (footer.val_bpb, footer.train_seconds, footer.steps, footer.peak_memory_mib, footer.params) == (
        0.9979,
        300.1,
        953,
        45060,
        50_300_000,
    )


def test_the_abbreviated_dialect_has_a_header() -> None:
    """Parameters, seed, data, clock and sizes of v4; the evaluation before the sizes is of the float model."""
    run = run_of(
        "py:3.11.10 (main)\npt:2.11.0+cu128\nfa:0 gpu:NVIDIA H100 80GB HBM3 he:True\np:26993766\nws:8 ga:1\ns:42\n"
        "s:4648/20000 vl:1.9503 bpb:1.1551 tt:600028ms sa:129.09ms\nstop tt:600028ms s:4648/20000\nmem:22023M R:22672M\n"
        "diag vl:1.9495 bpb:1.1546 t:2025ms\nmodel:106181533B\ncode:94053B\nq:15781804B\ntotal:15875857B\n"
        "q_rt_x vl:1.96246039 bpb:1.16227958\nq_s64_x vl:1.92261754 bpb:1.13868542\n"
    )
    assert (run.seed, run.params, run.world_size, run.gpu, run.torch) == (
        42,
        26993766,
        8,
        "NVIDIA H100 80GB HBM3",
        "2.11.0+cu128",
    )
    assert (run.model_bytes, run.code_bytes, run.total_bytes, run.steps) == (15781804, 94053, 15875857, 4648)
    assert run.val_bpb == 1.13868542 and run.pre_quant is not None and run.pre_quant.val_bpb == 1.1546 and run.complete


def test_the_gpu_is_read_from_the_table_of_nvidia_smi(shared: Path) -> None:
    """All official logs that name a device give it."""
    text = "|   0  NVIDIA H100 80GB HBM3          On  |   00000000:18:00.0 Off |                    0 |\n"
    assert run_of(text + log_of()).gpu == "NVIDIA H100 80GB HBM3"
    named = 0
    for path in sorted((shared / "records").rglob("*")):
        if path.suffix in (".log", ".txt") and " NVIDIA H" in path.read_text(errors="replace"):
            run = read_log(path).run
            assert run is not None and run.gpu is not None and run.gpu.startswith("NVIDIA H"), path
            named += 1
    assert named >= 40


def test_one_run_is_told_from_two() -> None:
    """Equal seeds and losses are one run; another seed, another loss or another score is another run."""
    after = "final_int6_roundtrip_exact val_loss:1.92000000 val_bpb:1.13713333\n"
    one = run_of(log_of(after=after))
    assert same_run(one, run_of("[rank0]: noise\n" + log_of(after=after)))
    assert not same_run(one, run_of(log_of(after=after, seed=7)))
    assert not same_run(one, run_of(log_of(after=after, loss=1.9313)))
    assert not same_run(one, run_of(log_of(after=after.replace("1.13713333", "1.13713334"))))


def test_a_configuration_is_what_was_run_whatever_the_seed() -> None:
    """Seeds of one configuration share a fingerprint; another width of a knob or another code does not; paths say nothing."""
    hyper = "Hyperparameters:\n  data_dir: {place}\n  num_layers: {layers}\n  seed: {seed}\nmodel_params:26993756\n"
    after = "final_int6_roundtrip_exact val_loss:1.92000000 val_bpb:1.13713333\n"

    def run(place: str, layers: int, seed: int) -> RunResult:
        return run_of(hyper.format(place=place, layers=layers, seed=seed) + TRAINED.format(loss=1.9) + SIZES + after)

    first, second, other = run("/a", 11, 42), run("/b", 11, 7), run("/a", 10, 1337)
    assert fingerprint(first) == fingerprint(second) != fingerprint(other)
    assert not differing(configuration(first), configuration(second))
    assert differing(configuration(first), configuration(other)) == ["num_layers"]


def test_every_rule_of_the_grammar_matches_a_real_line(shared: Path) -> None:
    """Each rule has a line that it is for; where the official logs or the corpus's examples hold that line, it is theirs."""
    rules = tomllib.loads(files("golf.logs").joinpath("grammar.toml").read_text())["rule"]
    for rule in rules:
        found = grammar().match(rule["like"])
        assert found is not None and found[0].id == rule["id"], rule["id"]
    corpus = "\n".join(
        path.read_text(errors="replace")
        for path in sorted((shared / "records").rglob("*"))
        if path.suffix in (".log", ".txt")
    )
    corpus += "\n".join(
        str(one.get("example")) for one in json.loads((shared / "line_grammar.json").read_text())["patterns"]
    )
    official = [rule["id"] for rule in rules if rule["like"] in corpus]
    assert len(official) >= 42, sorted({rule["id"] for rule in rules} - set(official))


def test_a_log_of_thousands_of_scores_or_runs_is_read_in_time_that_grows_with_its_lines() -> None:
    """Twice the lines cost about twice the seconds of a processor, not four times: measured 0.3 and 0.5 s, and 1.2 and 2.4 s."""
    runs = "seed:{}\nstep:1/1 val_loss:1 val_bpb:1.2 train_time:1ms\nfinal_int8_zlib_roundtrip_exact val_loss:1.0 val_bpb:1.{}\n"
    for form in ("legal_ttt_exact val_loss:1.0 val_bpb:1.1{}\n", runs):
        seconds = []
        for count in (500, 2000):
            text = "".join(form.replace("{}", str(n)) for n in range(count))
            seconds.append(seconds_of(lambda text=text: read_text(text)))
            assert len(read_text(text).runs) == (count if form is runs else 1)
        assert seconds[1] < 10 * seconds[0]  # sixteen times were it quadratic
