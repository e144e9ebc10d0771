"""Every official log at hand gives its true values."""

import json
from pathlib import Path

import pytest

from golf.logs import LogFile, read_log
from golf.logs.read import read_bytes

# what the truth file says otherwise, and why ours stands
EXCEPTIONS = {
    (
        "final_loss",
        "log_eggroll_3-last-layers.txt",
    ): "no final line; ours is the loss of the validation that the truth takes the BPB from",
    ("final_loss", "log_eggroll_all-layers-perturbed.txt"): "the same",
}


def truths(shared: Path):
    table = json.loads((shared / "records_ground_truth.json").read_text())
    for record, facts in table["records"].items():
        for log in facts["logs"]:
            yield shared / record / log["log"], log


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("final_bpb_used", lambda run: run.val_bpb),
        ("final_loss", lambda run: run.val_loss),
        ("steps", lambda run: run.steps),
        ("train_ms", lambda run: None if run.train_seconds is None else round(run.train_seconds * 1000)),
        ("total_bytes", lambda run: run.total_bytes),
        ("model_bytes", lambda run: run.model_bytes),
        ("params", lambda run: run.params),
        ("seed_in_log", lambda run: run.seed),
        ("world_size", lambda run: run.world_size),
        ("prequant_bpb", lambda run: run.pre_quant and run.pre_quant.val_bpb),
        ("ttt_bpb", lambda run: run.ttt and run.ttt.val_bpb),
        ("code_bytes_compressed", lambda run: run.code_compressed_bytes),
        ("peak_mib", lambda run: run.peak_memory_mib),
        ("stopped_by", lambda run: run.stop_reason),
    ],
)
def test_every_official_log_gives_its_true_value(shared: Path, name: str, ours) -> None:
    wrong = {}
    for path, truth in truths(shared):
        run = read_log(path).run
        assert run is not None, path
        if ours(run) != truth[name] and (name, path.name) not in EXCEPTIONS:
            wrong[path.name] = (ours(run), truth[name])
    assert wrong == {}


def test_the_seconds_of_the_score_are_those_of_its_evaluation(shared: Path) -> None:
    """Also where only the rounded line, or the line that the score repeats, prints them."""
    wrong = {}
    for path, truth in truths(shared):
        run = read_log(path).run
        assert run is not None
        if truth["total_eval_s"] is not None:
            expected = {truth["total_eval_s"]}
        else:
            expected = {ms / 1000 for ms in truth["eval_ms"].values()} or {None}
        if run.eval_seconds not in expected:
            wrong[path.name] = (run.eval_seconds, expected)
    assert wrong == {}


DISGUISES = {
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "bare CR": lambda text: text.replace("\n", "\r").encode(),
    "colours": lambda text: "\n".join(f"\x1b[32m{line}\x1b[0m" for line in text.split("\n")).encode(),
    "logger": lambda text: "\n".join(f"[2026-04-11 12:33:44,123] INFO: {line}" for line in text.split("\n")).encode(),
    "rank": lambda text: "\n".join(f"[rank0]: {line}" for line in text.split("\n")).encode(),
    "trailing blanks": lambda text: text.replace("\n", "   \n").encode(),
    "margin": lambda text: "\n".join(f"    {line}" for line in text.split("\n")).encode(),
    "progress bars": lambda text: text.replace("\n", "\r  5%|#    | 5/100 [00:01<00:10, 9.0it/s]\n").encode(),
    "two ranks": lambda text: "".join(f"{line}\n{line}\n" for line in text.split("\n")).encode(),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_no_disguise_changes_what_an_official_log_says(shared: Path, disguise: str) -> None:
    changed = {}
    for path, _ in list(truths(shared))[::3]:
        plain, other = read_log(path), read_bytes(DISGUISES[disguise](path.read_text(encoding="utf-8")), "disguised")
        if facts(plain) != facts(other):
            changed[path.name] = [pair for pair in zip(facts(plain), facts(other), strict=True) if pair[0] != pair[1]]
    assert changed == {}


def facts(log: LogFile) -> list[object]:
    run = log.run
    assert run is not None
    return [
        len(log.runs), run.val_bpb, run.val_loss, run.steps, run.train_seconds, run.total_bytes, run.model_bytes, run.code_bytes,
        run.params, run.seed, run.world_size, run.vocab_size, run.val_tokens, run.train_shards, run.calibration_seconds,
        run.eval_seconds, run.stop_reason, run.complete, len(run.hyperparameters),
    ]  # fmt: skip
