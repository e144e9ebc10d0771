"""One reading of claims, one choice of the run that backs a seed, one set that counts: every command gives the same answer."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from project_of_runs import make_project

from golf.board.local import local_records
from golf.board.sides import side_of
from golf.logs.result import Score
from golf.reading.choice import choose, choose_logs, folder_runs, runs_that_count
from golf.reading.claims import claimed_track, headline, seed_claims
from golf.reading.folder import open_folder
from golf.record.evidence import gather
from golf.rules.pack import load_pack
from golf.rules.subject import find_subject
from golf.run.sets import set_that_counts

FORMS = [
    {"seed_results": {"42": {"val_bpb": 1.5, "val_loss": 2.5}}},
    {"per_seed": {"42": {"val_bpb": 1.5, "val_loss": 2.5}}},
    {"val_bpb_seeds": {"42": 1.5}},
    {"seeds": {"42": {"val_bpb": 1.5}}},
    {"seeds": [42], "seed_scores": [1.5]},
    {"seed_results": [{"seed": 42, "val_bpb": 1.5, "val_loss": 2.5}]},
    {"seeds": [42], "seed_results": {"42": {"bpb": 1.5}}},
]


@pytest.mark.parametrize("claims", FORMS, ids="+".join)
def test_every_form_of_claims_is_read_alike_by_record_verify_and_board(claims: dict, tmp_path: Path) -> None:
    folder = tmp_path / "records" / "track_10min_16mb" / "2026-04-01_X"
    folder.mkdir(parents=True)
    (folder / "submission.json").write_text(json.dumps({"name": "x", "val_bpb": 1.5, **claims}))
    (folder / "train_gpt.py").write_text("print(1)\n")
    assert {seed: claim.val_bpb for seed, claim in open_folder(folder).seed_claims.items()} == {"42": 1.5}
    subject = find_subject(folder, load_pack("pgolf-2026-05"))
    assert {seed: claim.val_bpb for seed, claim in subject.seed_claims.items()} == {"42": 1.5}
    (row,) = local_records(tmp_path)
    assert {seed: bpb for seed, (bpb, _) in row.seeds.items()} == {"42": 1.5}


@pytest.mark.parametrize(
    ("claims", "place", "track"),
    [
        ({"track": "local_test"}, "", "local"),
        ({"track": "non-record-16mb"}, "", "non_record_16mb"),
        ({"track": "10min_16mb"}, "track_10min_16mb", "10min_16mb"),
        ({}, "track_non_record_16mb", "non_record_16mb"),
        ({}, "local", "local"),
        ({}, "my_local_copies", "10min_16mb"),
        (None, "", "10min_16mb"),
    ],
)
def test_the_claimed_track(claims: dict | None, place: str, track: str) -> None:
    assert claimed_track(claims, place) == track


def test_what_is_no_claim_is_none() -> None:
    assert seed_claims({"seed_results": {"42": "good"}, "seeds": [1, 2]}) == {} and seed_claims(None) == {}
    assert headline({"val_bpb": True, "mean_val_bpb": 1.2}) == 1.2 and headline({}) is None


@dataclass(frozen=True)
class Log:
    """A log as the choice sees it."""

    name: str
    seed: int | None
    val_bpb: float | None
    seed_in_name: int | None = None
    complete: bool = True
    scores: tuple[Score, ...] = field(default=())
    configuration: dict[str, str] = field(default_factory=dict)


def log(name: str, seed: int | None, bpb: float, **more: object) -> Log:
    return Log(name, seed, bpb, scores=(Score("quantized", "final", bpb, None, 1, 8),), **more)  # type: ignore[arg-type]


def chosen(logs: list[Log], claims: dict, head: float | None = None) -> dict[str, str]:
    return {seed: one.name for seed, one in runs_that_count(logs, seed_claims(claims), head).items()}


def test_the_order_of_the_choice() -> None:
    logs = [log("a", 42, 1.06400238), log("b", 42, 1.06443847), log("c", 42, 1.0701)]
    # both round to 1.064: the nearer one
    assert chosen(logs, {"seed_results": {"42": {"val_bpb": 1.064}}}) == {"42": "a"}
    # exact to its digits
    assert chosen(logs, {"seed_results": {"42": {"val_bpb": 1.06443847}}}) == {"42": "b"}
    # no claim of seeds: the nearest to the headline, else the last complete one
    assert chosen(logs, {}, 1.0645) == {"42": "b"} and chosen(logs, {}) == {"42": "c"}
    unfinished = [*logs, log("d", 42, 1.2, complete=False)]
    assert chosen(unfinished, {}) == {"42": "c"}
    # a log that is named for its seed before one of another experiment
    assert chosen([log("seed_42", 42, 1.5, seed_in_name=42), log("z_ablation", 42, 1.6)], {}) == {"42": "seed_42"}
    # a claim that no log backs: still its own seed's
    assert chosen(logs, {"seed_results": {"42": {"val_bpb": 2.0}}}) == {"42": "c"}


def test_a_log_with_another_label_counts_where_only_it_backs_the_claim() -> None:
    logs = [log("a", 1337, 1.0680582), log("b", 42, 1.07)]
    assert chosen(logs, {"seed_results": {"0": {"val_bpb": 1.06805820}, "42": {"val_bpb": 1.07}}}) == {
        "0": "a",
        "42": "b",
    }
    assert chosen(logs, {"seed_results": {"42": {"val_bpb": 1.07}}}) == {"42": "b"}


def test_one_log_backs_one_seed() -> None:
    assert chosen([log("a", 1, 1.1)], {"seed_results": {"1": {"val_bpb": 1.1}, "2": {"val_bpb": 1.1}}}) == {"1": "a"}


def test_verify_compare_and_import_count_the_same_runs_of_the_official_folders(shared: Path) -> None:
    pack, different, seen = load_pack("pgolf-2026-05"), [], 0
    for path in sorted((shared / "records").glob("*/*")):
        record = open_folder(path)
        if record.claims is None or not record.logs:
            continue
        seen += 1
        verify = sorted(run.val_bpb for run in find_subject(path, pack).scored_runs if run.val_bpb is not None)
        compare = {seed: run.val_bpb for seed, run in folder_runs(path).items()}
        imported = {str(seed): one.val_bpb for seed, one in choose_logs(record)[0].items()}
        if verify != sorted(compare.values()) or imported != {s: v for s, v in compare.items() if s.isdecimal()}:
            different.append(path.name)
    assert seen > 20 and not different


def test_the_runs_of_three_official_folders_that_two_readers_used_to_see_differently(shared: Path) -> None:
    """By the folders' own claims: seed 0 is the log labelled 1337; seed 314 and 42 are the logs that print the claim."""
    folder = shared / "records" / "track_10min_16mb"
    first = folder_runs(folder / "2026-04-18_PR1626_CaseOps_Taper")
    assert {seed: run.val_bpb for seed, run in first.items()}["0"] == 1.0680582
    second = folder_runs(folder / "2026-04-29_SmearGateBOSFix_3Seed_1.06141")
    assert second["314"].val_bpb == 1.06086831


def test_record_verify_and_compare_take_the_same_set_of_runs(tmp_path: Path) -> None:
    """A full size of an older script, then a twin of today's: the full size, unless the twin is asked for by name."""
    submission = make_project(tmp_path, {1337: 3.1, 42: 3.2, 7: 3.0})
    (full,) = (submission / "runs").iterdir()
    twin = full.with_name("0123456789ab-smoke")
    (twin / "seed_1").mkdir(parents=True)
    (twin / "train_gpt.py").write_bytes((full / "train_gpt.py").read_bytes())
    (twin / "seed_1" / "train_seed1.log").write_text(
        (full / "seed_7" / "train_seed7.log").read_text().replace("seed:7", "seed:1")
    )
    (submission / "train_gpt.py").write_text('"""Changed since."""\nimport torch\n')
    later = max(path.stat().st_mtime for path in full.rglob("*.log")) + 10
    os.utime(twin / "seed_1" / "train_seed1.log", (later, later))
    assert set_that_counts(submission) == full and set_that_counts(submission, "0123456789ab-smoke") == twin
    assert gather(submission).set_id == full.name
    assert find_subject(submission, load_pack("pgolf-2026-05")).run_set == full
    assert full.name in side_of(str(submission)).label


def test_without_claims_one_configuration_counts() -> None:
    """The one that most seeds ran; seeds of another one do not complete it, and an edited comment makes no other one."""
    wide, deep = {"num_layers": "11", "code_bytes": "60000"}, {"num_layers": "12", "code_bytes": "60000"}
    edited = {"num_layers": "11", "code_bytes": "60020"}
    logs = [
        log("a", 42, 1.11, configuration=wide),
        log("b", 7, 1.12, configuration=edited),
        log("c", 314, 1.05, configuration=deep),
    ]
    assert chosen(logs, {}) == {"42": "a", "7": "b"}
    # where each run is alone in its configuration nothing says which is meant; of one seed's the headline does
    assert set(chosen([logs[0], logs[2]], {})) == {"42", "314"}
    assert chosen([logs[0], log("d", 42, 1.05, configuration=deep)], {}, 1.11) == {"42": "a"}


HEADER = "model_params:{params}\nworld_size:8 grad_accum_steps:1\n{seed}"
BODY = (
    "step:5000/5000 train_loss:{loss} train_time:600010ms step_avg:120.00ms\n"
    "step:5000/5000 val_loss:1.9500 val_bpb:1.1549 train_time:600010ms step_avg:120.00ms\n"
    "Serialized model int6+zstd: 15800000 bytes\nfinal_int6_roundtrip_exact val_loss:1.92000000 val_bpb:{bpb}\n"
)


def run_text(seed: int | None, bpb: float, loss: float = 1.93, params: int = 26993756) -> str:
    line = "" if seed is None else f"seed:{seed}\n"
    return HEADER.format(params=params, seed=line) + BODY.format(loss=loss, bpb=f"{bpb:.8f}")


def write_folder(place: Path, claims: dict, **logs: str) -> Path:
    folder = place / "2026-04-18_X"
    folder.mkdir(parents=True)
    (folder / "submission.json").write_text(json.dumps({"name": "x", **claims}))
    (folder / "train_gpt.py").write_text("print(1)\n")
    for name, text in logs.items():
        (folder / f"{name}.log").write_text(text)
    return folder


def test_runs_of_one_file_are_seeds_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path,
        {"val_bpb": 1.115},
        all=run_text(42, 1.114) + run_text(1337, 1.115, 1.94) + run_text(7, 1.116, 1.95),
        again=run_text(7, 1.116, 1.95),
        other=run_text(2025, 1.05, 1.8, params=30_000_000),
        empty="nothing here\n",
    )
    found = choose(open_folder(folder))
    assert {seed: one.val_bpb for seed, one in found.runs.items()} == {"42": 1.114, "1337": 1.115, "7": 1.116}
    text = "\n".join(found.notes)
    assert "once more" in text and "another configuration (parameters 30000000 against 26993756)" in text
    assert "empty.log was left out: no line of it is a known log line" in text and found.count == "n=3"


def test_n_stands_beside_the_claims_n(tmp_path: Path) -> None:
    claims = {"val_bpb": 1.115, "seed_results": {"42": {"val_bpb": 1.114}, "7": {"val_bpb": 1.116}}}
    folder = write_folder(tmp_path, claims, one=run_text(42, 1.114))
    found = choose(open_folder(folder))
    assert found.count == "n=1 of 2 claimed" and "no log counts for the claimed seed 7" in found.notes


def test_several_runs_of_a_seed_are_pooled_when_asked(tmp_path: Path) -> None:
    """Three original and three reproduction runs with a seed twice: one each by itself, all of them pooled, a second print never."""
    folder = write_folder(
        tmp_path,
        {"val_bpb": 1.114, "seed_results": {"42": {"val_bpb": 1.114}}},
        a=run_text(42, 1.114),
        b=run_text(42, 1.1143, 1.931),
        copy=run_text(42, 1.114),
        small=run_text(42, 1.3, params=1_000_000),
    )
    assert [one.val_bpb for one in choose(open_folder(folder)).runs.values()] == [1.114]
    assert sorted(one.val_bpb or 0 for one in choose(open_folder(folder), pool=True).runs.values()) == [1.114, 1.1143]


def test_a_log_without_a_seed_gets_one_and_says_where_from(tmp_path: Path) -> None:
    """By hand, else the claimed one that is left, else the number in its name, else a free number."""
    by_hand = write_folder(tmp_path / "1", {"val_bpb": 1.1}, train=run_text(None, 1.1))
    chosen_by_hand, notes = choose_logs(open_folder(by_hand), [2025])
    assert list(chosen_by_hand) == [2025] and "given by hand" in notes[-1]
    assert list(choose_logs(open_folder(by_hand))[0]) == [0]
    claimed = write_folder(tmp_path / "2", {"val_bpb": 1.1, "seeds": [42]}, train=run_text(None, 1.1))
    assert list(choose_logs(open_folder(claimed))[0]) == [42]
    named = write_folder(tmp_path / "3", {"val_bpb": 1.1}, train_s314=run_text(None, 1.1))
    assert list(choose_logs(open_folder(named))[0]) == [314]


def test_the_legal_number_that_is_claimed_counts_not_the_excluded_one_after_it(tmp_path: Path) -> None:
    text = run_text(42, 1.0876) + "final_ngram_exact val_loss:0.30000000 val_bpb:0.17350000\n"
    folder = write_folder(tmp_path, {"val_bpb": 1.0876, "seed_results": {"42": {"val_bpb": 1.0876}}}, one=text)
    assert folder_runs(folder)["42"].val_bpb == 1.0876
    claimed = write_folder(tmp_path / "2", {"val_bpb": 0.1735, "seed_results": {"42": {"val_bpb": 0.1735}}}, one=text)
    assert folder_runs(claimed)["42"].val_bpb == 0.1735


@pytest.mark.parametrize(
    "claims",
    [{"val_bpb": "1.4242"}, {"val_bpb_mean": 1.4242}, {"val_bpb_3seed_mean": 1.4242}, {"final_bpb": 1.4242}],
)
def test_the_headline_in_the_forms_in_use(claims: dict) -> None:
    assert headline(claims) == 1.4242


def test_the_case_folders_have_their_right_n(shared: Path) -> None:
    """A label that is not the seed that ran, a log that prints no seed, three seeds in one file."""
    g1 = choose(open_folder(shared / "log_cases" / "g1_seed_label"))
    values = [one.val_bpb or 0.0 for one in g1.runs.values()]
    assert g1.count == "n=3, as claimed" and abs(sum(values) / 3 - 1.06780094) < 5e-9
    assert any("prints seed 1337" in note for note in g1.notes)
    assert len(choose_logs(open_folder(shared / "log_cases" / "h1_seedless"))[0]) == 1
