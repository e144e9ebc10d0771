"""Trainings without a clock: the card's schedule, checkpoints that resume to the bit, data that changes; and ranks together."""

import re
import shutil
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from cayley_saes import randn, sae_of
from run_fakes import make_project, run_fake
from worlds import execute, run_folder, run_generated, tiny

from golf.compose import compose
from golf.data.shards import write_shard
from golf.errors import Exit, GolfError
from golf.parts.artifact import RawCoder, read_container
from golf.parts.data import load_shard
from golf.parts.env import Env
from golf.parts.model import GPT
from golf.parts.techniques.linear_warmdown import linear_warmdown, warmdown_to_floors
from golf.recipe import load_recipe
from golf.recipe.namespace import namespace
from golf.sae.card_checkpoint import read_checkpoint, write_checkpoint

STEPS = 4


def lr_of(step, *, peak, floor, steps, share=0.5, warmup=200, group=None):
    h = SimpleNamespace(lr_warmup_iters=warmup, lr_warmdown_share=share, matrix_min_lr=floor, adam_min_lr=floor / 10,
                        matrix_lr=peak)  # fmt: skip
    clock = SimpleNamespace(step=step, progress=lambda: step / steps)
    clock.lr_factor = linear_warmdown(h, clock)
    return warmdown_to_floors(h, {"base_lr": peak, **(group or {"momentum": 0.9})}, clock)


def test_the_warmdown_of_the_cards():
    card = {"peak": 8e-3, "floor": 1e-4, "steps": 12_716}
    assert [lr_of(t, **card) for t in (0, 50, 100)] == [0, 2e-3, 4e-3]
    assert lr_of(200, **card) == lr_of(6357, **card) == lr_of(6358, **card) == 8e-3
    assert lr_of(6359, **card) < 8e-3
    assert lr_of(6358 + 3179, **card) == pytest.approx((8e-3 + 1e-4) / 2)
    assert lr_of(12_716, **card) == pytest.approx(1e-4)
    assert lr_of(12_716, **card, group={"weight_decay": 0.0}) == pytest.approx(1e-5)
    topk = {"peak": 1.2e-2, "floor": 1.5e-4, "steps": 2730, "share": 0.3}
    assert lr_of(2730 - 819 + 89, **topk) == pytest.approx(1.0712e-2, abs=5e-7)


def test_the_recipe_is_the_card():
    h = namespace(load_recipe("cayley_large_2L"))
    assert (h.num_layers, h.model_dim, h.train_seq_len, h.vocab_size) == (24, 2048, 1024, 50_304)
    assert h.train_batch_tokens == 32 * 1024 * h.micro_batches == 1_572_864
    assert h.iterations * h.train_batch_tokens == 20_000_538_624
    assert h.max_wallclock_seconds == 0


@pytest.fixture(scope="module")
def script():
    return compose(tiny("cayley_large_2L", num_layers=2, iterations=STEPS, checkpoint_every=1, lr_warmup_iters=1))


class Stopped(Exception):
    pass


def train(text, folder, monkeypatch, data, stop=None, seed=1):
    """The learning rates of every step; with `stop`, the process dies once that step is saved."""
    rates = []
    with run_folder(folder, monkeypatch, data, ("train",), seed):
        file = execute(text, folder / "train_gpt.py")
        update = file.Checkpoint.update

        def update_and_stop(self):
            update(self)
            rates.append([group["lr"] for group in self.groups_of_test])
            if self.clock.step == stop:
                raise Stopped

        begin = file.Checkpoint.__init__

        def begin_and_watch(self, env, log, model, optimizers, loader, clock):
            self.groups_of_test = [group for optimizer in optimizers for group in optimizer.param_groups]
            begin(self, env, log, model, optimizers, loader, clock)

        file.Checkpoint.update, file.Checkpoint.__init__ = update_and_stop, begin_and_watch
        if stop is None:
            file.main()
        else:
            with pytest.raises(Stopped):
                file.main()
    return rates


def weights(folder):
    return read_container(folder / "float.golf", RawCoder)[0]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def whole(script, tiny_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        rates = train(script, folder, patch, tiny_data)
    return folder, rates


@pytest.mark.parametrize("stop", [1, 3])
def test_a_stopped_training_ends_as_if_it_had_not_been(stop, script, whole, tiny_data, tmp_path, monkeypatch):
    folder, rates = whole
    first = train(script, tmp_path, monkeypatch, tiny_data, stop)
    assert (tmp_path / "resume.golf").exists()
    moved = tmp_path / "elsewhere"
    shutil.copytree(tiny_data, moved)  # the same shards in another place are the same data
    second = train(script, tmp_path, monkeypatch, moved)
    assert first + second == rates
    assert same(weights(tmp_path), weights(folder))
    assert not (tmp_path / "resume.golf").exists()


def test_the_best_and_the_last_state_stay_with_their_optimizers(script, whole, tiny_data, tmp_path, monkeypatch):
    folder, _ = whole
    losses = re.findall(r"step:(\d+)/\S+ val_loss:([0-9.]+)", (folder / "logs/test.txt").read_text())
    step, least = min(losses, key=lambda pair: float(pair[1]))
    _, meta = read_container(folder / "best.golf", RawCoder)
    assert (meta["step"], round(meta["best_val_loss"], 4)) == (int(step), float(least))
    last, meta = read_container(folder / "last.golf", RawCoder)
    assert meta["step"] == STEPS and round(meta["best_val_loss"], 4) == float(least)
    assert same({name: last[name] for name in weights(folder)}, weights(folder))  # the weights that were exported
    assert {name.partition(":")[2] for name in last} == {"", "momentum", "exp_avg", "exp_avg_sq", "step"}
    train(
        script, tmp_path, monkeypatch, tiny_data, stop=STEPS
    )  # dies with the state of the last step saved to resume from
    assert same(read_container(tmp_path / "resume.golf", RawCoder)[0], last)


def test_the_cards_checkpoint_is_written_and_read_to_the_bit(whole, tmp_path):
    folder, _ = whole
    path = write_checkpoint(folder, tmp_path / "ckpt.pt")
    saved = torch.load(path, weights_only=True)
    assert list(saved) == ["model", "optimizer_states", "iter_num", "best_val_loss", "config"]
    tensors, meta = read_container(folder / "best.golf", RawCoder)
    assert (saved["iter_num"], saved["best_val_loss"]) == (meta["step"], meta["best_val_loss"])
    assert same(saved["model"], {name: one for name, one in tensors.items() if ":" not in name})
    assert saved["config"]["num_layers"] == 2 and saved["config"]["model_dim"] == 32
    muon, adam = (
        write_checkpoint(folder, tmp_path / "last.pt", "last.golf")
        and torch.load(tmp_path / "last.pt")["optimizer_states"]
    )
    assert all(set(state) == {"momentum"} for state in muon.values()) and muon
    assert all(set(state) == {"exp_avg", "exp_avg_sq", "step"} for state in adam.values()) and adam
    back = read_checkpoint(tmp_path / "last.pt", tmp_path / "back.golf")
    (mine, said), (theirs, wanted) = (read_container(one, RawCoder) for one in (back, folder / "last.golf"))
    assert same(mine, theirs) and said == wanted
    with pytest.raises(GolfError, match="is there already"):
        write_checkpoint(folder, path)
    torch.save({"model": {}}, tmp_path / "other.pt")
    with pytest.raises(GolfError, match="is no checkpoint of this form: it has no optimizer_states, iter_num"):
        read_checkpoint(tmp_path / "other.pt", tmp_path / "none.golf")
    with pytest.raises(GolfError, match=r"holds no best\.golf"):
        write_checkpoint(tmp_path, tmp_path / "x.pt")


def test_training_measures_the_scores(whole):
    found = {name: value for name, value in weights(whole[0]).items() if "score_" in name}
    assert len(found) == 4
    assert all((value != name.endswith("score_var")).any() for name, value in found.items())


def scores(folder):
    return [line for line in (folder / "logs/test.txt").read_text().splitlines() if "_exact" in line]


def test_statistics_stand_still_while_the_test_text_is_learned(tiny_data, tmp_path, monkeypatch):
    """One process for train, export and eval scores as three do, though evaluation goes backward through the model."""
    small = {"num_layers": 1, "iterations": 2, "ttt_chunk_tokens": 256, "eval_stride": 16, "reports": ("ttt_sgd",)}
    recipe = tiny("cayley_512", **small)
    run_generated(recipe, tmp_path / "whole", monkeypatch, tiny_data)
    for phase in ("train", "export", "eval"):
        run_generated(recipe, tmp_path / "apart", monkeypatch, tiny_data, (phase,))
    assert scores(tmp_path / "whole")
    assert scores(tmp_path / "whole") == scores(tmp_path / "apart")


def test_a_training_goes_on_with_other_data_where_it_stood(script, tiny_data, tmp_path, monkeypatch):
    """Two steps on one source, then another from its beginning: as if their shards had stood one after the other."""
    train_tokens = [load_shard(tiny_data / f"fineweb_train_00000{i}.bin")[:] for i in (0, 1)]
    a, b, both = (tmp_path / name for name in ("a", "b", "both"))
    for data in (a, b, both):
        data.mkdir()
        for name in ("fineweb_val_000000.bin", "tokenizer.model"):
            shutil.copy(tiny_data / name, data / name)
    seen = 2 * 8 * (256 // 8 + 1)  # tokens of two steps
    write_shard(a / "fineweb_train_000000.bin", train_tokens[0])
    write_shard(b / "fineweb_train_000000.bin", train_tokens[1])
    write_shard(both / "fineweb_train_000000.bin", train_tokens[0][:seen])
    write_shard(both / "fineweb_train_000001.bin", train_tokens[1])
    first = train(script, tmp_path / "run", monkeypatch, a, stop=2)
    second = train(script, tmp_path / "run", monkeypatch, b, stop=3)
    third = train(script, tmp_path / "run", monkeypatch, b)  # and once more, in the middle of the second source
    straight = train(script, tmp_path / "straight", monkeypatch, both)
    assert first + second + third == straight
    assert same(weights(tmp_path / "run"), weights(tmp_path / "straight"))
    assert "resumed: step:2/4 other data" in (tmp_path / "run/logs/test.txt").read_text()
    assert "resumed: step:3/4 same data" in (tmp_path / "run/logs/test.txt").read_text()


def test_a_checkpoint_of_another_seed_is_refused(script, tiny_data, tmp_path, monkeypatch):
    train(script, tmp_path, monkeypatch, tiny_data, stop=1)
    with pytest.raises(ValueError, match="of seed 1, this run of seed 2"):
        train(script, tmp_path, monkeypatch, tiny_data, seed=2)


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("cayley_large_2L", {"after_step": ("EMA",)}, "does not keep averages"),
        ("cayley_large_2L", {"micro_batches": 12}, "int % 8 == 0"),
        ("cayley_large_2L", {"rotary": True}, "rotary = false"),
        ("cayley_large_2L", {"eval_seq_len": 64}, "has no vectors"),
        ("cayley_large_2L", {"attn_out": ("XSA",)}, "no place for"),
        ("cayley_512", {"loader": "MicroBatches"}, "wants micro_batches"),
    ],
)
def test_what_cannot_be_combined_is_refused(name, values, sentence):
    with pytest.raises(GolfError, match=sentence):
        compose(tiny(name, **values))


def test_a_step_has_its_micro_batches(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert Env(namespace(load_recipe("cayley_large_2L"))).grad_accum_steps == 48
    assert Env(namespace(load_recipe("baseline"))).grad_accum_steps == 8


def test_positions_and_gains_do_what_they_say():
    h = namespace(tiny("cayley_large_2L", num_layers=1, mlp_in=()))
    model = GPT(h)
    ids = torch.full((1, 6), 7)
    with torch.no_grad():
        for param in model.parameters():
            param.normal_(std=0.1, generator=torch.Generator().manual_seed(param.numel()))
        table = model.embed_pre["LearnedPositions"].table.weight
        assert not torch.allclose(model(ids)[0, 0], model(ids)[0, 1])
        table.copy_(table[:1].expand_as(table).clone())
        assert torch.allclose(model(ids)[0, 0], model(ids)[0, 5], atol=1e-5)  # nothing else knows the place
        model.output_norm.gain.mul_(2.0)
        doubled = model(ids)
        model.output_norm.gain.mul_(0.5)
        assert torch.allclose(doubled, 2 * model(ids), atol=1e-5)  # a head without softcap is linear in the gain


def test_ranks_measure_together(monkeypatch):
    """Two ranks that see the same measure what one sees; another rank's scores count as its own do."""
    x, y = randn(40, 32), randn(40, 32, seed=9)
    alone, together, pair = (sae_of((5, 4, 0), (7, 6, 16)) for _ in range(3))
    alone.encode(x, observe=True)
    with monkeypatch.context() as patch:
        patch.setattr(dist, "is_initialized", lambda: True)
        patch.setattr(dist, "get_world_size", lambda: 2)
        patch.setattr(dist, "all_reduce", lambda sums: sums.mul_(2))
        together.encode(x, observe=True)
        scores = pair.parity.scores(y)
        theirs = torch.stack((scores.sum(0), scores.square().sum(0)))
        patch.setattr(dist, "all_reduce", lambda sums: sums.add_(theirs))
        pair.encode(x, observe=True)
    assert torch.allclose(together.score_mean, alone.score_mean, atol=1e-14)
    assert torch.allclose(together.score_var, alone.score_var, atol=1e-14)
    both = sae_of((5, 4, 0), (7, 6, 16))
    both.encode(torch.cat((x, y)), observe=True)
    assert torch.allclose(pair.score_var, both.score_var, atol=1e-14)


def test_golf_run_takes_a_training_up_where_it_stands(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.001")
    monkeypatch.setenv("FAKE", "crash:train")
    folder = make_project(tmp_path)
    with pytest.raises(GolfError) as crash:
        run_fake(folder)
    assert "--resume" not in crash.value.hint
    (seed,) = folder.glob("runs/*/seed_*")
    (seed / "resume.golf").write_bytes(b"where it stood")
    monkeypatch.delenv("FAKE")
    with pytest.raises(GolfError, match="is in training, then") as refused:
        run_fake(folder)
    assert refused.value.code == Exit.REFUSED
    (run,) = run_fake(folder, resume=True)
    assert run.folder == seed
    assert run.result["phases"] == ["train", "export", "eval"]
    assert (seed / "resume.golf").exists()  # the script's to remove
