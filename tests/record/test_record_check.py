"""`golf record --check` finds what disagrees in anyone's folder, with the right severity, and nothing in a sound one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from project_of_runs import log_of, make_project

from golf.record import Wishes, write_record
from golf.record.check import check_folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    submission = make_project(tmp_path_factory.mktemp("project"), {1337: 3.1012345, 42: 3.1198765, 7: 3.0923456})
    return write_record(submission, Wishes(author=("A", "a"), date="2026-04-20", verify=False))


@pytest.fixture
def record(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "records" / "local" / sound.name)


def edit(**changes: object) -> Callable[[Path], None]:
    def mutate(folder: Path) -> None:
        path = folder / "submission.json"
        table = {**json.loads(path.read_text()), **changes}
        path.write_text(json.dumps({key: value for key, value in table.items() if value is not None}))

    return mutate


def rename(old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: (folder / old).rename(folder / new)


def relog(name: str, old: str, new: str) -> Callable[[Path], None]:
    def mutate(folder: Path) -> None:
        path = folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return mutate


FAULTS = {
    "no README": (lambda folder: (folder / "README.md").unlink(), "missing", "high"),
    "no claims": (lambda folder: (folder / "submission.json").unlink(), "missing", "high"),
    "no script": (lambda folder: (folder / "train_gpt.py").unlink(), "missing", "high"),
    "no logs": (lambda folder: [path.unlink() for path in folder.glob("*.log")], "missing", "high"),
    "claims cut off": (lambda folder: (folder / "submission.json").write_text('{"val_bpb": 1.'), "json", "high"),
    "empty script": (lambda folder: (folder / "train_gpt.py").write_text(""), "stub", "medium"),
    "no author": (edit(author=None), "missing-field", "medium"),
    "empty author": (edit(author=""), "stub", "medium"),
    "score of no log": (edit(val_bpb=2.9, seed_results=None), "bpb", "high"),
    "score is not the mean of the seeds": (edit(val_bpb=3.11), "mean", "medium"),
    "best seed as headline": (edit(val_bpb=3.0923456, seed_results=None), "headline", "low"),
    "best of the seed results": (edit(val_bpb=3.0923456), "headline", "low"),
    "score under val_loss": (edit(val_bpb=None, val_loss=3.0923), "mislabelled-field", "high"),
    "population deviation": (edit(val_bpb_std=0.01142), "std", "low"),
    "total of no log": (edit(bytes_total=4999), "bytes_total", "medium"),
    "round total": (edit(bytes_total=20_000), "rounded", "low"),
    "over the cap": (edit(bytes_total=16_000_001), "over-cap", "high"),
    "code of no log": (edit(bytes_code=84), "bytes_code", "low"),
    "another script shipped": (lambda folder: (folder / "train_gpt.py").write_text("import os\n"), "code-bytes", "low"),
    "seed in the name": (rename("train_seed7.log", "train_seed8.log"), "seed-label", "high"),
    "seed without a log": (lambda folder: (folder / "train_seed7.log").unlink(), "no-log-for-seed", "high"),
    "README says another score": (lambda folder: (folder / "README.md").write_text("val_bpb: 2.8123, mean 2.81201"), "json-vs-readme", "high"),
    "two logs of a seed": (lambda folder: (folder / "train_seed7_rerun.log").write_text(log_of(7, 3.0923456) + "x\n"), "variant-logs", "info"),
    "a copy of a log": (lambda folder: shutil.copy(folder / "train_seed7.log", folder / "train.log"), "duplicate-log", "info"),
    "two runs in a file": (lambda folder: (folder / "train_seed7.log").write_text(log_of(7, 3.0) + log_of(7, 3.0923456)), "multi-run", "info"),
    "steps of no log": (relog("submission.json", '"steps": 20', '"steps": 21'), "seed-field", "low"),
    "parameters of another model": (edit(model_params=999), "wrong-log", "high"),
    "a stage with another ratio": (relog("train_seed7.log", "val_bpb:3.09234560", "val_bpb:3.05000000"), "ratio", "high"),
    "a stage retouched by little": (relog("train_seed7.log", "val_bpb:3.09234560", "val_bpb:3.09144560"), "ratio", "medium"),
    "a claim cut by a digit": (edit(val_bpb=3.1044853, seed_results=None, seeds=None), "bpb", "low"),
    "on two GPUs": (edit(track="10min_16mb"), "wallclock", "high"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_planted_fault_is_found_with_its_severity(record: Path, fault: str) -> None:
    mutate, kind, severity = FAULTS[fault]
    if fault == "on two GPUs":
        record = record.rename(record.parent.parent / record.name)
    mutate(record)
    assert (kind, severity) in {(finding.kind, finding.severity) for finding in check_folder(record).findings}


def test_a_sound_record_has_no_finding(record: Path) -> None:
    assert check_folder(record).findings == ()


def test_a_rounded_claim_and_a_log_without_a_count_are_no_fault(record: Path) -> None:
    """1e-8 from the log is its rounding; a log of an evaluation alone counts no parameters and is of no other model."""
    edit(seed_results={"7": {"val_bpb": 3.092345601}, "42": {"val_bpb": 3.1198765}, "1337": {"val_bpb": 3.1012345}})(
        record
    )
    assert not [one for one in check_folder(record).findings if one.severity in ("high", "medium")]
    log = record / "train_seed7.log"
    log.write_text(log.read_text().replace("model_params:123456\n", "").replace('"params": 123456, ', ""))
    assert not [one for one in check_folder(record).findings if one.kind == "configuration"]


@pytest.mark.parametrize("claim", [{"val_bpb": "3.10448"}, {"val_bpb": None, "val_bpb_3seed_mean": 3.1044855}])
def test_a_claim_in_another_form_is_a_claim(record: Path, claim: dict) -> None:
    edit(**claim)(record)
    found = check_folder(record).findings
    assert not [one for one in found if one.kind == "bpb"] and [one for one in found if one.kind == "missing-field"]


def test_a_folder_name_with_spaces_is_found(record: Path) -> None:
    moved = record.rename(record.with_name("2026-04-20_my record"))
    assert {finding.kind for finding in check_folder(moved).findings} == {"folder-name"}


# disagreements whose evidence is not in the extract at hand (scripts, READMEs, runs that were cut from the logs), or that are none
NOT_IN_THE_EXTRACT = {
    ("code-bytes", "2026-04-27_SP8192_LQER_SparseGate_BOSSmearFix_9HpStack_1.0611"): "needs the shipped script",
    ("json-vs-readme", "2026-03-21_DepthRecurrence_MixedPrecisionQuant"): "needs the README",
    ("multi-run", "2026-03-29_HNet_ByteVsSubword_Study"): "the first run was removed with the code dump",
    ("multi-run", "2026-04-04_GDN_Hybrid_LongContext"): "the first runs were removed with the code dump",
    (
        "bytes_code",
        "2026-03-24_106M_Binary_Asymmetric_UNet_FP8_15L_8192BPE_YaRN_NeoMuon_Smear",
    ): "the log does print code:70399",
}


def test_every_known_disagreement_is_found_with_its_severity(shared: Path) -> None:
    records = json.loads((shared / "records_ground_truth.json").read_text())["records"]
    missed = []
    for name, facts in records.items():
        folder = shared / name
        found = {(finding.kind, finding.severity) for finding in check_folder(folder).findings}
        for known in facts["disagreements"]:
            key = (known["kind"], known["severity"])
            if key not in found and (known["kind"], folder.name) not in NOT_IN_THE_EXTRACT:
                missed.append((folder.name, *key, known["detail"]))
    assert missed == []


def test_sound_official_records_have_no_high_finding_but_what_the_extract_lacks(shared: Path) -> None:
    records = json.loads((shared / "records_ground_truth.json").read_text())["records"]
    for name, facts in records.items():
        known = {item["kind"] for item in facts["disagreements"] if item["severity"] == "high"}
        high = {finding.kind for finding in check_folder(shared / name).findings if finding.severity == "high"}
        assert high - known <= {"missing"}, name
