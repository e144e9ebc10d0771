"""Logs that were written, with their values, before the reader was looked at again: 15 of the first 16 were read right as they came."""

import json

import pytest

from golf.errors import GolfError
from golf.logs.read import read_bytes

HEAD = """train_loader:dataset:fineweb10B_sp1024 train_shards:80
val_loader:shards pattern=./data/datasets/fineweb10B_sp1024/fineweb_val_*.bin tokens:62021632
model_params:17059912
world_size:8 grad_accum_steps:1
seed:{seed}
"""
TRAINING = """step:1/20000 train_loss:6.9357 train_time:48ms step_avg:48.00ms
step:1000/20000 train_loss:2.3200 train_time:43000ms step_avg:43.00ms
step:13780/20000 val_loss:2.0606 val_bpb:1.2172 train_time:600038ms step_avg:43.54ms
stopping_early: wallclock_cap train_time:600038ms step:13780/20000
peak memory allocated: 10184 MiB reserved: 10200 MiB
"""
END = """Serialized model: 67224983 bytes
Code size: 47642 bytes
Serialized model int8+zlib: 15815847 bytes (payload:17178912 raw_torch:17224025 payload_ratio:3.91x)
Total submission size int8+zlib: 15863489 bytes
final_int8_zlib_roundtrip val_loss:2.0727 val_bpb:{bpb:.4f} eval_time:1401ms
final_int8_zlib_roundtrip_exact val_loss:2.07269931 val_bpb:{bpb:.8f}
"""


def of_run(seed: int = 42, bpb: float = 1.2243657) -> str:
    return HEAD.format(seed=seed) + TRAINING + END.format(bpb=bpb)


def unnamed(bpb: float) -> str:
    return of_run(bpb=bpb).replace("seed:42\n", "")


STAMPED = "".join(f"\x1b[32m[2026-04-20 12:00:{n:02d},123]\x1b[0m [rank0]: {line}\n" for n, line in enumerate(of_run().splitlines()))  # fmt: skip
RANKS = "".join(f"[rank{rank}]:{line}\n" for line in of_run().splitlines() for rank in range(8 if "final" in line else 1))  # fmt: skip
BARS = "".join(f"\reval: {n}%|###   | {n}/100 [00:01<00:0{n % 9}, bpb=1.3{n:02d}]" for n in range(0, 100, 5))


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        (STAMPED, [(42, 1.2243657)]),
        (b"\xef\xbb\xbf" + of_run().replace("\n", "\r\n").encode() + b"\0\0\0\0", [(42, 1.2243657)]),
        (of_run().encode("utf-16"), [(42, 1.2243657)]),
        (RANKS, [(42, 1.2243657)]),
        (f"=== SEED 42 ===\n{unnamed(1.2241)}=== SEED 314 ===\n{unnamed(1.2252)}", [(42, 1.2241), (314, 1.2252)]),
        (
            HEAD.format(seed=42) + TRAINING[:100] + "torch.OutOfMemoryError: CUDA out of memory.\n" + of_run(),
            [(42, None), (42, 1.2243657)],
        ),
        (
            of_run(bpb=1.1353).replace("Code size", "ema_eval val_loss:1.8900 val_bpb:1.1190\nCode size"),
            [(42, 1.1353)],
        ),
        (of_run(bpb=1.1353) + "legal_ttt_exact val_loss:1.8900 val_bpb:1.11020000\n", [(42, 1.1102)]),
        (of_run()[:-14], [(42, 1.2244)]),  # the exact line is cut off
        (of_run() + "wandb: Run summary:\nwandb:      val_bpb 1.2172\nwandb:     val_loss 2.0606\n", [(42, 1.2243657)]),
        (HEAD.format(seed=42) + TRAINING + BARS + "\n" + END.format(bpb=1.2243657), [(42, 1.2243657)]),
        (of_run(bpb=1.2243) + of_run(bpb=1.2251), [(42, 1.2243), (42, 1.2251)]),
    ],
    ids=["stamped", "crlf", "utf16", "ranks", "banners", "restart", "ema", "ttt", "cut", "wandb", "bars", "twice"],
)
def test_what_wraps_a_run_changes_none_of_its_values(text: str | bytes, runs: list[tuple[int, float | None]]) -> None:
    found = read_bytes(text.encode() if isinstance(text, str) else text, "x.log").runs
    assert [(run.seed, run.val_bpb) for run in found] == runs
    assert all(run.total_bytes == 15863489 for run in found if run.val_bpb)


def test_an_artifact_that_scores_nan_has_no_score_from_before_it() -> None:
    """The last validation of training, 1.2172, flatters a run whose artifact is broken."""
    text = of_run(bpb=float("nan"))
    file = read_bytes(text.encode(), "x.log")
    assert file.run is not None and file.run.val_bpb is None
    assert "line 16 prints nan" in file.run.score_why and "1.2172 of line 8" in file.run.score_why
    after = read_bytes((text + "legal_ttt_exact val_loss:1.8900 val_bpb:1.11020000\n").encode(), "x.log").run
    assert after is not None and after.val_bpb == 1.1102


def test_json_lines_are_read_as_other_logs() -> None:
    table = [
        {"event": "config", "seed": 314, "world_size": 8, "note": "x"},
        {"step": 1000, "train_loss": 2.3, "train_time_ms": 43000},
        {"step": 13780, "val_loss": 2.06, "val_bpb": 1.2172, "train_time_ms": 600038},
        {"event": "final", "val_loss": 2.0727, "val_bpb": 1.2243},
    ]
    run = read_bytes("\n".join(map(json.dumps, table)).encode(), "x.log").run
    assert run is not None and run.complete and (run.seed, run.world_size, run.steps) == (314, 8, 13780)
    assert (
        (run.val_bpb, run.val_loss, run.train_seconds) == (1.2243, 2.0727, 600.038)
        and run.score
        and run.score.line == 4
    )
    table += [{"event": "legal_ttt_exact", "val_loss": 2.0027, "val_bpb": 1.2043}, {"odd": [1, {"val_bpb": 0.5}]}]
    run = read_bytes(("\n".join(map(json.dumps, table)) + '\n{"val_bpb": 0.4').encode(), "x.log").run
    assert run is not None and (run.val_bpb, run.seed) == (1.2043, 314) and run.score and run.score.stage == "ttt"


def test_json_lines_without_end_are_answered_and_said() -> None:
    many = "\n".join(f'{{"event":"x","val_loss":2.0,"val_bpb":{1 + n / 1e6}}}' for n in range(21_000))
    with pytest.raises(GolfError, match="evaluations"):
        read_bytes(many.encode(), "x.log")
    few = read_bytes("\n".join(f'{{"event":"x","a":{n}}}' for n in range(21_000)).encode(), "x.log")
    assert any("20000 lines are JSON" in note and "no more are" in note for note in few.notes)
    assert read_bytes(('{"a":' + "[" * 1900 + "}").encode(), "x.log").runs == ()
