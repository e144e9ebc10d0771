"""`golf package --fit` on a submission's kept seeds: what the recomposed script really writes is below the target, not far."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from run_fakes import CPU, make_project, plan_of, run_fake, source_of

from golf.artifact import api
from golf.artifact.fit import Fit, Tried
from golf.artifact.fit_seeds import ONE_SEED_SHARE, _Search, fit_seeds, margin_of
from golf.artifact.fit_show import remarks_of, rows_of, to_json
from golf.artifact.fitted import Fitted, Wish
from golf.artifact.full_ledger import file_rows, full_ledger, tensor_rows
from golf.artifact.full_ledger import to_json as ledger_json
from golf.artifact.ledger import weigh
from golf.artifact.manifest import Package
from golf.artifact.package import finished_runs, packed
from golf.cli.pages.live import PlainView
from golf.compose import compose, rescale
from golf.data.shards import write_shard
from golf.errors import Exit, GolfError
from golf.parts.artifact import RawCoder, read_container, write_container
from golf.parts.model import GPT
from golf.parts.quant import quantize, save_artifact
from golf.parts.tags import collect, initialize
from golf.recipe import load_recipe, smoke_recipe, smoke_sizes
from golf.recipe.namespace import namespace
from golf.run.plan import Data, make_plan
from golf.run.plan import Wishes as RunWishes
from golf.run.source import vocabulary_of
from golf.run.store import open_store

SEEDS = (1337, 42)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple:
    """(plan, runs) of a baseline's small twin whose two seeds were initialised and never trained; a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "submissions" / "mine"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text('extends = "baseline"\n[model]\nnum_layers = 2\n')
    recipe = load_recipe(folder / "recipe.toml")
    own = compose(recipe).encode()
    (folder / "train_gpt.py").write_bytes(own)
    (tmp_path / "data").mkdir()
    write_shard(tmp_path / "data" / "fineweb_train_000000.bin", torch.arange(2000).numpy() % 1024)
    twin, source = rescale(own.decode(), smoke_sizes(recipe)).encode(), source_of(folder)
    source = dataclasses.replace(source, script=twin)
    data = Data(tmp_path / "data", tmp_path / "data" / "t.model", "fake", "d", "t", official=False)
    plan = make_plan(tmp_path, source, RunWishes(smoke=True), CPU, lambda: data, trains=False)
    plan.set_folder.mkdir(parents=True)
    (plan.set_folder / "train_gpt.py").write_bytes(twin)
    runs = []
    for seed in SEEDS:
        h, place = namespace(smoke_recipe(recipe)), plan.place(seed).path
        place.mkdir()
        model = GPT(h)
        initialize(h, model, seed)
        for param in model.parameters():
            param.data += 0.02 * torch.randn(param.shape, generator=torch.Generator().manual_seed(seed))
        write_container(str(place / "float.golf"), dict(model.state_dict()), {"seed": seed}, RawCoder)
        (place / "model.golf").write_bytes(bytes(60_000 + 500 * (seed == 42)))
        runs.append(SimpleNamespace(seed=seed, folder=place, submission="mine"))
    return plan, runs


@pytest.mark.slow
@pytest.mark.parametrize("words", [["coder=RansCoder"], []])
def test_what_the_script_really_writes_lands_just_below_the_target(kept: tuple, words: list[str]) -> None:
    plan, runs = kept
    wish = Wish(total_bytes=60_000, tokens=600)
    fitted = fit_seeds(plan, runs, wish, words, lambda sentence: None)
    assert fitted.goal_bytes == wish.total_bytes - fitted.margin_bytes and fitted.margin_basis.startswith("2 sd of 2")
    after = load_recipe(plan.source.folder / "recipe.toml", fitted.overrides)
    script = rescale(compose(after), smoke_sizes(after)).encode()
    totals = {run.seed: len(packed(script)) + exported(script, run.folder, plan) for run in runs}
    assert fitted.goal_bytes - 5000 <= max(totals.values()) <= fitted.goal_bytes
    assert to_json(fitted)["overrides"] == list(fitted.overrides)
    assert sum(row[-1] == "chosen" for row in rows_of(fitted)) == 1
    coders = [one.coder for one in fitted.fit.coders]
    assert any(word.startswith("coder=") for word in fitted.overrides) == (coders[:1] != ["zlib"])
    assert set(coders) == (set() if words else {"zlib", "rans", "ransctx"})  # one that is asked for is not weighed
    said = remarks_of(fitted)
    assert words or f"net of its script: {coders[0]} " in said[0]
    assert "golf package" in said[-2]
    assert fitted.cpu_seconds > 0 and (fitted.peak_bytes is None or f"{fitted.peak_bytes / 1e6:,.0f} MB" in said[-1])


def exported(script: bytes, checkpoint: Path, plan: object) -> int:
    """Bytes of the artifact that the script exports from a kept checkpoint."""
    where = checkpoint.with_name(f"{checkpoint.name}-again")
    where.mkdir()
    (where / "train_gpt.py").write_bytes(script)
    os.link(checkpoint / "float.golf", where / "float.golf")
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "SEED": checkpoint.name.removeprefix("seed_"),
        "DATA_PATH": str(plan.inputs.data_path),
    }
    subprocess.run([sys.executable, "train_gpt.py", "export"], cwd=where, env=env, check=True, capture_output=True)
    return (where / "model.golf").stat().st_size


@pytest.mark.parametrize("vocab_size", [1024, 512, 4096])
def test_a_small_twin_is_weighed_with_the_vocabulary_of_its_shards(
    kept: tuple, monkeypatch: pytest.MonkeyPatch, vocab_size: int
) -> None:
    plan, runs = kept
    plan = dataclasses.replace(plan, source=dataclasses.replace(plan.source, vocab_size=vocab_size))
    weighed = []
    monkeypatch.setattr("golf.artifact.fit_seeds.packed", lambda script: weighed.append(script) or bytes(7))
    search = _Search(plan, runs, Wish(60_000, tokens=600), [], lambda sentence: None, 0)
    assert search.code({"embed_bits": 7}) == 7
    assert vocabulary_of(weighed[0], {}) == vocab_size == search.recipe.values["vocab_size"]


@pytest.mark.slow
def test_a_script_that_was_weighed_before_is_neither_composed_nor_packed_again(
    kept: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, runs = kept

    def code() -> list[int]:
        search = _Search(plan, runs, Wish(60_000, tokens=600), [], lambda sentence: None, 0)
        return [search.code(values) for values in ({}, {"embed_bits": 7})]

    first = code()
    for made in ("golf.compose.kept.composition", "golf.artifact.fit_seeds.packed"):
        monkeypatch.setattr(made, lambda *_: pytest.fail("made anew"))
    assert code() == first and first[0] != first[1]
    own = load_recipe(plan.source.folder / "recipe.toml", ["embed_bits=7"])
    assert first[1] == len(packed(rescale(compose(own), smoke_sizes(own)).encode()))


def test_what_is_asked_for_and_what_is_public_keep_their_coder(kept: tuple) -> None:
    plan, runs = kept
    for words, keep_public, weighs in (([], False, True), (["coder=ZlibCoder"], False, False), ([], True, False)):
        wish = Wish(60_000, tokens=600, keep_public=keep_public)
        assert _Search(plan, runs, wish, words, lambda sentence: None, 0).any_coder == weighs


def test_a_target_that_the_script_alone_exceeds_is_refused_before_anything_is_tried(kept: tuple) -> None:
    plan, runs = kept
    said: list[str] = []
    with pytest.raises(
        GolfError, match=r"nothing is left for the model: of 9,000 bytes the packed script takes 1\d,"
    ) as fault:
        fit_seeds(plan, runs, Wish(9000, tokens=600), [], said.append)
    assert fault.value.code == Exit.OVER_BYTES and not said


def test_no_training_text_and_no_checkpoint_are_refused(kept: tuple) -> None:
    plan, runs = kept
    (runs[1].folder / "float.golf").write_bytes(b"GOLF")
    with pytest.raises(GolfError, match="checkpoint of seed 42 of mine is gone or damaged") as fault:
        fit_seeds(plan, runs, Wish(60_000, tokens=600), [], lambda sentence: None)
    assert fault.value.code == Exit.REFUSED
    next(plan.inputs.data_path.iterdir()).unlink()
    with pytest.raises(GolfError, match="no fineweb_train"):
        fit_seeds(plan, runs, Wish(60_000), [], lambda sentence: None)


def test_the_margin_is_two_sds_of_the_kept_seeds_and_says_so() -> None:
    assert margin_of([1000, 1010, 1020]) == (20, "2 sd of 3 kept seeds (sd 10)")
    margin, basis = margin_of([16_000_000])
    assert margin == ONE_SEED_SHARE * 16_000_000 and "not known" in basis


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of the fake script whose exported bytes do not follow `bits`: two seeds run."""
    monkeypatch.delenv("FAKE", raising=False)
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.001")
    folder = make_project(tmp_path)
    run_fake(folder, "1337,42")
    return folder


def test_a_real_artifact_above_the_target_is_fitted_again_that_much_smaller(
    fakes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, asked = plan_of(fakes), []
    with open_store(plan.root) as store:
        runs = finished_runs(store, fakes, smoke=True)

    def seeds(plan: object, runs: object, wish: Wish, words: object, say: object, *, slack_bytes: int) -> Fitted:
        asked.append(slack_bytes)
        tried = Tried("as is", 1.0, 10, 10, 12, None, None, 2.0, 0.1)
        return Fitted(Fit("as is", {"bits": 6}, 10, 12, (tried,)), 1337, wish.total_bytes, 0, "as asked", ("bits=6",))

    weights = iter([3 * 10**5, 10])
    real = api.make_package

    def make(plan: object, runs: object, *, pack: bool, write: bool, **more: object) -> object:
        package = real(plan, runs, write=False)
        largest = package.ledger.worst
        if not more:  # weighed, after the derived runs
            over = dataclasses.replace(largest, shipped_total=next(weights))
            return dataclasses.replace(package, ledger=dataclasses.replace(package.ledger, seeds=(over,)))
        return package

    monkeypatch.setattr("golf.artifact.fit_seeds.fit_seeds", seeds)
    monkeypatch.setattr("golf.artifact.derive.derived_plan", lambda plan, runs, words: plan)
    monkeypatch.setattr("golf.artifact.derive.run_derived", lambda plan, kept, *rest, **more: kept)
    monkeypatch.setattr(api, "make_package", make)
    monkeypatch.setattr(api, "find_submission", lambda name: fakes)
    monkeypatch.setattr(api, "make_plan", lambda *args, **more: plan)
    monkeypatch.setattr(api, "source_that_ran", lambda *args, **more: plan.source)
    _, package = api.fit_submission("mine", RunWishes(smoke=True), Wish(10**5), view=PlainView())
    assert asked == [0, 2 * 10**5]
    assert package.fitted is not None and package.fitted.winner.kl_nats == 2.0
    assert [run.seed for run in package.runs] == [run.seed for run in runs]
    assert json.dumps(to_json(package.fitted))


def test_the_ledger_names_every_file_and_tensor_and_how_each_reading_counts_it(kept: tuple) -> None:
    plan, runs = kept
    h = namespace(smoke_recipe(load_recipe(plan.source.folder / "recipe.toml")))
    tagged = collect(GPT(h))
    for run in runs:
        weights = read_container(str(run.folder / "float.golf"), RawCoder)[0]
        save_artifact(h, str(run.folder / "model.golf"), quantize(h, tagged, weights, {}))
        run.derived, run.smoke, run.result = None, True, {}
    (plan.data.tokenizer).write_bytes(bytes(7))
    (plan.source.folder / "prepare_data.py").write_text("print(1)\n")
    script = (plan.set_folder / "train_gpt.py").read_bytes()
    ledger = weigh(script, packed(script), (), {run.seed: run.folder / "model.golf" for run in runs}, {})
    full = full_ledger(plan, Package(tuple(runs), ledger, packed(script), (), None))
    assert full.seed == ledger.worst.seed
    sums = file_rows(full)[-1][2:5]
    assert sums == [
        f"{total:,}" for total in (ledger.worst.shipped_total, ledger.worst.raw_total, ledger.worst.raw_total)
    ]
    uncounted = {line.name: line.why for line in full.files if not (line.shipped or line.raw or line.log)}
    assert set(uncounted) == {"t.model", "prepare_data.py"} and "prepares data" in uncounted["prepare_data.py"]
    assert sum(line.coded_bytes for line, _ in full.tensors) == ledger.worst.model
    codes = [(line, sd) for line, sd in full.tensors if line.kind == "codes"]
    assert len(codes) == 1 + 6 * 2 and all(sd is not None and line.weight_error for line, sd in codes)
    assert json.dumps(ledger_json(full)) and len(tensor_rows(full)) == len(full.tensors)


@pytest.mark.parametrize("words", ["--target-bytes 9000", "--margin-bytes 0", "--keep-public", "--plot x.svg"])
def test_what_is_for_a_fit_is_refused_without_one_and_not_passed_over(golf: Any, words: str) -> None:
    code, _, said = golf(f"package mine {words}")
    assert code == Exit.USAGE and f"{words.split(maxsplit=1)[0]} is for --fit" in said
    assert golf("package mine --fit --target-bytes 0")[0] == Exit.USAGE
