"""D10 on R03: the artifact alone scores what the log says, by a manifest of the same bytes or by a run of it."""

import json

import pytest
from packages import package_of
from run_fakes import make_project, run_fake

from golf.artifact import alone
from golf.errors import GolfError
from golf.rules import State, load_pack
from golf.rules.calibration.specimen import Facts, write_package, write_specimen
from golf.rules.checks import roundtrip
from golf.rules.subject import Subject

SCORES = dict(zip(Facts().seeds, Facts().bpb, strict=True))


def judge(folder, kind="record", **options):
    return list(roundtrip.artifact(Subject(folder, load_pack(), kind, **options)))


def test_a_manifest_of_the_same_bytes_is_cited_seed_by_seed(tmp_path):
    folder = write_specimen(tmp_path)
    write_package(folder, SCORES)
    (result,) = judge(folder, quick=True)
    assert result.state is State.PASS and "3 seeds, within 0.0005 BPB" in result.message
    assert [line.split(":")[0] for line in result.evidence] == [f"seed {seed}" for seed in SCORES]


@pytest.mark.parametrize(("off", "state"), [(4.9e-4, State.PASS), (5.1e-4, State.FAIL), (float("nan"), State.FAIL)])
def test_five_ten_thousandths_decide(tmp_path, off, state):
    folder = write_specimen(tmp_path)
    write_package(folder, SCORES | {42: SCORES[42] + off})
    assert judge(folder)[0].state is state


@pytest.mark.parametrize("change", ["script", "model", "seed", "manifest"])
def test_a_manifest_of_other_bytes_proves_nothing(tmp_path, change):
    folder = write_specimen(tmp_path)
    manifest = write_package(folder, SCORES)
    if change == "script":
        (folder / "train_gpt.py").write_text("pass\n")
    elif change == "model":
        (manifest.parent / "seed_314" / "model.golf").write_bytes(b"another")
    elif change == "seed":
        table = json.loads(manifest.read_text())
        manifest.write_text(json.dumps(table | {"alone": table["alone"][:2]}))
    else:
        manifest.write_text("[]")
    assert [result.state for result in judge(folder)] in ([], [State.UNKNOWN])


def test_a_record_without_an_artifact_is_not_asked_and_a_stranger_s_is_not_run(tmp_path):
    folder = write_specimen(tmp_path, Facts(seeds=(42,), bpb=(1.07,)))
    assert judge(folder) == []
    (folder / "model.golf").write_bytes(b"of a stranger")
    (result,) = judge(folder, execute=True)
    assert result.state is State.UNKNOWN and "stranger" in result.message


def test_a_stranger_s_own_manifest_is_not_believed(tmp_path):
    folder = write_specimen(tmp_path, Facts(seeds=(42,), bpb=(1.07,)))
    (folder / "model.golf").write_bytes(b"artifact of seed 42")
    manifest = write_package(folder, {42: 1.07})
    (folder / "package").mkdir()
    for name in ("manifest.json", "train_gpt.py"):
        (folder / "package" / name).write_bytes((manifest.parent / name).read_bytes())
    manifest.unlink()
    assert judge(folder)[0].state is State.UNKNOWN


@pytest.fixture
def ours(tmp_path, monkeypatch):
    """A record with its artifact that counts as this project's own, on data that are here; what was scored alone."""
    folder = write_specimen(tmp_path, Facts(seeds=(42,), bpb=(1.07,)))
    (folder / "model.golf").write_bytes(b"ours")
    scored = []

    def evaluate_alone(script, artifact, inputs, **options):
        scored.append((artifact, options["seed"], options["nproc"]))
        return alone.Score(1.0701, 2.0, 3.0, None)

    monkeypatch.setattr(alone, "evaluate_alone", evaluate_alone)
    monkeypatch.setattr(roundtrip, "is_ours", lambda subject: True)
    monkeypatch.setattr("golf.rules.local_data.folders", lambda subject: [tmp_path])
    monkeypatch.setattr("golf.data.source.find_tokenizer", lambda *_: tmp_path / "tok.model")
    return folder, scored


def test_without_a_manifest_the_artifact_is_scored_unless_the_short_form_is_asked_for(ours):
    folder, scored = ours
    (short,) = judge(folder, quick=True)
    assert short.state is State.UNKNOWN and "--quick" in short.message and scored == []
    for options in ({}, {"quick": True, "execute": True}):
        (result,) = judge(folder, **options)
        assert result.state is State.PASS and "scored here in 3 s" in result.evidence[0]
    assert scored == [(folder / "model.golf", 42, 8)] * 2


def test_what_cannot_be_scored_alone_is_unknown_with_the_reason(ours, monkeypatch):
    def fails(*_, **__):
        raise GolfError("its script ended without a score", "")

    monkeypatch.setattr(alone, "evaluate_alone", fails)
    (result,) = judge(ours[0])
    assert result.state is State.UNKNOWN and "without a score" in result.message


def test_the_manifest_that_golf_package_writes_is_cited_for_a_submission(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.001")
    folder = make_project(tmp_path)
    run_fake(folder, "1337,42")
    assert package_of(folder).folder is not None
    (result,) = judge(folder, "submission", quick=True)
    assert result.state is State.PASS and len(result.evidence) == 2
    assert all("by its package's manifest" in line for line in result.evidence)
