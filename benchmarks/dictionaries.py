"""Planted dictionaries: how much of a known dictionary golf, SAELens and dictionary_learning find with the same batches, steps and rate.

    python benchmarks/dictionaries.py --seeds 3 > benchmarks/dictionaries.md

The other two are optional: without them only golf is measured. Features are random directions of norm 1, each in a token with
probability L0 / features at a strength drawn from U(0.5, 1.5). All contestants of a seed see the same batches in the same order and are
measured on the same held-out tokens. Peers have one setting each, their own defaults but for what is named in `peers`, and were not tuned at this size; for ReLU, where a penalty and not an L0 is
chosen there, golf aims at the L0 that the peer ended with. Times are processor seconds of one thread, so a busy machine changes them
little; contestants take turns within a seed.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import torch

from golf.sae.kinds.matryoshka import widths
from golf.sae.layer import LayerTraining
from golf.sae.metrics import Quality
from golf.sae.settings import Settings

FOUND = 0.95  # a planted direction counts as found above this cosine
PENALISED = ("relu", "jumprelu", "gated")
DECAY = 0.2  # of the run, at its end, in all contestants


@dataclass(frozen=True)
class Problem:
    """What is planted and how long it is trained on."""

    features: int = 512
    width: int = 64
    l0: float = 5.0
    batch: int = 512
    steps: int = 1500
    rate: float = 2.4e-3

    def data(self, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(directions (features, width), training tokens, held-out tokens)."""
        rng = torch.Generator().manual_seed(10_000 + seed)
        directions = torch.nn.functional.normalize(torch.randn(self.features, self.width, generator=rng), dim=-1)

        def tokens(count: int) -> torch.Tensor:
            entries = int(torch.poisson(torch.tensor(self.l0 * count), generator=rng))
            rows = torch.randint(count, (entries,), generator=rng)
            strengths = 0.5 + torch.rand(entries, 1, generator=rng)
            which = directions[torch.randint(self.features, (entries,), generator=rng)]
            return torch.zeros(count, self.width).index_add_(0, rows, strengths * which)

        train, held_out = tokens(self.steps * self.batch), tokens(8192)
        scale = self.width**0.5 / float(train[:32_768].norm(dim=-1).mean())  # as each library's own normalisation does
        return directions, train.mul_(scale), held_out.mul_(scale)


@dataclass(frozen=True)
class Score:
    """What a contestant reached."""

    mmcs: float
    found: float
    ev: float
    l0: float
    dead: float
    ms: float


Coder = tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]
Contestant = Callable[[Problem, torch.Tensor, int], tuple[Coder, float]]


def score(problem: Problem, directions: torch.Tensor, held_out: torch.Tensor, made: Coder, ms: float) -> Score:
    """Held-out numbers of a dictionary: (columns (F, d), encode, decode)."""
    columns, encode, decode = made
    with torch.no_grad():
        cosines = (torch.nn.functional.normalize(columns, dim=-1) @ directions.T).abs().max(dim=0).values
        quality = Quality(len(columns), problem.width)
        for part in held_out.split(1024):
            code = encode(part)
            quality.add(part, code, decode(code))
    told = quality.report()
    return Score(
        float(cosines.mean()), float((cosines > FOUND).float().mean()), told["explained_variance"], told["l0"],
        told["dead_share"], ms,
    )  # fmt: skip


def timed(batches: Iterator[torch.Tensor], step: Callable[[int, torch.Tensor], object]) -> float:
    """Train; the median processor milliseconds of a step."""
    took = []
    for number, x in enumerate(batches):
        begun = time.process_time()
        step(number, x)
        took.append(time.process_time() - begun)
    return 1000 * statistics.median(took)


def golf(arch: str, **choices: Any) -> Contestant:
    """golf's defaults at the problem's rate."""

    def train(problem: Problem, x: torch.Tensor, seed: int) -> tuple[Coder, float]:
        settings = Settings(
            tokens=problem.steps * problem.batch, expansion=problem.features // problem.width, arch=arch, lr=problem.rate,
            batch_tokens=problem.batch, seq_len=problem.batch, k=round(problem.l0), seed=seed, lr_decay_frac=DECAY, **choices,
        )  # fmt: skip
        training = LayerTraining(settings, problem.width, torch.device("cpu"))
        training.begin(x[:32_768])
        ms = timed(iter(x.split(problem.batch)), lambda _, batch: training.step(batch))
        sae = training.sae.eval()
        sae.load_state_dict(training.weights())
        return (sae.decoder.weight.T, sae.encode, sae.decode), ms

    return train


def saelens(arch: str, **choices: Any) -> Contestant:
    """SAELens' own training class and its trainer's step."""

    def train(problem: Problem, x: torch.Tensor, seed: int) -> tuple[Coder, float]:
        from sae_lens import (  # noqa: PLC0415
            BatchTopKTrainingSAE,
            BatchTopKTrainingSAEConfig,
            GatedTrainingSAE,
            GatedTrainingSAEConfig,
            JumpReLUTrainingSAE,
            JumpReLUTrainingSAEConfig,
            MatryoshkaBatchTopKTrainingSAE,
            MatryoshkaBatchTopKTrainingSAEConfig,
            StandardTrainingSAE,
            StandardTrainingSAEConfig,
            TopKTrainingSAE,
            TopKTrainingSAEConfig,
        )
        from sae_lens.config import LoggingConfig, SAETrainerConfig  # noqa: PLC0415
        from sae_lens.training.sae_trainer import SAETrainer  # noqa: PLC0415

        kinds = {"relu": (StandardTrainingSAE, StandardTrainingSAEConfig), "topk": (TopKTrainingSAE, TopKTrainingSAEConfig),
                 "batchtopk": (BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig), "gated": (GatedTrainingSAE, GatedTrainingSAEConfig),
                 "jumprelu": (JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig),
                 "matryoshka": (MatryoshkaBatchTopKTrainingSAE, MatryoshkaBatchTopKTrainingSAEConfig)}  # fmt: skip
        torch.manual_seed(seed)
        sparse: dict[str, Any] = {} if arch in PENALISED else {"k": round(problem.l0)}
        if arch == "matryoshka":
            sparse["matryoshka_widths"] = widths(problem.features, Settings.groups)
        made = kinds[arch][0](kinds[arch][1](d_in=problem.width, d_sae=problem.features, **sparse, **choices))
        trainer = SAETrainer(
            SAETrainerConfig(
                n_checkpoints=0, checkpoint_path=None, save_final_checkpoint=False, device="cpu", autocast=False,
                total_training_samples=len(x), lr=problem.rate, lr_end=problem.rate, lr_scheduler_name="constant",
                lr_warm_up_steps=0, adam_beta1=0.9, adam_beta2=0.999, lr_decay_steps=round(DECAY * problem.steps),
                n_restart_cycles=1, train_batch_size_samples=problem.batch, dead_feature_window=100,
                feature_sampling_window=2000, n_batches_for_norm_estimate=10,
                logger=LoggingConfig(log_to_wandb=False, eval_every_n_wandb_logs=2**31 - 1),
            ), sae=made, data_provider=iter(()), save_checkpoint_fn=None,
        )  # fmt: skip

        def step(number: int, batch: torch.Tensor) -> None:
            trainer.step(batch)
            trainer.n_training_steps += 1

        ms = timed(iter(x.split(problem.batch)), step)
        made.eval()
        if arch not in ("batchtopk", "matryoshka"):
            return (made.W_dec.detach(), made.encode, made.decode), ms

        def encode(part: torch.Tensor) -> torch.Tensor:  # saved as a JumpReLU: the threshold, not the batch's best
            codes = torch.relu(made.encode_with_hidden_pre(part)[1])
            return codes * (codes > made.topk_threshold.float())

        return (made.W_dec.detach(), encode, made.decode), ms

    return train


def dictionary_learning(arch: str, *, april: bool = False, **choices: Any) -> Contestant:
    """dictionary_learning's trainers."""

    def train(problem: Problem, x: torch.Tensor, seed: int) -> tuple[Coder, float]:
        from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer  # noqa: PLC0415
        from dictionary_learning.trainers.gdm import GatedSAETrainer  # noqa: PLC0415
        from dictionary_learning.trainers.jumprelu import JumpReluTrainer  # noqa: PLC0415
        from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKTrainer  # noqa: PLC0415
        from dictionary_learning.trainers.standard import StandardTrainer, StandardTrainerAprilUpdate  # noqa: PLC0415
        from dictionary_learning.trainers.top_k import TopKTrainer  # noqa: PLC0415

        kinds = {
            "relu": StandardTrainerAprilUpdate if april else StandardTrainer,
            "topk": TopKTrainer,
            "batchtopk": BatchTopKTrainer,
            "gated": GatedSAETrainer,
            "jumprelu": JumpReluTrainer,
            "matryoshka": MatryoshkaBatchTopKTrainer,
        }
        own: dict[str, Any] = (
            {} if arch in PENALISED else {"k": round(problem.l0), "threshold_start_step": problem.steps // 2}
        )
        if arch == "matryoshka":
            ends = widths(problem.features, Settings.groups)
            own["group_fractions"] = [
                (end - begin) / problem.features for begin, end in zip([0, *ends], ends, strict=False)
            ]
        if arch in PENALISED:
            own["sparsity_warmup_steps"] = round(0.3 * problem.steps)
        trainer = kinds[arch](
            steps=problem.steps, activation_dim=problem.width, dict_size=problem.features, layer=0, lm_name="planted",
            lr=problem.rate, warmup_steps=round(0.02 * problem.steps), decay_start=round((1 - DECAY) * problem.steps), seed=seed,
            device="cpu", **own, **choices,
        )  # fmt: skip
        if arch not in PENALISED:
            trainer.dead_feature_threshold = 100 * problem.batch  # its 10M tokens are longer than the run
        ms = timed(iter(x.split(problem.batch)), trainer.update)
        made = trainer.ae.eval()
        columns = made.W_dec.detach() if hasattr(made, "W_dec") else made.decoder.weight.detach().T
        return (columns, made.encode, made.decode), ms

    return train


def contest(problem: Problem, seeds: int, archs: list[str], penalties: tuple[float, ...]) -> None:
    """Print a table per architecture."""
    peers = [name for name in ("sae_lens", "dictionary_learning") if find_spec(name)]
    for arch in archs:
        rows: dict[str, list[Score]] = {}
        for seed in range(seeds):
            directions, x, held_out = problem.data(seed)

            def enter(name: str, contestant: Contestant) -> Score:
                made, ms = contestant(problem, x, seed)  # noqa: B023
                found = score(problem, directions, held_out, made, ms)  # noqa: B023
                rows.setdefault(name, []).append(found)  # noqa: B023
                return found

            if arch == "jumprelu":  # both peers know a target; golf aims at what each ended with
                aims = problem.l0 * 1.6
                if "sae_lens" in peers:
                    found = enter("SAELens", saelens(arch, target_l0=aims, jumprelu_init_threshold=0.1))
                    enter("golf at the L0 of SAELens", golf(arch, target_l0=found.l0))
                if "dictionary_learning" in peers:
                    found = enter("dictionary_learning", dictionary_learning(arch, target_l0=aims))
                    enter("golf at the L0 of dictionary_learning", golf(arch, target_l0=found.l0))
                if not peers:
                    enter("golf", golf(arch, target_l0=aims))
                continue
            if arch not in PENALISED:
                enter("golf", golf(arch))
                if "sae_lens" in peers:
                    enter("SAELens", saelens(arch))
                if "dictionary_learning" in peers:
                    enter("dictionary_learning", dictionary_learning(arch))
                continue
            for penalty in penalties:
                there = [problem.l0 * 1.6] if not peers else []
                if "sae_lens" in peers:
                    there.append(enter(f"SAELens, λ {penalty:g}", saelens(arch, l1_coefficient=penalty)).l0)
                    enter(f"golf at the L0 of SAELens at λ {penalty:g}", golf(arch, target_l0=there[-1]))
                if "dictionary_learning" in peers:
                    there.append(
                        enter(
                            f"dictionary_learning, λ {penalty:g}",
                            dictionary_learning(arch, april=arch == "relu", l1_penalty=penalty),
                        ).l0
                    )
                    enter(f"golf at the L0 of dictionary_learning at λ {penalty:g}", golf(arch, target_l0=there[-1]))
                if not peers:
                    enter("golf", golf(arch, target_l0=there[0]))
        print(
            f"\n## {arch}\n\n| who | MMCS (sd) | found > {FOUND} | EV (sd) | L0 | dead | ms a step |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
        )
        for name, found in rows.items():
            print(f"| {name} | {_mean(found, 'mmcs', 4)} | {_mean(found, 'found', 3)} | {_mean(found, 'ev', 4)} | {_mean(found, 'l0', 2)} "
                  f"| {100 * statistics.mean(one.dead for one in found):.1f} % | {statistics.mean(one.ms for one in found):.2f} |", flush=True)  # fmt: skip


def _mean(found: list[Score], field: str, digits: int) -> str:
    values = [getattr(one, field) for one in found]
    spread = f" ({statistics.stdev(values):.{digits}f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def main() -> None:
    torch.set_num_threads(1)
    wishes = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    wishes.add_argument("--seeds", type=int, default=3)
    wishes.add_argument("--archs", default="topk,batchtopk,relu")
    wishes.add_argument("--penalties", default="4")
    for name in ("features", "width", "batch", "steps"):
        wishes.add_argument(f"--{name}", type=int, default=None)
    given = wishes.parse_args()
    changes = {
        name: value for name in ("features", "width", "batch", "steps") if (value := getattr(given, name)) is not None
    }
    problem = replace(Problem(), **changes)
    names = (("sae_lens", "sae-lens"), ("dictionary_learning", "dictionary-learning"))
    peers = ", ".join(f"{name} {version(name)}" for module, name in names if find_spec(module)) or "no peers installed"
    print("# Dictionaries that were planted, and who finds them\n")
    print(f"By `python benchmarks/dictionaries.py`: {problem.features} features in {problem.width} dimensions, mean L0 {problem.l0:g}, "
          f"{problem.steps:,} steps of {problem.batch} tokens, Adam at {problem.rate:g} with the last {DECAY:.0%} falling to 0, "
          f"{given.seeds} seeds; {peers}; torch {torch.__version__}, one thread. Means, in brackets the standard deviation over the "
          "seeds.")  # fmt: skip
    contest(problem, given.seeds, given.archs.split(","), tuple(float(one) for one in given.penalties.split(",")))


if __name__ == "__main__":
    main()
