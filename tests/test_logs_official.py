"""Every official log at hand gives its true values."""

import json
from pathlib import Path

import pytest

from golf.logs import read_log

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
