"""`golf repro`: where a record is found, what it needs, what is printed, and when it is refused."""

import json
import shutil
from pathlib import Path

import pytest

from golf.repro.again import environment
from golf.repro.locked import environment_of, lacking, lock_of, packages_of
from golf.repro.sides import published_of
from golf.run.machine import Machine

NATS = 2.583
README = """# Something
The best so far.

```python
x = 1
```
```bash
pip install flash_attn_3==3.0.0b1
export DATA_PATH=./data
$ SEED=42 QK_GAIN_INIT=5.25 TTT_ENABLED=1 \\
    NAME="two words" OTHER=$HOME torchrun --standalone --nproc_per_node=8 train_gpt.py
TTT_ENABLED=0 torchrun --standalone train_gpt.py
```
"""


def log_of(seed: int, bpb: float, steps: int = 4550, **settings: object) -> str:
    listed = {"seed": seed, "matrix_lr": 0.022, "num_layers": 11, "vocab_size": 8192, **settings}
    return (
        "Hyperparameters:\n" + "".join(f"  {name}: {value}\n" for name, value in listed.items()) + "train_shards: 128\nval_tokens: 40540160\n"
        f"model_params:35944536\n0/20000 val_loss: 9.0047 val_bpb: 3.4861\n{steps}/20000 val_loss: {(bpb + 0.008) * NATS:.4f} val_bpb: {bpb + 0.008:.4f}\n"
        f"stopping_early: wallclock_cap train_time: {588000 + seed}ms step: {steps}/20000\n"
        f"pre-quantization post-ema val_loss:{(bpb + 0.007) * NATS:.8f} val_bpb:{bpb + 0.007:.8f} eval_time:1733ms\n"
        "Serialized model quantized+brotli: 15970000 bytes\nTotal submission size quantized+brotli: 15986719 bytes\n"
        f"quantized val_loss:{(bpb + 0.017) * NATS:.8f} val_bpb:{bpb + 0.017:.8f} eval_time:2000ms\n"
        f"quantized_sliding_window val_loss:{bpb * NATS:.8f} val_bpb:{bpb:.8f} eval_time:90000ms\n"
    )  # fmt: skip


@pytest.fixture
def record(golf, tmp_path: Path) -> Path:
    """A record of three seeds in a clone, at the place of #1493."""
    folder = tmp_path / "clone/records/track_10min_16mb/2026-04-09_SP8192_3LayerRecur_ParResid_QK525_LegalTTT"
    folder.mkdir(parents=True)
    for seed, bpb in ((42, 1.0801), (314, 1.0811), (999, 1.0806)):
        (folder / f"train_seed{seed}.log").write_text(log_of(seed, bpb))
    (folder / "train_gpt.py").write_text("import torch\nLR = 0.022\nprint(torch.cuda.device_count(), LR)\n")
    (folder / "README.md").write_text(README)
    (folder / "submission.json").write_text(json.dumps({"name": "x", "val_bpb": 1.0806}))
    return folder


def elsewhere(record: Path, by: float, steps: int = 4550, **settings: object) -> Path:
    folder = record.parents[3] / "mine"
    folder.mkdir(exist_ok=True)
    for seed, bpb in ((1, 1.0803), (2, 1.0807), (3, 1.0809)):
        (folder / f"run_{seed}.txt").write_text(log_of(seed, bpb + by, steps, **settings))
    return folder


@pytest.mark.parametrize(
    ("by", "steps", "settings", "verdict", "code"),
    [
        (0.0001, 4550, {}, "REPRODUCED", 0),
        (0.0042, 3650, {}, "HARDWARE", 5),
        (0.0050, 4550, {}, "NOT REPRODUCED", 5),
        (0.0001, 4550, {"matrix_lr": 0.03}, "CODE", 5),
    ],
)
def test_the_verdict_in_three_forms(golf, record, by, steps, settings, verdict, code):
    mine = elsewhere(record, by, steps, **settings)
    clone = record.parents[2]
    found, out, _ = golf(f"repro pr1493 --repo {clone} --from-logs {mine}")
    assert (found, out.split("  ")[0]) == (code, verdict)
    found, out, _ = golf(f"repro {record} --from-logs {mine} --json")
    table = json.loads(out)
    assert (found, table["verdict"], table["schema"]) == (code, verdict, 1)
    assert sum(share["bpb"] for share in table["shares"]) == pytest.approx(table["gap"], abs=1e-12)
    found, out, _ = golf(f"repro whatever --folder {record} --from-logs {mine} --md")
    assert found == code and out.startswith(f"**{verdict}**: {record.name}") and "| unexplained |" in out


def test_the_script_beside_the_logs_is_compared(golf, record):
    mine = elsewhere(record, 0.0)
    shutil.copy(record / "train_gpt.py", mine)
    assert golf(f"repro {record} --from-logs {mine}")[0] == 0
    (mine / "train_gpt.py").write_text((record / "train_gpt.py").read_text().replace("0.022", "0.03"))
    code, out, _ = golf(f"repro {record} --from-logs {mine}")
    assert code == 5 and out.startswith("CODE") and "LR = 0.03" in out


def test_a_row_of_the_board_is_enough_for_a_number_and_not_for_a_verdict(golf, record):
    """Only scores and steps are known: whether the same script ran is not."""
    code, out, err = golf(f"repro pr1855 --from-logs {elsewhere(record, -0.0195)}")
    assert code == 6 and out.startswith("CANNOT TELL") and "same script" in out and "is not here" in err
    assert golf(f"repro pr99999 --from-logs {record}")[0] == 2
    assert golf(f"repro pr1493 --repo {record} --from-logs {record}")[0] == 6


def test_no_logs_and_own_logs_cannot_tell(golf, record, tmp_path):
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", record):
        code, out, _ = golf(f"repro {record} --from-logs {place}")
        assert code == 6 and out.startswith("CANNOT TELL")
    assert golf(f"repro {record} --from-logs {tmp_path / 'nowhere'}")[0] == 2


def test_what_a_record_needs_is_locked_and_what_lacks_is_refused(golf, record):
    code, out, _ = golf(f"repro {record} --dry-run --json")
    table = json.loads(out)
    assert (code == 10 and table["lock"]["seeds"] == [314, 42, 999]) or sorted(table["lock"]["seeds"]) == [42, 314, 999]
    assert table["lock"]["environment"] == {"QK_GAIN_INIT": "5.25", "TTT_ENABLED": "1", "NAME": "two words"}
    assert table["lock"]["packages"] == {"flash_attn_3": "3.0.0b1"} and table["lock"]["data"]["train_shards"] == 128
    assert any("flash_attn_3" in one for one in table["missing"])
    assert (golf.root / "submissions" / f"repro_{record.name}" / "repro.lock").is_file()
    code, out, err = golf(f"repro {record}")
    assert code == 10 and not out and "flash_attn_3" in err and "--from-logs" in err


def test_the_machine_of_the_logs_is_looked_for(record):
    runs = published_of(str(record)).runs
    lock = lock_of(record, runs)
    eight = Machine(gpus=("NVIDIA H100 80GB HBM3",) * 8, cores=8)
    wanted = {**lock.machine, "world_size": 8, "gpu": "NVIDIA H100 80GB HBM3"}
    lock = type(lock)(**{**lock.__dict__, "machine": wanted, "packages": {}})
    assert lacking(lock, record, eight) == []
    assert lacking(lock, record, Machine(gpus=("NVIDIA H200",) * 8, cores=8)) == [
        "NVIDIA H100 80GB HBM3 (NVIDIA H200 here)"
    ]
    assert "8 GPUs (0 here)" in lacking(lock, record, Machine(gpus=(), cores=2))


@pytest.mark.parametrize(
    ("readme", "settings"),
    [
        ("no code", {}),
        ("```\nA=1 B=2 python train_gpt.py\n```", {"A": "1", "B": "2"}),
        ("```sh\nexport A=1\nexport B='x y'\ntorchrun --nproc_per_node=8 train_gpt.py\n```", {"A": "1", "B": "x y"}),
        ("```\nA=1 \\\nB=2 \\\ntorchrun train_gpt.py # C=3\n```", {"A": "1", "B": "2"}),
        (
            "```\necho A=1\n```\n```\nfor SEED in 1 2; do\n  Q=4 SEED=$SEED torchrun records/x/train_gpt.py\ndone\n```",
            {"Q": "4"},
        ),
        ("```\nA='unclosed torchrun train_gpt.py\n```", {}),
        ("A=1 torchrun train_gpt.py", {}),
    ],
)
def test_the_environment_of_a_readme(readme, settings):
    assert environment_of(readme) == settings


def test_pins_and_the_environment_of_what_is_started(tmp_path, monkeypatch):
    import os

    (tmp_path / "requirements.txt").write_text(
        "torch==2.9.1+cu128\nnumpy\nbrotli>=1\nsentencepiece == 0.2.0  # as there\n"
    )
    assert packages_of(tmp_path, "") == {"sentencepiece": "0.2.0", "torch": "2.9.1+cu128"}
    monkeypatch.setenv("QK_GAIN_INIT", "4")
    monkeypatch.delenv("TTT_LR", raising=False)
    with environment({"QK_GAIN_INIT": "5.25", "TTT_LR": "1"}):
        assert (os.environ["QK_GAIN_INIT"], os.environ["TTT_LR"]) == ("5.25", "1")
    assert os.environ["QK_GAIN_INIT"] == "4" and "TTT_LR" not in os.environ


def test_a_record_is_run_again_and_its_own_logs_judged(golf, record, monkeypatch):
    """The whole way, with a run that is made up in place of eight GPUs: seeds and environment are the record's."""
    from golf.repro import again

    seen = {}

    def run(name, wishes, view=None):
        import os

        seen.update(name=name, seeds=wishes.seeds, gain=os.environ.get("QK_GAIN_INIT"))

    monkeypatch.setattr(again, "run_submission", run)
    monkeypatch.setattr(again, "lacking", lambda *given: [])
    mine = elsewhere(record, 0.0002)
    monkeypatch.setattr(again, "obtained_of", lambda place, real=again.obtained_of: real(mine))
    code, out, err = golf(f"repro {record}")
    assert (code, out.partition("  ")[0]) == (0, "REPRODUCED"), err
    assert seen == {"name": f"repro_{record.name}", "seeds": "314,42,999", "gain": "5.25"}
