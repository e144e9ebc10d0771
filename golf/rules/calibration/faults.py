"""One historical fault per rule at least, planted in the legal specimen: by its logs, its files, its script or its evaluator."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from golf.rules.calibration.families import SMEAR
from golf.rules.calibration.scripts import ILLEGAL, LEGAL, PLAIN_EVALUATION, script
from golf.rules.calibration.specimen import Facts, changed, write_package, write_specimen
from golf.rules.execution import Execution
from golf.rules.experiments.trial import Blind, Reading, Trial
from golf.rules.findings import Finding, State
from golf.rules.pack import DEFAULT_PACK, load_pack
from golf.rules.subject import Subject

LEGAL_TOY = "score-first chunk TTT"
PRECOMPUTED = "precomputes outside its timer"
UNREAD = "scores the weights from before packing"


@dataclass(frozen=True)
class Fault:
    """A fault and the rule that it breaks. toy: the evaluator that the executed checks see, by its name in the table.

    contested: found means broken under the strict reading or left open, since records with it were merged or nobody ruled.
    """

    code: str
    what: str
    facts: Facts = field(default_factory=Facts)
    script: str | None = None
    toy: str = LEGAL_TOY
    edit: Callable[[Path], Any] | None = None
    name: str | None = None
    claims: dict[str, Any] = field(default_factory=dict)
    contested: bool = False


def write_fault(fault: Fault, base: Path) -> Path:
    """The specimen with the fault in it."""
    options = {"name": fault.name} if fault.name else {}
    folder = write_specimen(base, fault.facts, fault.script, **options, **fault.claims)
    if fault.edit is not None:
        fault.edit(folder)
    return folder


def judge_fault(fault: Fault, base: Path, pack: str = DEFAULT_PACK) -> Finding:
    """The finding on the fault's rule."""
    folder = write_fault(fault, base)
    return {finding.code: finding for finding in judge_folder(folder, fault.toy, pack)}[fault.code]


def judge_folder(folder: Path, toy: str = LEGAL_TOY, pack: str = DEFAULT_PACK) -> list[Finding]:
    """All findings on a folder whose executed checks see the evaluator `toy`."""
    from golf.rules.checks import KINDS
    from golf.rules.verify import judge

    subject = Subject(folder, load_pack(pack), "record")
    subject.acts["execution"] = execution_of(toy)
    subject.acts["trial"] = trial_of(toy)
    return [judge(rule, subject, frozenset(KINDS)) for rule in subject.pack.rules.values()]


def is_found(fault: Fault, finding: Finding) -> bool:
    """Whether the finding says what was planted."""
    if fault.contested:
        return finding.strict is State.FAIL or finding.state is State.UNKNOWN
    return finding.state is State.FAIL


@cache
def execution_of(name: str) -> Execution:
    """What the sandbox would answer for a toy evaluator; "" for one that was never run."""
    from golf.rules.calibration.timed import script_with, timer_of
    from golf.rules.dynamic.scores import Evaluator, Scores
    from golf.rules.dynamic.suite import run_suite
    from golf.rules.dynamic.toy_model import VOCAB
    from golf.rules.dynamic.toys import TABLE, plain_sliding

    def again(stream: Any) -> Scores:
        """Every target is scored twice, as when the epochs of training report their loss."""
        scores = plain_sliding(stream)
        return Scores(scores.nll, 2 * scores.visits, scores.order)

    evaluators = {row.name: row.evaluator for row in TABLE} | {"scored twice": Evaluator("scored twice", VOCAB, again)}
    counted = {"counted": 1000, "decoded": 1000, "tokens": 400}
    timer = timer_of(script_with(precompute_inside=name != PRECOMPUTED))
    name = LEGAL_TOY if name in (PRECOMPUTED, UNREAD) else name
    return Execution((run_suite(evaluators[name], 193, quick=True),), None, {}, counted, timer)


def trial_of(name: str) -> Trial:
    """What the experiments would show of the whole script: an artifact that hangs on no validation text, and is read, or is not."""
    wrote = ("final_model.ptz",)
    reading = Reading(wrote, unread=wrote) if name == UNREAD else Reading(wrote, read=wrote, used=True, garbage=())
    return Trial("quick", 0, reading=reading, blind=Blind(wrote))


def _third_of_the_files(folder: Path) -> None:
    (folder / "README.md").unlink()


def _big_helper(folder: Path) -> None:
    noise = "".join(random.Random(0).choices("0123456789abcdefghijklmnopqrstuvwxyz", k=200_000))
    (folder / "ngram_tilt.py").write_text(f"TABLE = '{noise}'\n")


def _stop_logs(folder: Path) -> None:
    (folder / "train_seed999.log").rename(folder / "train_seed7.log")


def _other_artifact(folder: Path) -> None:
    seeds, bpb = Facts().seeds, Facts().bpb
    write_package(folder, dict(zip(seeds, (bpb[0], bpb[1], bpb[2] + 0.002), strict=True)))


def _float_sliding(folder: Path) -> None:
    """The logs of #1120's kind: plain before packing, plain from the artifact .0115 worse, and the usual gain of sliding over the former."""
    for log in folder.glob("train_seed*.log"):
        lines = []
        for line in log.read_text().splitlines():
            if line.startswith("quantized val_loss"):
                bpb = float(line.split("val_bpb:")[1].split()[0]) - 0.008
                lines.append(f"pre-quantization post-ema val_loss:2.77 val_bpb:{bpb + 0.0168:.8f} eval_time:7531ms")
                lines.append(f"quantized val_loss:2.80 val_bpb:{bpb + 0.0283:.8f} eval_time:7531ms")
            else:
                lines.append(line.replace("quantized_ttt", "quantized_sliding_window"))
        text = "\n".join(lines).replace("  max_wallclock_seconds", "  train_seq_len: 2048\n  max_wallclock_seconds")
        log.write_text(text + "\n")


def _plain_of_floats(folder: Path) -> None:
    """The claimed number stands in the logs before packing as well, and the artifact's is another."""
    for log in folder.glob("train_seed*.log"):
        last = next(line for line in log.read_text().splitlines() if line.startswith("quantized_ttt"))
        text = log.read_text().replace(
            "Serialized model: ", f"{last.replace('quantized_ttt', 'DIAGNOSTIC post_ema')}\nSerialized model: "
        )
        log.write_text(text.replace(last, last.replace("quantized_ttt", "final_model")))


ETLB = """
def eval_val_etlb(args, base_model, device, val_tokens, stride):
    bias = torch.zeros(1024, requires_grad=True)
    return 0.0, 0.0
"""
COUNTS = """
def build_ngram_table(train_tokens):
    counts = np.zeros((1024, 1024))
    np.add.at(counts, (train_tokens[:-1], train_tokens[1:]), 1)
    return counts
"""
READ = 'base_model.load_state_dict(dequantize_state_dict(open("final_model.ptz", "rb").read()))'
FLOATS = script().replace(
    READ,
    f"eval_model = GPT(1024, 512)\n    {READ.replace('base_model', 'eval_model')}\n    q_loss, q_bpb = eval_val_sliding(args, eval_model, 0, 1, 'cpu', val_tokens, *luts, stride=1024)",
)
HELPED = LEGAL["score-first TTT"].replace("import sentencepiece", "import ngram_tilt\nimport sentencepiece")
SMEARED = script(SMEAR.format(mask="pass", times=""), before="gate = SmearGate(512)\n    gate(attend(0, 0, 0, 0), 0)")

FAULTS: tuple[Fault, ...] = (
    Fault("R01", "16,084,685 bytes (#1399)", changed(model_bytes=16_084_685)),
    Fault("R02", "helpers that nobody counted (#1514)", changed(model_bytes=15_990_000), HELPED, edit=_big_helper),
    Fault("R05", "602.048 s (#1945)", changed(train_seconds=602.048)),
    Fault("R05", "ran on one GPU", changed(world_size=1)),
    Fault("R06", "25 s of Hessians after 600 s (#593)", changed(train_seconds=600.0, calibration_seconds=25.0)),
    Fault("R06", "604.3 s with Hessians (#1855)", changed(train_seconds=599.43, calibration_seconds=4.9), contested=True),
    Fault("R07", "688 s (#1972)", changed(eval_seconds=688.0)),
    Fault("R07", "hints precomputed outside the timer (#1967)", toy=PRECOMPUTED),
    Fault("R08", "seven seeds run, three told", changed(seeds=(42, 314, 999, 7, 8, 9, 10), bpb=(1.0701, 1.0703, 1.0699, 1.075, 1.076, 1.074, 1.073)), contested=True),
    Fault("R09", "spaces in the folder's name", name="int6 STE run", contested=True),
    Fault("R10", "no README", edit=_third_of_the_files),
    Fault("R10", "a script that does not parse", script="def main(:\n    pass\n"),
    Fault("R11", "val_bpb 0.0 (#1457)", claims={"val_bpb": 0.0}),
    Fault("R11", "a headline that no log has (#2118)", claims={"val_bpb": 1.0435}),
    Fault("R12", "third seed of another configuration (#2124)", changed(other_configuration_of_last=True)),
    Fault("R12", "a log that stops at GPTQ:collecting (#2071)", changed(log_of_last_ends_early=True)),
    Fault("R12", "one seed (#2020)", changed(seeds=(42,), bpb=(1.07012345,))),
    Fault("R12", "a log named after another seed (#1729)", edit=_stop_logs),
    Fault("R13", "pretrained weights", script=ILLEGAL["pretrained weights"][1]),
    Fault("R14", "better by less than the noise (#374)", changed(bpb=(1.0730, 1.0700, 1.0765))),
    Fault("R15", "behind the frontier of the day (#1584)", changed(bpb=(1.0790, 1.0791, 1.0792))),
    Fault("R16", "the track of another folder", claims={"track": "non_record_16mb"}),
    Fault("R20", "implies 125.3 M bytes (#2009)", changed(val_bytes=125_300_000)),
    Fault("R20", "leading space twice (#1734)", script=ILLEGAL["leading space twice"][1]),
    Fault("R20", "byte tokens as three (#1143)", script=ILLEGAL["byte tokens as three"][1]),
    Fault("R21", "3 M tokens (#1835)", changed(val_tokens=3_000_000, val_bytes=11_180_000)),
    Fault("R21", "10,000 documents (#2039)", changed(val_tokens=9_662_464, val_bytes=30_500_000, caseops=True)),
    Fault("R22", "1,499 shards made at home (#2018)", changed(train_shards=1499, caseops=True, val_tokens=47_851_520)),
    Fault("R23", "documents ordered by loss", script=ILLEGAL["order by loss"][1]),
    Fault("R23", "a reversed queue", toy="stream tilt + reversed-queue TTT", contested=True),
    Fault("R24", "case-folded text (#1578)", script=ILLEGAL["case-folded text"][1]),
    Fault("R25", "targets scored twice", toy="scored twice"),
    Fault("R30", "adapts, then scores", toy="adapt-then-score TTT"),
    Fault("R31", "a hashed cache (#779)", toy="hashed cache, 64 buckets"),
    Fault("R32", "trains before it scores (#518)", script=ILLEGAL["adapt, then score"][1]),
    Fault("R33", "the better of two scores (#573)", script=ILLEGAL["oracle minimum"][1]),
    Fault("R33", "last epoch reported (#568)", toy="scored twice"),
    Fault("R34", "trains on validation (#44)", script=ILLEGAL["trains on validation"][1]),
    Fault("R35", "calibrates on validation (#728)", script=ILLEGAL["calibration on validation"][1]),
    Fault("R36", "pre-quantisation training (#1972)", script=ILLEGAL["pre-quant TTT"][1]),
    Fault("R37", "SLOT (#1229)", script=ILLEGAL["SLOT"][1]),
    Fault("R38", "a hashed cache (#740)", script=ILLEGAL["hashed cache"][1]),
    Fault("R39", "a gate by the target (#1420)", script=ILLEGAL["target-gated tilt"][1]),
    Fault("R39", "within_gate=9,866,847 (#2118)", changed(gates="ngram_tilt:hints total=47851520 within_gate=9866847 word_gate=0")),
    Fault("R40", "a mixture that is no distribution", toy="oracle minimum"),
    Fault("R41", "bytes spread as p^(1/n) (#1835)", script=ILLEGAL["byte-spread PPM"][1]),
    Fault("R42", "SmearGate over document starts (#1797)", script=SMEARED, contested=True),
    Fault("R43", "warm-up on validation (#1530)", script=ILLEGAL["warm-up on validation"][1]),
    Fault("R44", "a logit bias fitted at evaluation (#1399)", script=script(ETLB, evaluation=f"{PLAIN_EVALUATION}\n    eval_val_etlb(args, base_model, 'cpu', val_tokens, 64)").replace('"ETLB_ENABLED", "0"', '"ETLB_ENABLED", "1"'), contested=True),
    Fault("R45", "counts of training data in the artifact (#931)", script=script(COUNTS, before="build_ngram_table(load(args.train_files))"), contested=True),
    Fault("R46", "epochs that report their loss again", toy="scored twice"),
    Fault("R47", "hints in stream order, queue reversed (#2135)", toy="stream tilt + reversed-queue TTT"),
    Fault("R03", "an artifact that scores something else than its log", edit=_other_artifact),
    Fault("R48", "an artifact that is written and never read", toy=UNREAD),
    Fault("R48", "the artifact serves the plain check, sliding reads the trained model (#1120)", script=FLOATS),
    Fault("R48", "the weights from before packing are loaded again", script=script().replace(READ, f"kept = base_model.state_dict()\n    {READ}\n    base_model.load_state_dict(kept)")),
    Fault("R48", "what is packed is never read", script=script().replace(READ, "pass")),
    Fault("R48", "sliding gains over the artifact what quantization lost besides (#1120)", edit=_float_sliding),
    Fault("R48", "the final number is that from before packing", edit=_plain_of_floats),
    Fault("R03", "downloads at run time", script=ILLEGAL["downloads"][1]),
    Fault("R04", "training shards read at evaluation", script=ILLEGAL["training data at eval"][1]),
)  # fmt: skip
