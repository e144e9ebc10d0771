"""Who trains dictionaries in `dictionaries.py` and `dictionaries_curves.py`: golf and two peers, on the same batches, steps and rate.

Peers have one setting each, their own defaults but for what is named here, and were not tuned at these sizes.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import torch

from golf.sae.kinds.matryoshka import widths
from golf.sae.layer import LayerTraining
from golf.sae.settings import Settings

PENALISED = ("relu", "jumprelu", "gated")
DECAY = 0.2  # of the run, at its end, in all contestants
PEERS = (("sae_lens", "sae-lens"), ("dictionary_learning", "dictionary-learning"))


def installed() -> list[str]:
    """The modules of the peers that are here."""
    return [module for module, _ in PEERS if find_spec(module)]


def versions() -> str:
    """The peers that are here and the library underneath, as a sentence has them."""
    there = ", ".join(f"{name} {version(name)}" for module, name in PEERS if find_spec(module)) or "no peers installed"
    return f"{there}; torch {torch.__version__}, one thread"


@dataclass(frozen=True)
class Problem:
    """What dictionaries are trained on, and for how long."""

    features: int = 512
    width: int = 64
    l0: float = 5.0  # of what is planted; k of what is sparse by k
    batch: int = 512
    steps: int = 1500
    rate: float = 2.4e-3


Coder = tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]
Contestant = Callable[[Problem, torch.Tensor, int], tuple[Coder, float]]


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
