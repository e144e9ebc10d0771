"""Remarks: options that act on nothing, and READMEs that say what the run does not; each beside a lawful look-alike that gets none."""

import pytest
from later_styles import plugged

from golf.rules import verify_folder
from golf.rules.calibration.specimen import write_specimen

BODY = plugged()
HEAD = """import os
class Options:
    heat = float(os.environ.get("HEAT", 1.0))
    smear_gate_enabled = bool(int(os.environ.get("SMEAR_GATE_ENABLED", "0")))
    late_rate = float(os.environ.get("LATE_RATE", 0.1))
    late_enabled = bool(int(os.environ.get("LATE_ENABLED", "0")))
def adapt(options):
    return options.late_rate * 2
def use(options):
    if options.late_enabled:
        adapt(options)
    HOW
use(Options())
"""
SMEAR = """
class SmearGate:
    def forward(self, x, tokens):
        gate = self.gate(x)
        return torch.cat([x[:, :1], x[:, 1:] + gate[:, 1:] * x[:, :-1]MASK], 1)
"""
LAUNCH = "# Mine\n\n```\nSEED=1 {} torchrun --nproc_per_node=8 train_gpt.py\n```\n"
USES = "print(options.heat * 2, options.smear_gate_enabled); x = [options.heat] * int(options.smear_gate_enabled)"


def notes(tmp_path, how=USES, readme="# Mine\n", extra=""):
    script = HEAD.replace("HOW", how) + BODY + extra
    folder = write_specimen(tmp_path, script=script)
    (folder / "README.md").write_text(readme)
    return " | ".join(verify_folder(folder, only=["static"]).notes)


@pytest.mark.parametrize(
    ("how", "readme", "extra", "planted"),
    [
        ("print('heat', options.heat); y = options.smear_gate_enabled", "# Mine\n", "", "no code reads: HEAT"),
        (
            USES,
            LAUNCH.format("LATE_RATE=0.3"),
            "",
            "act on nothing, for what reads them is off in the run: LATE_RATE=0.3",
        ),
        (USES, LAUNCH.format("HEATT=2"), "", "no code here reads: HEATT"),
        (USES, "# SmearGate and more\n", "", "README names smear gate (line 1), and SMEAR_GATE_ENABLED is off"),
        (USES, "# Mine\n\n- Smear gate with width 12\n", "", "README names smear gate (line 3)"),
        (USES, "# SmearGate BOS fix\n", SMEAR.replace("MASK", ""), "README names a BOS fix (line 1), and `forward`"),
    ],
)
def test_what_is_planted_is_remarked(tmp_path, how, readme, extra, planted):
    assert planted in notes(tmp_path, how, readme, extra)


@pytest.mark.parametrize(
    ("how", "readme", "extra"),
    [
        ("y = getattr(options, 'heat'), options.smear_gate_enabled", "# Mine\n", ""),  # read by its name
        (USES, LAUNCH.format("LATE_RATE=0.3 LATE_ENABLED=1"), ""),  # what reads it is on
        (USES, LAUNCH.format("OMP_NUM_THREADS=1 NCCL_DEBUG=INFO"), ""),  # for the launcher
        (USES, LAUNCH.format("DIR=/data DATA_PATH=$DIR/shards"), ""),  # a variable of the shell's own
        (USES, "# Without SmearGate\n\n- no smear gate, which hurt\n", ""),
        (USES, "# Mine\n\n| smear gate | tried |\n\n```\nsmear gate\n```\n", ""),
        (USES, LAUNCH.format("SMEAR_GATE_ENABLED=1").replace("# Mine", "# SmearGate"), ""),
        (USES, LAUNCH.format("SMEAR_GATE_ENABLED=1").replace("# Mine", "# SmearGate BOS fix"), SMEAR.replace("MASK", " * (tokens[:, 1:] != BOS)[..., None]")),
    ],
)  # fmt: skip
def test_what_looks_like_it_is_not(tmp_path, how, readme, extra):
    assert not notes(tmp_path, how, readme, extra)
