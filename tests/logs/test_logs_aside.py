"""Small logs in other styles than the given cases, written with their answers before the reader was looked at (16 of 18 right at first)."""

import json
from pathlib import Path

import pytest

from golf.logs import RunResult, counting, read_text
from golf.logs.agreement import agreement
from golf.logs.read import read_bytes
from golf.reading.choice import folder_runs

NATS = 2.58319  # nats per token of one bit per byte, SP8192
SIZES = (
    "Serialized model: 135426937 bytes\nCode size: 16719 bytes\nSerialized model quantized+brotli: 15970000 bytes\n"
    "Total submission size quantized+brotli: 15986719 bytes\n"
)


def scored(label: str, bpb: float) -> str:
    return f"{label} val_loss:{bpb * NATS:.8f} val_bpb:{bpb:.8f} eval_time:9000ms\n"


def sliding(bpb: float) -> str:
    return SIZES + scored("quantized_sliding_window", bpb)


def log_of(tail: str, seed: int | None = 42, params: int = 35944536) -> str:
    """A log of the second dialect that ends with `tail`."""
    return (
        "Hyperparameters:\n"
        + (f"  seed: {seed}\n" if seed is not None else "")
        + f"  num_layers: 11\ntrain_shards: 128\nval_tokens: 40540160\nmodel_params:{params}\n"
        "0/20000 val_loss: 9.0047 val_bpb: 3.4860\n4550/20000 train_loss: 2.8001 train_time: 9.8m tok/s: 6060000\n"
        "4550/20000 val_loss: 2.8098 val_bpb: 1.0877\nstopping_early: wallclock_cap train_time: 588010ms step: 4550/20000\n"
        + tail
    )


def only(text: str) -> RunResult:
    (run,) = counting(read_text(text))
    return run


def scores(text: str) -> dict[int | None, float | None]:
    return {run.seed: run.val_bpb for run in counting(read_text(text))}


@pytest.mark.parametrize(
    ("tail", "bpb", "stage"),
    [
        (
            scored("adapted_weights_ttt", 1.0412)
            + SIZES
            + scored("quantized", 1.099)
            + scored("quantized_sliding", 1.0821),
            1.0821,
            "sliding",
        ),
        (scored("final_ttt_exact", 1.0533) + SIZES + scored("final_int6_roundtrip_exact", 1.0966), 1.0966, "quantized"),
        (SIZES + scored("quantized", 1.099) + "sliding_bpb: 1.08123456\n", 1.08123456, "sliding"),
        (sliding(1.0801) + scored("ngram_cache", 1.099), 1.0801, "sliding"),
    ],
)
def test_which_number_counts(tail: str, bpb: float, stage: str) -> None:
    """What precedes the sizes is of the float model; a later line that is worse is not the claim."""
    run = only(log_of(tail))
    assert run.score is not None and (run.val_bpb, run.score.stage) == (bpb, stage)


def test_a_later_mixture_is_named_beside_the_legal_number() -> None:
    run = only(log_of(sliding(1.0822) + scored("cmix_blend", 1.0511)))
    assert "1.0511" in run.score_why + str(run.val_bpb) and "1.0822" in run.score_why + str(run.val_bpb)


def test_two_seeds_with_time_stamps() -> None:
    text = log_of(sliding(1.0801)) + log_of(sliding(1.0811), 314)
    stamped = "".join(f"[2026-04-12 10:00:{i:02d}] {line}\n" for i, line in enumerate(text.splitlines()))
    assert scores(stamped) == {42: 1.0801, 314: 1.0811}


BANNERS = (
    "=== Running seed {seed} ===", "##### Seed: {seed} (1/3) #####", "--- seed={seed} ---", "+ SEED={seed} torchrun --standalone x.py",
    "$ RUN_ID=x SEED={seed} python3 train_gpt.py", "Starting seed {seed}...", "[1/3] Running seed {seed}", ">>> Seed {seed}",
    "Run 1/3: seed={seed}", "export SEED={seed}", "[seed {seed}]", "Running with seed {seed} (run 2 of 3)",
)  # fmt: skip


@pytest.mark.parametrize("banner", BANNERS)
def test_a_seed_that_only_the_launcher_names(banner: str) -> None:
    """Its banner begins a run; its word on the end of one does not, nor does a second banner of the same seed."""
    runs = ((1337, 1.0805, "=== seed 1337 done ==="), (42, 1.0808, "Results for seed 42:"), (7, 1.0811, ""))
    text = "".join(f"{banner.format(seed=seed)}\n" + log_of(sliding(bpb), None) + end + "\n" for seed, bpb, end in runs)
    assert scores(text) == {1337: 1.0805, 42: 1.0808, 7: 1.0811}
    again = log_of(sliding(1.0801), None).replace("model_params", banner.format(seed=9) + "\nmodel_params")
    assert scores(f"{banner.format(seed=9)}\n" + again) == {9: 1.0801}
    if ">>>" not in banner:  # without its mark that is a line as scripts print it
        assert scores(f"{banner.format(seed=9)}\n" + log_of(sliding(1.0801), 42)) == {42: 1.0801}, (
            "the script's word wins"
        )


RECAPS = (
    "Seed {seed}: val_bpb = {bpb}, artifact 15,986,719 bytes", "seed={seed} val_bpb={bpb} total=15,986,719 bytes",
    "  seed {seed}  val_loss: 2.79 val_bpb: {bpb}", "[seed {seed}] final val_bpb: {bpb}", "SEED_{seed} final_sliding_bpb={bpb}",
    "seed {seed}: {bpb} BPB",
)  # fmt: skip


@pytest.mark.parametrize("recap", RECAPS)
def test_a_summary_of_seeds_is_runs_only_where_nothing_else_is(recap: str) -> None:
    """Its mean is no run; below real runs it repeats them."""
    lines = "".join(recap.format(seed=seed, bpb=bpb) + "\n" for seed, bpb in ((42, 1.08012345), (1337, 1.08052345)))
    mean = "Mean val_bpb = 1.08032345 (std 0.00028284)\n"
    assert scores(lines + mean) == {42: 1.08012345, 1337: 1.08052345}
    if "15,986,719" in recap:
        assert [run.total_bytes for run in counting(read_text(lines))] == [15986719, 15986719]
    whole = log_of(sliding(1.08012345)) + log_of(sliding(1.08052345), 1337) + lines + mean
    assert scores(whole) == {42: 1.08012345, 1337: 1.08052345} and len(read_text(whole).runs) == 2


def test_one_seed_of_two_configurations_is_two_runs() -> None:
    file = read_text(log_of(sliding(1.0801)) + log_of(sliding(1.084), params=33000000))
    assert [(run.seed, run.params, run.val_bpb) for run in counting(file)] == [
        (42, 35944536, 1.0801),
        (42, 33000000, 1.084),
    ]


def test_a_crash_and_the_whole_run_after_it() -> None:
    crashed = (
        log_of("").split("stopping_early")[0]
        + "Traceback (most recent call last):\ntorch.OutOfMemoryError: CUDA out of memory.\n"
    )
    file = read_text(crashed + log_of(sliding(1.0822)))
    assert len(file.runs) == 2 and [run.val_bpb for run in counting(file)] == [1.0822]


def test_logs_of_other_repositories() -> None:
    footer = only(
        "step 00953 (100.0%) | loss: 2.711 | lrm: 0.00\n---\nval_bpb:          0.997900\ntraining_seconds: 300.1\n"
        "total_seconds:    325.9\npeak_vram_mb:     45060.2\nmfu_percent:      39.80\nnum_steps:        953\nnum_params_M:     50.3\n"
    )
    assert (footer.val_bpb, footer.steps, footer.params, footer.peak_memory_mib) == (0.9979, 953, 50_300_000, 45060)
    code = (
        "import os\nwith open(sys.argv[0]) as f:\n    code = f.read()\n"
        + "=" * 100
        + "\nRunning Python 3.12.7\n"
        + "=" * 100
    )
    loss = only(
        code
        + "\nstep:1000/1750 val_loss:3.6012 train_time:101000ms\nstep:1750/1750 val_loss:3.2781 train_time:180005ms\n"
    )
    assert loss.val_bpb is None and loss.last_loss is not None
    assert (loss.last_loss.val_loss, loss.steps) == (3.2781, 1750)


def test_a_terminal_with_colours_ranks_and_doubled_lines() -> None:
    lines = log_of(sliding(1.0831), 8).splitlines()
    coloured = "".join(f"\x1b[32m[rank0]:\x1b[0m {line}\r\n" for line in lines)
    assert {run.seed: run.val_bpb for run in counting(read_bytes(coloured.encode(), "x"))} == {8: 1.0831}
    assert scores("".join(f"{line}\n{line}\n" for line in lines)) == {8: 1.0831}


def test_a_retouched_line_and_another_card() -> None:
    touched = (
        SIZES
        + scored("quantized", 1.099)
        + scored("quantized_sliding_window", 1.0821).replace("1.08210000", "1.08100000")
    )
    assert agreement(only(log_of(touched))).agrees is False and agreement(only(log_of(sliding(1.0821)))).agrees
    row = "|   {}  NVIDIA H200                    On  |   00000000:1B:00.0 Off |                    0 |\n"
    run = only("".join(row.format(i) for i in range(8)) + "world_size: 8\n" + log_of(sliding(1.0801)))
    assert (run.gpu, run.world_size) == ("NVIDIA H200", 8)


def test_folders_whose_seeds_stand_in_names_and_whose_logs_are_mirrored(tmp_path: Path) -> None:
    named, mirrored = tmp_path / "named", tmp_path / "mirrored"
    for folder in (named, mirrored):
        folder.mkdir()
    for seed, bpb in ((42, 1.0801), (7, 1.0803), (314, 1.0811)):
        (named / f"seed_{seed}.txt").write_text(log_of(sliding(bpb), None))
    (named / "submission.json").write_text(json.dumps({"name": "x", "val_bpb_mean": "1.0805", "seeds": [42, 7, 314]}))
    assert {seed: run.val_bpb for seed, run in folder_runs(named).items()} == {"42": 1.0801, "7": 1.0803, "314": 1.0811}
    for name, seed, bpb in (
        ("train.log", 42, 1.0801),
        ("train_seed42.log", 42, 1.0801),
        ("train_seed7.log", 7, 1.0803),
    ):
        (mirrored / name).write_text(log_of(sliding(bpb), seed))
    (mirrored / "submission.json").write_text(json.dumps({"name": "x", "val_bpb": 1.0802, "seeds": [42, 7]}))
    assert {seed: run.val_bpb for seed, run in folder_runs(mirrored).items()} == {"42": 1.0801, "7": 1.0803}
